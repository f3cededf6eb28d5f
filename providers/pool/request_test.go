package pool

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

func TestRequestOf(t *testing.T) {
	for _, tc := range []struct {
		why         string
		annotations map[string]string
		field       string
		want        []string
		pool, key   string
		refused     string
	}{
		{why: "nothing asked for"},
		{why: "an address of each family", annotations: map[string]string{"metallb.io/loadBalancerIPs": "192.0.2.1, 2001:db8::1"}, want: []string{"192.0.2.1", "2001:db8::1"}},
		{why: "the older prefix counts too", annotations: map[string]string{"metallb.universe.tf/loadBalancerIPs": "192.0.2.1", "metallb.universe.tf/address-pool": "a", "metallb.universe.tf/allow-shared-ip": "k"}, want: []string{"192.0.2.1"}, pool: "a", key: "k"},
		{why: "the deprecated field counts", field: "192.0.2.1", want: []string{"192.0.2.1"}},
		{why: "an IPv4 address in IPv6 form is one of IPv4", field: "::ffff:192.0.2.1", want: []string{"192.0.2.1"}},
		{why: "both prefixes, and they agree", annotations: map[string]string{"metallb.io/address-pool": "a", "metallb.universe.tf/address-pool": "a"}, pool: "a"},
		{why: "both prefixes, and they don't", annotations: map[string]string{"metallb.io/address-pool": "a", "metallb.universe.tf/address-pool": "b"},
			refused: `the annotations metallb.io/address-pool ("a") and metallb.universe.tf/address-pool ("b") contradict each other`},
		{why: "annotation and field", annotations: map[string]string{"metallb.io/loadBalancerIPs": "192.0.2.1"}, field: "192.0.2.1",
			refused: `annotation metallb.io/loadBalancerIPs ("192.0.2.1") and spec.loadBalancerIP ("192.0.2.1") are both set`},
		{why: "two of one family", annotations: map[string]string{"metallb.universe.tf/loadBalancerIPs": "192.0.2.1,192.0.2.2"},
			refused: "annotation metallb.universe.tf/loadBalancerIPs: 192.0.2.1 and 192.0.2.2 are of one family"},
		{why: "nonsense", annotations: map[string]string{"metallb.io/loadBalancerIPs": "web"},
			refused: `annotation metallb.io/loadBalancerIPs: "web" is not an IP address`},
		{why: "a hole in the list", annotations: map[string]string{"metallb.io/loadBalancerIPs": "192.0.2.1,"}, refused: `"" is not an IP address`},
		{why: "a zone names a link of one node", field: "fe80::1%eth0", refused: `spec.loadBalancerIP: "fe80::1%eth0" is not an IP address`},
	} {
		t.Run(tc.why, func(t *testing.T) {
			svc := &corev1.Service{}
			svc.Annotations, svc.Spec.LoadBalancerIP = tc.annotations, tc.field
			svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
			req, err := requestOf(svc, nil)
			if tc.refused != "" {
				if err == nil || err.Reason != providers.ReasonInvalidRequest || !strings.Contains(err.Message, tc.refused) {
					t.Fatalf("got %v, want %q", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range req.Addresses {
				got = append(got, a.String())
			}
			if strings.Join(got, " ") != strings.Join(tc.want, " ") || req.Pool != tc.pool || req.SharingKey != tc.key {
				t.Errorf("got %v, pool %q, key %q", got, req.Pool, req.SharingKey)
			}
		})
	}
}

func TestFamiliesOf(t *testing.T) {
	const v4, v6 = corev1.IPv4Protocol, corev1.IPv6Protocol
	for _, tc := range []struct {
		families []corev1.IPFamily
		policy   corev1.IPFamilyPolicy
		required int
	}{
		{[]corev1.IPFamily{v4}, corev1.IPFamilyPolicySingleStack, 1},
		{[]corev1.IPFamily{v6}, corev1.IPFamilyPolicyPreferDualStack, 1}, // a cluster of one family
		{[]corev1.IPFamily{v6, v4}, corev1.IPFamilyPolicyPreferDualStack, 1},
		{[]corev1.IPFamily{v4, v6}, corev1.IPFamilyPolicyRequireDualStack, 2},
	} {
		svc := &corev1.Service{Spec: corev1.ServiceSpec{IPFamilies: tc.families, IPFamilyPolicy: &tc.policy}}
		families, required := familiesOf(svc)
		if len(families) != len(tc.families) || required != tc.required {
			t.Errorf("%v %s: got %v, required %d", tc.families, tc.policy, families, required)
		}
	}
}

// TestBackendOf: under Local an address is shared only where the pods are the
// same, and a Service without selector is no exception.
func TestBackendOf(t *testing.T) {
	local := func(selector map[string]string) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal, Selector: selector}}
	}
	a, b := map[string]string{"app": "a", "tier": "web"}, map[string]string{"tier": "web", "app": "b"}
	switch {
	case backendOf(&corev1.Service{Spec: corev1.ServiceSpec{Selector: a}}) != "":
		t.Error("Cluster depends on the selector")
	case backendOf(local(a)) == backendOf(local(b)):
		t.Error("other pods, same backend")
	case backendOf(local(nil)) == "":
		t.Error("Local without selector passes for Cluster")
	}
}

// FuzzParseAddresses: whatever a user writes, the answer is addresses of
// different families or a refusal, never both.
func FuzzParseAddresses(f *testing.F) {
	for _, seed := range []string{"", "192.0.2.1", "192.0.2.1,2001:db8::1", " , ", "::ffff:1.2.3.4", "1.2.3.4%a", "01.2.3.4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		addrs, err := parseAddresses(list, "here")
		if err != nil {
			if !strings.Contains(err.Error(), "here") {
				t.Errorf("%q: the refusal doesn't say where: %v", list, err)
			}
			return
		}
		if len(addrs) == 0 || len(addrs) > 2 {
			t.Fatalf("%q: %v", list, addrs)
		}
		for i, a := range addrs {
			if !a.IsValid() || a.Zone() != "" || a.Is4In6() || i > 0 && a.Is4() == addrs[0].Is4() {
				t.Errorf("%q: %v", list, addrs)
			}
			if _, err := netip.ParseAddr(a.String()); err != nil {
				t.Errorf("%q: %v", list, err)
			}
		}
	})
}
