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

// MaxNodes and MaxClients are as many as the plan has addresses for.
const (
	MaxNodes   = 80
	MaxClients = 90
)

const prefix4, prefix6 = 16, 64

// Station is what stands on the segment: a node or a client. Its interface
// there is eth0.
type Station struct {
	Name       string
	MAC        net.HardwareAddr
	IPv4, IPv6 netip.Addr

	ns namespace
}

// Stationed is a *Node or a *Client.
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
