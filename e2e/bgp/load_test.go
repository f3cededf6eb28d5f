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
	// pace is that of the requests of one client.
	pace = 20 * time.Millisecond
	// patient is how long a page may take: TCP tries again after 1 and 3 s.
	patient = 5 * time.Second
	// rest is how long the load goes on between two events: longer than the second
	// that kube-proxy takes to follow the first of them.
	rest = 1200 * time.Millisecond
)

// load is what the clients behind the routers ask of a Service without end: by
// IPv4 behind the first router, by IPv6 behind the second.
type load struct {
	g      *ground
	pages  []*lab.Requests
	routes []*lab.Router
	at     []netip.Addr
	stops  []func() []time.Time
}

// load begins, and is under way when it returns.
func (g *ground) load(svc *corev1.Service) *load {
	g.t.Helper()
	l := &load{g: g, at: site.Addresses(svc)}
	for i, address := range l.at {
		r := g.Routers[i%len(g.Routers)]
		l.routes = append(l.routes, r)
		l.stops = append(l.stops, changes(r, whole(address)))
		l.pages = append(l.pages, r.Remote.Request(url(address), pace, patient))
	}
	g.t.Cleanup(func() { l.stop() })
	l.pass(rest / 4)
	return l
}

// changes notes when the route of a prefix changes, until it is asked when it
// did.
func changes(r *lab.Router, prefix netip.Prefix) (stop func() []time.Time) {
	ctx, cancel := context.WithCancel(context.Background())
	seen := make(chan []time.Time, 1)
	go func() {
		var all []time.Time
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for last := r.Routes()[prefix].Since; ; {
			select {
			case <-tick.C:
			case <-ctx.Done():
				seen <- all
				return
			}
			if since := r.Routes()[prefix].Since; !since.IsZero() && since != last {
				last = since
				all = append(all, since)
			}
		}
	}()
	return func() []time.Time {
		cancel()
		return <-seen
	}
}

// pass returns when each client has got the pages of such a time more.
func (l *load) pass(d time.Duration) {
	l.g.t.Helper()
	goals := make([]int, len(l.pages))
	for i, p := range l.pages {
		goals[i] = p.Progress().Answered + max(1, int(d/pace)*8/10)
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
	for _, p := range l.pages {
		p.Stop()
	}
}

// nothingLost ends the load, and fails the story if a page was lost. What was on
// its way when the router took to fewer or more next hops may be torn: it moves
// flows of all of them, and no other node knows of a connection that is open.
func (l *load) nothingLost() {
	l.g.t.Helper()
	for i, p := range l.pages {
		trace := p.Stop()
		moves := l.stops[i]()
		torn, lost := trace.Torn(moves)
		for _, q := range lost {
			l.g.t.Errorf("%s: lost a page that was asked for after %s, %s later: %v", l.at[i], q.Sent, q.Failed-q.Sent, q.Err)
		}
		l.g.t.Logf("%s at %s: %s; %d torn by changes of the route after %v", l.routes[i].Name, l.at[i], trace, torn, after(trace, moves))
	}
}

// after are moves, from the begin of the trace on.
func after(t lab.Trace, moves []time.Time) (all []time.Duration) {
	for _, at := range moves {
		all = append(all, at.Sub(t.Began))
	}
	return all
}
