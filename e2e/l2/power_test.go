//go:build linux

package l2

import (
	"context"
	"net/netip"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// probe has a client ask all addresses of the Service.
func (g *ground) probe(c *lab.Client) *lab.Probes {
	g.t.Helper()
	addresses := site.Addresses(g.web)
	probes, err := c.Probe(lab.ProbeOptions{}, echo(addresses[0]), echo(addresses[1]))
	g.must(err)
	g.t.Cleanup(func() { probes.Stop() })
	g.flowing(probes)
	return probes
}

// flowing returns when each target has answered 50 times more.
func (g *ground) flowing(probes *lab.Probes) {
	g.t.Helper()
	before := [2]int{probes.Progress(0).Answered, probes.Progress(1).Answered}
	g.until("probes are answered", func(context.Context) (bool, error) {
		return probes.Progress(0).Answered > before[0]+50 && probes.Progress(1).Answered > before[1]+50, nil
	})
}

// gaps fails the story if a target was silent for long.
func (g *ground) gaps(probes *lab.Probes, atMost time.Duration) {
	g.t.Helper()
	for i, trace := range probes.Stop() {
		g.t.Logf("%s: %s", site.Addresses(g.web)[i], trace)
		if gap := trace.Gap(); gap > atMost {
			g.t.Errorf("%s was silent for %s, should be at most %s", site.Addresses(g.web)[i], gap, atMost)
		}
	}
}

// elsewhere returns the owners when the addresses of gone are at other nodes,
// and fails the story unless all others are where they were.
func (g *ground) elsewhere(before owners, gone string) owners {
	g.t.Helper()
	after := g.settledWhere(g.web, "nothing is at "+gone, func(_ netip.Addr, owner string) bool { return owner != gone })
	for address, owner := range before {
		if owner != gone && after[address] != owner {
			g.t.Errorf("%s moved from %s to %s, and nothing had happened to that", address, owner, after[address])
		}
	}
	return after
}

// A node that loses power says nothing. Clients should hardly notice, and not
// notice at all that it returns.
func cutsPower(g *ground) {
	for _, address := range site.Addresses(g.web) {
		before := g.settled(g.web)
		gone := before[address]
		probes := g.probe(g.Clients[0])
		g.must(g.CutPower(g.Node(gone)))
		after := g.elsewhere(before, gone)
		g.flowing(probes)
		g.gaps(probes, brief)

		back := g.watch(g.web, after)
		l := g.load(g.web)
		g.must(g.RestorePower(g.ctx, g.Node(gone)))
		g.ready(gone)
		l.pass(2 * time.Second)
		l.nothingLost()
		back.oneOwner()
	}
}

// Failover is a matter of the nodes alone. What the API server could not be
// told it is told later.
func cutsPowerWithoutAPI(g *ground) {
	before := g.settled(g.web)
	gone := before[site.Addresses(g.web)[0]]
	probes := g.probe(g.Clients[0])
	for _, n := range g.Nodes {
		n.CutAPI()
		defer n.RestoreAPI()
	}
	g.must(g.CutPower(g.Node(gone)))
	g.until("another node answers every client", func(context.Context) (bool, error) {
		for _, c := range g.Clients {
			for _, address := range before.of(gone) {
				if seen := g.answering(c, address); len(seen) != 1 || seen[0] == gone {
					return false, nil
				}
			}
		}
		return true, nil
	})
	g.flowing(probes)
	g.gaps(probes, brief)
	for _, n := range g.Nodes {
		n.RestoreAPI()
	}
	after := g.elsewhere(before, gone)
	back := g.watch(g.web, after)
	g.must(g.RestorePower(g.ctx, g.Node(gone)))
	g.ready(gone)
	g.quiet(g.web)
	back.oneOwner()
}
