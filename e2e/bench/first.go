package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// measureFirst creates Services one by one and asks, from when the address is
// seen in the status, who has it.
//
// A speaker waits for the endpoints too, which Kubernetes writes at its own
// pace: the time from when both are seen says what the speaker takes.
func measureFirst(ctx context.Context, b *bench) error {
	return withFront(ctx, func(s *site.Site) error {
		news, err := watchNews(ctx, s)
		if err != nil {
			return err
		}
		defer news.stop()
		var status, more, own distribution
		for i := range b.firsts {
			at, err := news.first(ctx, s, fmt.Sprintf("first-%d", i))
			if err != nil {
				return err
			}
			status = append(status, at.status.Sub(at.created))
			more = append(more, max(0, at.answered.Sub(at.status)))
			own = append(own, max(0, at.answered.Sub(later(at.status, at.endpoints))))
			if (i+1)%50 == 0 {
				progress("  %d of %d Services: %v", i+1, b.firsts, more)
			}
		}
		b.add(figure{
			What:     fmt.Sprintf("Service created to first ARP answer, over creation to status seen, %d Services", b.firsts),
			Measured: fmt.Sprintf("%v; over status and endpoints seen: %v", more, own),
			Limit:    fmt.Sprintf("creation to status seen: %v", status),
			Target:   "under 50 ms more",
			Met:      more.p(99) < 50*time.Millisecond,
		})
		return nil
	})
}

// moments are when things happened to one Service.
type moments struct{ created, status, endpoints, answered time.Time }

// news are when Services got their addresses and their endpoints.
type news struct {
	watches []watch.Interface
	mu      sync.Mutex
	seen    map[string]moments
	address map[string]*corev1.Service
	changed chan struct{}
}

func watchNews(ctx context.Context, s *site.Site) (*news, error) {
	n := &news{seen: map[string]moments{}, address: map[string]*corev1.Service{}, changed: make(chan struct{}, 1)}
	services, err := s.API.Watch(ctx, &corev1.ServiceList{})
	if err != nil {
		return nil, err
	}
	n.watches = append(n.watches, services)
	slices, err := s.API.Watch(ctx, &discoveryv1.EndpointSliceList{})
	if err != nil {
		n.stop()
		return nil, err
	}
	n.watches = append(n.watches, slices)
	for _, w := range n.watches {
		go func() {
			for event := range w.ResultChan() {
				n.note(event)
			}
		}()
	}
	return n, nil
}

func (n *news) stop() {
	for _, w := range n.watches {
		w.Stop()
	}
}

func (n *news) note(event watch.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch o := event.Object.(type) {
	case *corev1.Service:
		at := n.seen[o.Name]
		if len(o.Status.LoadBalancer.Ingress) > 0 && at.status.IsZero() {
			at.status = time.Now()
			n.seen[o.Name], n.address[o.Name] = at, o
		}
	case *discoveryv1.EndpointSlice:
		name := o.Labels[discoveryv1.LabelServiceName]
		at := n.seen[name]
		if len(o.Endpoints) > 0 && o.AddressType == discoveryv1.AddressTypeIPv4 && at.endpoints.IsZero() {
			at.endpoints = time.Now()
			n.seen[name] = at
		}
	}
	select {
	case n.changed <- struct{}{}:
	default:
	}
}

func (n *news) of(name string) (moments, *corev1.Service) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.seen[name], n.address[name]
}

// first creates a Service and returns when what happened to it, once a client
// got an answer. It stays: the next one must not get an address that somebody
// may still answer for.
func (n *news) first(ctx context.Context, s *site.Site, name string) (moments, error) {
	ctx, cancel := context.WithTimeout(ctx, site.Patience)
	defer cancel()
	svc := lab.NewService(namespace, name, app)
	single, nodePorts := corev1.IPFamilyPolicySingleStack, false
	svc.Spec.IPFamilyPolicy, svc.Spec.AllocateLoadBalancerNodePorts = &single, &nodePorts
	svc.Annotations = map[string]string{"metallb.io/address-pool": "large"}
	svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	began := time.Now()
	if err := s.API.Create(ctx, svc); err != nil {
		return moments{}, err
	}
	if err := n.await(ctx, func() bool { _, served := n.of(name); return served != nil }); err != nil {
		return moments{}, fmt.Errorf("waiting for the address of %s: %w", name, err)
	}
	_, served := n.of(name)
	answer, err := s.Clients[0].FirstAnswer(ctx, site.Addresses(served)[0], time.Millisecond)
	if err != nil {
		return moments{}, err
	}
	if err := n.await(ctx, func() bool { at, _ := n.of(name); return !at.endpoints.IsZero() }); err != nil {
		return moments{}, fmt.Errorf("waiting for the endpoints of %s: %w", name, err)
	}
	at, _ := n.of(name)
	at.created, at.answered = began, answer.At
	return at, pause(ctx, 50*time.Millisecond)
}

func (n *news) await(ctx context.Context, is func() bool) error {
	for !is() {
		select {
		case <-n.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
