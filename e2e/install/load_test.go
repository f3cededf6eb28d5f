//go:build linux

package install

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// patient is how long a page may take: TCP tries again after 1 and 3 s.
const patient = 5 * time.Second

// load is what clients ask of Services without end.
type load struct {
	*lab.Load
	g *ground
}

// load begins, and is under way when it returns: a client of the segment asks
// the Service that is announced there, and one behind a router the other.
func (g *ground) load(onSegment, routed *corev1.Service) *load {
	g.t.Helper()
	l := &load{Load: lab.NewLoad(g.t, patient), g: g}
	for _, address := range site.Addresses(onSegment) {
		l.Ask(g.Clients[0], address, true)
	}
	for _, address := range site.Addresses(routed) {
		l.Ask(g.Routers[0].Remote, address, true)
	}
	l.Pass(time.Second)
	return l
}

// nothingLost ends the load, and fails the story if a page or a line was lost or
// a connection broke.
func (l *load) nothingLost() {
	l.g.t.Helper()
	l.Pass(2 * time.Second)
	l.NothingLost(func(int) []time.Time { return nil })
}
