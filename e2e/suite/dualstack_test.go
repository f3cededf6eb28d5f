package suite

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/check"
)

// Both families come from one pool where one has them, else from two.
func TestDualStack(t *testing.T) {
	t.Parallel()
	l := newLab(t, "dual-stack")
	l.neverTwice()
	l.pool("four", ranges("192.0.2.0/29"))
	l.start()

	l.create("prefer", families(corev1.IPFamilyPolicyPreferDualStack))
	svc := l.has("prefer", "192.0.2.0")
	if err := check.Condition(svc, provisioned, "True", "Provisioned", "IPv6", "missing"); err != nil {
		t.Error(err)
	}
	anotherSecond()
	l.create("require", families(corev1.IPFamilyPolicyRequireDualStack))
	l.refused("require", "NoPool", "IPv6", "four")

	// The second family is added, and the first stays as it is.
	l.pool("six", ranges("2001:db8::/64"))
	svc = l.has("prefer", "192.0.2.0", "2001:db8::")
	if from := svc.Annotations[fromAnnotation]; from != "four,six" {
		t.Errorf("the addresses are said to be from %q", from)
	}
	if err := check.Condition(svc, provisioned, "True", "Provisioned", "192.0.2.0 is from IPAddressPool four", "2001:db8:: is from IPAddressPool six"); err != nil {
		t.Error(err)
	}
	l.has("require", "192.0.2.1", "2001:db8::1")

	// A pool that has both comes before two that have one each.
	l.pool("zz-both", ranges("198.51.100.0/24", "2001:db8:1::/64"))
	l.create("both", families(corev1.IPFamilyPolicyRequireDualStack))
	l.has("both", "198.51.100.0", "2001:db8:1::")

	// The primary family comes first.
	l.create("six-first", families(corev1.IPFamilyPolicyRequireDualStack, corev1.IPv6Protocol, corev1.IPv4Protocol))
	l.has("six-first", "2001:db8:1::1", "198.51.100.1")
	l.create("six-only", families(corev1.IPFamilyPolicySingleStack, corev1.IPv6Protocol))
	l.has("six-only", "2001:db8::2")

	// Both may be asked for, in any order.
	l.create("asking", families(corev1.IPFamilyPolicyRequireDualStack), asking("2001:db8:1::99, 198.51.100.99"))
	l.has("asking", "198.51.100.99", "2001:db8:1::99")

	// A Service that grows a family keeps its address, and one that loses it
	// keeps the other.
	l.create("grows")
	l.has("grows", "192.0.2.2")
	dual, single := corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicySingleStack
	l.edit("grows", func(svc *corev1.Service) { svc.Spec.IPFamilyPolicy = &dual })
	l.has("grows", "192.0.2.2", "2001:db8::3")
	l.edit("grows", func(svc *corev1.Service) {
		svc.Spec.IPFamilyPolicy, svc.Spec.IPFamilies = &single, svc.Spec.IPFamilies[:1]
		svc.Spec.ClusterIPs = svc.Spec.ClusterIPs[:1]
	})
	l.has("grows", "192.0.2.2")
}
