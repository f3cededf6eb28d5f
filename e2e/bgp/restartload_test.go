//go:build linux

package bgp

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// stream is what clients behind all routers ask of a Service without end.
type stream struct {
	*lab.Load
	g *scene
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
	l := &stream{Load: lab.NewLoad(g.t, patient), g: g}
	for _, r := range g.Routers {
		for _, address := range site.Addresses(svc) {
			l.Ask(r.Remote, address, talking)
		}
	}
	l.pass(lull / 2)
	return l
}

// moved notes when routers began to send to other nodes.
func (l *stream) moved(at []time.Time) { l.moves = append(l.moves, at...) }

// pass returns when the load has gone on for a while.
func (l *stream) pass(d time.Duration) {
	l.g.t.Helper()
	l.Pass(d)
}

// nothingLost ends the load, and fails the story if anything was lost but what
// was on its way while a router spread flows anew.
func (l *stream) nothingLost() {
	l.g.t.Helper()
	l.NothingLost(func(int) []time.Time { return l.moves })
}
