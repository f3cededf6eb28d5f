//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// A router that is behind another hop, or found on an interface, or that hears
// of both families by one session, sends traffic where it is served.
func sessionsOverDistances(g *ground) {
	svc := g.serve("far", "web")
	g.otherPeers()
	far := map[*lab.Router][]netip.Addr{}
	for i, r := range g.Routers {
		far[r] = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", 100+i)), netip.MustParseAddr(fmt.Sprintf("2001:db8:99::%d", 100+i))}
		for _, addr := range far[r] {
			g.ip(&r.Station, fmt.Sprintf("addr add %s/%d dev lo", addr, addr.BitLen()))
			g.ip(&g.Nodes[0].Station, fmt.Sprintf("route add %s via %s", addr, of(&r.Station, addr)))
			g.t.Cleanup(func() {
				g.ip(&r.Station, fmt.Sprintf("addr del %s/%d dev lo", addr, addr.BitLen()))
				g.ip(&g.Nodes[0].Station, fmt.Sprintf("route del %s", addr))
			})
		}
	}
	toLoopback := func(family int) func(*lab.Router, *v1beta2.BGPPeerSpec) {
		return func(r *lab.Router, s *v1beta2.BGPPeerSpec) { s.Address, s.EBGPMultiHop = far[r][family].String(), true }
	}
	both := func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.DualStackAddressFamily = true }
	two := func(n lab.NeighbourState) bool { return n.Prefixes == 2 }
	multihop := func(n *lab.BGPNeighbour) { n.Multihop = true }
	kinds := []kind{
		{name: "far-ipv4", node: g.Nodes[0], family: corev1.IPv4Protocol, here: toLoopback(0), there: multihop},
		{name: "far-ipv6", node: g.Nodes[0], family: corev1.IPv6Protocol, here: toLoopback(1), there: multihop},
		{name: "both-by-ipv4", node: g.Nodes[1], family: corev1.IPv4Protocol, here: both, right: two},
		{name: "both-by-ipv6", node: g.Nodes[2], family: corev1.IPv6Protocol, here: both, right: two},
	}
	g.established(svc, kinds, func(_ int, r *lab.Router, c *lab.BGPConfig) {
		for i, n := range c.Neighbours {
			if n.Multihop {
				c.Neighbours[i].Local = far[r][i] // by IPv4 first
			}
		}
	})
	g.announced(svc, g.Nodes...)
	g.reached(svc)
	for _, n := range g.Nodes { // by each alone
		undo := excludeOthers(g, n)
		g.announced(svc, n)
		g.reached(svc)
		undo()
	}
}

// excludeOthers has all nodes but one carry no Service.
func excludeOthers(g *ground, but *lab.Node) (undo func()) {
	var all []func()
	for _, n := range g.Nodes {
		if n != but {
			all = append(all, exclude(g, n))
		}
	}
	return func() {
		for _, undo := range all {
			undo()
		}
	}
}

// A router without an address to configure is found on the interface: addresses
// of both families go to the node's link-local one (RFC 8950).
func findsFRR(g *ground) { g.unnumbered(0, lab.FRR) }

func findsBIRD(g *ground) { g.unnumbered(1, lab.BIRD) }

func (g *ground) unnumbered(at int, software lab.Software) {
	g.t.Helper()
	r, n := g.Routers[at], g.Nodes[1]
	svc := g.serve("unnumbered-"+r.Name, "web")
	g.otherPeers()
	k := kind{
		name: "unnumbered", node: n, family: corev1.IPv6Protocol, only: software,
		here:  func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.Address, s.Interface = "", "eth0" },
		there: func(b *lab.BGPNeighbour) { b.Address, b.Interface = n.LinkLocal(), "eth0" },
		right: func(s lab.NeighbourState) bool { return s.Prefixes == 2 },
	}
	began := time.Now()
	g.established(svc, []kind{k}, func(i int, _ *lab.Router, c *lab.BGPConfig) { c.Advertise = i == at })
	g.t.Logf("%s is found on eth0, and has the prefixes, %s after it was started to advertise itself", r.Name, time.Since(began))
	ctx, cancel := context.WithTimeout(g.ctx, site.Patience)
	defer cancel()
	for _, addr := range site.Addresses(svc) {
		_, err := r.AwaitRoute(ctx, whole(addr), n.LinkLocal())
		g.must(err)
		g.until(fmt.Sprint(r.Remote.Name, " gets a page from ", addr), func(ctx context.Context) (bool, error) {
			return g.page(ctx, r.Remote, addr, "web")
		})
	}
}
