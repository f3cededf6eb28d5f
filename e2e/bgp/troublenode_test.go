//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
)

var nodePlots = []plot{
	{"another BGP daemon on port 179 of the node is left alone", (*scene).sharesPort},
	{"after all this no password is told to anybody", (*scene).keepsSecrets},
}

// Network plugins have their own daemon on each node, and nothing listens here.
func (g *scene) sharesPort() {
	undisturbed := g.others()
	pods := netip.MustParsePrefix("10.244.77.0/24")
	var daemons []*lab.Routing
	for i, n := range g.Nodes[:2] {
		other := g.Nodes[1-i]
		d, err := n.RunBGP(g.ctx, lab.BIRD, lab.BGPConfig{
			ASN: 64600, RouterID: n.IPv4, Announce: []netip.Prefix{pods},
			Neighbours: []lab.BGPNeighbour{{Address: other.IPv4, ASN: 64600, Local: n.IPv4}},
		})
		g.must(err)
		g.t.Cleanup(func() { _ = d.Stop(context.Background()) })
		daemons = append(daemons, d)
	}
	between := func() {
		g.until("they have a session", func(ctx context.Context) (bool, error) {
			all, err := daemons[0].Neighbours(ctx)
			n := all[g.Nodes[1].IPv4]
			return orElse(n.Established() && n.Prefixes == 1, err, "it is %+v", n)
		})
	}
	between()
	undisturbed()
	// Neither keeps the other from starting.
	p := g.Speaker("node1")
	g.stop(p)
	g.must(p.Start())
	g.isReady("node1")
	between()
	g.announced(g.web, g.Nodes...)
}

// Sessions, and what is announced over them, need nobody else.
func (g *scene) losesAPI() {
	for _, n := range g.Nodes {
		n.CutAPI()
		g.t.Cleanup(n.RestoreAPI)
	}
	dark, lit, r := g.Nodes[0], g.Nodes[1:], g.Routers[1]
	g.announced(g.web, g.Nodes...)
	g.must(g.CutPower(dark))
	g.announced(g.web, lit...)
	g.reached(g.web)

	g.must(r.Restart(g.ctx))
	g.until(r.Name+" has its sessions again", func(ctx context.Context) (bool, error) {
		all, err := r.Neighbours(ctx)
		for _, n := range lit {
			for _, addr := range []netip.Addr{n.IPv4, n.IPv6} {
				if one := all[addr]; !one.Established() || one.Prefixes == 0 {
					return orElse(false, err, "%s is %+v", addr, one)
				}
			}
		}
		return true, nil
	})
	g.announced(g.web, lit...)
	g.reached(g.web)
	for _, n := range lit {
		n.RestoreAPI()
	}
	ctx, cancel := context.WithTimeout(g.ctx, 2*time.Minute)
	defer cancel()
	g.must(g.RestorePower(ctx, dark))
	g.announced(g.web, g.Nodes...)
}
