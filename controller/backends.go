package controller

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

// Backend is a provider under the name and class that Services choose it by.
type Backend struct {
	// Name is recorded on the Services that it serves.
	Name string
	// Class is the spec.loadBalancerClass that asks for it (KEP-1959).
	Class    string
	Provider providers.Provider

	needs providers.Needs
	local bool
}

// Backends are those of this process.
type Backends struct {
	named   map[string]*Backend
	byClass map[string]string
	// standard is the name of the one that serves Services without class;
	// empty for none.
	standard string
}

// NewBackends checks that names and classes are unique and that standard, if
// any, is one of them.
func NewBackends(standard string, all ...Backend) (Backends, error) {
	b := Backends{named: map[string]*Backend{}, byClass: map[string]string{}, standard: standard}
	for _, one := range all {
		if _, taken := b.named[one.Name]; taken {
			return Backends{}, fmt.Errorf("backend %q is named twice", one.Name)
		}
		if other, taken := b.byClass[one.Class]; taken {
			return Backends{}, fmt.Errorf("class %q is claimed by the backends %q and %q; each needs its own", one.Class, other, one.Name)
		}
		one.needs = one.Provider.Needs()
		_, one.local = one.Provider.(providers.Local)
		b.named[one.Name] = &one
		b.byClass[one.Class] = one.Name
	}
	if _, ok := b.named[standard]; !ok && standard != "" {
		return Backends{}, fmt.Errorf("default backend %q is not among the enabled ones: %s", standard, strings.Join(b.Names(), ", "))
	}
	return b, nil
}

// Names returns the names of all backends, sorted.
func (b Backends) Names() []string { return slices.Sorted(maps.Keys(b.named)) }

// needs is what all backends together want.
func (b Backends) needs() providers.Needs {
	var sum providers.Needs
	for _, one := range b.named {
		sum.Nodes = sum.Nodes || one.needs.Nodes
		sum.EndpointSlices = sum.EndpointSlices || one.needs.EndpointSlices
	}
	return sum
}

// Choose names the backend that is to serve svc; empty for none, which
// includes all that are on their way out and those of a foreign class.
func (b Backends) Choose(svc *corev1.Service) string {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || svc.DeletionTimestamp != nil {
		return ""
	}
	if class := svc.Spec.LoadBalancerClass; class != nil {
		return b.byClass[*class]
	}
	return b.standard
}

// foreign says whether svc is for another controller to serve: a load
// balancer's class can't change, so it never was one of ours (KEP-1959).
func (b Backends) foreign(svc *corev1.Service) bool {
	class := svc.Spec.LoadBalancerClass
	return svc.Spec.Type == corev1.ServiceTypeLoadBalancer && class != nil && b.byClass[*class] == ""
}
