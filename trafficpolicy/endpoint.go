package trafficpolicy

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Endpoint is one that traffic may be sent to.
type Endpoint struct {
	Address string
	Family  corev1.IPFamily
	// Node is empty where the slice doesn't name one.
	Node string
	// Terminating is set on one that stands in because none is ready.
	Terminating bool
}

// ServingEndpoints returns the endpoints that receive traffic under policy,
// sorted by address: those that are ready or, where there is none, those that
// are serving though terminating (KEP-1669). "Where" is the whole set for
// Cluster and a node for Local, in each family by itself, since kube-proxy
// handles the families apart.
//
// All slices make one set, and an address counts once: it is in two slices
// while it moves from one to another, or while a new pod has taken over that
// of a terminating one. The better of both counts then.
//
// Left out are endpoints that kube-proxy would not send to: slices of type
// FQDN, for which no semantics are defined, and under Local endpoints that
// name no node, since they are local nowhere.
func ServingEndpoints(policy corev1.ServiceExternalTrafficPolicy, all []*discoveryv1.EndpointSlice) []Endpoint {
	type group struct {
		family corev1.IPFamily
		node   string
	}
	local := policy == corev1.ServiceExternalTrafficPolicyLocal
	groupOf := func(e Endpoint) group {
		if local {
			return group{e.Family, e.Node}
		}
		return group{family: e.Family}
	}

	usable := merge(all)
	hasReady := map[group]bool{}
	for _, e := range usable {
		if !e.Terminating {
			hasReady[groupOf(e)] = true
		}
	}
	var serving []Endpoint
	for _, e := range usable {
		if e.Terminating && hasReady[groupOf(e)] || local && e.Node == "" {
			continue
		}
		serving = append(serving, e)
	}
	return serving
}

// ServingNodes returns the names of the nodes that endpoints are on, sorted.
func ServingNodes(endpoints []Endpoint) []string {
	var names []string
	for _, e := range endpoints {
		if e.Node != "" {
			names = append(names, e.Node)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Reachable says whether traffic for svc can reach a pod, as far as its
// EndpointSlices tell, and if not, a Reason constant and a message for users.
// The message counts nothing, so that it changes only when the answer does.
func Reachable(svc *corev1.Service, all []*discoveryv1.EndpointSlice) (ok bool, reason, message string) {
	if len(ServingEndpoints(svc.Spec.ExternalTrafficPolicy, all)) > 0 {
		return true, "", ""
	}
	empty := !hasEndpoints(all)
	switch {
	case empty && len(svc.Spec.Selector) > 0:
		return false, ReasonSelectorMatchesNoPods, fmt.Sprintf(
			"no pod that has an address matches the selector %s: compare it with the labels of the pods", labels.FormatLabels(svc.Spec.Selector))
	case empty:
		return false, ReasonNoReadyEndpoints,
			"the Service has no selector, so its EndpointSlices are written by hand, and none holds an IP address: add one, or set a selector"
	case isLocal(svc) && len(merge(all)) > 0:
		return false, ReasonNoReadyEndpoints,
			"externalTrafficPolicy is Local and no serving endpoint says which node it is on: set nodeName in the EndpointSlices, or use Cluster"
	case len(svc.Spec.Selector) > 0:
		return false, ReasonNoReadyEndpoints, fmt.Sprintf(
			"pods match the selector %s and none of them is ready: look at their readiness probes and events", labels.FormatLabels(svc.Spec.Selector))
	default:
		return false, ReasonNoReadyEndpoints,
			"the Service has no selector, so its EndpointSlices are written by hand, and none of their endpoints is ready"
	}
}

// merge returns the endpoints of all slices that are ready or
// serving-terminating, one per address, sorted by address.
func merge(all []*discoveryv1.EndpointSlice) []Endpoint {
	best := map[string]Endpoint{}
	for _, s := range all {
		for i := range s.Endpoints {
			e, ok := read(s, &s.Endpoints[i])
			if !ok {
				continue
			}
			if old, dup := best[e.Address]; !dup || better(e, old) {
				best[e.Address] = e
			}
		}
	}
	merged := make([]Endpoint, 0, len(best))
	for _, e := range best {
		merged = append(merged, e)
	}
	slices.SortFunc(merged, func(a, b Endpoint) int { return strings.Compare(a.Address, b.Address) })
	return merged
}

// better orders two endpoints with one address, so that the result does not
// hang on the order of the slices.
func better(a, b Endpoint) bool {
	if a.Terminating != b.Terminating {
		return !a.Terminating
	}
	return a.Node > b.Node
}

// read takes e as kube-proxy does: only its first address has a meaning, and
// a condition that is nil is true for ready and serving, false for terminating.
func read(s *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint) (Endpoint, bool) {
	if !routable(s, e) {
		return Endpoint{}, false
	}
	ready := isTrue(e.Conditions.Ready, true)
	standIn := isTrue(e.Conditions.Serving, true) && isTrue(e.Conditions.Terminating, false)
	endpoint := Endpoint{
		Address:     e.Addresses[0],
		Family:      corev1.IPFamily(s.AddressType),
		Terminating: !ready,
	}
	if e.NodeName != nil {
		endpoint.Node = *e.NodeName
	}
	return endpoint, ready || standIn
}

func routable(s *discoveryv1.EndpointSlice, e *discoveryv1.Endpoint) bool {
	return s.AddressType != discoveryv1.AddressTypeFQDN && len(e.Addresses) > 0
}

func hasEndpoints(all []*discoveryv1.EndpointSlice) bool {
	for _, s := range all {
		for i := range s.Endpoints {
			if routable(s, &s.Endpoints[i]) {
				return true
			}
		}
	}
	return false
}

func isTrue(b *bool, unset bool) bool {
	if b == nil {
		return unset
	}
	return *b
}
