package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/controller"
	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws"
	"github.com/berth-lb/berth/trafficpolicy"
)

// world is what the cluster has, sorted by name.
type world struct {
	services []*corev1.Service
	nodes    []*corev1.Node // eligible ones
	slices   map[client.ObjectKey][]*discoveryv1.EndpointSlice
}

func look(ctx context.Context, c client.Reader) (world, error) {
	services, slicesOf, nodes := &corev1.ServiceList{}, &discoveryv1.EndpointSliceList{}, &corev1.NodeList{}
	for _, list := range []client.ObjectList{services, slicesOf, nodes} {
		if err := c.List(ctx, list); err != nil {
			return world{}, fmt.Errorf("reading the cluster: %w", err)
		}
	}
	w := world{
		services: pointers(services.Items),
		nodes:    trafficpolicy.EligibleNodes(pointers(nodes.Items)),
		slices:   map[client.ObjectKey][]*discoveryv1.EndpointSlice{},
	}
	slices.SortFunc(w.services, func(a, b *corev1.Service) int {
		return strings.Compare(providers.KeyOf(a).String(), providers.KeyOf(b).String())
	})
	for _, s := range pointers(slicesOf.Items) {
		key := client.ObjectKey{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
		w.slices[key] = append(w.slices[key], s)
	}
	return w, nil
}

func (w world) service(namespace, name string) (*corev1.Service, bool) {
	for _, svc := range w.services {
		if svc.Namespace == namespace && svc.Name == name {
			return svc, true
		}
	}
	return nil, false
}

// requests are what the controller would ask for now.
func (w world) requests(backends controller.Backends) []providers.Request {
	var all []providers.Request
	for _, svc := range w.services {
		if backends.Choose(svc) != "" {
			all = append(all, providers.Request{Service: svc, Nodes: w.nodes, EndpointSlices: w.slices[client.ObjectKeyFromObject(svc)]})
		}
	}
	return all
}

// leaving are those that the controller would have released now: Services that
// are on their way out or of another class by now, and those that are gone.
func (w world) leaving(ctx context.Context, c client.Reader, backends controller.Backends, p *aws.Provider) ([]providers.Key, error) {
	var all []providers.Key
	for _, svc := range w.services {
		if backends.Leaving(svc) == "aws" {
			all = append(all, providers.KeyOf(svc))
		}
	}
	owned, err := p.Owned(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range owned {
		if _, exists := w.service(key.Namespace, key.Name); exists {
			continue
		}
		if gone, err := controller.Gone(ctx, c, key); err != nil {
			return nil, err
		} else if gone {
			all = append(all, key)
		}
	}
	return all, nil
}

func pointers[T any](all []T) []*T {
	pointers := make([]*T, len(all))
	for i := range all {
		pointers[i] = &all[i]
	}
	return pointers
}
