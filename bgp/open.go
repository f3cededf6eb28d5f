//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const (
	bgpVersion = 4
	// restartTime is how long a router shall keep the routes of a speaker that
	// went (RFC 4724 section 3): time to pull an image and to read all objects
	// anew. A node that died meanwhile is told by BFD, which ends this.
	restartTime = 120 * time.Second
	// leastHold is the shortest hold time but for none (RFC 4271 section 4.2).
	leastHold = 3 * time.Second
)

// families are those of prefixes.
type families struct{ v4, v6 bool }

func (f families) list() []bgp.Family {
	var all []bgp.Family
	if f.v4 {
		all = append(all, bgp.RF_IPv4_UC)
	}
	if f.v6 {
		all = append(all, bgp.RF_IPv6_UC)
	}
	return all
}

func (f families) has(family bgp.Family) bool {
	return f.v4 && family == bgp.RF_IPv4_UC || f.v6 && family == bgp.RF_IPv6_UC
}

func familyOf(p netip.Prefix) bgp.Family {
	if p.Addr().Is4() {
		return bgp.RF_IPv4_UC
	}
	return bgp.RF_IPv6_UC
}

// openMessage is the OPEN of this end for a router at that address.
func openMessage(p Peer, address netip.Addr) ([]byte, error) {
	caps := []bgp.ParameterCapabilityInterface{
		bgp.NewCapFourOctetASNumber(p.MyASN), bgp.NewCapRouteRefresh(),
	}
	var kept []*bgp.CapGracefulRestartTuple
	for _, f := range (families{p.IPv4, p.IPv6}).list() {
		caps = append(caps, bgp.NewCapMultiProtocol(f))
		kept = append(kept, bgp.NewCapGracefulRestartTuple(f, true))
	}
	if p.IPv4 && address.Is6() {
		tuple := bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6)
		caps = append(caps, bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{tuple}))
	}
	if p.GracefulRestart {
		// Always as after a restart: the kernel went on forwarding, whatever ended
		// the session before, and a router that hears otherwise drops the routes.
		caps = append(caps, bgp.NewCapGracefulRestart(true, false, uint16(restartTime/time.Second), kept))
	}
	asn, _ := twoOctets(p.MyASN)
	m, err := bgp.NewBGPOpenMessage(asn, uint16(p.HoldTime/time.Second), p.RouterID,
		[]bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)})
	if err != nil {
		return nil, fmt.Errorf("making an OPEN with router ID %v: %w", p.RouterID, err)
	}
	return m.Serialize()
}

// twoOctets is an AS number for those who know no longer ones, and whether it
// stands for one that they don't (RFC 6793 section 4.2.2).
func twoOctets(asn uint32) (short uint16, standsIn bool) {
	if asn > 1<<16-1 {
		return bgp.AS_TRANS, true
	}
	return uint16(asn), false
}

// agreement is what both ends have in common.
type agreement struct {
	asn uint32
	// families are those that both want to exchange.
	families families
	// hold is after which silence the session ends, and keepalive what this end
	// lets pass between messages; 0 for never.
	hold, keepalive time.Duration
	// graceful: the router keeps forwarding during a restart.
	graceful bool
	// fourOctets: the router knows AS numbers of that length (RFC 6793).
	fourOctets bool
	// extended: it takes IPv6 next hops for IPv4 (RFC 8950).
	extended bool
}

// refusal is why an OPEN is none to agree to: for the router, and for users.
type refusal struct {
	notification
	problem string
}

// agree reads the body of the router's OPEN and says what comes of it, or why
// nothing does (RFC 4271 section 6.2).
func agree(p Peer, body []byte) (agreement, *refusal) {
	var open bgp.BGPOpen
	if err := open.DecodeFromBytes(body); err != nil {
		// Of the optional parameters: the rest was there.
		return agreement{}, badOpen(0, nil, sentNonsense(quoted(err.Error())))
	}
	a := offered(&open)
	hold := time.Duration(open.HoldTime) * time.Second
	switch {
	case open.Version != bgpVersion:
		return a, badOpen(bgp.BGP_ERROR_SUB_UNSUPPORTED_VERSION_NUMBER, []byte{0, bgpVersion},
			fmt.Sprintf("the router speaks version %d of BGP", open.Version))
	case a.asn == 0, p.PeerASN != 0 && a.asn != p.PeerASN, p.PeerASN == 0 && a.asn == p.MyASN:
		return a, badOpen(bgp.BGP_ERROR_SUB_BAD_PEER_AS, nil, wrongAS(p, a.asn))
	case !open.ID.IsValid() || open.ID.IsUnspecified(), p.internal() && open.ID == p.RouterID:
		// Those of other ASes may be equal (RFC 6286 section 2.1).
		return a, badOpen(bgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER, nil,
			fmt.Sprintf("the router has the router ID %v, and this end %v", open.ID, p.RouterID))
	case hold != 0 && hold < leastHold:
		return a, badOpen(bgp.BGP_ERROR_SUB_UNACCEPTABLE_HOLD_TIME, nil,
			fmt.Sprintf("the router wants a hold time of %v: 3s is the least", hold))
	}
	a.families = families{a.families.v4 && p.IPv4, a.families.v6 && p.IPv6}
	a.graceful = a.graceful && p.GracefulRestart
	a.hold = min(p.HoldTime, hold)
	a.keepalive = a.hold / 3
	if p.KeepaliveTime > 0 {
		a.keepalive = min(a.keepalive, p.KeepaliveTime)
	}
	return a, nil
}

func badOpen(subcode uint8, data []byte, problem string) *refusal {
	return &refusal{notification{bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, subcode, data}, problem}
}

// offered is what a router says of itself.
func offered(open *bgp.BGPOpen) agreement {
	a := agreement{asn: uint32(open.MyAS)}
	several := false
	for _, c := range capabilities(open) {
		switch c := c.(type) {
		case *bgp.CapFourOctetASNumber:
			a.asn, a.fourOctets = c.CapValue, true
		case *bgp.CapMultiProtocol:
			several = true
			a.families.v4 = a.families.v4 || c.CapValue == bgp.RF_IPv4_UC
			a.families.v6 = a.families.v6 || c.CapValue == bgp.RF_IPv6_UC
		case *bgp.CapGracefulRestart:
			a.graceful = true
		case *bgp.CapExtendedNexthop:
			a.extended = a.extended || takesIPv6Hops(c)
		}
	}
	if !several {
		a.families.v4 = true // what BGP was made for (RFC 4760 section 8)
	}
	return a
}

func capabilities(open *bgp.BGPOpen) []bgp.ParameterCapabilityInterface {
	var all []bgp.ParameterCapabilityInterface
	for _, p := range open.OptParams {
		if c, ok := p.(*bgp.OptionParameterCapability); ok {
			all = append(all, c.Capability...)
		}
	}
	return all
}

func takesIPv6Hops(c *bgp.CapExtendedNexthop) bool {
	for _, t := range c.Tuples {
		if t.NLRIAFI == bgp.AFI_IP && t.NLRISAFI == bgp.SAFI_UNICAST && t.NexthopAFI == bgp.AFI_IP6 {
			return true
		}
	}
	return false
}
