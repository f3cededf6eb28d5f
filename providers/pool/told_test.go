package pool

import (
	"errors"
	"strings"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/berth-lb/berth/providers"
)

func with(p metallb.IPAddressPool, change func(*metallb.IPAddressPoolSpec)) metallb.IPAddressPool {
	change(&p.Spec)
	return p
}

func only(to metallb.ServiceAllocation) func(*metallb.IPAddressPoolSpec) {
	return func(s *metallb.IPAddressPoolSpec) { s.AllocateTo = &to }
}

func dual(policy corev1.IPFamilyPolicy) func(*corev1.Service) {
	return func(svc *corev1.Service) {
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
		svc.Spec.IPFamilyPolicy = &policy
	}
}

func noted(pairs ...string) func(*corev1.Service) {
	return func(svc *corev1.Service) {
		for i := 0; i < len(pairs); i += 2 {
			svc.Annotations[pairs[i]] = pairs[i+1]
		}
	}
}

// TestWhatUsersAreTold goes through what users do to pools and Services, and what
// the condition says of it, as an example of each.
func TestWhatUsersAreTold(t *testing.T) {
	team := []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "shop"}}}
	a, six := pool("a", "192.0.2.0/24"), pool("six", "2001:db8::/64")
	manual := with(a, func(s *metallb.IPAddressPoolSpec) { s.AutoAssign = ptr.To(false) })
	avoiding := with(a, func(s *metallb.IPAddressPoolSpec) { s.AvoidBuggyIPs = true })
	nothing := func(*corev1.Service) {}
	single := func(svc *corev1.Service) {
		svc.Spec.IPFamilies = svc.Spec.IPFamilies[:1]
		svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicySingleStack)
	}
	const holder = "192.0.2.9"
	for _, tc := range []struct {
		why   string
		pools []metallb.IPAddressPool
		asks  func(*corev1.Service)
		// After the Service was asked for first:
		edit []metallb.IPAddressPool // nil for none
		then func(*corev1.Service)

		shown  string
		reason string
		told   string
	}{
		{"its pool is deleted, and there is another", []metallb.IPAddressPool{a}, nothing, []metallb.IPAddressPool{pool("b", "198.51.100.0/24")}, nothing,
			"198.51.100.0", "Provisioned", "198.51.100.0 is from IPAddressPool b"},
		{"the last pool is deleted", []metallb.IPAddressPool{a}, nothing, []metallb.IPAddressPool{}, nothing,
			"", "NoPool", "namespace berth-system has no IPAddressPool: create one there"},
		{"it names a pool that overlaps with an older one", []metallb.IPAddressPool{made(1, a), made(2, pool("b", "192.0.2.128/25"))}, noted("metallb.io/address-pool", "b"), nil, nothing,
			"", "NoPool", "pool b is not valid and gives no new addresses: correct the pool, whose ConfigurationState"},
		{"it asks for what another has", []metallb.IPAddressPool{a}, noted("metallb.io/loadBalancerIPs", holder), nil, nothing,
			"", "AddressInUse", "is in use by default/holder: request another"},
		{"it shares by another key", []metallb.IPAddressPool{a}, noted("metallb.io/loadBalancerIPs", holder, "metallb.universe.tf/allow-shared-ip", "mine"), nil, nothing,
			"", "AddressInUse", "is in use by default/holder under another sharing key"},
		{"it shares, and has a port of the other's", []metallb.IPAddressPool{a}, noted("metallb.io/loadBalancerIPs", holder, "metallb.io/allow-shared-ip", "key"), nil, nothing,
			"", "AddressInUse", "which uses port TCP/80 too"},
		{"it shares, and is Local", []metallb.IPAddressPool{a}, func(svc *corev1.Service) {
			noted("metallb.io/loadBalancerIPs", holder, "metallb.io/allow-shared-ip", "key")(svc)
			svc.Spec.Ports[0].Port, svc.Spec.ExternalTrafficPolicy = 81, corev1.ServiceExternalTrafficPolicyLocal
		}, nil, nothing, "", "AddressInUse", "externalTrafficPolicy or selector differs"},
		{"it requires two families of one", []metallb.IPAddressPool{a}, dual(corev1.IPFamilyPolicyRequireDualStack), nil, nothing,
			"", "NoPool", "pool a has no range of IPv6"},
		{"it prefers two families", []metallb.IPAddressPool{a}, dual(corev1.IPFamilyPolicyPreferDualStack), nil, nothing,
			"192.0.2.0", "Provisioned", "192.0.2.0 is from IPAddressPool a; the IPv6 address is still missing"},
		{"it comes to prefer two families", []metallb.IPAddressPool{a, six}, nothing, nil, dual(corev1.IPFamilyPolicyPreferDualStack),
			"192.0.2.0 2001:db8::", "Provisioned", "192.0.2.0 is from IPAddressPool a; 2001:db8:: is from IPAddressPool six"},
		{"it gives up one of two families", []metallb.IPAddressPool{a, six}, dual(corev1.IPFamilyPolicyRequireDualStack), nil, single,
			"192.0.2.0", "Provisioned", "192.0.2.0 is from IPAddressPool a"},
		{"its pool is for other namespaces now", []metallb.IPAddressPool{a}, nothing,
			[]metallb.IPAddressPool{with(a, only(metallb.ServiceAllocation{NamespaceSelectors: team}))}, nothing,
			"", "NoPool", "pool a is not for the Service's namespace"},
		{"its pool is for other Services now", []metallb.IPAddressPool{a}, nothing,
			[]metallb.IPAddressPool{with(a, only(metallb.ServiceAllocation{ServiceSelectors: team})), pool("b", "198.51.100.0/24")}, nothing,
			"198.51.100.0", "Provisioned", "198.51.100.0 is from IPAddressPool b"},
		{"it has other labels now", []metallb.IPAddressPool{with(a, only(metallb.ServiceAllocation{ServiceSelectors: team}))}, func(svc *corev1.Service) { svc.Labels = team[0].MatchLabels }, nil,
			func(svc *corev1.Service) { svc.Labels = nil },
			"", "NoPool", "pool a is not for Services with its labels"},
		{"its address is avoided now", []metallb.IPAddressPool{a}, nothing, []metallb.IPAddressPool{avoiding}, nothing,
			"192.0.2.1", "Provisioned", "192.0.2.1 is from IPAddressPool a"},
		{"it asks for an address that is avoided", []metallb.IPAddressPool{avoiding}, noted("metallb.io/loadBalancerIPs", "192.0.2.255"), nil, nothing,
			"", "AddressNotInPool", "never gives out the address 192.0.2.255"},
		{"no pool gives by itself", []metallb.IPAddressPool{manual}, nothing, nil, nothing,
			"", "NoPool", "no pool gives addresses automatically"},
		{"its pool does not give by itself any more", []metallb.IPAddressPool{a}, nothing, []metallb.IPAddressPool{manual}, nothing,
			"192.0.2.0", "Provisioned", "192.0.2.0 is from IPAddressPool a"},
		{"it names that pool", []metallb.IPAddressPool{manual}, noted("metallb.universe.tf/address-pool", "a"), nil, nothing,
			"192.0.2.0", "Provisioned", "192.0.2.0 is from IPAddressPool a"},
		{"it names no pool that there is", []metallb.IPAddressPool{a}, noted("metallb.universe.tf/address-pool", "b"), nil, nothing,
			"", "NoPool", "the requested pool b does not exist"},
		{"it asks by the deprecated field", []metallb.IPAddressPool{a}, nothing, nil, func(svc *corev1.Service) { svc.Spec.LoadBalancerIP = "192.0.2.77" },
			"192.0.2.77", "Provisioned", "192.0.2.77 is from IPAddressPool a"},
		{"it asks for an address of no pool", []metallb.IPAddressPool{a}, func(svc *corev1.Service) { svc.Spec.LoadBalancerIP = "203.0.113.1" }, nil, nothing,
			"", "AddressNotInPool", "203.0.113.1"},
		{"it contradicts itself", []metallb.IPAddressPool{a}, nothing, nil, noted("metallb.io/address-pool", "a", "metallb.universe.tf/address-pool", "b"),
			"192.0.2.0", "InvalidRequest", "contradict each other: remove one; until then the Service keeps what it has"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			g := newGround(t, tc.pools...)
			other := g.service("holder", "metallb.io/loadBalancerIPs", holder, "metallb.io/allow-shared-ip", "key")
			_ = g.ensure(t, other) // there may be no pool for it
			svc := g.service("svc")
			tc.asks(svc)
			_ = g.ensure(t, svc)
			if tc.edit != nil {
				g.edit(tc.edit...)
			}
			tc.then(svc)
			_ = g.ensure(t, svc)
			result, err := g.Ensure(t.Context(), providers.Request{Service: svc})
			reason, told := "", ""
			var refusal *providers.Refusal
			if errors.As(err, &refusal) {
				reason, told = refusal.Reason, refusal.Message
			} else if len(result.Conditions) > 0 {
				reason, told = result.Conditions[0].Reason, result.Conditions[0].Message
			}
			if shown(svc) != tc.shown || reason != tc.reason || !strings.Contains(told, tc.told) || strings.Contains(told, "mine") /* a key is a permission */ {
				t.Errorf("shows %q, %s: %s", shown(svc), reason, told)
			}
		})
	}
}
