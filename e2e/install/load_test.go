//go:build linux

package install

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

const (
	// pace is that of the questions to one address.
	pace = 10 * time.Millisecond
	// patient is how long a page may take: TCP tries again after 1 and 3 s.
	patient = 5 * time.Second
)

// load is what clients ask of Services without end: pages, each by a connection
// of its own, and lines over a connection that lasts.
type load struct {
	g     *ground
	pages []*lab.Requests
	talks []*lab.Conversation
	names []string
}

// load begins, and is under way when it returns: a client of the segment asks
// the Service that is announced there, and one behind a router the other.
func (g *ground) load(onSegment, routed *corev1.Service) *load {
	g.t.Helper()
	l := &load{g: g}
	l.ask(g.Clients[0], site.Addresses(onSegment))
	l.ask(g.Routers[0].Remote, site.Addresses(routed))
	g.t.Cleanup(l.stop)
	l.pass(time.Second)
	return l
}

func (l *load) ask(c *lab.Client, addresses []netip.Addr) {
	l.g.t.Helper()
	for _, address := range addresses {
		ctx, cancel := context.WithTimeout(l.g.t.Context(), patient)
		talk, err := c.Converse(ctx, netip.AddrPortFrom(address, lab.EchoPort), pace)
		cancel()
		l.g.must(err)
		l.talks = append(l.talks, talk)
		l.pages = append(l.pages, c.Request(url(address), pace, patient))
		l.names = append(l.names, c.Name+" at "+address.String())
	}
}

// pass returns when each client has got the pages of such a time more.
func (l *load) pass(d time.Duration) {
	l.g.t.Helper()
	var goals []int
	for _, p := range l.pages {
		goals = append(goals, p.Progress().Answered+int(d/pace)*8/10)
	}
	l.g.until("there are more answers", func(context.Context) (bool, error) {
		for i, p := range l.pages {
			if p.Progress().Answered < goals[i] {
				return false, nil
			}
		}
		return true, nil
	})
}

func (l *load) stop() {
	for i := range l.pages {
		l.pages[i].Stop()
		_, _ = l.talks[i].Stop()
	}
}

// nothingLost ends the load, and fails the story if a page or a line was lost or
// a connection broke.
func (l *load) nothingLost() {
	l.g.t.Helper()
	l.pass(2 * time.Second)
	for i, name := range l.names {
		pages := l.pages[i].Stop()
		lines, err := l.talks[i].Stop()
		if pages.Lost() > 0 || lines.Lost() > 0 || err != nil {
			l.g.t.Errorf("%s: pages: %s; lines: %s; %v", name, pages, lines, err)
		}
		l.g.t.Logf("%s: pages: %s; lines: %s", name, pages, lines)
	}
}
