package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
	"github.com/berth-lb/berth/trafficpolicy"
)

// reasonTargetsUnhealthy is the reason of the condition Serving where pods are
// ready and load balancers don't find them so.
const reasonTargetsUnhealthy = "TargetsUnhealthy"

// longestRetry bounds the pause before a Service is tried again.
const longestRetry = 5 * time.Minute

// answer says what a Service got and what is in the way, after err.
func (p *Provider) answer(ctx context.Context, a *ask, err error) (providers.Result, error) {
	if ctx.Err() != nil {
		return providers.Result{}, ctx.Err()
	}
	r, _ := p.memory.get(a.stack)
	result := providers.Result{Ingress: ingressOf(a.Service, r), Annotations: applied(a.Service, r)}
	if err != nil {
		return result, p.refuse(a, err)
	}
	p.memory.update(a.stack, func(r *record) { r.failures = 0 })
	if err := provisioning(r); err != nil {
		return result, err
	}
	result.Conditions = append(noted(a.warnings), p.serving(a, r)...)
	return result, nil
}

// ingressOf is the name of the load balancer: of the old one while a new one does
// not take traffic. What is not known is as the status has it.
func ingressOf(svc *corev1.Service, r record) []corev1.LoadBalancerIngress {
	if r.stack == nil {
		return shown(svc).Ingress
	}
	lb := currentOf(*r.stack, r.name)
	for _, other := range r.stack.LoadBalancers {
		if !takesTraffic(lb) && other.State == "active" {
			lb = other
		}
	}
	if lb.DNSName == "" {
		return nil
	}
	return []corev1.LoadBalancerIngress{{Hostname: lb.DNSName}}
}

func shown(svc *corev1.Service) providers.Result {
	return providers.Result{Ingress: svc.Status.LoadBalancer.DeepCopy().Ingress}
}

// applied is the annotation that a later process trusts: only what is complete
// and active is in there. Where nothing was tried it stays as it is.
func applied(svc *corev1.Service, r record) map[string]string {
	hash := r.hash
	if r.stack != nil && currentOf(*r.stack, r.name).State == stateProvisioning {
		hash = ""
	}
	if r.version == 0 && r.hash == "" {
		hash = svc.Annotations[annotation.KeyApplied]
	}
	if hash == "" {
		return nil
	}
	return map[string]string{annotation.KeyApplied: hash}
}

// refuse turns an error into what the controller and the user are to know.
func (p *Provider) refuse(a *ask, err error) error {
	if errors.Is(err, errStale) {
		err = refusal(providers.ReasonBackendError, afterFailure, "AWS answers otherwise each time it is asked what there is: this is tried again on its own")
	}
	told, ok := errors.AsType[*providers.Refusal](explain("serve "+a.stack, err))
	if !ok {
		return err
	}
	return p.slower(a.stack, told)
}

// slower has the pause before the next try grow with failures in a row.
func (p *Provider) slower(stack string, told *providers.Refusal) *providers.Refusal {
	failures := 0
	p.memory.update(stack, func(r *record) { failures, r.failures = r.failures, r.failures+1 })
	out := *told
	if out.RetryAfter > 0 {
		out.RetryAfter = min(out.RetryAfter<<min(failures, 8), longestRetry)
	}
	return &out
}

// provisioning says that the load balancer does not take traffic yet.
func provisioning(r record) error {
	if r.stack == nil {
		return nil
	}
	lb := currentOf(*r.stack, r.name)
	switch {
	case lb.State == stateFailed:
		return refusal(providers.ReasonBackendError, afterMistake, "AWS could not set up load balancer %s: delete it there, and it is made again", lb.Name)
	case lb.State != stateProvisioning:
		return nil
	case len(r.stack.LoadBalancers) > 1:
		return &providers.Refusal{Reason: providers.ReasonProvisioning,
			Message: fmt.Sprintf("load balancer %s is replaced by %s, which AWS sets up: the old one goes when the new one is active", otherThan(*r.stack, lb), lb.Name)}
	}
	return &providers.Refusal{Reason: providers.ReasonProvisioning,
		Message: fmt.Sprintf("AWS sets up load balancer %s, which takes minutes: nothing to do but wait", lb.Name)}
}

func otherThan(s plan.Stack, lb plan.LoadBalancer) string {
	for _, other := range s.LoadBalancers {
		if other.ARN != lb.ARN {
			return other.Name
		}
	}
	return ""
}

// longestNote bounds what warnings add to a message, in bytes.
const longestNote = 800

// noted is the condition Provisioned with what was not looked at.
func noted(warnings []string) []metav1.Condition {
	if len(warnings) == 0 {
		return nil
	}
	message := "the load balancer exists; " + strings.Join(warnings, "; ")
	if len(message) > longestNote {
		message = strings.ToValidUTF8(message[:longestNote], "") + "..."
	}
	return []metav1.Condition{{Type: providers.ConditionProvisioned, Status: metav1.ConditionTrue, Reason: "Provisioned", Message: message}}
}

// serving is the condition of that name where pods are ready and no target is
// healthy.
func (p *Provider) serving(a *ask, r record) []metav1.Condition {
	if ready, _, _ := trafficpolicy.Reachable(a.Service, a.EndpointSlices); !ready {
		return nil
	}
	if r.stack == nil {
		return nil
	}
	trouble, _ := p.health.verdict(*r.stack)
	if trouble == "" {
		return nil
	}
	return []metav1.Condition{{Type: providers.ConditionServing, Status: metav1.ConditionFalse, Reason: reasonTargetsUnhealthy, Message: trouble}}
}
