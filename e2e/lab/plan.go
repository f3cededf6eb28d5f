//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
)

// Pool and LargePool are the ranges of the segment that are left to Services,
// IPv4 first: some 50 addresses and 256 of IPv6, and 1,024 of each.
var (
	Pool      = []string{"172.30.0.200-172.30.0.250", "fd00:30::200/120"}
	LargePool = []string{"172.30.8.0/22", "fd00:30::8000/118"}
)

// PodCIDRs is where all pods are.
const PodCIDRs = "10.244.0.0/16,fd00:244::/32"

// RoutedPool and AggregatePool are ranges that are not of the segment: who is
// there is reached through routers only. IPv4 comes first, 256 of each.
var (
	RoutedPool    = []string{"198.51.100.0/24", "2001:db8:64::/120"}
	AggregatePool = []string{"203.0.113.0/24", "2001:db8:65::/120"}
)

// MaxNodes, MaxClients and MaxRouters are as many as the plan has addresses
// for.
const (
	MaxNodes   = 80
	MaxClients = 90
	MaxRouters = 9
)

// OnSegment tells whether an address is of the segment, where stations find it
// without a router.
func OnSegment(addr netip.Addr) bool {
	return netip.MustParsePrefix("172.30.0.0/16").Contains(addr) || netip.MustParsePrefix("fd00:30::/64").Contains(addr)
}

// Autonomous systems of the lab: that of all nodes, and the one before that of
// the first router.
const (
	NodeASN    = 64500
	routerASNs = 64512
)

const prefix4, prefix6 = 16, 64

// Station is what stands on the segment: a node, a client or a router. Its
// interface there is eth0.
type Station struct {
	Name       string
	MAC        net.HardwareAddr
	IPv4, IPv6 netip.Addr

	ns namespace
}

// Stationed is a *Node, a *Client or a *Router.
type Stationed interface{ station() *Station }

func (s *Station) station() *Station { return s }

// Netns is the path of the station's network namespace. It is another one,
// under the same path, once power was cut.
func (s *Station) Netns() string { return s.ns.path() }

func newStation(kind string, number, host int, prefix string) Station {
	name := fmt.Sprint(kind, number)
	return Station{
		Name: name,
		MAC:  net.HardwareAddr{0x02, 0xbe, 0, 0, 0, byte(host)},
		IPv4: netip.AddrFrom4([4]byte{172, 30, 0, byte(host)}),
		// The digits of the IPv4 address, so that people see which is whose.
		IPv6: netip.MustParseAddr(fmt.Sprintf("fd00:30::%d", host)),
		ns:   namespace{prefix + name},
	}
}

func nodeStation(number int, prefix string) Station {
	return newStation("node", number, 10+number, prefix)
}

func clientStation(number int, prefix string) Station {
	return newStation("client", number, 100+number, prefix)
}

func routerStation(number int, prefix string) Station {
	return newStation("router", number, number, prefix)
}

// remoteStation is a client in a network of its own, behind a router.
func remoteStation(number int, prefix string) Station {
	s := newStation("remote", number, 100+number, prefix)
	s.MAC[4] = byte(number)
	nets := remoteNets(number)
	s.IPv4, s.IPv6 = nth(nets[0], 101), nth(nets[1], 101)
	return s
}

// remoteNets are the network behind one router, whose own address there is the
// first.
func remoteNets(number int) [2]netip.Prefix {
	return [2]netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("172.31.%d.0/24", number)),
		netip.MustParsePrefix(fmt.Sprintf("fd00:31:%d::/64", number)),
	}
}

// LinkLocal is the station's own IPv6 address on the segment, which the kernel
// makes from the MAC (RFC 4291 appendix A).
func (s *Station) LinkLocal() netip.Addr {
	m := s.MAC
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// podNets are the subnets of the pods of one node.
func podNets(number int) [2]netip.Prefix {
	return [2]netip.Prefix{
		netip.MustParsePrefix(fmt.Sprintf("10.244.%d.0/24", number)),
		netip.MustParsePrefix(fmt.Sprintf("fd00:244:%d::/64", number)),
	}
}

// nth is an address of a subnet: its gateway is the first.
func nth(net netip.Prefix, n int) netip.Addr {
	addr := net.Addr().AsSlice()
	addr[len(addr)-1] = byte(n)
	out, _ := netip.AddrFromSlice(addr)
	return out
}
