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

// keepRecorded widens what a start takes over, so that no mistake in the
// configuration takes addresses away: a pool that is refused keeps those that
// are recorded as its own, and where there is no pool at all, as when the
// namespace is the wrong one, every address is kept.
func keepRecorded(pools []ipam.Pool, services []*corev1.Service) []ipam.Pool {
	if len(pools) == 0 {
		return []ipam.Pool{everything()}
	}
	recorded := map[string][]netipx.IPRange{}
	for _, svc := range services {
		for from := range strings.SplitSeq(svc.Annotations[annotationFrom], ",") {
			for _, addr := range shownBy(svc) {
				recorded[from] = append(recorded[from], netipx.IPRangeFrom(addr, addr))
			}
		}
	}
	pools = slices.Clone(pools)
	for i := range pools {
		if pool := &pools[i]; pool.Frozen {
			pool.Ranges = append(slices.Clip(pool.Ranges), recorded[pool.Name]...)
		}
	}
	return pools
}

// keepFrozen is pools after an edit, in which those that are refused now are
// as they were before, but frozen.
func keepFrozen(pools []ipam.Pool, before map[string]ipam.Pool) []ipam.Pool {
	if _, ok := before[unconfigured]; ok && len(pools) == 0 {
		return []ipam.Pool{everything()}
	}
	pools = slices.Clone(pools)
	for i, pool := range pools {
		if old, ok := before[pool.Name]; ok && pool.Frozen {
			old.Frozen = true
			pools[i] = old
		}
	}
	return pools
}

func everything() ipam.Pool {
	return ipam.Pool{Name: unconfigured, Frozen: true, Ranges: []netipx.IPRange{
		netipx.RangeOfPrefix(netip.MustParsePrefix("0.0.0.0/0")),
		netipx.RangeOfPrefix(netip.MustParsePrefix("::/0")),
	}}
}
