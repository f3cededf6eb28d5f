package announce

import (
	"net/netip"
	"slices"
	"sort"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go4.org/netipx"

	"github.com/berth-lb/berth/ipam"
)

// span is a range of a pool, in a list by first address.
type span struct {
	netipx.IPRange
	pool string
	// reach is the last address of this range and those before it: ranges that
	// overlap are a mistake, and still one answer has to come of it everywhere.
	reach netip.Addr
}

func compileSpans(pools []*metallb.IPAddressPool) []span {
	var spans []span
	for _, p := range pools {
		for _, entry := range p.Spec.Addresses {
			if r, err := ipam.ParseRange(entry); err == nil {
				spans = append(spans, span{IPRange: r, pool: p.Name, reach: r.To()})
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.From().Compare(b.From()) })
	for i := 1; i < len(spans); i++ {
		if before := spans[i-1].reach; spans[i].reach.Less(before) {
			spans[i].reach = before
		}
	}
	return spans
}

// poolOf returns the pool that address is in, the first by name of several, nil
// where there is none.
func (v *View) poolOf(address netip.Addr) *pool {
	found := ""
	after := sort.Search(len(v.spans), func(i int) bool { return address.Less(v.spans[i].From()) })
	for i := after - 1; i >= 0 && !v.spans[i].reach.Less(address); i-- {
		if s := v.spans[i]; s.Contains(address) && (found == "" || s.pool < found) {
			found = s.pool
		}
	}
	i, ok := slices.BinarySearchFunc(v.pools, found, byPoolName)
	if !ok {
		return nil
	}
	return &v.pools[i]
}

func byPoolName(p pool, name string) int { return strings.Compare(p.name, name) }
