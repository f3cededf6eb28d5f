package announce

import (
	"fmt"
	"net/netip"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
)

// Families of addresses, as indexes.
const (
	ipv4 = iota
	ipv6
	families
)

func familyIndex(address netip.Addr) int {
	if address.Is4() {
		return ipv4
	}
	return ipv6
}

// bits are the lengths of addresses.
var bits = [families]int{32, 128}

// bgpAdvertisement is a BGPAdvertisement resolved against pools, nodes and
// peers.
type bgpAdvertisement struct {
	advertisement
	// lengths are those of the prefixes.
	lengths    [families]int
	attributes Attributes
	// routers are those that it is for, as sorted indexes of View.routers.
	routers []int
	// plans are what it comes to alone.
	plans [families]*plan
}

// offer is what announces addresses of one family of a pool.
type offer struct {
	all []*bgpAdvertisement // by name
	// plan is what they come to together.
	plan *plan
	// refused names those that select the pool and can't be followed there.
	refused []string
}

// addBGPAdvertisements resolves those of c, once the peers are.
func (v *View) addBGPAdvertisements(c Config, pools []*metallb.IPAddressPool) []Problem {
	known, problems := aliases(c.Communities)
	peers := make(map[string]bool, len(c.BGPPeers))
	for _, p := range c.BGPPeers {
		peers[p.Name] = true
	}
	limits := v.limits()
	for _, a := range sorted(c.BGPAdvertisements, func(a *metallb.BGPAdvertisement) string { return a.Name }) {
		r := reader{object: kindBGP + " " + a.Name}
		v.addBGP(a, pools, known, peers, limits, &r)
		problems = append(problems, r.problems...)
	}
	problems = append(problems, v.conflicts()...)
	v.makePlans()
	return problems
}

// addBGP resolves a and adds it to the pools that it selects.
func (v *View) addBGP(a *metallb.BGPAdvertisement, pools []*metallb.IPAddressPool, known map[string]community, peers map[string]bool, limits []limit, r *reader) {
	s := r.scope(a.Spec.IPAddressPools, a.Spec.IPAddressPoolSelectors, a.Spec.NodeSelectors, a.Spec.ServiceSelectors)
	compiled := &bgpAdvertisement{
		lengths:    r.lengths(&a.Spec),
		attributes: Attributes{LocalPref: a.Spec.LocalPref, Prepend: a.Spec.AsPathPrepend},
	}
	r.communities(a.Spec.Communities, known, &compiled.attributes)
	if r.refused {
		v.invalid[kindBGP] = append(v.invalid[kindBGP], a.Name)
		return
	}
	compiled.advertisement = v.advertisement(kindBGP, a.Name, s)
	compiled.routers = v.routersOf(a.Spec.Peers, peers, r)
	for _, i := range v.poolsOf(s, pools, r) {
		v.offer(compiled, &v.pools[i], &limits[i], r)
	}
}

// offer adds a to p, in the families in which its prefixes stay within p.
func (v *View) offer(a *bgpAdvertisement, p *pool, l *limit, r *reader) {
	for family := range families {
		o := &p.bgp[family]
		if a.lengths[family] < l.length[family] {
			r.tell(lengthFields[family], "%d makes prefixes that are larger than %s of pool %q, where the advertisement is not followed: allowed there are %d to %d",
				a.lengths[family], l.entry[family], p.name, l.length[family], bits[family])
			o.refused = append(o.refused, a.name)
			continue
		}
		o.all = append(o.all, a)
	}
}

// limit says, for each family, how long the prefixes of a pool must be at the
// least, and which of its ranges asks for it. A range that is no prefix counts
// as the largest in it, as in MetalLB.
type limit struct {
	length [families]int
	entry  [families]string
}

// limits are those of View.pools.
func (v *View) limits() []limit {
	limits := make([]limit, len(v.pools))
	for i := range v.spans {
		s := &v.spans[i]
		at, _ := slices.BinarySearchFunc(v.pools, s.pool, byPoolName)
		l, family := &limits[at], familyIndex(s.From())
		largest := bits[family]
		for _, prefix := range s.Prefixes() {
			largest = min(largest, prefix.Bits())
		}
		if largest > l.length[family] {
			l.length[family], l.entry[family] = largest, s.IPRange.String()
		}
	}
	return limits
}

var lengthFields = [families]string{"spec.aggregationLength", "spec.aggregationLengthV6"}

func (r *reader) lengths(s *metallb.BGPAdvertisementSpec) [families]int {
	lengths := bits
	for family, given := range [families]*int32{s.AggregationLength, s.AggregationLengthV6} {
		field, longest := lengthFields[family], bits[family]
		switch {
		case given == nil:
			continue
		case *given < 1 || int(*given) > longest:
			r.refuse(field, "%d: allowed are 1 to %d", *given, longest)
		case int(*given) != longest && len(s.ServiceSelectors) > 0:
			// A prefix speaks for all Services in it.
			r.refuse(field, "%d beside spec.serviceSelectors: allowed there is %d", *given, longest)
		}
		lengths[family] = int(*given)
	}
	return lengths
}

// routersOf resolves names, none standing for all. Those of BGPPeers that exist
// and can't be followed have their own Problem.
func (v *View) routersOf(names []string, exist map[string]bool, r *reader) []int {
	var routers []int
	for i := range v.routers {
		if len(names) == 0 || slices.Contains(names, v.routers[i].Name) {
			routers = append(routers, i)
		}
	}
	for i, name := range names {
		if !exist[name] {
			r.tell(fmt.Sprintf("spec.peers[%d]", i), "%s", noSuchPeer(name, v.routerNames()))
		}
	}
	return routers
}

// conflicts tells of advertisements that give two values of LOCAL_PREF to what
// is one path. Where they select Services it depends on those, and is not told.
func (v *View) conflicts() []Problem {
	var problems []Problem
	told := map[*bgpAdvertisement]bool{}
	for i := range v.pools {
		for family := range families {
			all := v.pools[i].bgp[family].all
			for at, a := range all {
				j := slices.IndexFunc(all[:at], func(before *bgpAdvertisement) bool { return before.contradicts(a, family) })
				if j < 0 || told[a] {
					continue
				}
				told[a] = true
				r := reader{object: kindBGP + " " + a.name}
				r.tell("spec.localPref", "%d is not followed where BGPAdvertisement %q, which comes first by name, gives %d to the same prefixes for the same peers, as those of pool %q: allowed is one value there",
					a.attributes.LocalPref, all[j].name, all[j].attributes.LocalPref, v.pools[i].name)
				problems = append(problems, r.problems...)
			}
		}
	}
	return problems
}

// contradicts says whether a and b ask for two values of LOCAL_PREF for one
// path. One that asks for none leaves it to the other.
func (a *bgpAdvertisement) contradicts(b *bgpAdvertisement, family int) bool {
	x, y := a.attributes.LocalPref, b.attributes.LocalPref
	return x != 0 && y != 0 && x != y && a.lengths[family] == b.lengths[family] &&
		len(a.services)+len(b.services) == 0 && meet(a.routers, b.routers) && meet(a.selected, b.selected)
}

// meet says whether two sorted lists have something in common.
func meet(a, b []int) bool {
	return slices.ContainsFunc(a, func(i int) bool { return contains(b, i) })
}
