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
	// Name is recorded on the Services that it serves, with the installation's.
	Name string
	// Class is the spec.loadBalancerClass that asks for it (KEP-1959).
	Class string
	// Claims says whether a Service without class asks for it in another way, as
	// by an annotation; nil for never.
	Claims   func(*corev1.Service) bool
	Provider providers.Provider

	needs providers.Needs
	local bool
	// record is what the Services that it serves are marked with.
	record string
}

// Backends are those of this process.
type Backends struct {
	// installation tells those of several in one cluster apart.
	installation string

	named   map[string]*Backend
	byClass map[string]string
	// names are sorted.
	names []string
	// standard is the name of the one that serves Services without class;
	// empty for none.
	standard string
}

// NewBackends checks that names and classes are unique and that standard, if
// any, is one of them. installation tells several in one cluster apart: it is
// the namespace of its configuration, since only one can lead in each.
func NewBackends(installation, standard string, all ...Backend) (Backends, error) {
	b := Backends{installation: installation, named: map[string]*Backend{}, byClass: map[string]string{}, standard: standard}
	for _, one := range all {
		if _, taken := b.named[one.Name]; taken {
			return Backends{}, fmt.Errorf("backend %q is named twice", one.Name)
		}
		if other, taken := b.byClass[one.Class]; taken {
			return Backends{}, fmt.Errorf("class %q is claimed by the backends %q and %q; each needs its own", one.Class, other, one.Name)
		}
		one.needs = one.Provider.Needs()
		_, one.local = one.Provider.(providers.Local)
		one.record = installation + "/" + one.Name
		b.named[one.Name] = &one
		b.byClass[one.Class] = one.Name
	}
	b.names = slices.Sorted(maps.Keys(b.named))
	if _, ok := b.named[standard]; !ok && standard != "" {
		return Backends{}, fmt.Errorf("default backend %q is not among the enabled ones: %s", standard, strings.Join(b.Names(), ", "))
	}
	return b, nil
}

// Names returns the names of all backends, sorted.
func (b Backends) Names() []string { return slices.Clone(b.names) }

// Announced says whether speakers announce the addresses of one of them.
func (b Backends) Announced() bool { return b.needs().Announced }

// needs is what has to be watched for all backends together, besides what
// always is.
func (b Backends) needs() providers.Needs {
	var sum providers.Needs
	for _, one := range b.named {
		sum.Nodes = sum.Nodes || one.needs.Nodes
		sum.Announced = sum.Announced || one.needs.Announced
	}
	return sum
}

// Choose names the backend that is to serve svc; empty for none, which
// includes all that are on their way out and those of a foreign class.
func (b Backends) Choose(svc *corev1.Service) string {
	if svc.DeletionTimestamp != nil {
		return ""
	}
	return b.claims(svc)
}

// claims names the backend that svc is for, on its way out or not.
func (b Backends) claims(svc *corev1.Service) string {
	if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return ""
	}
	if class := svc.Spec.LoadBalancerClass; class != nil {
		return b.byClass[*class]
	}
	for _, name := range b.names {
		if one := b.named[name]; one.Claims != nil && one.Claims(svc) {
			return name
		}
	}
	return b.standard
}

// inherits names the backend that releases svc in place of the controller that
// it replaces, which left a finalizer and is not there to take it off.
func (b Backends) inherits(svc *corev1.Service) string {
	one := b.named[b.claims(svc)]
	if one == nil || svc.DeletionTimestamp == nil || !slices.ContainsFunc(svc.Finalizers, one.replaces) {
		return ""
	}
	return one.Name
}

// Leaving names the backend that is to release svc, as svc says; empty for none.
func (b Backends) Leaving(svc *corev1.Service) string {
	held, ours := b.recorded(svc)
	if !ours {
		held = b.inherits(svc)
	}
	if held == b.Choose(svc) {
		return ""
	}
	return held
}

// replaces says whether a finalizer is of a controller that b stands in for.
func (b *Backend) replaces(f string) bool { return slices.Contains(b.needs.Finalizers, f) }

// recorded names the backend that svc says serves it; false if it says none, or
// one of another installation.
func (b Backends) recorded(svc *corev1.Service) (name string, ours bool) {
	installation, name, _ := strings.Cut(svc.Annotations[providers.AnnotationBackend], "/")
	return name, name != "" && installation == b.installation
}
