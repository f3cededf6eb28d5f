package pool

import (
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/ipam"
)

// unconfigured is the pool that keeps all addresses of a controller that
// starts where there is no IPAddressPool at all. No object can have its name.
const unconfigured = "(none)"

// ruling is a pool as it is in force.
type ruling struct {
	ipam.Pool
	// kept is what a refused pool keeps, whoever else has it by now: it had given
	// addresses there before.
	kept []netipx.IPRange
}

// keepRecorded widens what a start takes over, so that no mistake in the
// configuration takes addresses away: a pool that is refused keeps those that
// are recorded as its own, and where there is no pool at all, as when the
// namespace is the wrong one, every address is kept.
func keepRecorded(pools []ipam.Pool, services []*corev1.Service) []ruling {
	if len(pools) == 0 {
		return []ruling{everything()}
	}
	recorded := recordedBy(services)
	all := make([]ruling, len(pools))
	for i, pool := range pools {
		all[i].Pool = pool
		if own := recorded[pool.Name]; pool.Frozen && len(own) > 0 {
			all[i].Ranges = append(slices.Clip(pool.Ranges), own...)
			all[i].kept = own
		}
	}
	return settle(all)
}

// recordedBy returns the addresses that the Services show, by the pool that they
// are recorded to be from.
func recordedBy(services []*corev1.Service) map[string][]netipx.IPRange {
	recorded := map[string][]netipx.IPRange{}
	for _, svc := range services {
		from, addrs := strings.Split(svc.Annotations[annotationFrom], ","), shownBy(svc)
		for i, name := range from {
			of := addrs
			if len(from) == len(addrs) {
				of = addrs[i : i+1]
			}
			for _, addr := range of {
				recorded[name] = append(recorded[name], netipx.IPRangeFrom(addr, addr))
			}
		}
	}
	return recorded
}

// keepFrozen is pools after an edit, in which those that are refused now are
// as they were before, but frozen. One that was in use keeps its ranges also
// against an older pool that has been widened over them: neither gives there.
func keepFrozen(pools []ipam.Pool, before map[string]ruling) []ruling {
	if _, ok := before[unconfigured]; ok && len(pools) == 0 {
		return []ruling{everything()}
	}
	all := make([]ruling, len(pools))
	for i, pool := range pools {
		all[i].Pool = pool
		old, ok := before[pool.Name]
		if !ok || !pool.Frozen {
			continue
		}
		if !old.Frozen {
			old.Frozen, old.kept = true, old.Ranges
		}
		all[i] = old
	}
	return settle(all)
}

// settle takes from each pool what others keep. What two keep the first does.
func settle(pools []ruling) []ruling {
	kept := setOf(nil)
	for i := range pools {
		own := without(pools[i].kept, kept)
		pools[i].kept = own
		kept = setOf(append(kept.Ranges(), own...))
	}
	for i := range pools {
		if others := setOf(without(kept.Ranges(), setOf(pools[i].kept))); len(others.Ranges()) > 0 {
			pools[i].Ranges = without(pools[i].Ranges, others)
		}
	}
	return pools
}

// without returns what is left of each range without cut, in their order.
func without(ranges []netipx.IPRange, cut *netipx.IPSet) []netipx.IPRange {
	var left []netipx.IPRange
	for _, r := range ranges {
		var b netipx.IPSetBuilder
		b.AddRange(r)
		b.RemoveSet(cut)
		if set, err := b.IPSet(); err == nil {
			left = append(left, set.Ranges()...)
		}
	}
	return left
}

// setOf returns the addresses of ranges, each of which is a valid one.
func setOf(ranges []netipx.IPRange) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, r := range ranges {
		b.AddRange(r)
	}
	set, _ := b.IPSet()
	return set
}

func everything() ruling {
	return ruling{Pool: ipam.Pool{Name: unconfigured, Frozen: true, Ranges: []netipx.IPRange{
		netipx.RangeOfPrefix(netip.MustParsePrefix("0.0.0.0/0")),
		netipx.RangeOfPrefix(netip.MustParsePrefix("::/0")),
	}}}
}
