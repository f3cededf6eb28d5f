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
	// patient is how long a page may take: TCP tries again after 1 and 3 s.
	patient = 6 * time.Second
	// rest is how long the load goes on between two events: longer than the second
	// that kube-proxy takes to follow the first of them.
	rest = 1200 * time.Millisecond
)

// load is what the clients behind the routers ask of a Service without end: by
// IPv4 behind the first router, by IPv6 behind the second.
type load struct {
	*lab.Load
	g     *ground
	stops []func() []time.Time
}

// load begins, and is under way when it returns.
func (g *ground) load(svc *corev1.Service) *load {
	g.t.Helper()
	l := &load{Load: lab.NewLoad(g.t, patient), g: g}
	for i, address := range site.Addresses(svc) {
		r := g.Routers[i%len(g.Routers)]
		l.stops = append(l.stops, changes(r, whole(address)))
		l.Ask(r.Remote, address, false)
	}
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

// pass returns when the load has gone on for a while.
func (l *load) pass(d time.Duration) {
	l.g.t.Helper()
	l.Pass(d)
}

// nothingLost ends the load, and fails the story if a page was lost but what was
// on its way when the router took to fewer or more next hops: it moves flows of
// all of them.
func (l *load) nothingLost() {
	l.g.t.Helper()
	l.NothingLost(func(i int) []time.Time { return l.stops[i]() })
}
