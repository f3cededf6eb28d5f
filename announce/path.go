package announce

import (
	"cmp"
	"maps"
	"math"
	"slices"
)

// MergeRoutes returns what peers are told of one prefix, from the Paths of the
// Routes that several Services have with it. It is the same everywhere if they
// come in the same order, for instance sorted by Service.
//
// A peer is told all communities, the longest prepend, and the first LocalPref
// that there is; what is for a standby counts where nothing else is there. A
// single contribution is returned as it is; like all Paths it is shared, and must
// not be modified.
func MergeRoutes(contributions ...[]Path) []Path {
	different := withoutRepeats(contributions)
	switch len(different) {
	case 0:
		return nil
	case 1:
		return different[0]
	}
	byPeer := map[string]Attributes{}
	for _, paths := range different {
		for _, path := range paths {
			for _, peer := range path.Peers {
				merged, known := byPeer[peer]
				if known {
					merged = merged.with(path.Attributes)
				} else {
					merged = path.Attributes
				}
				byPeer[peer] = merged
			}
		}
	}
	return grouped(byPeer)
}

// withoutRepeats drops what is empty, and the same slice again, as Services
// have it that one advertisement selects.
func withoutRepeats(contributions [][]Path) [][]Path {
	var different [][]Path
	seen := map[*Path]bool{}
	for _, paths := range contributions {
		if len(paths) > 0 && !seen[&paths[0]] {
			seen[&paths[0]] = true
			different = append(different, paths)
		}
	}
	return different
}

// grouped puts peers that are told the same into one Path.
func grouped(byPeer map[string]Attributes) []Path {
	var paths []Path
	for _, peer := range slices.Sorted(maps.Keys(byPeer)) {
		attributes := byPeer[peer]
		i := slices.IndexFunc(paths, func(p Path) bool { return p.equal(attributes) })
		if i < 0 {
			paths = append(paths, Path{Peers: []string{peer}, Attributes: attributes})
			continue
		}
		paths[i].Peers = append(paths[i].Peers, peer)
	}
	return paths
}

func (a Attributes) with(b Attributes) Attributes {
	switch {
	case a.Standby && !b.Standby:
		return b
	case b.Standby && !a.Standby:
		return a
	}
	return Attributes{
		LocalPref:        cmp.Or(a.LocalPref, b.LocalPref),
		Prepend:          max(a.Prepend, b.Prepend),
		Communities:      joined(a.Communities, b.Communities, cmp.Compare),
		LargeCommunities: joined(a.LargeCommunities, b.LargeCommunities, compareLarge),
		Standby:          a.Standby,
	}
}

const (
	// standbyPref is the least LOCAL_PREF there is besides 0, which stands for none.
	standbyPref = 1
	// standbyPrepend is more than the hops that one path through a network of
	// routers has ahead of another: with fewer, some router might take this path
	// for as long as the one to the node that comes first, and use both.
	standbyPrepend = 8
)

func (a Attributes) standby() Attributes {
	a.Standby, a.LocalPref = true, standbyPref
	a.Prepend = uint8(min(int(a.Prepend)+standbyPrepend, math.MaxUint8))
	return a
}

// standby is what all come to where the node is one.
func standby(all []told) []told {
	spare := make([]told, len(all))
	for i, t := range all {
		byPeer := map[string]Attributes{}
		for _, path := range t.paths {
			for _, peer := range path.Peers {
				byPeer[peer] = path.standby()
			}
		}
		spare[i] = told{t.length, grouped(byPeer)}
	}
	return spare
}

func (a Attributes) equal(b Attributes) bool {
	return a.LocalPref == b.LocalPref && a.Prepend == b.Prepend && a.Standby == b.Standby &&
		slices.Equal(a.Communities, b.Communities) && slices.Equal(a.LargeCommunities, b.LargeCommunities)
}

// joined is the union of two sorted lists.
func joined[T comparable](a, b []T, compare func(a, b T) int) []T {
	switch {
	case len(b) == 0 || slices.Equal(a, b):
		return a
	case len(a) == 0:
		return b
	}
	return sortedSet(slices.Concat(a, b), compare)
}
