//go:build linux

package lab_test

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/berth-lb/berth/e2e/lab"
)

// Each way to set a session up leads to a route, whoever is at which end.
func TestSessions(t *testing.T) {
	const password = "correct-horse"
	for _, c := range []struct {
		name string
		// router and node change the only neighbour of either end.
		router, node func(here, there *lab.Station, n *lab.BGPNeighbour)
		port         uint16
		// announcers are who is at the node of router1 and of router2: BIRD and
		// FRR if there are none.
		announcers []lab.Software
		hop        func(node *lab.Station, at lab.Software) netip.Addr
	}{
		{name: "by address", hop: hop4},
		{name: "by IPv6 address", router: from6, node: from6, hop: hop6},
		{name: "any of a range", router: ranged, hop: hop4},
		{name: "any of a range, with a password", router: together(ranged, secret(password)), node: secret(password), hop: hop4},
		{name: "with a password", router: secret(password), node: secret(password), hop: hop4},
		{name: "an autonomous system that is not told", router: anyAS, hop: hop4},
		{name: "a port of its own", port: 1790, hop: hop4},
		{name: "to an address that is not on the segment", router: multihop, node: behind, hop: hop4},
		{name: "by link-local addresses", router: linkLocal, node: linkLocal, announcers: []lab.Software{lab.BIRD, lab.BIRD}, hop: hopLinkLocal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := lab.New(t, lab.Options{Nodes: 2, Clients: -1, Routers: []lab.RouterOptions{
				{Software: lab.FRR, Change: func(config *lab.BGPConfig) { config.Port = c.port }},
				{Software: lab.BIRD, Change: func(config *lab.BGPConfig) { config.Port = c.port }},
			}})
			if c.announcers == nil {
				c.announcers = []lab.Software{lab.BIRD, lab.FRR}
			}
			for i, announcer := range c.announcers {
				r, n := l.Routers[i], l.Nodes[i]
				if err := r.Reconfigure(t.Context(), only(&n.Station, &r.Station, n.IPv4, c.router)); err != nil {
					t.Fatal(err)
				}
				p := prefix("198.51.100.7/32")
				config := n.DefaultBGP(p)
				only(&r.Station, &n.Station, r.IPv4, c.node)(&config)
				d, err := n.RunBGP(t.Context(), announcer, config)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), lab.Patience)
				defer cancel()
				if _, err := r.AwaitRoute(ctx, p, c.hop(&n.Station, both[i].Software)); err != nil {
					t.Errorf("%v; %s says\n%s%s says\n%s", err, r.Name, r.Log(10), n.Name, d.Log(10))
				}
				eventually(t, "BFD is up at "+r.Name, func(ctx context.Context) bool {
					states, err := r.BFD(ctx)
					return err == nil && slices.Contains(slices.Collect(maps.Values(states)), "UP")
				})
			}
		})
	}
}

// only leaves the neighbour of that address, changed.
func only(there, here *lab.Station, addr netip.Addr, change func(here, there *lab.Station, n *lab.BGPNeighbour)) func(*lab.BGPConfig) {
	return func(c *lab.BGPConfig) {
		c.Neighbours = slices.DeleteFunc(c.Neighbours, func(n lab.BGPNeighbour) bool { return n.Address != addr })
		if change != nil {
			change(here, there, &c.Neighbours[0])
		}
	}
}

func hop4(n *lab.Station, _ lab.Software) netip.Addr { return n.IPv4 }

// hop6 is one of two addresses that a neighbour names where it is on the link
// (RFC 2545 section 3).
func hop6(n *lab.Station, at lab.Software) netip.Addr {
	if at == lab.FRR {
		return n.LinkLocal()
	}
	return n.IPv6
}

func hopLinkLocal(n *lab.Station, _ lab.Software) netip.Addr { return n.LinkLocal() }

func from6(_, there *lab.Station, n *lab.BGPNeighbour) { n.Address = there.IPv6 }

func ranged(_, _ *lab.Station, n *lab.BGPNeighbour) {
	n.Address, n.Range = netip.Addr{}, prefix("172.30.0.0/16")
}

func secret(password string) func(_, _ *lab.Station, n *lab.BGPNeighbour) {
	return func(_, _ *lab.Station, n *lab.BGPNeighbour) { n.Password = password }
}

func together(a, b func(here, there *lab.Station, n *lab.BGPNeighbour)) func(here, there *lab.Station, n *lab.BGPNeighbour) {
	return func(here, there *lab.Station, n *lab.BGPNeighbour) {
		a(here, there, n)
		b(here, there, n)
	}
}

func anyAS(_, _ *lab.Station, n *lab.BGPNeighbour) { n.ASN = 0 }

// multihop is how a router waits at the address that it has in the network
// behind it.
func multihop(here, _ *lab.Station, n *lab.BGPNeighbour) {
	n.Multihop, n.Local = true, behindOf(here)
}

func behind(here, there *lab.Station, n *lab.BGPNeighbour) {
	n.Multihop, n.Local, n.Address = true, here.IPv4, behindOf(there)
}

func behindOf(router *lab.Station) netip.Addr {
	a := router.IPv4.As4()
	return netip.AddrFrom4([4]byte{172, 31, a[3], 1})
}

func linkLocal(_, there *lab.Station, n *lab.BGPNeighbour) {
	n.Address, n.Interface = there.LinkLocal(), "eth0"
}
