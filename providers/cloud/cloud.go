// Package cloud makes any k8s.io/cloud-provider load balancer a backend.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudprovider "k8s.io/cloud-provider"
	cloudapi "k8s.io/cloud-provider/api"

	"github.com/berth-lb/berth/providers"
)

// Provider drives a cloudprovider.LoadBalancer, which is not called before Balancer
// returns it.
//
// Such a cloud can't be asked cheaply whether anything has to be done, so that
// a process remembers per Service what it asked for last and calls the cloud
// only for a difference; once after a restart, everything is asked for again.
type Provider struct {
	balancer    Balancer
	clusterName string
	services    func(providers.Key) (*corev1.Service, bool)

	mu   sync.Mutex
	done map[providers.Key]record
}

var _ providers.Provider = (*Provider)(nil)

// Balancer returns the LoadBalancer of a cloud, once that can be used: clouds make
// it of what they are given when they are initialized.
type Balancer func(context.Context) (cloudprovider.LoadBalancer, error)

// New returns a provider over a cloud. clusterName is what the cloud tells clusters
// apart by. services looks up a Service that is to be released: a cloud wants
// to see its annotations again.
func New(balancer Balancer, clusterName string, services func(providers.Key) (*corev1.Service, bool)) *Provider {
	return &Provider{balancer: balancer, clusterName: clusterName, services: services, done: map[providers.Key]record{}}
}

// record is what the cloud was last asked for with success, and what it gave.
type record struct {
	asked   asked
	nodes   []target
	ingress []corev1.LoadBalancerIngress
}

// asked is what a cloud reads from a Service. Labels are not in it, as the
// upstream service controller does not call for them either.
type asked struct {
	spec        corev1.ServiceSpec
	annotations map[string]string
}

// target is what a cloud reads from a Node.
type target struct {
	name, providerID string
	addresses        []corev1.NodeAddress
}

// Needs asks for nodes: a cloud sends traffic to them.
func (p *Provider) Needs() providers.Needs { return providers.Needs{Nodes: true} }

// Ensure calls UpdateLoadBalancer where only nodes differ from what was asked
// for last, EnsureLoadBalancer where anything else does or is not known, and
// nothing where all is as it was.
func (p *Provider) Ensure(ctx context.Context, req providers.Request) (providers.Result, error) {
	key := req.Key()
	last, known := p.recall(key)
	now := record{asked: askedBy(req.Service), nodes: targets(req.Nodes), ingress: last.ingress}
	sameService := known && reflect.DeepEqual(last.asked, now.asked)
	if sameService && reflect.DeepEqual(last.nodes, now.nodes) {
		return result(last.ingress), nil
	}

	// What a call leaves that fails is not known.
	p.forget(key)
	var err error
	if sameService {
		err = p.update(ctx, req)
	} else {
		now.ingress, err = p.ensure(ctx, req)
	}
	if err != nil {
		return result(req.Service.Status.LoadBalancer.Ingress), explain(key, err)
	}
	if len(now.ingress) == 0 {
		return providers.Result{}, &providers.Refusal{
			Reason:     providers.ReasonProvisioning,
			Message:    "the cloud has not given the load balancer an address yet: it is asked again on its own",
			RetryAfter: addressDelay,
		}
	}
	p.remember(key, now)
	return result(now.ingress), nil
}

// update and ensure give the cloud a copy of the Service: clouds are told to
// treat it as read-only, and not all of them do.
func (p *Provider) update(ctx context.Context, req providers.Request) error {
	lb, err := p.balancer(ctx)
	if err != nil {
		return err
	}
	return lb.UpdateLoadBalancer(ctx, p.clusterName, req.Service.DeepCopy(), slices.Clone(req.Nodes))
}

func (p *Provider) ensure(ctx context.Context, req providers.Request) ([]corev1.LoadBalancerIngress, error) {
	lb, err := p.balancer(ctx)
	if err != nil {
		return nil, err
	}
	status, err := lb.EnsureLoadBalancer(ctx, p.clusterName, req.Service.DeepCopy(), slices.Clone(req.Nodes))
	if status == nil {
		return nil, err
	}
	return status.DeepCopy().Ingress, err
}

// Release calls EnsureLoadBalancerDeleted, also for what this process knows
// nothing of.
func (p *Provider) Release(ctx context.Context, key providers.Key) error {
	p.forget(key)
	lb, err := p.balancer(ctx)
	if err != nil {
		return fmt.Errorf("delete the load balancer of %s: %w", key, err)
	}
	err = lb.EnsureLoadBalancerDeleted(ctx, p.clusterName, p.service(key))
	if err == nil || errors.Is(err, cloudprovider.ImplementedElsewhere) {
		return nil
	}
	if _, retry := errors.AsType[*cloudapi.RetryError](err); retry {
		return fmt.Errorf("delete the load balancer of %s: %w: %w", key, providers.ErrPending, err)
	}
	return fmt.Errorf("delete the load balancer of %s: %w", key, err)
}

// Owned is not supported: a cloudprovider.LoadBalancer can't list.
func (p *Provider) Owned(context.Context) ([]providers.Key, error) {
	return nil, fmt.Errorf("list the load balancers of a cloud-provider: %w", errors.ErrUnsupported)
}

// service returns a copy of the Service of key or, where it is gone, one that
// has the name and UID that most clouds find a load balancer by.
func (p *Provider) service(key providers.Key) *corev1.Service {
	if svc, ok := p.services(key); ok {
		return svc.DeepCopy()
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: key.UID},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
}

func (p *Provider) recall(key providers.Key) (record, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.done[key]
	return r, ok
}

func (p *Provider) remember(key providers.Key, r record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[key] = r
}

func (p *Provider) forget(key providers.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.done, key)
}

// askedBy leaves out what no cloud depends on: which pods are selected, and
// annotations that are written by Berth or by kubectl for itself.
func askedBy(svc *corev1.Service) asked {
	a := asked{spec: svc.Spec, annotations: map[string]string{}}
	a.spec.Selector = nil
	for name, value := range svc.Annotations {
		if !strings.HasPrefix(name, "berth-lb.dev/") && name != corev1.LastAppliedConfigAnnotation {
			a.annotations[name] = value
		}
	}
	return a
}

func targets(nodes []*corev1.Node) []target {
	var out []target
	for _, n := range nodes {
		out = append(out, target{name: n.Name, providerID: n.Spec.ProviderID, addresses: n.Status.Addresses})
	}
	return out
}

// result returns a copy: the caller may do with it what it likes.
func result(ingress []corev1.LoadBalancerIngress) providers.Result {
	status := corev1.LoadBalancerStatus{Ingress: ingress}
	return providers.Result{Ingress: status.DeepCopy().Ingress}
}

// addressDelay is how long to wait for an address before asking again,
// minRetry the least that a cloud may ask to wait.
const (
	addressDelay = 5 * time.Second
	minRetry     = time.Second
)

// explain turns what clouds say by an error of their own kind into a Refusal.
func explain(key providers.Key, err error) error {
	if errors.Is(err, cloudprovider.ImplementedElsewhere) {
		return &providers.Refusal{
			Reason:  providers.ReasonInvalidRequest,
			Message: "the cloud leaves this Service to another controller: set spec.loadBalancerClass to the class of that one, or remove what makes the cloud leave it",
		}
	}
	if retry, ok := errors.AsType[*cloudapi.RetryError](err); ok {
		return &providers.Refusal{
			Reason:     providers.ReasonProvisioning,
			Message:    "the cloud is not done yet: " + retry.Error(),
			RetryAfter: max(retry.RetryAfter(), minRetry),
		}
	}
	return fmt.Errorf("ensure the load balancer of %s: %w", key, err)
}
