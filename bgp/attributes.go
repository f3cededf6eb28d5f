//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"unique"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const (
	// originIGP is the value of ORIGIN (RFC 4271 section 4.3).
	originIGP = 0
	// defaultLocalPref is what internal peers are told where nothing else is
	// asked for; they must be told something (RFC 4271 section 5.1.5).
	defaultLocalPref = 100
	// maxSegment is how many ASes fit into a segment of AS_PATH.
	maxSegment = 255
)

// attributes are what prefixes have in common that can share an UPDATE.
type attributes struct {
	// wire are all path attributes but MP_REACH_NLRI.
	wire string
	// hop is the next hop that MP_REACH_NLRI has, invalid where NEXT_HOP is among
	// the others (RFC 4760 section 3).
	hop netip.Addr
}

// class is one object for each attributes that there are; the zero value stands
// for what is not announced.
type class = unique.Handle[attributes]

var none class

// forPeer returns the path that names a peer, nil if none does.
func forPeer(paths []Path, peer string) *Path {
	i := slices.IndexFunc(paths, func(p Path) bool { return slices.Contains(p.Peers, peer) })
	if i < 0 {
		return nil
	}
	return &paths[i]
}

// audience is who is told.
type audience struct {
	asn        uint32 // of this end
	internal   bool
	fourOctets bool
}

// classOf is how a path is told about prefixes with that next hop, which is for
// IPv4 or for IPv6.
func classOf(p *Path, to audience, family bgp.Family, hop netip.Addr) (class, error) {
	a := attributes{hop: hop}
	all := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(originIGP), asPath(p, to)}
	if family == bgp.RF_IPv4_UC && hop.Is4() {
		next, err := bgp.NewPathAttributeNextHop(hop)
		if err != nil {
			return none, fmt.Errorf("next hop %v: %w", hop, err)
		}
		a.hop, all = netip.Addr{}, append(all, next)
	}
	// In ascending order, as RFC 4271 section 5 has it.
	if to.internal {
		preference := p.LocalPref
		if preference == 0 {
			preference = defaultLocalPref
		}
		all = append(all, bgp.NewPathAttributeLocalPref(preference))
	}
	if len(p.Communities) > 0 {
		all = append(all, bgp.NewPathAttributeCommunities(slices.Clone(p.Communities)))
	}
	if _, standsIn := twoOctets(to.asn); standsIn && !to.fourOctets && !to.internal {
		all = append(all, bgp.NewPathAttributeAs4Path(segments(p, to)))
	}
	if len(p.LargeCommunities) > 0 {
		var large []*bgp.LargeCommunity
		for _, c := range p.LargeCommunities {
			large = append(large, bgp.NewLargeCommunity(c[0], c[1], c[2]))
		}
		all = append(all, bgp.NewPathAttributeLargeCommunities(large))
	}
	var wire []byte
	for _, one := range all {
		data, err := one.Serialize()
		if err != nil {
			return none, fmt.Errorf("writing an attribute of type %v: %w", one.GetType(), err)
		}
		wire = append(wire, data...)
	}
	if len(wire) > maxAttributes {
		return none, errors.New("its communities don't fit into one message (RFC 4271 section 4)")
	}
	a.wire = string(wire)
	return unique.Make(a), nil
}

// asPath is empty inside an AS, whose number would be a loop there, and begins
// with the own AS elsewhere (RFC 4271 section 5.1.2).
func asPath(p *Path, to audience) *bgp.PathAttributeAsPath {
	var all []bgp.AsPathParamInterface
	for _, s := range segments(p, to) {
		if to.fourOctets {
			all = append(all, s)
			continue
		}
		var short []uint16
		for _, asn := range s.AS {
			two, _ := twoOctets(asn)
			short = append(short, two)
		}
		all = append(all, bgp.NewAsPathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, short))
	}
	return bgp.NewPathAttributeAsPath(all)
}

func segments(p *Path, to audience) []*bgp.As4PathParam {
	if to.internal {
		return nil
	}
	var all []*bgp.As4PathParam
	for part := range slices.Chunk(slices.Repeat([]uint32{to.asn}, 1+int(p.Prepend)), maxSegment) {
		all = append(all, bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, part))
	}
	return all
}
