package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// caller stands in for the controller: it calls a Provider for what changed, is
// woken or is to be tried again, and writes what comes of that. It is one life of
// a process.
type caller struct {
	*account
	provider *aws.Provider
	queue    workqueue.TypedRateLimitingInterface[providers.Key]
	// ensured counts the calls of Ensure that have returned.
	ensured atomic.Int64
	ctx     context.Context
	end     func()
	done    sync.WaitGroup
}

// call begins a life, with every Service in the queue.
func (a *account) call(ctx context.Context, workers int, set ...func(*aws.Options)) *caller {
	c := &caller{account: a, queue: workqueue.NewTypedRateLimitingQueue(
		workqueue.NewTypedItemExponentialFailureRateLimiter[providers.Key](50*time.Millisecond, 30*time.Second))}
	c.ctx, c.end = context.WithCancel(ctx)
	o := aws.Options{
		Clients: a.clients(),
		Cluster: plan.Cluster{Name: awsCluster},
		VPC:     a.site.VPC,
		Wake:    func(key providers.Key) { c.queue.Add(key) },
		Service: func(_, name string) (*corev1.Service, bool) { return a.get(name) },
		Log:     logr.Discard(),
		Poll:    awsPoll,
	}
	for _, f := range set {
		f(&o)
	}
	c.provider = aws.New(o)
	c.done.Go(func() { _ = c.provider.Run(c.ctx) })
	for range workers {
		c.done.Go(c.work)
	}
	c.touch()
	return c
}

// stop ends the life as a kill does.
func (c *caller) stop() {
	c.end()
	c.queue.ShutDown()
	c.done.Wait()
}

// touch has all Services be looked at again, as an event of a node does.
func (c *caller) touch() {
	for _, svc := range c.all() {
		c.queue.Add(providers.KeyOf(svc))
	}
}

func (c *caller) work() {
	for {
		key, ended := c.queue.Get()
		if ended {
			return
		}
		c.ensure(key)
		c.queue.Done(key)
	}
}

// ensure calls once, and says when to do so again.
func (c *caller) ensure(key providers.Key) {
	svc, ok := c.get(key.Name)
	if !ok {
		return
	}
	result, err := c.provider.Ensure(c.ctx, c.request(svc))
	c.ensured.Add(1)
	refusal, refused := errors.AsType[*providers.Refusal](err)
	switch {
	case c.ctx.Err() != nil:
		return
	case err != nil && !refused:
		c.queue.AddRateLimited(key)
		return
	case refused && refusal.RetryAfter > 0:
		c.queue.AddAfter(key, refusal.RetryAfter)
	}
	c.queue.Forget(key)
	if c.write(svc, result, refusal) {
		c.queue.Add(key) // the event of the write
	}
}

func (a *account) request(svc *corev1.Service) providers.Request {
	a.mu.Lock()
	nodes, pods := a.nodes, a.pods[svc.Name]
	a.mu.Unlock()
	slice := sliceOf(svc)
	if pods == nil {
		slice.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.0.127.200"}}}
	} else {
		slice.Endpoints = pods.endpoints()
	}
	return providers.Request{Service: svc, Nodes: nodes, EndpointSlices: []*discoveryv1.EndpointSlice{slice}}
}

// sliceOf is the EndpointSlice of a Service, without endpoints.
func sliceOf(svc *corev1.Service) *discoveryv1.EndpointSlice {
	port := &svc.Spec.Ports[0]
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name + "-1"},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &port.Name, Protocol: &port.Protocol, Port: new(int32(8080))}},
	}
}

// write puts down what a Service got, and says whether that is news.
func (a *account) write(svc *corev1.Service, got providers.Result, refusal *providers.Refusal) bool {
	next := svc.DeepCopy()
	next.Status.LoadBalancer.Ingress = got.Ingress
	delete(next.Annotations, annotation.KeyApplied)
	maps.Copy(next.Annotations, got.Annotations)
	changed := len(svc.Status.LoadBalancer.Ingress) != len(got.Ingress) || !maps.Equal(svc.Annotations, next.Annotations)
	for _, condition := range conditionsOf(got, refusal) {
		changed = meta.SetStatusCondition(&next.Status.Conditions, condition) || changed
	}
	if changed {
		a.put(next)
	}
	return changed
}

// conditionsOf are those of the controller, where the backend has none of its
// own.
func conditionsOf(got providers.Result, refusal *providers.Refusal) []metav1.Condition {
	all := slices.Clone(got.Conditions)
	add := func(c metav1.Condition) {
		if meta.FindStatusCondition(all, c.Type) == nil {
			all = append(all, c)
		}
	}
	if refusal != nil {
		add(metav1.Condition{Type: providers.ConditionProvisioned, Status: metav1.ConditionFalse, Reason: refusal.Reason, Message: refusal.Message})
	}
	add(metav1.Condition{Type: providers.ConditionProvisioned, Status: metav1.ConditionTrue, Reason: "Provisioned"})
	add(metav1.Condition{Type: providers.ConditionServing, Status: metav1.ConditionTrue, Reason: "EndpointsReady"})
	return all
}
