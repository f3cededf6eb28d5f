package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

// PortErrorProtocol is the error of a port whose protocol the cloud can't
// serve.
const PortErrorProtocol = "berth-lb.dev/ProtocolNotSupported"

// Provider makes load balancers in a Cloud. It remembers nothing: what exists
// is asked of the cloud, at one call that changes nothing per Ensure.
type Provider struct{ cloud *Cloud }

var _ providers.Provider = (*Provider)(nil)

// New returns a provider over cloud, which wakes through wake from now on.
func New(cloud *Cloud, wake providers.Wake) *Provider {
	cloud.attach(wake)
	return &Provider{cloud: cloud}
}

// Needs asks for nodes: they are what the load balancers send to.
func (p *Provider) Needs() providers.Needs { return providers.Needs{Nodes: true} }

// Ensure creates the load balancer, or brings its ports, nodes and families up
// to date.
func (p *Provider) Ensure(ctx context.Context, req providers.Request) (providers.Result, error) {
	key, svc := req.Key(), req.Service
	lb, err := p.cloud.describe(ctx, key)
	exists := err == nil
	if err != nil && !errors.Is(err, errNotFound) {
		return shown(svc), p.explain("describe", key, err)
	}

	want := p.spec(req)
	switch {
	case len(want.ports) == 0:
		err := &providers.Refusal{
			Reason:  providers.ReasonInvalidRequest,
			Message: fmt.Sprintf("none of the ports has a protocol that this cloud serves; it does not serve %v", p.cloud.options.Unsupported),
		}
		return p.result(svc, lb), err
	case !exists:
		lb, err = p.cloud.create(ctx, key, want)
		if err != nil {
			return providers.Result{}, p.explain("create", key, err)
		}
	case lb.state != Deleting && !lb.equal(want):
		lb, err = p.cloud.update(ctx, key, want)
		if err != nil {
			return shown(svc), p.explain("update", key, err)
		}
	}
	if lb.state != Active {
		return providers.Result{}, &providers.Refusal{
			Reason:  providers.ReasonProvisioning,
			Message: fmt.Sprintf("the load balancer is %s: nothing to do but wait", lb.state),
		}
	}
	return p.result(svc, lb), nil
}

// Release deletes the load balancer.
func (p *Provider) Release(ctx context.Context, key providers.Key) error {
	gone, err := p.cloud.delete(ctx, key)
	if err != nil {
		return p.explain("delete", key, err)
	}
	if !gone {
		return fmt.Errorf("delete the load balancer of %s: %w", key, providers.ErrPending)
	}
	return nil
}

// Owned lists the load balancers of the cloud, those on their way out included.
func (p *Provider) Owned(ctx context.Context) ([]providers.Key, error) {
	keys, err := p.cloud.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list load balancers: %w", err)
	}
	return keys, nil
}

func (p *Provider) spec(req providers.Request) spec {
	s := spec{families: slices.Clone(req.Service.Spec.IPFamilies)}
	if len(s.families) == 0 {
		s.families = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	for _, port := range req.Service.Spec.Ports {
		if p.supports(port) {
			s.ports = append(s.ports, Port{Protocol: port.Protocol, Port: port.Port, NodePort: port.NodePort})
		}
	}
	for _, n := range req.Nodes {
		s.nodes = append(s.nodes, n.Name)
	}
	return s
}

func (p *Provider) supports(port corev1.ServicePort) bool {
	return !slices.Contains(p.cloud.options.Unsupported, port.Protocol)
}

// result returns what lb gives svc; nothing where lb is not active.
func (p *Provider) result(svc *corev1.Service, lb balancer) providers.Result {
	if lb.state != Active {
		return providers.Result{}
	}
	var result providers.Result
	for _, address := range p.cloud.addresses(lb.number, lb.families) {
		ingress := corev1.LoadBalancerIngress{Ports: p.ports(svc)}
		if p.cloud.options.Hostnames {
			ingress.Hostname = address
		} else {
			mode := p.cloud.options.IPMode
			ingress.IP, ingress.IPMode = address, &mode
		}
		result.Ingress = append(result.Ingress, ingress)
	}
	return result
}

// shown is what the status of svc says: where the cloud doesn't answer, that is
// what it most likely holds.
func shown(svc *corev1.Service) providers.Result {
	return providers.Result{Ingress: svc.Status.LoadBalancer.DeepCopy().Ingress}
}

// ports lists all ports of svc where one of them can't be served (KEP-1435),
// else none.
func (p *Provider) ports(svc *corev1.Service) []corev1.PortStatus {
	var statuses []corev1.PortStatus
	failed := false
	for _, port := range svc.Spec.Ports {
		status := corev1.PortStatus{Port: port.Port, Protocol: port.Protocol}
		if !p.supports(port) {
			problem := PortErrorProtocol
			status.Error, failed = &problem, true
		}
		statuses = append(statuses, status)
	}
	if !failed {
		return nil
	}
	return statuses
}

// explain turns an error of the cloud into a Refusal where waiting or asking
// for less is what helps.
func (p *Provider) explain(what string, key providers.Key, err error) error {
	if errors.Is(err, errQuotaExceeded) {
		return &providers.Refusal{
			Reason:  providers.ReasonQuotaExceeded,
			Message: "the quota of load balancers is used up: have it raised, or delete a Service of type LoadBalancer",
		}
	}
	if throttled, ok := errors.AsType[Throttled](err); ok {
		return &providers.Refusal{
			Reason:     providers.ReasonThrottled,
			Message:    "the cloud answers that there are too many calls: it is asked again on its own",
			RetryAfter: max(throttled.RetryAfter, time.Millisecond),
		}
	}
	return fmt.Errorf("%s the load balancer of %s: %w", what, key, err)
}
