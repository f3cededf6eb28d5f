package trafficpolicy

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	cluster = corev1.ServiceExternalTrafficPolicyCluster
	local   = corev1.ServiceExternalTrafficPolicyLocal
)

// endpoint reads "address node state", where node "-" is none and state lists
// the conditions that are set, each with + or -: r(eady) s(erving)
// t(erminating).
func endpoint(t *testing.T, text string) discoveryv1.Endpoint {
	f := strings.Fields(text)
	if len(f) < 2 {
		t.Fatalf("endpoint %q", text)
	}
	e := discoveryv1.Endpoint{Addresses: []string{f[0]}, TargetRef: &corev1.ObjectReference{Kind: "Pod", UID: types.UID(f[0])}}
	if f[1] != "-" {
		e.NodeName = &f[1]
	}
	for _, c := range f[2:] {
		value := c[1] == '+'
		switch c[0] {
		case 'r':
			e.Conditions.Ready = &value
		case 's':
			e.Conditions.Serving = &value
		case 't':
			e.Conditions.Terminating = &value
		}
	}
	return e
}

func sliceOf(t *testing.T, family discoveryv1.AddressType, endpoints ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{AddressType: family}
	for _, e := range endpoints {
		s.Endpoints = append(s.Endpoints, endpoint(t, e))
	}
	return s
}

const (
	ready    = " r+ s+ t-"
	notReady = " r- s- t-"
	standIn  = " r- s+ t+"
	gone     = " r- s- t+"
)

func TestServingEndpoints(t *testing.T) {
	v4 := func(endpoints ...string) *discoveryv1.EndpointSlice {
		return sliceOf(t, discoveryv1.AddressTypeIPv4, endpoints...)
	}
	v6 := func(endpoints ...string) *discoveryv1.EndpointSlice {
		return sliceOf(t, discoveryv1.AddressTypeIPv6, endpoints...)
	}
	fqdn := sliceOf(t, discoveryv1.AddressTypeFQDN, "example.com a"+ready)
	noAddress := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{}}}
	type in = []*discoveryv1.EndpointSlice

	for _, tc := range []struct {
		reason         string
		slices         in
		cluster, local string
	}{
		{"nothing", nil, "", ""},
		{"ready ones, sorted", in{v4("2 a"+ready, "1 b"+ready)}, "1@b 2@a", "1@b 2@a"},
		{"several slices are one set", in{v4("2 a" + ready), v4("1 b" + ready)}, "1@b 2@a", "1@b 2@a"},
		{"nil conditions mean ready", in{v4("1 a")}, "1@a", "1@a"},
		{"not ready, not terminating", in{v4("1 a" + notReady)}, "", ""},
		{"serving, yet neither ready nor terminating", in{v4("1 a r- s+ t-")}, "", ""},
		{"terminating and no longer serving", in{v4("1 a" + gone)}, "", ""},
		{"nobody ready: those that terminate stand in", in{v4("1 a"+standIn, "2 b"+gone)}, "1@a*", "1@a*"},
		{"nil serving is true, as kube-proxy reads it", in{v4("1 a r- t+")}, "1@a*", "1@a*"},
		{"one is ready elsewhere: a node falls back by itself only for Local",
			in{v4("1 a"+standIn, "2 b"+ready)}, "2@b", "1@a* 2@b"},
		{"one is ready on the same node", in{v4("1 a"+standIn, "2 a"+ready)}, "2@a", "2@a"},
		{"publishNotReadyAddresses makes a terminating one ready", in{v4("1 a r+ s- t+")}, "1@a", "1@a"},
		{"moving between slices", in{v4("1 a" + ready), v4("1 a" + ready)}, "1@a", "1@a"},
		{"moving, and one copy is stale", in{v4("1 a" + notReady), v4("1 a" + ready)}, "1@a", "1@a"},
		{"the address of a terminating pod is in use again", in{v4("1 b"+ready, "1 a"+standIn)}, "1@b", "1@b"},
		{"a copy without a node", in{v4("1 -" + ready), v4("1 a" + ready)}, "1@a", "1@a"},
		{"no node: local nowhere", in{v4("1 -"+ready, "2 a"+ready)}, "1@ 2@a", "2@a"},
		{"each family falls back by itself", in{v4("1 a" + standIn), v6("::1 a" + ready)}, "1@a* ::1@a", "1@a* ::1@a"},
		{"FQDN has no semantics, kube-proxy ignores it", in{fqdn}, "", ""},
		{"no address", in{noAddress}, "", ""},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			for policy, want := range map[corev1.ServiceExternalTrafficPolicy]string{cluster: tc.cluster, "": tc.cluster, local: tc.local} {
				if got := show(ServingEndpoints(policy, tc.slices)); got != want {
					t.Errorf("%q: got %q, want %q", policy, got, want)
				}
				backwards := slices.Clone(tc.slices)
				slices.Reverse(backwards)
				if got := show(ServingEndpoints(policy, backwards)); got != want {
					t.Errorf("%q, slices in another order: got %q, want %q", policy, got, want)
				}
			}
		})
	}
}

func show(endpoints []Endpoint) string {
	var out []string
	for _, e := range endpoints {
		text := e.Address + "@" + e.Node
		if e.Terminating {
			text += "*"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

func TestServingNodes(t *testing.T) {
	got := ServingNodes([]Endpoint{{Node: "b"}, {Node: "a"}, {}, {Node: "b"}})
	if want := []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReachable(t *testing.T) {
	v4 := func(endpoints ...string) []*discoveryv1.EndpointSlice {
		return []*discoveryv1.EndpointSlice{sliceOf(t, discoveryv1.AddressTypeIPv4, endpoints...)}
	}
	selecting := func(policy corev1.ServiceExternalTrafficPolicy) *corev1.Service {
		return &corev1.Service{Spec: corev1.ServiceSpec{
			Selector: map[string]string{"tier": "front", "app": "web"}, ExternalTrafficPolicy: policy}}
	}
	manual := &corev1.Service{}
	manualLocal := &corev1.Service{Spec: corev1.ServiceSpec{ExternalTrafficPolicy: local}}

	for _, tc := range []struct {
		why    string
		svc    *corev1.Service
		slices []*discoveryv1.EndpointSlice
		reason string
		names  string // a part of the message
	}{
		{"served", selecting(cluster), v4("1 a" + ready), "", ""},
		{"served by what terminates", selecting(local), v4("1 a" + standIn), "", ""},
		{"no slice yet", selecting(cluster), nil, ReasonSelectorMatchesNoPods, "app=web,tier=front"},
		{"an empty slice is the same truth", selecting(cluster), v4(), ReasonSelectorMatchesNoPods, "app=web,tier=front"},
		{"pods, none ready", selecting(cluster), v4("1 a" + notReady), ReasonNoReadyEndpoints, "app=web,tier=front"},
		{"Local, none ready", selecting(local), v4("1 a" + notReady), ReasonNoReadyEndpoints, "app=web,tier=front"},
		{"slices by hand, none there", manual, nil, ReasonNoReadyEndpoints, "written by hand"},
		{"slices by hand, names only", manual, []*discoveryv1.EndpointSlice{sliceOf(t, discoveryv1.AddressTypeFQDN, "example.com -")},
			ReasonNoReadyEndpoints, "IP address"},
		{"slices by hand, none ready", manual, v4("1 -" + notReady), ReasonNoReadyEndpoints, "written by hand"},
		{"slices by hand without nodes serve under Cluster", manual, v4("1 -"), "", ""},
		{"and not under Local", manualLocal, v4("1 -"), ReasonNoReadyEndpoints, "nodeName"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			ok, reason, message := Reachable(tc.svc, tc.slices)
			if ok != (tc.reason == "") || reason != tc.reason {
				t.Errorf("got %v, %q: %s", ok, reason, message)
			}
			if !strings.Contains(message, tc.names) || ok != (message == "") {
				t.Errorf("message %q should name %q", message, tc.names)
			}
		})
	}

	t.Run("one pod more that is not ready changes nothing", func(t *testing.T) {
		_, r1, m1 := Reachable(selecting(cluster), v4("1 a"+notReady))
		_, r2, m2 := Reachable(selecting(cluster), v4("1 a"+notReady, "2 b"+notReady))
		if r1 != r2 || m1 != m2 {
			t.Errorf("%s: %s\n%s: %s", r1, m1, r2, m2)
		}
	})
}
