package controller

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/providers"
)

// remote is a provider that is never asked for anything but its needs.
type remote struct{ needs providers.Needs }

func (r remote) Needs() providers.Needs { return r.needs }
func (remote) Ensure(context.Context, providers.Request) (providers.Result, error) {
	return providers.Result{}, errors.New("not expected")
}
func (remote) Release(context.Context, providers.Key) error     { return errors.New("not expected") }
func (remote) Owned(context.Context) ([]providers.Key, error)   { return nil, errors.New("not expected") }
func (remote) Restore(context.Context, []*corev1.Service) error { return nil }

func TestChoose(t *testing.T) {
	withDefault, err := NewBackends("berth-system", "pool", Backend{Name: "pool", Class: "berth-lb.dev/pool", Provider: remote{}}, Backend{Name: "fake", Class: "berth-lb.dev/fake", Provider: remote{}})
	if err != nil {
		t.Fatal(err)
	}
	without, err := NewBackends("berth-system", "", Backend{Name: "pool", Class: "berth-lb.dev/pool", Provider: remote{}})
	if err != nil {
		t.Fatal(err)
	}
	asks := func(svc *corev1.Service) bool { return svc.Annotations["example.com/type"] == "fake" }
	claimed, err := NewBackends("berth-system", "pool", Backend{Name: "pool", Class: "berth-lb.dev/pool", Provider: remote{}}, Backend{Name: "fake", Class: "berth-lb.dev/fake", Claims: asks, Provider: remote{}})
	if err != nil {
		t.Fatal(err)
	}
	class := func(c string) *string { return &c }
	for _, tc := range []struct {
		why      string
		backends Backends
		svc      corev1.Service
		want     string
	}{
		{"no class: the default serves it", withDefault, loadBalancer(nil), "pool"},
		{"no class and no default: nobody does", without, loadBalancer(nil), ""},
		{"the class of a backend decides, default or not", withDefault, loadBalancer(class("berth-lb.dev/fake")), "fake"},
		{"a foreign class is never touched", withDefault, loadBalancer(class("example.com/other")), ""},
		{"an annotation asks for a backend that knows it", claimed, annotated(loadBalancer(nil)), "fake"},
		{"the class is above annotations", claimed, annotated(loadBalancer(class("berth-lb.dev/pool"))), "pool"},
		{"the default is below them", claimed, loadBalancer(nil), "pool"},
		{"another type needs no load balancer", withDefault, corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP}}, ""},
		{"what is being deleted is only released", withDefault, deleted(loadBalancer(nil)), ""},
	} {
		if got := tc.backends.Choose(&tc.svc); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.why, got, tc.want)
		}
	}
}

func loadBalancer(class *string) corev1.Service {
	return corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: class}}
}

func annotated(svc corev1.Service) corev1.Service {
	svc.Annotations = map[string]string{"example.com/type": "fake"}
	return svc
}

func deleted(svc corev1.Service) corev1.Service {
	now := metav1.Now()
	svc.DeletionTimestamp = &now
	return svc
}

// A controller that has gone left its finalizer, and nobody else takes that off.
func TestInherits(t *testing.T) {
	const theirs = "example.com/resources"
	b, err := NewBackends("berth-system", "fake", Backend{Name: "fake", Class: "berth-lb.dev/fake", Provider: remote{providers.Needs{Finalizers: []string{theirs}}}})
	if err != nil {
		t.Fatal(err)
	}
	with := func(svc corev1.Service, finalizers ...string) corev1.Service {
		svc.Finalizers = finalizers
		return svc
	}
	foreign := "example.com/other"
	for _, tc := range []struct {
		why  string
		svc  corev1.Service
		want string
	}{
		{"on its way out, with its finalizer", with(deleted(loadBalancer(nil)), "x/y", theirs), "fake"},
		{"not on its way out: it is served, and marked as ours", with(loadBalancer(nil), theirs), ""},
		{"without that finalizer nothing is held", with(deleted(loadBalancer(nil)), "x/y"), ""},
		{"of a class that is not ours", with(deleted(loadBalancer(&foreign)), theirs), ""},
	} {
		if got := b.inherits(&tc.svc); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.why, got, tc.want)
		}
	}
	svc := with(loadBalancer(nil), "x/y", finalizer, theirs)
	if bare := unmarked(&svc, b.named["fake"]); len(bare.finalizers) != 1 || bare.finalizers[0] != "x/y" {
		t.Errorf("released with the finalizers %v", bare.finalizers)
	}
}

func TestNewBackendsRefuses(t *testing.T) {
	for _, tc := range []struct {
		why      string
		standard string
		all      []Backend
		want     string
	}{
		{"a name names one backend", "", []Backend{{Name: "a", Class: "x/1", Provider: remote{}}, {Name: "a", Class: "x/2", Provider: remote{}}}, `"a" is named twice`},
		{"a class chooses one backend", "", []Backend{{Name: "a", Class: "x/1", Provider: remote{}}, {Name: "b", Class: "x/1", Provider: remote{}}}, `class "x/1" is claimed by the backends "a" and "b"`},
		{"the default has to run", "c", []Backend{{Name: "a", Class: "x/1", Provider: remote{}}}, `default backend "c" is not among the enabled ones: a`},
	} {
		_, err := NewBackends("berth-system", tc.standard, tc.all...)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.why, err, tc.want)
		}
	}
}

// TestRecorded: what another installation serves is its own to release.
func TestRecorded(t *testing.T) {
	b, err := NewBackends("berth-system", "", Backend{Name: "pool", Class: "x/1", Provider: remote{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		value, name string
		ours        bool
	}{
		{"berth-system/pool", "pool", true},
		{"berth-system/gone", "gone", true}, // not enabled, and ours to tell of
		{"metallb-system/pool", "pool", false},
		{"pool", "", false},
		{"berth-system/", "", false},
		{"", "", false},
	} {
		svc := loadBalancer(nil)
		svc.Annotations = map[string]string{providers.AnnotationBackend: tc.value}
		if name, ours := b.recorded(&svc); ours != tc.ours || ours && name != tc.name {
			t.Errorf("%q: got %q, %t", tc.value, name, ours)
		}
	}
}
