//go:build linux

package bgp

import (
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// route is how this node reaches a router.
type route struct {
	// via and index are the interface; there is none where the route is not known.
	via   string
	index int
	// direct says that there is no router in between.
	direct bool
}

// routeTo looks up how a router is reached. What can't be found out is left out.
func routeTo(p Peer, address netip.Addr) route {
	if zone := address.Zone(); zone != "" {
		r := route{via: zone, direct: true}
		if link, err := net.InterfaceByName(zone); err == nil {
			r.index = link.Index
		}
		return r
	}
	opts := &netlink.RouteGetOptions{VrfName: p.Device}
	if p.Source.IsValid() {
		opts.SrcAddr = p.Source.AsSlice()
	}
	routes, err := netlink.RouteGetWithOptions(address.AsSlice(), opts)
	if err != nil || len(routes) == 0 {
		return route{}
	}
	r := route{direct: routes[0].Gw == nil && routes[0].Via == nil}
	if link, err := net.InterfaceByIndex(routes[0].LinkIndex); err == nil {
		r.via, r.index = link.Name, link.Index
	}
	return r
}

// nextHops are what a router is told to send traffic to, by family of the
// prefix: unspecified for the address that the session is from, invalid for none.
type nextHops struct {
	v4, v6 netip.Addr
}

func (h nextHops) of(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return h.v4
	}
	return h.v6
}

// hopsFor decides about the next hops of a session with address. Where the
// session is of the other family, an address of this node on the interface
// towards the router does. IPv4 over IPv6 without one, or over link-local
// addresses, takes the IPv6 address (RFC 8950).
func hopsFor(address netip.Addr, on locals) nextHops {
	self := nextHops{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	switch {
	case address.Is4():
		self.v6 = on.v6
	case !address.IsLinkLocalUnicast() && on.v4.IsValid():
		self.v4 = on.v4
	}
	return self
}

// resolve puts the address of this end of a session in place of unspecified ones.
// IPv4 goes by an IPv6 next hop only if the router takes that (RFC 8950 section 4).
func (h nextHops) resolve(local netip.Addr, extended bool) nextHops {
	if h.v4.IsValid() && h.v4.IsUnspecified() {
		h.v4 = local
	}
	if h.v6.IsValid() && h.v6.IsUnspecified() {
		h.v6 = local
	}
	if h.v4.Is6() && !extended {
		h.v4 = netip.Addr{}
	}
	return h
}
