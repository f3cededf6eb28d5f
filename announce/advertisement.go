package announce

import (
	"fmt"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Kinds of advertisements, as messages name them.
const (
	kindL2  = "L2Advertisement"
	kindBGP = "BGPAdvertisement"
)

// advertisement is what those of all protocols have in common.
type advertisement struct {
	kind, name string
	services   selectors
	// selected are the nodes that it is for, as indexes of View.nodes.
	selected []int
	// self is set where the node that asks is selected.
	self bool
}

func (a *advertisement) base() *advertisement { return a }

// announcement is an advertisement of some protocol.
type announcement interface{ base() *advertisement }

// bases are what all have in common with those of other protocols.
func bases[A announcement](all []A) []*advertisement {
	common := make([]*advertisement, len(all))
	for i, a := range all {
		common[i] = a.base()
	}
	return common
}

// matching are those of all that select svc.
func matching[A announcement](all []A, svc *corev1.Service) []A {
	passes := func(a A) bool { return !a.base().services.match(svc.Labels) }
	if !slices.ContainsFunc(all, passes) {
		return all // nearly always, and without a copy
	}
	return slices.DeleteFunc(slices.Clone(all), passes)
}

// scope is what an advertisement selects.
type scope struct {
	poolNames              []string
	pools, nodes, services selectors
}

func (r *reader) scope(poolNames []string, pools, nodes, services []metav1.LabelSelector) scope {
	return scope{
		poolNames: poolNames,
		pools:     r.selectors("spec.ipAddressPoolSelectors", pools),
		nodes:     r.selectors("spec.nodeSelectors", nodes),
		services:  r.selectors("spec.serviceSelectors", services),
	}
}

// advertisement resolves the nodes and Services of s.
func (v *View) advertisement(kind, name string, s scope) advertisement {
	a := advertisement{kind: kind, name: name, services: s.services}
	for i := range v.nodes {
		if s.nodes.match(v.nodes[i].Labels) {
			a.selected = append(a.selected, i)
			a.self = a.self || i == v.own
		}
	}
	return a
}

// poolsOf returns the pools of s as indexes of View.pools, which are those of
// pools too, and tells of names that are no pool.
func (v *View) poolsOf(s scope, pools []*metallb.IPAddressPool, r *reader) []int {
	for i, name := range s.poolNames {
		if !slices.ContainsFunc(pools, func(p *metallb.IPAddressPool) bool { return p.Name == name }) {
			r.tell(fmt.Sprintf("spec.ipAddressPools[%d]", i), "%s", noSuchPool(name, v.pools))
		}
	}
	all := len(s.poolNames)+len(s.pools) == 0
	var selected []int
	for i, p := range pools {
		if all || slices.Contains(s.poolNames, p.Name) || len(s.pools) > 0 && s.pools.match(p.Labels) {
			selected = append(selected, i)
		}
	}
	return selected
}

// leaves says whether the protocol of own is silent about a Service because it
// is the other one's matter: the configuration asks that one alone for the
// pool, or for the Service. ownMatching and otherMatching select the Service.
func leaves(own, ownMatching, other, otherMatching int) bool {
	return ownMatching == 0 && (otherMatching > 0 || own == 0 && other > 0)
}
