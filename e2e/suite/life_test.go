package suite

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
)

// A Service gets its address, and all that says so; deleted, it gives all back.
func TestLifeOfAService(t *testing.T) {
	t.Parallel()
	l := newLab(t, "life")
	l.pool("blue", ranges("192.0.2.0/29", "2001:db8::/125"))
	l.start()
	l.counts("blue", usage{available4: 8, available6: 8})

	l.create("web")
	svc := l.has("web", "192.0.2.0")
	if mode := svc.Status.LoadBalancer.Ingress[0].IPMode; mode == nil || *mode != corev1.LoadBalancerIPModeVIP {
		t.Errorf("ipMode is %v, want VIP", mode)
	}
	if !slices.Contains(svc.Finalizers, finalizer) {
		t.Errorf("the finalizers are %v", svc.Finalizers)
	}
	if backend, from := svc.Annotations[backendAnnotation], svc.Annotations[fromAnnotation]; backend != l.conf+"/pool" || from != "blue" {
		t.Errorf("the annotations say backend %q and pool %q", backend, from)
	}
	l.counts("blue", usage{assigned4: 1, available4: 7, available6: 8})
	l.eventually(func() error { return check.Is("the number of events IPAllocated", l.events("web", "IPAllocated"), 1) })

	l.create("dual", families(corev1.IPFamilyPolicyRequireDualStack))
	l.has("dual", "192.0.2.1", "2001:db8::")
	l.counts("blue", usage{assigned4: 2, assigned6: 1, available4: 6, available6: 7})

	l.delete("web")
	l.delete("dual")
	l.gone("web")
	l.gone("dual")
	l.counts("blue", usage{available4: 8, available6: 8})
}

// A Service that is no longer of type LoadBalancer gives its address back, and
// may change its mind.
func TestTypeChange(t *testing.T) {
	t.Parallel()
	l := newLab(t, "type-change")
	l.neverTwice()
	l.pool("one", ranges("192.0.2.7/32"))
	l.start()
	l.create("web")
	l.has("web", "192.0.2.7")
	l.create("next")
	l.refused("next", "PoolExhausted", "one")

	l.edit("web", func(svc *corev1.Service) { svc.Spec.Type = corev1.ServiceTypeClusterIP })
	l.bare("web")
	l.has("next", "192.0.2.7")

	l.edit("web", func(svc *corev1.Service) {
		svc.Spec.Type = corev1.ServiceTypeLoadBalancer
		svc.Spec.LoadBalancerClass = &l.class
	})
	l.refused("web", "PoolExhausted", "one")
	l.delete("next")
	l.has("web", "192.0.2.7")
}

// A Service that somebody else still holds back after its deletion is without
// address from then on.
func TestDeletionHeldBackByAnother(t *testing.T) {
	t.Parallel()
	const theirs = "example.com/hold"
	l := newLab(t, "held-back")
	l.neverTwice()
	l.pool("one", ranges("192.0.2.7/32"))
	l.start()
	l.create("web", func(svc *corev1.Service) { svc.Finalizers = []string{theirs} })
	l.has("web", "192.0.2.7")
	l.create("next")
	l.refused("next", "PoolExhausted", "one")

	l.delete("web")
	svc := l.bare("web")
	if !slices.Equal(svc.Finalizers, []string{theirs}) || svc.DeletionTimestamp == nil {
		t.Errorf("the Service should wait for %s alone: %s", theirs, check.Describe(svc))
	}
	l.has("next", "192.0.2.7")

	l.edit("web", func(svc *corev1.Service) { svc.Finalizers = nil })
	l.gone("web")
	l.has("next", "192.0.2.7")
}

// A Service that is made anew under its name is another one, however soon.
func TestMadeAnew(t *testing.T) {
	t.Parallel()
	l := newLab(t, "anew")
	l.neverTwice()
	l.pool("two", ranges("192.0.2.0/31"))
	l.start()
	l.create("web")
	l.served("web")
	for range 10 {
		l.delete("web")
		l.eventually(func() error {
			_, err := l.read("web")
			return check.Is("it is gone", apierrors.IsNotFound(err), true)
		})
		l.create("web")
	}
	l.served("web")
	l.counts("two", usage{assigned4: 1, available4: 1})
	l.create("other")
	l.served("other")
	l.counts("two", usage{assigned4: 2})
}

// A namespace that is deleted takes its Services along.
func TestNamespaceGoes(t *testing.T) {
	t.Parallel()
	l := newLab(t, "namespace")
	l.pool("two", ranges("192.0.2.0/31"))
	l.start()
	for _, name := range []string{"one", "two", "waiting"} {
		l.create(name)
	}
	l.served("one")
	l.served("two")
	l.counts("two", usage{assigned4: 2})
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.apps}}
	l.must(l.api.Delete(t.Context(), namespace))
	// The cluster looks again only after a while whether a namespace is empty.
	check.Eventually(t, time.Minute, func() error {
		err := l.api.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace)
		return check.Is("the namespace is gone", apierrors.IsNotFound(err), true)
	})
	l.counts("two", usage{available4: 2})
}
