//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

const (
	// each is that of the questions to one address from one client: with two of
	// both a page each 5 ms.
	each = 20 * time.Millisecond
	// limit is how long a page may take: TCP tries again after 1 and 3 s.
	limit = 6 * time.Second
)

// stream is what clients behind all routers ask of a Service without end: pages,
// each by a connection of its own, and lines over one connection that lasts.
type stream struct {
	g     *scene
	pages []*lab.Requests
	talks []*lab.Conversation
	// names are of client and address, for each of pages.
	names []string
	// moves are when a router began to send to other nodes.
	moves []time.Time
}

// load begins, and is under way when it returns.
func (g *scene) load(svc *corev1.Service) *stream {
	g.t.Helper()
	return g.ask(svc, true)
}

// pagesOnly is a load without connections that last, for where routers spread
// flows anew: no node knows of the connections of another.
func (g *scene) pagesOnly(svc *corev1.Service) *stream {
	g.t.Helper()
	return g.ask(svc, false)
}

func (g *scene) ask(svc *corev1.Service, talking bool) *stream {
	g.t.Helper()
	l := &stream{g: g}
	for _, r := range g.Routers {
		for _, address := range site.Addresses(svc) {
			if talking {
				ctx, cancel := context.WithTimeout(g.ctx, limit)
				talk, err := r.Remote.Converse(ctx, netip.AddrPortFrom(address, lab.EchoPort), each)
				cancel()
				g.must(err)
				l.talks = append(l.talks, talk)
			}
			l.pages = append(l.pages, r.Remote.Request(url(address), each, limit))
			l.names = append(l.names, r.Remote.Name+" at "+address.String())
		}
	}
	g.t.Cleanup(func() {
		for _, p := range l.pages {
			p.Stop()
		}
		for _, talk := range l.talks {
			_, _ = talk.Stop()
		}
	})
	l.more(20)
	return l
}

// moved notes when routers began to send to other nodes.
func (l *stream) moved(at []time.Time) { l.moves = append(l.moves, at...) }

// more returns when each client has got so many pages more.
func (l *stream) more(pages int) {
	l.g.t.Helper()
	var goals []int
	for _, p := range l.pages {
		goals = append(goals, p.Progress().Answered+pages)
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

// pass returns when the load has gone on for a while.
func (l *stream) pass(d time.Duration) {
	l.g.t.Helper()
	l.more(max(1, int(d/each)*9/10))
}

// nothingLost ends the load, and fails the story if a page was lost or a
// connection broke. What was on its way while a router spread flows anew may be
// torn.
func (l *stream) nothingLost() {
	l.g.t.Helper()
	for i, p := range l.pages {
		trace := p.Stop()
		torn, lost := trace.Torn(l.moves)
		for _, q := range lost {
			l.g.t.Errorf("%s: lost a page that was asked for after %s, %s later: %v", l.names[i], q.Sent, q.Failed-q.Sent, q.Err)
		}
		l.g.t.Logf("%s: pages: %s; %d of them torn by %d moves", l.names[i], trace, torn, len(l.moves))
	}
	for i, talk := range l.talks {
		trace, err := talk.Stop()
		if err != nil || trace.Lost() > 0 {
			l.g.t.Errorf("%s: lines: %s; %v", l.names[i], trace, err)
		}
	}
}
