package suite

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/check"
)

// refusal is a Service that can't be served as things are.
type refusal struct {
	name    string
	options []serviceOption
	prepare func(*lab)
	reason  string
	named   []string
	// solve takes the cause away; want is what the Service gets then.
	solve func(*lab)
	want  []string
}

func asking(addresses string) serviceOption { return annotated(ipsAnnotation, addresses) }
func fromPool(name string) serviceOption    { return annotated(poolAnnotation, name) }

var refusals = []refusal{
	{
		name:    "contradicting-annotations",
		options: []serviceOption{fromPool("blue"), annotated(legacyPrefix+"address-pool", "green")},
		reason:  "InvalidRequest",
		named:   []string{"metallb.io/address-pool", `"blue"`, "metallb.universe.tf/address-pool", `"green"`},
		solve:   func(l *lab) { l.annotate("contradicting-annotations", legacyPrefix+"address-pool", "") },
		want:    []string{"192.0.2.0"},
	},
	{
		name: "annotation-and-field",
		options: []serviceOption{asking("192.0.2.21"), func(svc *corev1.Service) {
			svc.Spec.LoadBalancerIP = "192.0.2.22"
		}},
		reason: "InvalidRequest",
		named:  []string{"metallb.io/loadBalancerIPs", "192.0.2.21", "spec.loadBalancerIP", "192.0.2.22"},
		solve:  func(l *lab) { l.annotate("annotation-and-field", ipsAnnotation, "") },
		want:   []string{"192.0.2.22"},
	},
	{
		name:    "nonsense-address",
		options: []serviceOption{asking("192.0.2.300")},
		reason:  "InvalidRequest",
		named:   []string{"metallb.io/loadBalancerIPs", `"192.0.2.300"`},
		solve:   func(l *lab) { l.annotate("nonsense-address", ipsAnnotation, "192.0.2.23") },
		want:    []string{"192.0.2.23"},
	},
	{
		name:    "two-of-one-family",
		options: []serviceOption{asking("192.0.2.24,192.0.2.25")},
		reason:  "InvalidRequest",
		named:   []string{"192.0.2.24", "192.0.2.25"},
		solve:   func(l *lab) { l.annotate("two-of-one-family", ipsAnnotation, "192.0.2.24") },
		want:    []string{"192.0.2.24"},
	},
	{
		name:    "wrong-family",
		options: []serviceOption{asking("2001:db8::1")},
		reason:  "InvalidRequest",
		named:   []string{"2001:db8::1", "IPv6"},
		solve:   func(l *lab) { l.annotate("wrong-family", ipsAnnotation, "192.0.2.26") },
		want:    []string{"192.0.2.26"},
	},
	{
		name:    "address-in-no-pool",
		options: []serviceOption{asking("203.0.113.5")},
		reason:  "AddressNotInPool",
		named:   []string{"203.0.113.5"},
		solve:   func(l *lab) { l.pool("late", ranges("203.0.113.0/29"), byName) },
		want:    []string{"203.0.113.5"},
	},
	{
		name:    "address-in-another-pool",
		options: []serviceOption{asking("192.0.2.27"), fromPool("green")},
		reason:  "AddressNotInPool",
		named:   []string{"192.0.2.27", "blue", "green"},
		solve:   func(l *lab) { l.annotate("address-in-another-pool", poolAnnotation, "blue") },
		want:    []string{"192.0.2.27"},
	},
	{
		name:    "address-never-given",
		prepare: func(l *lab) { l.pool("careful", ranges("198.18.1.0/24"), byName, field("avoidBuggyIPs", true)) },
		options: []serviceOption{asking("198.18.1.255")},
		reason:  "AddressNotInPool",
		named:   []string{"198.18.1.255", "careful", "avoidBuggyIPs"},
		solve:   func(l *lab) { l.editPool("careful", field("avoidBuggyIPs", nil)) },
		want:    []string{"198.18.1.255"},
	},
	{
		name: "address-in-use",
		prepare: func(l *lab) {
			l.create("holder", asking("192.0.2.28"))
			l.has("holder", "192.0.2.28")
		},
		options: []serviceOption{asking("192.0.2.28")},
		reason:  "AddressInUse",
		named:   []string{"192.0.2.28", "/holder"},
		solve:   func(l *lab) { l.delete("holder") },
		want:    []string{"192.0.2.28"},
	},
	{
		name:    "unknown-pool",
		options: []serviceOption{fromPool("nowhere")},
		reason:  "NoPool",
		named:   []string{"nowhere"},
		solve:   func(l *lab) { l.pool("nowhere", ranges("198.18.2.0/24"), byName) },
		want:    []string{"198.18.2.0"},
	},
	{
		name: "forbidden-by-namespaces",
		prepare: func(l *lab) {
			l.pool("elsewhere", ranges("198.18.3.0/24"), byName, allocation("namespaces", "elsewhere"))
		},
		options: []serviceOption{fromPool("elsewhere")},
		reason:  "NoPool",
		named:   []string{"elsewhere", "namespace"},
		solve:   func(l *lab) { l.editPool("elsewhere", allocation("namespaces", "elsewhere", l.apps)) },
		want:    []string{"198.18.3.0"},
	},
	{
		name: "forbidden-by-namespace-selectors",
		prepare: func(l *lab) {
			l.pool("front", ranges("198.18.4.0/24"), byName, allocation("namespaceSelectors", matching("tier", "front")))
		},
		options: []serviceOption{fromPool("front")},
		reason:  "NoPool",
		named:   []string{"front", "namespace"},
		solve:   func(l *lab) { l.labelNamespace("tier", "front") },
		want:    []string{"198.18.4.0"},
	},
	{
		name: "forbidden-by-service-selectors",
		prepare: func(l *lab) {
			l.pool("public", ranges("198.18.5.0/24"), byName, allocation("serviceSelectors", matching("exposure", "public")))
		},
		options: []serviceOption{fromPool("public")},
		reason:  "NoPool",
		named:   []string{"public", "labels"},
		solve: func(l *lab) {
			l.edit("forbidden-by-service-selectors", func(svc *corev1.Service) {
				metav1.SetMetaDataLabel(&svc.ObjectMeta, "exposure", "public")
			})
		},
		want: []string{"198.18.5.0"},
	},
	{
		name: "requested-address-forbidden",
		prepare: func(l *lab) {
			l.pool("theirs", ranges("198.18.6.0/24"), byName, allocation("namespaces", "elsewhere"))
		},
		options: []serviceOption{asking("198.18.6.6")},
		reason:  "NoPool",
		named:   []string{"theirs", "namespace"},
		solve:   func(l *lab) { l.editPool("theirs", field("serviceAllocation", nil)) },
		want:    []string{"198.18.6.6"},
	},
	{
		name: "pool-exhausted",
		prepare: func(l *lab) {
			l.pool("tiny", ranges("198.18.7.7/32"), byName)
			l.create("first", fromPool("tiny"))
			l.has("first", "198.18.7.7")
		},
		options: []serviceOption{fromPool("tiny")},
		reason:  "PoolExhausted",
		named:   []string{"tiny", "IPv4"},
		solve:   func(l *lab) { l.editPool("tiny", ranges("198.18.7.7/32", "198.18.7.9-198.18.7.9")) },
		want:    []string{"198.18.7.9"},
	},
	{
		name:    "no-pool-of-the-second-family",
		prepare: func(l *lab) { l.pool("only-v4", ranges("198.18.8.0/24"), byName) },
		options: []serviceOption{fromPool("only-v4"), families(corev1.IPFamilyPolicyRequireDualStack)},
		reason:  "NoPool",
		named:   []string{"only-v4", "IPv6"},
		solve:   func(l *lab) { l.editPool("only-v4", ranges("198.18.8.0/24", "2001:db8:8::/64")) },
		want:    []string{"198.18.8.0", "2001:db8:8::"},
	},
	{
		// Last, since all that name nothing would get an address then.
		name:   "no-pool-gives-unasked",
		reason: "NoPool",
		named:  []string{"autoAssign"},
		solve:  func(l *lab) { l.pool("auto", ranges("198.18.9.0/24")) },
		want:   []string{"198.18.9.0"},
	},
}

// What can't be served is told once, with the reason and the object that
// stands in the way, and is left alone until that changes.
func TestRefusals(t *testing.T) {
	t.Parallel()
	l := newLab(t, "refusals")
	l.neverTwice()
	l.pool("blue", ranges("192.0.2.0/24"), byName)
	l.pool("green", ranges("198.51.100.0/24"), byName)
	address := freeAddress(t)
	l.start("--metrics-bind-address=" + address)

	before := map[string]*corev1.Service{}
	for _, r := range refusals {
		if r.prepare != nil {
			r.prepare(l)
		}
	}
	l.poolsRule()
	for _, r := range refusals {
		l.create(r.name, r.options...)
	}
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			l := l.in(t)
			before[r.name] = l.refused(r.name, r.reason, r.named...)
			l.eventually(func() error {
				if n := l.events(r.name, "AllocationFailed"); n != 1 {
					return fmt.Errorf("%d events AllocationFailed, want 1", n)
				}
				return nil
			})
		})
	}

	retries := func() float64 {
		values, err := metrics(address)
		l.must(err)
		n, ok := values[`workqueue_retries_total{controller="service",name="service"}`]
		if !ok {
			t.Fatal("there is no metric that counts the retries")
		}
		return n
	}
	retried := retries()
	check.Quiet() // Nothing is written, told or retried.
	if more := retries() - retried; more > 0 {
		t.Errorf("%v retries of what can't be served", more)
	}
	for _, r := range refusals {
		if now := l.get(r.name); before[r.name] != nil && now.ResourceVersion != before[r.name].ResourceVersion {
			t.Errorf("Service %s was written although nothing changed:\n%s", r.name, check.Describe(now))
		}
		if n := l.events(r.name, "AllocationFailed"); n != 1 {
			t.Errorf("Service %s has %d events AllocationFailed, want 1", r.name, n)
		}
	}

	for _, r := range refusals {
		t.Run(r.name+"-solved", func(t *testing.T) {
			l := l.in(t)
			r.solve(l)
			l.has(r.name, r.want...)
		})
	}
}

// A mistake in a Service that has an address is told, and takes nothing away.
func TestAMistakeTakesNothingAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, "mistake")
	l.neverTwice()
	l.pool("one", ranges("192.0.2.7/32"))
	l.start()
	l.create("web")
	l.has("web", "192.0.2.7")
	l.create("next")
	l.refused("next", "PoolExhausted", "one")

	l.annotate("web", ipsAnnotation, "192.0.2.300")
	svc := l.until("web", func(svc *corev1.Service) error {
		return check.Condition(svc, provisioned, "False", "InvalidRequest", `"192.0.2.300"`, "keeps what it has")
	})
	if got := check.Addresses(svc); !slices.Equal(got, []string{"192.0.2.7"}) {
		t.Errorf("the addresses became %v", got)
	}
	l.refused("next", "PoolExhausted", "one")
	l.annotate("web", ipsAnnotation, "")
	l.until("web", func(svc *corev1.Service) error {
		return check.Condition(svc, provisioned, "True", "Provisioned", "192.0.2.7")
	})
	l.has("web", "192.0.2.7")
	l.refused("next", "PoolExhausted", "one")
	if n := l.events("web", "ClearAssignment"); n != 0 {
		t.Errorf("%d events ClearAssignment", n)
	}
}
