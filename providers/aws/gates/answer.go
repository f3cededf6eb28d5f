package gates

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Reasons of the conditions. They tell what was answered here from what the AWS
// Load Balancer Controller answered.
const (
	reasonHealthy    = "TargetHealthy"
	reasonNotHealthy = "TargetNotHealthy"
	reasonNoTarget   = "NoTarget"
)

// gatesOf returns those gates of a pod that are answered here.
func gatesOf(p *corev1.Pod) []corev1.PodConditionType {
	var types []corev1.PodConditionType
	for _, gate := range p.Spec.ReadinessGates {
		if strings.HasPrefix(string(gate.ConditionType), Prefix) {
			types = append(types, gate.ConditionType)
		}
	}
	return types
}

// Waits says whether a pod is ready but for gates that are answered here, open or
// not: it has to be a target, since that is what opens them.
func Waits(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil || len(gatesOf(p)) == 0 || !isTrue(p, corev1.ContainersReady) {
		return false
	}
	return !slices.ContainsFunc(p.Spec.ReadinessGates, func(gate corev1.PodReadinessGate) bool {
		return !strings.HasPrefix(string(gate.ConditionType), Prefix) && !isTrue(p, gate.ConditionType)
	})
}

func isTrue(p *corev1.Pod, t corev1.PodConditionType) bool {
	c := conditionOf(p, t)
	return c != nil && c.Status == corev1.ConditionTrue
}

func conditionOf(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == t })
	if i < 0 {
		return nil
	}
	return &p.Status.Conditions[i]
}

// answers returns the conditions to write to a pod.
//
// A gate that is open stays open: it is about whether the next pod may be
// replaced, and where all targets are unhealthy, by a mistake in a security group
// say, pods must not become unready to everybody else as well. One of somebody
// else's target group, an Ingress's say, is opened if nobody else answers it.
func answers(p *corev1.Pod, v verdict) []corev1.PodCondition {
	if !Waits(p) {
		return nil
	}
	var out []corev1.PodCondition
	for _, t := range gatesOf(p) {
		has := conditionOf(p, t)
		ours := t == Own || slices.Contains(v.targetGroups, strings.TrimPrefix(string(t), Prefix)) || has != nil && isOurs(has.Reason)
		c := corev1.PodCondition{Type: t, Status: corev1.ConditionTrue}
		switch {
		case has != nil && has.Status == corev1.ConditionTrue, !ours && (has != nil || v.trouble != "" || v.orphaned):
			continue
		case v.orphaned:
			c.Reason, c.Message = reasonNoTarget, "the pod is a target of no load balancer"
		case v.trouble == "":
			c.Reason, c.Message = reasonHealthy, "the pod is a healthy target wherever it is one"
		default:
			c.Status, c.Reason, c.Message = corev1.ConditionFalse, reasonNotHealthy, v.trouble
		}
		if has == nil || has.Status != c.Status || has.Reason != c.Reason || has.Message != c.Message {
			out = append(out, c)
		}
	}
	return out
}

func isOurs(reason string) bool {
	return reason == reasonHealthy || reason == reasonNotHealthy || reason == reasonNoTarget
}
