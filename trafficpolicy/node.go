package trafficpolicy

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// MayReceive says what keeps load balancers from sending traffic to node, if
// anything: the exclusion label alone, whatever its value.
//
// Neither Ready nor a taint nor a deletion that has begun counts. The health
// check takes such nodes out, and lets their connections drain; a rebuilt node
// set would cut them (KEP-3458, KEP-3836).
func MayReceive(node *corev1.Node) Obstacle {
	if _, excluded := node.Labels[corev1.LabelNodeExcludeBalancers]; excluded {
		return NodeExcluded
	}
	return NoObstacle
}

// MayAnnounce says what keeps addresses from being announced from node, if
// anything. It is stricter than MayReceive: where the node's network is not
// set up, what it would draw towards itself would be lost there.
func MayAnnounce(node *corev1.Node) Obstacle {
	if o := MayReceive(node); o != NoObstacle {
		return o
	}
	if networkUnavailable(node) {
		return NetworkUnavailable
	}
	return NoObstacle
}

// EligibleNodes returns the nodes that load balancers may send traffic to,
// sorted by name.
func EligibleNodes(nodes []*corev1.Node) []*corev1.Node {
	var eligible []*corev1.Node
	for _, n := range nodes {
		if MayReceive(n) == NoObstacle {
			eligible = append(eligible, n)
		}
	}
	slices.SortFunc(eligible, func(a, b *corev1.Node) int { return strings.Compare(a.Name, b.Name) })
	return eligible
}

// NodeChanged says whether the update from before to after can matter to a
// load balancer. Heartbeats, Ready flaps, taints, capacity and images do not.
//
// All labels do: target node labels and node selectors of advertisements are
// the user's to choose, so that any label may decide whether the node is a
// target, and labels change rarely.
func NodeChanged(before, after *corev1.Node) bool {
	return before.Spec.ProviderID != after.Spec.ProviderID ||
		networkUnavailable(before) != networkUnavailable(after) ||
		!slices.Equal(before.Status.Addresses, after.Status.Addresses) ||
		!maps.Equal(before.Labels, after.Labels)
}

func networkUnavailable(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeNetworkUnavailable {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
