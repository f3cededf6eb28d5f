package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"
)

// ParseRange parses an entry of a pool: a CIDR, of which host bits are ignored,
// or the first and the last address with a dash between them.
func ParseRange(s string) (netipx.IPRange, error) {
	r, err := parseRange(strings.TrimSpace(s))
	if err != nil {
		return netipx.IPRange{}, fmt.Errorf("%q is not a range of addresses, such as 192.0.2.0/24 or 192.0.2.10-192.0.2.20: %w", s, err)
	}
	return r, nil
}

func parseRange(s string) (netipx.IPRange, error) {
	first, last, dashed := strings.Cut(s, "-")
	if !dashed {
		return parseCIDR(s)
	}
	from, err := parseAddr(first)
	if err != nil {
		return netipx.IPRange{}, err
	}
	to, err := parseAddr(last)
	if err != nil {
		return netipx.IPRange{}, err
	}
	switch {
	case FamilyOf(from) != FamilyOf(to):
		return netipx.IPRange{}, fmt.Errorf("%s is %s and %s is %s: both ends must be of one family", from, FamilyOf(from), to, FamilyOf(to))
	case to.Less(from):
		return netipx.IPRange{}, fmt.Errorf("it is reversed: %s comes before %s", to, from)
	}
	return netipx.IPRangeFrom(from, to), nil
}

func parseCIDR(s string) (netipx.IPRange, error) {
	addr, length, slashed := strings.Cut(s, "/")
	x, err := parseAddr(addr)
	if err != nil {
		return netipx.IPRange{}, err
	}
	if !slashed {
		return netipx.IPRange{}, fmt.Errorf("a single address is written %s-%s", s, s)
	}
	bits, err := strconv.Atoi(length) // zeros may precede it, as in MetalLB
	if err == nil && strings.Contains(addr, ":") && x.Is4() {
		bits -= 96 // it counts from the first bit of the IPv6 form
	}
	prefix, invalid := x.Prefix(bits)
	if err != nil || invalid != nil || strings.HasPrefix(length, "+") {
		return netipx.IPRange{}, errors.New("the prefix length after the slash is not valid")
	}
	return netipx.RangeOfPrefix(prefix), nil
}

// parseAddr takes an IPv4 address in IPv6 form for what it is.
func parseAddr(s string) (netip.Addr, error) {
	x, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
	}
	x = x.Unmap()
	return x, plain(x)
}

// plain tells why x can't be the address of a Service.
func plain(x netip.Addr) error {
	switch {
	case !x.IsValid():
		return errors.New("the address is empty")
	case x.Is4In6():
		return fmt.Errorf("%s is an IPv4 address mapped to IPv6: write it as %s", x, x.Unmap())
	case x.Zone() != "":
		return fmt.Errorf("%s has a zone, which is not allowed", x)
	}
	return nil
}

// Entry is one of the ranges of a pool, and its place among them.
type Entry struct {
	Pool  string
	Index int
	Range netipx.IPRange
}

// Overlap is two entries that have addresses in common. First is that of the
// pool that comes first by name or, within one pool, that with the lower index.
type Overlap struct{ First, Second Entry }

// Overlaps returns every two entries, of one pool or of two, that have
// addresses in common, whatever is excluded: sorted by pool and index. It
// takes time in proportion to the entries and to what it returns.
func Overlaps(pools []Pool) []Overlap {
	entries := entriesOf(pools)
	slices.SortFunc(entries, func(a, b Entry) int { return a.Range.From().Compare(b.Range.From()) })

	var found []Overlap
	var reaching []Entry // those that reach the entry looked at
	for _, e := range entries {
		reaching = slices.DeleteFunc(reaching, func(r Entry) bool { return r.Range.To().Less(e.Range.From()) })
		for _, r := range reaching {
			found = append(found, overlap(r, e))
		}
		reaching = append(reaching, e)
	}
	slices.SortFunc(found, func(a, b Overlap) int {
		if c := compareEntries(a.First, b.First); c != 0 {
			return c
		}
		return compareEntries(a.Second, b.Second)
	})
	return found
}

func entriesOf(pools []Pool) []Entry {
	var entries []Entry
	for _, p := range pools {
		for i, r := range p.Ranges {
			if r.IsValid() {
				entries = append(entries, Entry{p.Name, i, r})
			}
		}
	}
	return entries
}

func overlap(a, b Entry) Overlap {
	if compareEntries(a, b) > 0 {
		a, b = b, a
	}
	return Overlap{a, b}
}

func compareEntries(a, b Entry) int {
	if c := strings.Compare(a.Pool, b.Pool); c != 0 {
		return c
	}
	return a.Index - b.Index
}

// carve splits r into what is left without cut, and what is cut out of it.
func carve(r netipx.IPRange, cut *netipx.IPSet) (left, out []netipx.IPRange) {
	var keep, drop netipx.IPSetBuilder
	keep.AddRange(r)
	keep.RemoveSet(cut)
	drop.AddRange(r)
	drop.Intersect(cut)
	return build(&keep).Ranges(), build(&drop).Ranges()
}

func setOf(ranges []netipx.IPRange) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, r := range ranges {
		b.AddRange(r)
	}
	return build(&b)
}

// build returns what b holds without what is not a range, of which its error
// tells.
func build(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, _ := b.IPSet()
	return set
}
