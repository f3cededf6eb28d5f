//go:build linux

package lab

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// Pace is that of the questions of a Load to one address from one client.
const Pace = 20 * time.Millisecond

// Load is what clients ask for without end, for a test: pages, each by a
// connection of its own, and lines over connections that last.
type Load struct {
	t       testing.TB
	patient time.Duration
	asked   []asked
}

type asked struct {
	name  string // of client and address
	pages *Requests
	talk  *Conversation // nil for none
}

// NewLoad is one in which a page may take that long: TCP tries again after 1, 3
// and 7 s.
func NewLoad(t testing.TB, patient time.Duration) *Load {
	l := &Load{t: t, patient: patient}
	t.Cleanup(l.stop)
	return l
}

// Ask has a client ask an address for pages, and for lines if it is to talk.
func (l *Load) Ask(c *Client, address netip.Addr, talking bool) {
	l.t.Helper()
	a := asked{name: c.Name + " at " + address.String()}
	if talking {
		ctx, cancel := context.WithTimeout(l.t.Context(), l.patient)
		defer cancel()
		var err error
		if a.talk, err = c.Converse(ctx, netip.AddrPortFrom(address, EchoPort), Pace); err != nil {
			l.t.Fatal(err)
		}
	}
	a.pages = c.Request("http://"+netip.AddrPortFrom(address, HTTPPort).String()+"/", Pace, l.patient)
	l.asked = append(l.asked, a)
}

// Pass returns when each client has got the pages of such a time more, or nearly
// so many: a busy machine asks for fewer.
func (l *Load) Pass(d time.Duration) {
	l.t.Helper()
	goals := make([]int, len(l.asked))
	for i, a := range l.asked {
		goals[i] = a.pages.Progress().Answered + max(1, int(d/Pace)*8/10)
	}
	tick := time.NewTicker(Pace)
	defer tick.Stop()
	late := time.After(d + Patience)
	for i := 0; i < len(goals); {
		if l.asked[i].pages.Progress().Answered >= goals[i] {
			i++
			continue
		}
		select {
		case <-tick.C:
		case <-late:
			l.t.Fatalf("%s: there are no more answers: %+v", l.asked[i].name, l.asked[i].pages.Progress())
		}
	}
}

func (l *Load) stop() {
	for _, a := range l.asked {
		a.pages.Stop()
		if a.talk != nil {
			_, _ = a.talk.Stop()
		}
	}
}

// NothingLost ends the load, and fails the test if a page or a line was lost or a
// connection broke. Pages may be torn when flows move, which they do for what was
// asked first, second and so on at those times: no other node knows of a
// connection that is open.
func (l *Load) NothingLost(moves func(i int) []time.Time) {
	l.t.Helper()
	for i, a := range l.asked {
		trace := a.pages.Stop()
		at := moves(i)
		torn, lost := trace.Torn(at)
		for _, q := range lost {
			l.t.Errorf("%s: lost a page that was asked for after %s, %s later: %v", a.name, q.Sent, q.Failed-q.Sent, q.Err)
		}
		l.t.Logf("%s: pages: %s; %d of them torn by %d moves", a.name, trace, torn, len(at))
		if a.talk == nil {
			continue
		}
		if lines, err := a.talk.Stop(); err != nil || lines.Lost() > 0 {
			l.t.Errorf("%s: lines: %s; %v", a.name, lines, err)
		}
	}
}
