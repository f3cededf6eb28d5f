package announce

import (
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
)

// l2Advertisement is an L2Advertisement resolved against pools and nodes.
type l2Advertisement struct {
	advertisement
	// interfaces are sorted, nil stands for all.
	interfaces []string
	// places are the selected nodes that have a speaker and an interface for it.
	places []place
}

// place is a node with the weight that an advertisement gives it.
type place struct {
	node   int
	weight int64
}

// addL2 resolves a and adds it to the pools that it selects.
func (v *View) addL2(a *metallb.L2Advertisement, pools []*metallb.IPAddressPool) []Problem {
	r := reader{object: kindL2 + " " + a.Name}
	s := r.scope(a.Spec.IPAddressPools, a.Spec.IPAddressPoolSelectors, a.Spec.NodeSelectors, a.Spec.ServiceSelectors)
	preferences := r.preferences(a.Spec.PreferredNodeSelectors)
	if r.refused {
		v.invalid[kindL2] = append(v.invalid[kindL2], a.Name)
		return r.problems
	}
	compiled := &l2Advertisement{advertisement: v.advertisement(kindL2, a.Name, s), interfaces: distinct(a.Spec.Interfaces)}
	compiled.places = v.places(compiled, preferences)
	for _, i := range v.poolsOf(s, pools, &r) {
		v.pools[i].l2 = append(v.pools[i].l2, compiled)
	}
	return r.problems
}

func (v *View) places(a *l2Advertisement, preferences []preference) []place {
	var places []place
	for _, i := range a.selected {
		n := &v.nodes[i]
		if n.speaker != nil && usable(a.interfaces, n.speaker.Interfaces) {
			places = append(places, place{i, weigh(preferences, n.Labels)})
		}
	}
	return places
}

// usable says whether a node that has the interfaces have can use one of those
// allowed, nil standing for all.
func usable(allowed, have []string) bool {
	if allowed == nil {
		return len(have) > 0
	}
	return slices.ContainsFunc(have, func(name string) bool {
		_, found := slices.BinarySearch(allowed, name)
		return found
	})
}
