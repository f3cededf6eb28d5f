package l2

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// rangesOf returns addresses as sorted ranges. It sorts the slice in place.
func rangesOf(addresses []netip.Addr) []netipx.IPRange {
	slices.SortFunc(addresses, netip.Addr.Compare)
	ranges := make([]netipx.IPRange, 0, len(addresses))
	for _, a := range addresses {
		last := len(ranges) - 1
		switch {
		case last < 0 || ranges[last].To().Next() != a && ranges[last].To() != a:
			ranges = append(ranges, netipx.IPRangeFrom(a, a))
		default:
			ranges[last] = netipx.IPRangeFrom(ranges[last].From(), a)
		}
	}
	return ranges
}

// gap is how many addresses lie between two ranges, and where.
type gap struct {
	high, low uint64
	before    int
}

// joinNearest returns at most limit ranges that hold all of sorted, and as
// little else as possible.
func joinNearest(sorted []netipx.IPRange, limit int) []netipx.IPRange {
	if len(sorted) <= limit {
		return sorted
	}
	gaps := make([]gap, 0, len(sorted)-1)
	for i := 1; i < len(sorted); i++ {
		gaps = append(gaps, gapBetween(sorted[i-1].To(), sorted[i].From(), i))
	}
	slices.SortFunc(gaps, func(a, b gap) int {
		return cmp.Or(cmp.Compare(b.high, a.high), cmp.Compare(b.low, a.low), cmp.Compare(a.before, b.before))
	})
	// The widest gaps stay.
	cuts := make([]int, 0, limit)
	for _, g := range gaps[:limit-1] {
		cuts = append(cuts, g.before)
	}
	slices.Sort(cuts)
	joined := make([]netipx.IPRange, 0, limit)
	start := 0
	for _, cut := range append(cuts, len(sorted)) {
		joined = append(joined, netipx.IPRangeFrom(sorted[start].From(), sorted[cut-1].To()))
		start = cut
	}
	return joined
}

func gapBetween(end, start netip.Addr, before int) gap {
	a, b := end.As16(), start.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(a[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(a[:]), borrow)
	return gap{high, low, before}
}
