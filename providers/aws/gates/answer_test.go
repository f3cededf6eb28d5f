package gates

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// theGroup is the gate of a target group that the pod's Services have, another
// that of one which they don't.
const (
	theGroup = Prefix + "k8s-default-web-0123456789"
	another  = Prefix + "k8s-default-ingress-0123456789"
	strange  = "example.com/warm"
)

// podOf has a pod with the gates among the words, each with what its condition
// says: "GATE", "GATE=STATUS" or "GATE=STATUS/REASON", where containers is no gate.
func podOf(words ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1", UID: "1"}}
	for _, word := range words {
		kind, state, said := strings.Cut(word, "=")
		status, reason, _ := strings.Cut(state, "/")
		if kind == "containers" {
			kind = string(corev1.ContainersReady)
		} else {
			p.Spec.ReadinessGates = append(p.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(kind)})
		}
		if said {
			p.Status.Conditions = append(p.Status.Conditions,
				corev1.PodCondition{Type: corev1.PodConditionType(kind), Status: corev1.ConditionStatus(status), Reason: reason})
		}
	}
	return p
}

func TestWaits(t *testing.T) {
	leaving := podOf(Own, "containers=True")
	leaving.DeletionTimestamp = &metav1.Time{}
	for why, c := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"for its gate alone":                         {podOf(Own, "containers=True"), true},
		"for any gate with the prefix":               {podOf(another, "containers=True"), true},
		"until the EndpointSlice shows it ready":     {podOf(Own+"=True", "containers=True"), true},
		"with another's gate open":                   {podOf(Own, strange+"=True", "containers=True"), true},
		"not while another's gate is shut":           {podOf(Own, strange+"=False", "containers=True"), false},
		"not while another's gate says nothing":      {podOf(Own, strange, "containers=True"), false},
		"not while containers are not ready":         {podOf(Own, "containers=False"), false},
		"not before the kubelet says anything":       {podOf(Own), false},
		"not without a gate that is answered here":   {podOf(strange+"=True", "containers=True"), false},
		"not on its way out: it is no target either": {leaving, false},
	} {
		if got := Waits(c.pod); got != c.want {
			t.Errorf("%s: got %v", why, got)
		}
	}
}

func TestAnswers(t *testing.T) {
	const ready = "containers=True"
	groups := []string{strings.TrimPrefix(theGroup, Prefix)}
	healthy, checked, left := verdict{targetGroups: groups}, verdict{targetGroups: groups, trouble: "checked"}, verdict{orphaned: true}
	for _, c := range []struct {
		why  string
		pod  *corev1.Pod
		says verdict
		want string
	}{
		{"healthy", podOf(Own, ready), healthy, Own + "=True/TargetHealthy"},
		{"being checked", podOf(Own, ready), checked, Own + "=False/TargetNotHealthy"},
		{"open gates stay open", podOf(Own+"=True", ready), checked, ""},
		{"containers are not ready: the target is on its way out", podOf(Own), healthy, ""},
		{"LBC put it in and shut it, before it was replaced", podOf(theGroup+"=False/Elb.InitialHealthChecking", ready), healthy, theGroup + "=True/TargetHealthy"},
		{"the same, not healthy yet", podOf(theGroup+"=False/Elb.InitialHealthChecking", ready), checked, theGroup + "=False/TargetNotHealthy"},
		{"a group that is not ours, and nobody answers", podOf(another, ready), healthy, another + "=True/TargetHealthy"},
		{"the same, not healthy yet: who does may still come", podOf(another, ready), checked, ""},
		{"LBC, which stays for Ingresses, answers", podOf(another+"=False/Elb.InitialHealthChecking", ready), healthy, ""},
		{"two gates", podOf(Own, theGroup, ready), healthy, Own + "=True/TargetHealthy " + theGroup + "=True/TargetHealthy"},
		{"no Service has the pod", podOf(Own, ready), left, Own + "=True/NoTarget"},
		{"no Service has it any more, and it was told to wait", podOf(theGroup+"=False/TargetNotHealthy", ready), left, theGroup + "=True/NoTarget"},
		{"no Service has it, and the gate is another's", podOf(another+"=False/Elb.InitialHealthChecking", ready), left, ""},
	} {
		var got []string
		for _, a := range answers(c.pod, c.says) {
			got = append(got, fmt.Sprintf("%s=%s/%s", a.Type, a.Status, a.Reason))
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", c.why, got, c.want)
		}
	}
}
