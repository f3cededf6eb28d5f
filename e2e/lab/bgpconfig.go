//go:build linux

package lab

import (
	"net/netip"
	"slices"
	"time"
)

// BGPConfig is a configuration for FRR and for BIRD. Both import everything,
// into the kernel's table too, with up to 16 next hops a route; both tell
// neighbours of Announce only, and help those that restart (RFC 4724).
type BGPConfig struct {
	ASN      uint32
	RouterID netip.Addr
	// Port is where to listen, 179 if zero.
	Port       uint16
	Neighbours []BGPNeighbour
	// Announce are prefixes to tell all neighbours of.
	Announce []netip.Prefix
	// BFD counts for the neighbours that have it.
	BFD BFDTimers
	// Advertise has the router say by router advertisements that it is there
	// (RFC 4861).
	Advertise bool
	// Extra follows the rest of the configuration of BGP in the software's own
	// language, and Replace stands in its place.
	Extra, Replace string
}

// BGPNeighbour is a neighbour, or a range that neighbours may be in. Both
// families are exchanged by each session; prefixes of IPv4 may have next hops of
// IPv6 in one of IPv6 (RFC 8950).
type BGPNeighbour struct {
	// Address is the neighbour's, or is in Range. One that is link-local is on
	// Interface.
	Address   netip.Addr
	Range     netip.Prefix
	Interface string
	// ASN is the neighbour's, 0 for any other than that of this end.
	ASN uint32
	// Port is the neighbour's, 179 if zero. Passive is to wait until it calls.
	Port    uint16
	Passive bool
	// Local is the own address. BIRD asks for it where there are Multihop and
	// BFD.
	Local    netip.Addr
	Multihop bool
	BFD      bool
	// Password is for TCP MD5 signatures.
	Password string
	// Hold is in whole seconds, 90 s if zero, and three times the keepalive time.
	Hold time.Duration
}

// BFDTimers are to transmit and to receive.
type BFDTimers struct {
	Interval   time.Duration
	Multiplier int
}

// What routers watch by if nothing else is said.
const (
	DefaultBFDInterval   = 100 * time.Millisecond
	DefaultBFDMultiplier = 3
)

const (
	maximumPaths = 16
	// With fewer, FRR would ask for more than the 64 that BIRD sends BFD with.
	multihopTTL = 255
	defaultHold = 90 // seconds
)

func (c BGPConfig) clone() BGPConfig {
	c.Neighbours = slices.Clone(c.Neighbours)
	c.Announce = slices.Clone(c.Announce)
	return c
}

func (t BFDTimers) orDefault() BFDTimers {
	if t.Interval == 0 {
		t.Interval = DefaultBFDInterval
	}
	if t.Multiplier == 0 {
		t.Multiplier = DefaultBFDMultiplier
	}
	return t
}

// split are those of IPv4 and of IPv6.
func split(prefixes []netip.Prefix) (all [2][]netip.Prefix) {
	for _, p := range prefixes {
		i := 0
		if p.Addr().Is6() {
			i = 1
		}
		all[i] = append(all[i], p)
	}
	return all
}
