//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// route is how this node reaches a router.
type route struct {
	// via is the interface, empty if there is no route now.
	via string
	// direct says that there is no router in between.
	direct bool
	// local4 and local6 are addresses of this node on via.
	local4, local6 netip.Addr
}

// routeTo looks up how a router is reached. What can't be found out is left out.
func routeTo(p Peer, address netip.Addr) route {
	if zone := address.Zone(); zone != "" {
		r := route{via: zone, direct: true}
		r.locals(p.Source)
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
		r.via = link.Name
	}
	r.locals(p.Source)
	return r
}

// locals finds the addresses that traffic from routers on via can be sent to.
func (r *route) locals(source netip.Addr) {
	link, err := netlink.LinkByName(r.via)
	if err != nil {
		return
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return
	}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		const unusable = unixTentative | unixDadFailed | unixDeprecated
		if !ok || a.Scope != int(netlink.SCOPE_UNIVERSE) || a.Flags&unusable != 0 {
			continue
		}
		switch {
		case ip.Is4() && (!r.local4.IsValid() || ip == source):
			r.local4 = ip
		case ip.Is6() && (!r.local6.IsValid() || ip == source):
			r.local6 = ip
		}
	}
}

// The flags of addresses (linux/if_addr.h) that are not to be used.
const (
	unixDadFailed  = 0x08
	unixDeprecated = 0x20
	unixTentative  = 0x40
)

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
func hopsFor(address netip.Addr, r route) nextHops {
	self := nextHops{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	switch {
	case address.Is4():
		self.v6 = r.local6
	case !address.IsLinkLocalUnicast() && r.local4.IsValid():
		self.v4 = r.local4
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

// identify returns the router ID of a peer (RFC 4271 section 4.2): as asked, or
// an IPv4 address of this node.
func identify(p Peer, r route) (netip.Addr, error) {
	if p.RouterID.IsValid() {
		return p.RouterID.Unmap(), nil
	}
	if r.local4.IsValid() {
		return r.local4, nil
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("looking for a router ID: %w", err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP.To4()); ok && ip.IsGlobalUnicast() {
				return ip, nil
			}
		}
	}
	return netip.Addr{}, errors.New("this node has no IPv4 address to take for a router ID: set routerID")
}
