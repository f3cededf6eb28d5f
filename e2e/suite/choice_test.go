package suite

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Which address a Service gets, by what it asks for.
func TestChoiceOfTheAddress(t *testing.T) {
	t.Parallel()
	l := newLab(t, "choice")
	l.neverTwice()
	l.pool("a-named", ranges("198.18.0.0/24"), byName)
	l.pool("b-auto", ranges("192.0.2.0/24"), field("avoidBuggyIPs", true))
	l.pool("c-later", ranges("198.51.100.0/24"))
	l.pool("d-second", ranges("203.0.113.0/28"), field("serviceAllocation", map[string]any{
		"priority": int64(20), "serviceSelectors": []any{matching("exposure", "public")},
	}))
	l.pool("e-first", ranges("203.0.113.16/28"), field("serviceAllocation", map[string]any{
		"priority": int64(10), "serviceSelectors": []any{matching("exposure", "public")},
	}))
	l.start()
	for _, c := range []struct {
		name    string
		options []serviceOption
		want    string
		from    string
	}{
		{"asks-for-nothing", nil, "192.0.2.1", "b-auto"},
		{"names-a-pool", []serviceOption{fromPool("a-named")}, "198.18.0.0", "a-named"},
		{"names-a-pool-in-the-old-way", []serviceOption{annotated(legacyPrefix+"address-pool", "a-named")}, "198.18.0.1", "a-named"},
		{"asks-for-an-address", []serviceOption{asking("198.18.0.9")}, "198.18.0.9", "a-named"},
		{"asks-in-the-old-way", []serviceOption{annotated(legacyPrefix+"loadBalancerIPs", "198.51.100.9")}, "198.51.100.9", "c-later"},
		{"asks-in-the-spec", []serviceOption{func(svc *corev1.Service) { svc.Spec.LoadBalancerIP = "198.51.100.8" }}, "198.51.100.8", "c-later"},
		{"one-port-for-two-protocols", []serviceOption{func(svc *corev1.Service) {
			svc.Spec.Ports = []corev1.ServicePort{{Name: "tcp", Protocol: "TCP", Port: 53}, {Name: "udp", Protocol: "UDP", Port: 53}}
		}}, "192.0.2.2", "b-auto"},
		{"is-selected-by-two-pools", []serviceOption{labelled("exposure", "public")}, "203.0.113.16", "e-first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := l.in(t)
			l.create(c.name, c.options...)
			if svc := l.has(c.name, c.want); svc.Annotations[fromAnnotation] != c.from {
				t.Errorf("it is said to be from pool %q, want %q", svc.Annotations[fromAnnotation], c.from)
			}
		})
	}

	t.Run("and-another-when-it-asks-for-another", func(t *testing.T) {
		l := l.in(t)
		l.annotate("asks-for-nothing", ipsAnnotation, "198.51.100.77")
		l.has("asks-for-nothing", "198.51.100.77")
		l.create("takes-the-free-one")
		l.has("takes-the-free-one", "192.0.2.1")
	})
}

// Two Services that want each other's address both get it, one after the other.
func TestTwoServicesSwapAddresses(t *testing.T) {
	t.Parallel()
	l := newLab(t, "swap")
	l.neverTwice()
	l.pool("blue", ranges("192.0.2.0/24"))
	l.start()
	l.create("left", asking("192.0.2.1"))
	l.create("right", asking("192.0.2.2"))
	l.has("left", "192.0.2.1")
	l.has("right", "192.0.2.2")
	l.annotate("left", ipsAnnotation, "192.0.2.2")
	l.refused("left", "AddressInUse", "192.0.2.2", "/right")
	l.annotate("right", ipsAnnotation, "192.0.2.1")
	l.has("right", "192.0.2.1")
	l.has("left", "192.0.2.2")
}

// Who has waited longest is served first, and alone.
func TestWaitersAreServedByAge(t *testing.T) {
	t.Parallel()
	l := newLab(t, "waiters")
	l.neverTwice()
	l.pool("one", ranges("192.0.2.1/32"))
	l.start()
	l.create("holder")
	l.has("holder", "192.0.2.1")
	// By name they would come the other way round.
	waiting := []string{"zoe", "max", "ann"}
	for _, name := range waiting {
		l.create(name)
		l.refused(name, "PoolExhausted", "one")
		anotherSecond()
	}
	l.delete("holder")
	for i, name := range waiting {
		l.has(name, "192.0.2.1")
		for _, later := range waiting[i+1:] {
			l.refused(later, "PoolExhausted", "one")
		}
		l.delete(name)
	}
}
