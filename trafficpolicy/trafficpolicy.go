// Package trafficpolicy says what a Service's external traffic policy asks of
// nodes, endpoints and health checks, so that every backend and every node
// decides alike. It is pure: values in, values out, sorted, nothing modified.
package trafficpolicy

import (
	corev1 "k8s.io/api/core/v1"
)

// Reasons of the condition berth-lb.dev/Serving when it is False that are told
// from nodes and endpoints.
const (
	ReasonNoReadyEndpoints      = "NoReadyEndpoints"
	ReasonSelectorMatchesNoPods = "SelectorMatchesNoPods"
	ReasonNoEligibleNode        = "NoEligibleNode"
)

// Obstacle is why a node does not carry a Service; the zero value is none.
type Obstacle string

const (
	NoObstacle         Obstacle = ""
	NodeExcluded       Obstacle = "NodeExcluded"
	NetworkUnavailable Obstacle = "NetworkUnavailable"
	HealthCheckFails   Obstacle = "HealthCheckFails"
	NoEndpointOnNode   Obstacle = "NoEndpointOnNode"
)

// Message tells a user what stands in the way, in words that fit after the
// node's name.
func (o Obstacle) Message() string {
	switch o {
	case NodeExcluded:
		return "has the label " + corev1.LabelNodeExcludeBalancers
	case NetworkUnavailable:
		return "has the condition NetworkUnavailable"
	case HealthCheckFails:
		return "answers the health check with a failure"
	case NoEndpointOnNode:
		return "has no serving endpoint, and externalTrafficPolicy is Local"
	}
	return ""
}

// MayCarry says what keeps node from carrying svc, if anything.
//
// endpoints are the serving ones under the policy of svc; a caller that asks
// for one address passes those of its family. health is what the node answers
// to the check of HealthCheckOf. The gate closes on an explicit answer, not on
// silence: rules stay in the kernel while kube-proxy restarts, and where it
// has been replaced nothing may listen there.
//
// A backend whose load balancers check the nodes themselves registers all the
// eligible ones instead (KEP-3458).
func MayCarry(svc *corev1.Service, node *corev1.Node, endpoints []Endpoint, health Answer) Obstacle {
	switch {
	case MayReceive(node) != NoObstacle:
		return MayReceive(node)
	case health == Unhealthy:
		return HealthCheckFails
	case isLocal(svc) && !servesOn(node.Name, endpoints):
		return NoEndpointOnNode
	}
	return NoObstacle
}

func servesOn(node string, endpoints []Endpoint) bool {
	for _, e := range endpoints {
		if e.Node == node {
			return true
		}
	}
	return false
}

func isLocal(svc *corev1.Service) bool {
	return svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}
