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

// asker makes questions of an Input, whose endpoints it reads when there is one.
type asker struct {
	in      Input
	read    bool
	serving []trafficpolicy.Endpoint
}

func (a *asker) about(address netip.Addr) question {
	if !a.read {
		a.read = true
		a.serving = trafficpolicy.ServingEndpoints(a.in.Service.Spec.ExternalTrafficPolicy, a.in.EndpointSlices)
		if isLocal(a.in.Service) {
			slices.SortStableFunc(a.serving, func(a, b trafficpolicy.Endpoint) int { return strings.Compare(a.Node, b.Node) })
		}
	}
	return question{a.in, address, ofFamily(familyOf(address), a.serving)}
}

// Layer2 decides for each address in the status of the Service, sorted.
// Addresses that the configuration asks BGP alone to announce are left out: of a
// pool that no L2Advertisement selects and a BGPAdvertisement does, and those of
// Services that only a BGPAdvertisement selects.
func (v *View) Layer2(in Input) []Layer2 {
	addresses := addressesOf(in.Service)
	if len(addresses) == 0 {
		return nil
	}
	ask := asker{in: in}
	decided := make([]Layer2, 0, len(addresses))
	for _, address := range addresses {
		if d, concerned := v.layer2(&ask, address); concerned {
			decided = append(decided, d)
		}
	}
	return decided
}

// layer2 looks at what the configuration says first: that does not come and go
// with the pods. It is not concerned where BGP alone is asked.
func (v *View) layer2(ask *asker, address netip.Addr) (d Layer2, concerned bool) {
	svc, p := ask.in.Service, v.poolOf(address)
	if p == nil {
		return Layer2{Address: address, Interfaces: []string{}}.because(inNoPool(address)), true
	}
	all := matching(p.l2, svc)
	d = Layer2{Address: address, Pool: p.name, Interfaces: interfacesOf(all)}
	if len(all) == 0 {
		bgp := &p.bgp[familyIndex(address)]
		if leaves(len(p.l2), 0, len(bgp.all)+len(bgp.refused), len(matching(bgp.all, svc))) {
			return d, false
		}
		return d.because(v.unselected(p, address, svc)), true
	}
	places := v.placesOf(all)
	if len(places) == 0 {
		return d.because(ReasonNotAdvertised, v.noPlace(p, all)), true
	}
	q := ask.about(address)
	if len(q.endpoints) == 0 {
		return d.because(q.unreachable()), true
	}
	d.Candidates = v.order(q, places)
	if len(d.Candidates) == 0 {
		return d.because(v.noEligibleNode(q, source{kindL2, bases(all), p.name}, nodesOf(places))), true
	}
	return d, true
}

func (d Layer2) because(reason, message string) Layer2 {
	d.Reason, d.Message = reason, message
	return d
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
