package trafficpolicy

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func node(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, c := range change {
		c(n)
	}
	return n
}

func label(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		if n.Labels == nil {
			n.Labels = map[string]string{}
		}
		n.Labels[key] = value
	}
}

func condition(t corev1.NodeConditionType, s corev1.ConditionStatus) func(*corev1.Node) {
	return func(n *corev1.Node) {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: t, Status: s})
	}
}

func taint(key string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key}) }
}

func deleting(n *corev1.Node) { n.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }

func TestNode(t *testing.T) {
	for _, tc := range []struct {
		reason   string
		node     *corev1.Node
		receive  Obstacle
		announce Obstacle
	}{
		{"a plain node serves", node("a"), NoObstacle, NoObstacle},
		{"the label excludes", node("a", label(corev1.LabelNodeExcludeBalancers, "")), NodeExcluded, NodeExcluded},
		{"whatever its value", node("a", label(corev1.LabelNodeExcludeBalancers, "false")), NodeExcluded, NodeExcluded},
		{"a Ready flap does not rebuild node sets (KEP-3458)", node("a", condition(corev1.NodeReady, corev1.ConditionFalse)), NoObstacle, NoObstacle},
		{"the autoscaler's taint drains by health check (KEP-3836)", node("a", taint("ToBeDeletedByClusterAutoscaler")), NoObstacle, NoObstacle},
		{"so does a deletion", node("a", deleting), NoObstacle, NoObstacle},
		{"no network: nothing to announce from", node("a", condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue)), NoObstacle, NetworkUnavailable},
		{"network known to be set up", node("a", condition(corev1.NodeNetworkUnavailable, corev1.ConditionFalse)), NoObstacle, NoObstacle},
		{"an unknown network is no explicit answer", node("a", condition(corev1.NodeNetworkUnavailable, corev1.ConditionUnknown)), NoObstacle, NoObstacle},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			if got := MayReceive(tc.node); got != tc.receive {
				t.Errorf("MayReceive: %q, want %q", got, tc.receive)
			}
			if got := MayAnnounce(tc.node); got != tc.announce {
				t.Errorf("MayAnnounce: %q, want %q", got, tc.announce)
			}
		})
	}
}

func TestEligibleNodes(t *testing.T) {
	c, out, a := node("c"), node("b", label(corev1.LabelNodeExcludeBalancers, "true")), node("a")
	given := []*corev1.Node{c, out, a}
	if got := EligibleNodes(given); !slices.Equal(got, []*corev1.Node{a, c}) {
		t.Errorf("got %v", got)
	}
	if !slices.Equal(given, []*corev1.Node{c, out, a}) {
		t.Error("the list that was given has changed")
	}
}

func TestNodeChanged(t *testing.T) {
	before := node("a", label("zone", "1"), condition(corev1.NodeReady, corev1.ConditionTrue))
	for _, tc := range []struct {
		reason string
		change func(*corev1.Node)
		want   bool
	}{
		{"nothing", func(*corev1.Node) {}, false},
		{"a heartbeat wakes nobody", func(n *corev1.Node) { n.Status.Conditions[0].LastHeartbeatTime = metav1.Unix(9, 0) }, false},
		{"nor does a Ready flap", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse }, false},
		{"nor the autoscaler's taint", taint("ToBeDeletedByClusterAutoscaler"), false},
		{"nor cordoning", func(n *corev1.Node) { n.Spec.Unschedulable = true }, false},
		{"nor the start of a deletion", deleting, false},
		{"nor annotations", func(n *corev1.Node) { n.Annotations = map[string]string{"x": "y"} }, false},
		{"the node becomes excluded", label(corev1.LabelNodeExcludeBalancers, ""), true},
		{"a label that someone may select by", label("zone", "2"), true},
		{"the cloud names the instance", func(n *corev1.Node) { n.Spec.ProviderID = "aws:///i-1" }, true},
		{"the node gets an address", func(n *corev1.Node) {
			n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.1"}}
		}, true},
		{"its network goes away", condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue), true},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			after := before.DeepCopy()
			tc.change(after)
			if got := NodeChanged(before, after); got != tc.want {
				t.Errorf("got %v", got)
			}
			if got := NodeChanged(after, before); got != tc.want {
				t.Errorf("the way back: got %v", got)
			}
		})
	}
}
