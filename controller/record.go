package controller

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servicehelper "k8s.io/cloud-provider/service/helpers"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/trafficpolicy"
)

// finalizer is the one of KEP-980, which all controllers of load balancers
// share.
const finalizer = servicehelper.LoadBalancerCleanupFinalizer

// Reasons that are not a refusal's.
const (
	reasonProvisioned    = "Provisioned"
	reasonReachable      = "EndpointsReady"
	reasonNotProvisioned = "NotProvisioned"
)

// record is the part of a Service that the controller writes. Records are
// values: the functions that make one never change the Service.
type record struct {
	finalizers  []string
	annotations map[string]string
	status      corev1.ServiceStatus
}

// outcome is what a backend answered.
type outcome struct {
	providers.Result
	err error
}

// answered says whether the backend said what there is; it may not have been
// able to.
func (o outcome) answered() bool {
	var refusal *providers.Refusal
	return o.err == nil || errors.As(o.err, &refusal)
}

// shown is what the status of svc will show.
func (o outcome) shown(svc *corev1.Service) []corev1.LoadBalancerIngress {
	if o.answered() {
		return o.Ingress
	}
	return svc.Status.LoadBalancer.Ingress
}

// recordOf copies from svc what the controller writes.
func recordOf(svc *corev1.Service) record {
	return record{
		finalizers:  slices.Clone(svc.Finalizers),
		annotations: maps.Clone(svc.Annotations),
		status:      *svc.Status.DeepCopy(),
	}
}

func (r record) equal(other record) bool {
	return slices.Equal(r.finalizers, other.finalizers) &&
		maps.Equal(r.annotations, other.annotations) &&
		equality.Semantic.DeepEqual(r.status, other.status)
}

// marked is svc with the finalizer and the choice of backend on it.
func marked(svc *corev1.Service, b *Backend) record {
	next := recordOf(svc)
	if !slices.Contains(next.finalizers, finalizer) {
		next.finalizers = append(next.finalizers, finalizer)
	}
	next.annotate(providers.AnnotationBackend, b.record)
	return next
}

// unmarked is svc as it was before b served it.
func unmarked(svc *corev1.Service, b *Backend) record {
	next := recordOf(svc)
	next.finalizers = slices.DeleteFunc(next.finalizers, func(f string) bool { return f == finalizer || b.replaces(f) })
	delete(next.annotations, providers.AnnotationBackend)
	for _, key := range b.needs.Annotations {
		delete(next.annotations, key)
	}
	next.status.LoadBalancer = corev1.LoadBalancerStatus{}
	for _, t := range []string{providers.ConditionProvisioned, providers.ConditionServing, corev1.LoadBalancerPortsError} {
		meta.RemoveStatusCondition(&next.status.Conditions, t)
	}
	return next
}

// refused is svc with the reason why nothing can be done for it.
func refused(svc *corev1.Service, refusal *providers.Refusal) record {
	next := recordOf(svc)
	next.setConditions([]metav1.Condition{provisioned(refusal)})
	return next
}

// retained is svc with what keeps b from releasing it. What b noted of it does not
// hold any more: a part may be gone.
func retained(svc *corev1.Service, b *Backend, failure error) record {
	c := provisioned(failure)
	if errors.Is(failure, providers.ErrPending) {
		c.Reason = providers.ReasonReleasing
	}
	next := recordOf(svc)
	for _, key := range b.needs.Annotations {
		delete(next.annotations, key)
	}
	next.setConditions([]metav1.Condition{c})
	return next
}

// served is svc after its backend answered, given what the endpoints and the
// speakers say.
func served(svc *corev1.Service, b *Backend, o outcome, endpoints metav1.Condition, w word) record {
	next := marked(svc, b)
	if o.answered() {
		next.status.LoadBalancer.Ingress = o.Ingress
		for _, key := range b.needs.Annotations {
			next.annotate(key, o.Annotations[key])
		}
		next.setPortsError(o.Ingress)
	}
	serving := notProvisioned()
	if shown := next.status.LoadBalancer.Ingress; len(shown) > 0 {
		serving = w.serving(endpoints, shown)
	}
	next.setConditions(append([]metav1.Condition{provisioned(o.err), serving}, o.Conditions...))
	return next
}

// keepServing leaves the condition Serving as svc shows it, where it is about an
// address.
func (r *record) keepServing(svc *corev1.Service) {
	if len(r.status.LoadBalancer.Ingress) == 0 {
		return
	}
	meta.RemoveStatusCondition(&r.status.Conditions, providers.ConditionServing)
	if was := meta.FindStatusCondition(svc.Status.Conditions, providers.ConditionServing); was != nil && was.Reason != reasonNotProvisioned {
		r.status.Conditions = append(r.status.Conditions, *was)
	}
}

// setConditions sets one condition of each type, the last that is given, so
// that a transition which is not one leaves no trace.
func (r *record) setConditions(conditions []metav1.Condition) {
	for i, c := range conditions {
		later := func(o metav1.Condition) bool { return o.Type == c.Type }
		if !slices.ContainsFunc(conditions[i+1:], later) {
			c.Message = shorten(c.Message)
			meta.SetStatusCondition(&r.status.Conditions, c)
		}
	}
}

// maxMessage bounds the messages of conditions and events, in bytes: they repeat
// what users wrote, and the API server refuses events above 1 KiB.
const maxMessage = 1000

// shorten cuts a message that is too long.
func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "..."
}

// annotate sets an annotation; empty removes it.
func (r *record) annotate(key, value string) {
	if value == "" {
		delete(r.annotations, key)
		return
	}
	if r.annotations == nil {
		r.annotations = map[string]string{}
	}
	r.annotations[key] = value
}

// setPortsError keeps the condition of KEP-1435 in step with the errors of
// single ports.
func (r *record) setPortsError(ingress []corev1.LoadBalancerIngress) {
	failed := map[string]bool{}
	for _, in := range ingress {
		for _, port := range in.Ports {
			if port.Error != nil {
				failed[fmt.Sprintf("%d/%s: %s", port.Port, port.Protocol, *port.Error)] = true
			}
		}
	}
	if len(failed) == 0 {
		meta.RemoveStatusCondition(&r.status.Conditions, corev1.LoadBalancerPortsError)
		return
	}
	meta.SetStatusCondition(&r.status.Conditions, metav1.Condition{
		Type:    corev1.LoadBalancerPortsError,
		Status:  metav1.ConditionTrue,
		Reason:  corev1.LoadBalancerPortsErrorReason,
		Message: "not served: " + strings.Join(slices.Sorted(maps.Keys(failed)), ", "),
	})
}

// provisioned is the condition of that name for what a backend answered.
func provisioned(err error) metav1.Condition {
	c := metav1.Condition{Type: providers.ConditionProvisioned, Status: metav1.ConditionFalse}
	var refusal *providers.Refusal
	switch {
	case err == nil:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, reasonProvisioned, "the load balancer exists"
	case errors.As(err, &refusal):
		c.Reason, c.Message = refusal.Reason, refusal.Message
	default:
		c.Reason, c.Message = providers.ReasonBackendError, err.Error()
	}
	return c
}

// serving is the condition of that name, as far as the EndpointSlices tell.
func serving(svc *corev1.Service, eps []*discoveryv1.EndpointSlice) metav1.Condition {
	ok, reason, message := trafficpolicy.Reachable(svc, eps)
	if ok {
		return metav1.Condition{Type: providers.ConditionServing, Status: metav1.ConditionTrue,
			Reason: reasonReachable, Message: "an endpoint can take traffic"}
	}
	return metav1.Condition{Type: providers.ConditionServing, Status: metav1.ConditionFalse, Reason: reason, Message: message}
}

func notProvisioned() metav1.Condition {
	return metav1.Condition{
		Type:    providers.ConditionServing,
		Status:  metav1.ConditionFalse,
		Reason:  reasonNotProvisioned,
		Message: "there is no address that traffic could arrive at: see the condition " + providers.ConditionProvisioned,
	}
}
