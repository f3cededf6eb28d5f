package announce

import (
	"fmt"
	"slices"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/berth-lb/berth/trafficpolicy"
)

// View is a Config made ready for decisions. It doesn't change and may be
// shared; it reads from the objects that it was made of, which must not change
// either.
type View struct {
	self  string
	nodes []node // by name
	pools []pool // by name
	spans []span
	// invalid names the L2Advertisements that are left out.
	invalid []string
}

// node is a node with what decisions ask of it again and again.
type node struct {
	*corev1.Node
	speaker  *SpeakerReport
	obstacle trafficpolicy.Obstacle
	// late is set where the node controller believes it dead.
	late bool
	hash uint64
}

// pool is an IPAddressPool with what announces it. Each protocol has its own
// list.
type pool struct {
	name string
	l2   []*l2Advertisement // by name
}

// l2Advertisement is an L2Advertisement resolved against pools and nodes.
type l2Advertisement struct {
	name     string
	services selectors
	// interfaces are sorted, nil stands for all.
	interfaces []string
	// selected are the nodes that it is for, as indexes of View.nodes, and
	// places those of them that have a speaker and an interface for it.
	selected []int
	places   []place
	// self is set where the node that asks is selected.
	self bool
}

// place is a node with the weight that an advertisement gives it.
type place struct {
	node   int
	weight int64
}

// Compile reads a Config. An object that breaks a rule is left out alone, and
// named in a Problem. Entries of pools that are no ranges are passed over: who
// gives addresses reports them.
func Compile(c Config) (*View, []Problem) {
	v := &View{self: c.Self, nodes: compileNodes(c.Nodes), spans: compileSpans(c.Pools)}
	pools := sorted(c.Pools, func(p *metallb.IPAddressPool) string { return p.Name })
	for _, p := range pools {
		v.pools = append(v.pools, pool{name: p.Name})
	}
	var problems []Problem
	for _, a := range sorted(c.L2Advertisements, func(a *metallb.L2Advertisement) string { return a.Name }) {
		problems = append(problems, v.addL2(a, pools)...)
	}
	return v, problems
}

// addL2 resolves a and adds it to the pools that it selects.
func (v *View) addL2(a *metallb.L2Advertisement, pools []*metallb.IPAddressPool) []Problem {
	r := reader{object: "L2Advertisement " + a.Name}
	forPools := r.selectors("spec.ipAddressPoolSelectors", a.Spec.IPAddressPoolSelectors)
	forNodes := r.selectors("spec.nodeSelectors", a.Spec.NodeSelectors)
	forServices := r.selectors("spec.serviceSelectors", a.Spec.ServiceSelectors)
	preferences := r.preferences(a.Spec.PreferredNodeSelectors)
	if len(r.problems) > 0 {
		v.invalid = append(v.invalid, a.Name)
		return r.problems
	}

	compiled := &l2Advertisement{name: a.Name, services: forServices, interfaces: distinct(a.Spec.Interfaces)}
	v.place(compiled, forNodes, preferences)
	all := len(a.Spec.IPAddressPools)+len(a.Spec.IPAddressPoolSelectors) == 0
	for i, p := range pools {
		named := slices.Contains(a.Spec.IPAddressPools, p.Name)
		if all || named || len(forPools) > 0 && forPools.match(p.Labels) {
			v.pools[i].l2 = append(v.pools[i].l2, compiled)
		}
	}
	for i, name := range a.Spec.IPAddressPools {
		if !slices.ContainsFunc(pools, func(p *metallb.IPAddressPool) bool { return p.Name == name }) {
			r.problem(fmt.Sprintf("spec.ipAddressPools[%d]", i), noSuchPool(name, v.pools))
		}
	}
	return r.problems
}

// place fills in the nodes that a is for.
func (v *View) place(a *l2Advertisement, forNodes selectors, preferences []preference) {
	for i := range v.nodes {
		n := &v.nodes[i]
		if !forNodes.match(n.Labels) {
			continue
		}
		a.selected = append(a.selected, i)
		a.self = a.self || n.Name == v.self
		if n.speaker != nil && usable(a.interfaces, n.speaker.Interfaces) {
			a.places = append(a.places, place{i, weigh(preferences, n.Labels)})
		}
	}
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

func compileNodes(all []Node) []node {
	nodes := make([]node, 0, len(all))
	for _, n := range all {
		nodes = append(nodes, node{
			Node:     n.Node,
			speaker:  n.Speaker,
			obstacle: trafficpolicy.MayAnnounce(n.Node),
			late:     believedDead(n.Node),
			hash:     hashName(n.Name),
		})
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.Name, b.Name) })
	return nodes
}

// believedDead says whether the condition Ready is False or Unknown. A node
// that has none yet is new.
func believedDead(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status != corev1.ConditionTrue
		}
	}
	return false
}

// preference is a weight for the nodes that match.
type preference struct {
	selector labels.Selector
	weight   int64
}

func weigh(all []preference, of labels.Set) int64 {
	var sum int64
	for _, p := range all {
		if p.selector.Matches(of) {
			sum += p.weight
		}
	}
	return sum
}

// selectors match what any of them matches; none at all match everything.
type selectors []labels.Selector

func (s selectors) match(set labels.Set) bool {
	return len(s) == 0 || slices.ContainsFunc(s, func(one labels.Selector) bool { return one.Matches(set) })
}

// reader turns the parts of one object into their compiled form, and collects
// what is wrong with it.
type reader struct {
	object   string
	problems []Problem
}

func (r *reader) problem(field, message string) {
	r.problems = append(r.problems, Problem{Object: r.object, Field: field, Message: message})
}

func (r *reader) selectors(field string, all []metav1.LabelSelector) selectors {
	var read selectors
	for i := range all {
		read = append(read, r.selector(fmt.Sprintf("%s[%d]", field, i), &all[i]))
	}
	return read
}

func (r *reader) preferences(all []metallb.PreferredNodeSelector) []preference {
	var read []preference
	for i := range all {
		selector := r.selector(fmt.Sprintf("spec.preferredNodeSelectors[%d].preference", i), &all[i].Preference)
		read = append(read, preference{selector, int64(all[i].Weight)})
	}
	return read
}

func (r *reader) selector(field string, s *metav1.LabelSelector) labels.Selector {
	read, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		r.problem(field, notSelector(err))
	}
	return read
}

// sorted returns a copy of all by name.
func sorted[T any](all []T, name func(T) string) []T {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	return all
}

// distinct returns names sorted and without duplicates, nil where there are
// none.
func distinct(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
