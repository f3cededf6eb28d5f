//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// originIGP is the value of ORIGIN (RFC 4271 section 4.3).
const originIGP = 0

// class is what many prefixes have in common in the eyes of one peer.
type class struct {
	key   string
	attrs []bgp.PathAttributeInterface
	users int
}

// forPeer returns the path that names a peer.
func forPeer(paths []Path, peer string) (Path, bool) {
	for _, p := range paths {
		if slices.Contains(p.Peers, peer) {
			return p, true
		}
	}
	return Path{}, false
}

// key is the same for paths that look the same to a peer.
func (p Path) key(nextHop netip.Addr) string {
	return fmt.Sprint(nextHop, p.LocalPref, p.Prepend, p.Communities, p.LargeCommunities)
}

// attributes returns what is told. GoBGP puts the AS number in front once more
// for external peers, and an unspecified next hop becomes the address that the
// session is from.
func (p Path) attributes(asn uint32, internal bool, nextHop netip.Addr) ([]bgp.PathAttributeInterface, error) {
	hop, err := bgp.NewPathAttributeNextHop(nextHop)
	if err != nil {
		return nil, fmt.Errorf("next hop %v: %w", nextHop, err)
	}
	all := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(originIGP), hop}
	switch {
	case internal && p.LocalPref > 0:
		all = append(all, bgp.NewPathAttributeLocalPref(p.LocalPref))
	case !internal && p.Prepend > 0:
		// Inside an AS its own number in a path is a loop (RFC 4271 section 5.1.2).
		path := bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, slices.Repeat([]uint32{asn}, int(p.Prepend)))
		all = append(all, bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{path}))
	}
	if len(p.Communities) > 0 {
		all = append(all, bgp.NewPathAttributeCommunities(slices.Clone(p.Communities)))
	}
	if len(p.LargeCommunities) > 0 {
		var large []*bgp.LargeCommunity
		for _, c := range p.LargeCommunities {
			large = append(large, bgp.NewLargeCommunity(c[0], c[1], c[2]))
		}
		all = append(all, bgp.NewPathAttributeLargeCommunities(large))
	}
	return all, nil
}

func family(p netip.Prefix) bgp.Family {
	if p.Addr().Is4() {
		return bgp.RF_IPv4_UC
	}
	return bgp.RF_IPv6_UC
}

// gobgpPath is a path in GoBGP's terms.
func gobgpPath(p netip.Prefix, attrs []bgp.PathAttributeInterface) (*apiutil.Path, error) {
	nlri, err := bgp.NewIPAddrPrefix(p)
	if err != nil {
		return nil, fmt.Errorf("prefix %v: %w", p, err)
	}
	return &apiutil.Path{Family: family(p), Nlri: nlri, Attrs: attrs, Age: time.Now().Unix()}, nil
}
