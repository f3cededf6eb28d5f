//go:build linux

package bgp

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// Passwords are what must be found nowhere else.
const (
	rightPassword = "kept-between-two"
	otherPassword = "nobody-agreed-to-this"
)

// plot is a story about trouble.
type plot struct {
	name string
	tell func(*scene)
}

// One site serves all stories; each leaves it as it found it.
func TestTrouble(t *testing.T) {
	g := newScene(t)
	for _, plots := range []struct {
		name string
		all  []plot
		// bfd is whether sessions are watched. Where nothing is about that, a
		// machine that has other work should not end them.
		bfd bool
	}{
		{"BFD", bfdPlots, true}, {"restart", restartPlots, true},
		{"without BFD", slices.Concat(peerPlots, routerPlots, nodePlots), false},
	} {
		t.Run(plots.name, func(t *testing.T) {
			if !plots.bfd {
				g.in(t).unwatched()
				g.bfd = ""
			}
			for _, p := range plots.all {
				t.Run(p.name, func(t *testing.T) {
					g.in(t).asBefore()
					p.tell(g.in(t))
				})
			}
		})
	}
}

// steadyBFD ends a session after 2 s: nothing may move while a machine has other
// work for less.
func steadyBFD(c *lab.BGPConfig) {
	c.BFD = lab.BFDTimers{Interval: 200 * time.Millisecond, Multiplier: 10}
}

// newScene is three nodes, the last of which has the pods, routers that ask for
// a password, and two stations for those who only pretend to be routers.
func newScene(t *testing.T) *scene {
	secured := func(c *lab.BGPConfig) {
		steadyBFD(c)
		for i := range c.Neighbours {
			c.Neighbours[i].Password = rightPassword
		}
	}
	s := site.New(t, site.Options{
		Suffix: ".race", Clients: 2,
		Routers:      []lab.RouterOptions{{Software: lab.FRR, Change: secured}, {Software: lab.BIRD, Change: secured}},
		SpeakerFlags: []string{"--log-level=debug"},
	})
	g := &scene{bfd: "Up", ground: &ground{Site: s, t: t, ctx: t.Context()}}
	t.Cleanup(func() { check.Logs(t, g.Logs()...) })
	for i := range 2 {
		_, err := s.Node("node3").StartPod(t.Context(), "default", fmt.Sprint("web", i+1), "web")
		g.must(err)
	}
	var err error
	g.reports, err = s.Kube.Client(v1beta1.AddToScheme)
	g.must(err)
	g.web = g.serve("web", "web")
	g.asBefore()
	return g
}
