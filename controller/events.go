package controller

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/berth-lb/berth/providers"
)

// Reasons of events, as users and tools of MetalLB look for them.
const (
	eventAllocated = "IPAllocated"
	eventFailed    = "AllocationFailed"
	eventCleared   = "ClearAssignment"
)

// notice is an event for a user.
type notice struct {
	kind, reason, message string
}

// tell sends what the write of next changed for the user of svc.
func (r *Reconciler) tell(svc *corev1.Service, next record) {
	for _, e := range eventsFor(svc, next) {
		r.events.Event(svc, e.kind, e.reason, shorten(e.message))
	}
}

// eventsFor says what is worth an event when next follows svc: an address that
// comes or goes, and a refusal that is new or has another reason.
func eventsFor(svc *corev1.Service, next record) []notice {
	var events []notice
	old, now := svc.Status.LoadBalancer.Ingress, next.status.LoadBalancer.Ingress
	if changed := !equality.Semantic.DeepEqual(old, now); changed && len(old) > 0 {
		events = append(events, notice{corev1.EventTypeNormal, eventCleared, fmt.Sprintf("No longer %s", addresses(old))})
		if len(now) > 0 {
			events[0].message += fmt.Sprintf(", now %s", addresses(now))
		}
	} else if changed {
		events = append(events, notice{corev1.EventTypeNormal, eventAllocated, fmt.Sprintf("Assigned %s", addresses(now))})
	}
	was := meta.FindStatusCondition(svc.Status.Conditions, providers.ConditionProvisioned)
	is := meta.FindStatusCondition(next.status.Conditions, providers.ConditionProvisioned)
	if is == nil || is.Status == "True" || is.Reason == providers.ReasonProvisioning || is.Reason == providers.ReasonReleasing {
		return events
	}
	if was == nil || was.Reason != is.Reason || was.Message != is.Message {
		events = append(events, notice{corev1.EventTypeWarning, eventFailed, is.Reason + ": " + is.Message})
	}
	return events
}

// addresses lists IPs and host names the way that kubectl does.
func addresses(ingress []corev1.LoadBalancerIngress) string {
	var all []string
	for _, in := range ingress {
		if in.IP != "" {
			all = append(all, in.IP)
		} else if in.Hostname != "" {
			all = append(all, in.Hostname)
		}
	}
	return strings.Join(all, ", ")
}
