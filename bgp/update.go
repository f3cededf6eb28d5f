//go:build linux

package bgp

import (
	"cmp"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const (
	// optionalLong are the flags of an optional attribute whose length has two
	// bytes (RFC 4271 section 4.3).
	optionalLong    = bgp.BGP_ATTR_FLAG_OPTIONAL | bgp.BGP_ATTR_FLAG_EXTENDED_LENGTH
	attributeHeader = 4
	// hopLength, reachHeader and unreachHeader are the lengths of the next hop and
	// of what comes before the prefixes (RFC 4760 sections 3 and 4).
	hopLength     = 16
	reachHeader   = 5 + hopLength
	unreachHeader = 3
	longestPrefix = 1 + 16
	// maxAttributes leaves room for one prefix.
	maxAttributes = maxMessage - headerLength - 4 - attributeHeader - reachHeader - longestPrefix
)

// change is what a router is to be told about a prefix.
type change struct {
	prefix netip.Prefix
	class  class // none: it is withdrawn
}

// batch is what is told in one go.
type batch struct {
	changes []change
	// ends are the families that are complete with that (RFC 4724 section 2).
	ends []bgp.Family
}

// updates returns the UPDATEs for a batch: as few as can be, and always in the same
// order, withdrawals last, since what is new may take the place of what goes. Each
// is in buffer, and good until the next.
func (b batch) updates(buffer []byte) iter.Seq[[]byte] {
	slices.SortFunc(b.changes, compare)
	return func(yield func([]byte) bool) {
		for all := b.changes; len(all) > 0; {
			var m []byte
			m, all = pack(buffer, all)
			if !yield(m) {
				return
			}
		}
	}
}

// compare puts those side by side that share UPDATEs.
func compare(a, b change) int {
	if a.class != b.class {
		switch none {
		case a.class:
			return +1
		case b.class:
			return -1
		}
		x, y := a.class.Value(), b.class.Value()
		if c := cmp.Or(cmp.Compare(x.wire, y.wire), x.hop.Compare(y.hop)); c != 0 {
			return c
		}
	}
	return cmp.Or(cmp.Compare(familyOf(a.prefix), familyOf(b.prefix)), a.prefix.Compare(b.prefix))
}

func value(c class) attributes {
	if c == none {
		return attributes{}
	}
	return c.Value()
}

// pack writes one UPDATE with the first of changes and as many after it as may
// come along, and returns the rest.
func pack(buffer []byte, changes []change) (m []byte, rest []change) {
	first := changes[0]
	a, family := value(first.class), familyOf(first.prefix)
	n, size := fitting(changes, maxMessage-overhead(first))
	u := beginUpdate(buffer)
	switch {
	case first.class == none && family == bgp.RF_IPv4_UC:
		u.uint16(size)
		u.prefixes(changes[:n])
		u.uint16(0)
	case first.class == none:
		u.uint16(0)
		u.uint16(attributeHeader + unreachHeader + size)
		u.attribute(bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI, unreachHeader+size)
		u.family(family)
		u.prefixes(changes[:n])
	case !a.hop.IsValid():
		u.uint16(0)
		u.uint16(len(a.wire))
		u.data = append(u.data, a.wire...)
		u.prefixes(changes[:n])
	default:
		u.uint16(0)
		u.uint16(attributeHeader + reachHeader + size + len(a.wire))
		// First of all attributes (RFC 7606 section 5.1).
		u.attribute(bgp.BGP_ATTR_TYPE_MP_REACH_NLRI, reachHeader+size)
		u.family(family)
		u.nextHop(a.hop)
		u.prefixes(changes[:n])
		u.data = append(u.data, a.wire...)
	}
	return u.end(), changes[n:]
}

// overhead is how long an UPDATE about a change is without prefixes.
func overhead(c change) int {
	const always = headerLength + 4
	a := value(c.class)
	switch {
	case c.class == none && c.prefix.Addr().Is4():
		return always
	case c.class == none:
		return always + attributeHeader + unreachHeader
	case !a.hop.IsValid():
		return always + len(a.wire)
	}
	return always + attributeHeader + reachHeader + len(a.wire)
}

// fitting returns how many changes, from the first on, can share an UPDATE with
// that much room for prefixes, and how long those are.
func fitting(changes []change, room int) (n, size int) {
	first := changes[0]
	for _, c := range changes {
		length := 1 + octets(c.prefix)
		if c.class != first.class || familyOf(c.prefix) != familyOf(first.prefix) || size+length > room {
			break
		}
		n, size = n+1, size+length
	}
	return n, size
}

// octets is how many of an address are written for a prefix (RFC 4271 section
// 4.3).
func octets(p netip.Prefix) int { return (p.Bits() + 7) / 8 }

// endOfRIB says that a family is complete (RFC 4724 section 2).
func endOfRIB(buffer []byte, family bgp.Family) []byte {
	u := beginUpdate(buffer)
	u.uint16(0)
	if family == bgp.RF_IPv4_UC {
		u.uint16(0)
		return u.end()
	}
	u.uint16(attributeHeader + unreachHeader)
	u.attribute(bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI, unreachHeader)
	u.family(family)
	return u.end()
}

// update is an UPDATE that is being written.
type update struct{ data []byte }

func beginUpdate(buffer []byte) *update {
	u := &update{append(buffer[:0], marker...)}
	u.uint16(0) // until the end
	u.data = append(u.data, bgp.BGP_MSG_UPDATE)
	return u
}

func (u *update) end() []byte {
	binary.BigEndian.PutUint16(u.data[len(marker):], uint16(len(u.data)))
	return u.data
}

func (u *update) uint16(n int) { u.data = binary.BigEndian.AppendUint16(u.data, uint16(n)) }

func (u *update) attribute(kind bgp.BGPAttrType, length int) {
	u.data = append(u.data, byte(optionalLong), byte(kind))
	u.uint16(length)
}

func (u *update) family(f bgp.Family) {
	u.uint16(int(f.Afi()))
	u.data = append(u.data, f.Safi())
}

// nextHop is what MP_REACH_NLRI has before its prefixes, also over link-local
// addresses: FRR and BIRD take one alone for what RFC 2545 section 3 would have
// sent behind a global one.
func (u *update) nextHop(hop netip.Addr) {
	const reserved = 0
	address := hop.As16()
	u.data = append(u.data, hopLength)
	u.data = append(u.data, address[:]...)
	u.data = append(u.data, reserved)
}

func (u *update) prefixes(changes []change) {
	for _, c := range changes {
		u.data = append(u.data, byte(c.prefix.Bits()))
		if c.prefix.Addr().Is4() {
			address := c.prefix.Addr().As4()
			u.data = append(u.data, address[:octets(c.prefix)]...)
			continue
		}
		address := c.prefix.Addr().As16()
		u.data = append(u.data, address[:octets(c.prefix)]...)
	}
}
