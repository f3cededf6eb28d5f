package announce

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

// question is an Input about one of its addresses.
type question struct {
	Input
	address netip.Addr
	// endpoints are the serving ones of its family, for Local by node.
	endpoints []trafficpolicy.Endpoint
}

// Layer2 decides for each address in the status of the Service, sorted.
func (v *View) Layer2(in Input) []Layer2 {
	addresses := addressesOf(in.Service)
	if len(addresses) == 0 {
		return nil
	}
	serving := trafficpolicy.ServingEndpoints(in.Service.Spec.ExternalTrafficPolicy, in.EndpointSlices)
	if isLocal(in.Service) {
		slices.SortStableFunc(serving, func(a, b trafficpolicy.Endpoint) int { return strings.Compare(a.Node, b.Node) })
	}
	decided := make([]Layer2, 0, len(addresses))
	for _, address := range addresses {
		decided = append(decided, v.layer2(question{in, address, ofFamily(familyOf(address), serving)}))
	}
	return decided
}

// layer2 looks at what the configuration says first: that does not come and go
// with the pods.
func (v *View) layer2(q question) Layer2 {
	p := v.poolOf(q.address)
	if p == nil {
		return Layer2{Address: q.address, Interfaces: []string{}}.because(inNoPool(q.address))
	}
	matching := p.matching(q.Service)
	d := Layer2{Address: q.address, Pool: p.name, Interfaces: interfacesOf(matching)}
	places := v.placesOf(matching)
	switch {
	case len(places) == 0:
		return d.because(v.notAdvertised(p, matching, q.Service))
	case len(q.endpoints) == 0:
		return d.because(q.unreachable())
	}
	d.Candidates = v.order(q, places)
	if len(d.Candidates) == 0 {
		return d.because(v.noEligibleNode(q, p, matching, places))
	}
	return d
}

func (d Layer2) because(reason, message string) Layer2 {
	d.Reason, d.Message = reason, message
	return d
}

// matching are the advertisements of p that select svc.
func (p *pool) matching(svc *corev1.Service) []*l2Advertisement {
	matches := func(a *l2Advertisement) bool { return a.services.match(svc.Labels) }
	if !slices.ContainsFunc(p.l2, func(a *l2Advertisement) bool { return !matches(a) }) {
		return p.l2 // nearly always, and without a copy
	}
	var matching []*l2Advertisement
	for _, a := range p.l2 {
		if matches(a) {
			matching = append(matching, a)
		}
	}
	return matching
}

// placesOf joins the places of all: a node that several offer has the highest
// of its weights.
func (v *View) placesOf(all []*l2Advertisement) []place {
	switch len(all) {
	case 0:
		return nil
	case 1:
		return all[0].places
	}
	const absent = -1
	weights := make([]int64, len(v.nodes))
	for i := range weights {
		weights[i] = absent
	}
	for _, a := range all {
		for _, p := range a.places {
			weights[p.node] = max(weights[p.node], p.weight)
		}
	}
	joined := make([]place, 0, len(weights))
	for i, weight := range weights {
		if weight != absent {
			joined = append(joined, place{i, weight})
		}
	}
	return joined
}

// interfacesOf joins what those of all that are for Self allow; where none is,
// what all allow: a node that is no longer selected hands over there. Nil
// stands for all interfaces.
func interfacesOf(all []*l2Advertisement) []string {
	forSelf := slices.ContainsFunc(all, func(a *l2Advertisement) bool { return a.self })
	var lists [][]string
	for _, a := range all {
		if a.self || !forSelf {
			lists = append(lists, a.interfaces)
		}
	}
	return union(lists)
}

// union joins lists of interfaces, of which one that is nil stands for all. The
// union of nothing is empty and not nil.
func union(lists [][]string) []string {
	switch {
	case slices.ContainsFunc(lists, func(l []string) bool { return l == nil }):
		return nil
	case len(lists) == 1:
		return slices.Clone(lists[0])
	}
	joined := slices.Concat(lists...)
	if len(joined) == 0 {
		return []string{}
	}
	return distinct(joined)
}

// obstacle is what keeps n from announcing the address, if anything.
func (v *View) obstacle(q question, n *node) trafficpolicy.Obstacle {
	if n.obstacle != trafficpolicy.NoObstacle {
		return n.obstacle
	}
	endpoints := q.endpoints
	if isLocal(q.Service) {
		endpoints = q.on(n.Name)
	}
	return trafficpolicy.MayCarry(q.Service, n.Node, endpoints, v.health(q, n))
}

// health is the answer of n as far as it is known here: what another speaker
// reports is about its kube-proxy, which does not decide for Local.
func (v *View) health(q question, n *node) trafficpolicy.Answer {
	switch {
	case n.Name == v.self:
		return q.Health
	case n.speaker.Closed && !isLocal(q.Service):
		return trafficpolicy.Unhealthy
	}
	return trafficpolicy.Silent
}

func isLocal(svc *corev1.Service) bool {
	return svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// on returns the endpoints on one node.
func (q question) on(name string) []trafficpolicy.Endpoint {
	byNode := func(e trafficpolicy.Endpoint, name string) int { return strings.Compare(e.Node, name) }
	from, _ := slices.BinarySearchFunc(q.endpoints, name, byNode)
	to := from
	for to < len(q.endpoints) && q.endpoints[to].Node == name {
		to++
	}
	return q.endpoints[from:to]
}

// addressesOf are those in the status of svc, sorted.
func addressesOf(svc *corev1.Service) []netip.Addr {
	var all []netip.Addr
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		if address, err := netip.ParseAddr(ingress.IP); err == nil {
			all = append(all, address.Unmap())
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func familyOf(address netip.Addr) corev1.IPFamily {
	if address.Is4() {
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

// ofFamily returns the endpoints of one family, without a copy where all are.
func ofFamily(family corev1.IPFamily, all []trafficpolicy.Endpoint) []trafficpolicy.Endpoint {
	other := func(e trafficpolicy.Endpoint) bool { return e.Family != family }
	if !slices.ContainsFunc(all, other) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), other)
}
