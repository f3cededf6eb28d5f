package announce

import (
	"fmt"
	"net/netip"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

const (
	cluster = corev1.ServiceExternalTrafficPolicyCluster
	local   = corev1.ServiceExternalTrafficPolicyLocal
)

func makePool(name string, entries ...string) *metallb.IPAddressPool {
	return &metallb.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: metallb.IPAddressPoolSpec{Addresses: entries}}
}

// ad is an L2Advertisement that change makes different from the simplest one.
func ad(name string, change ...func(*metallb.L2AdvertisementSpec)) *metallb.L2Advertisement {
	a := &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, c := range change {
		c(&a.Spec)
	}
	return a
}

func forPools(names ...string) func(*metallb.L2AdvertisementSpec) {
	return func(s *metallb.L2AdvertisementSpec) { s.IPAddressPools = names }
}

func onInterfaces(names ...string) func(*metallb.L2AdvertisementSpec) {
	return func(s *metallb.L2AdvertisementSpec) { s.Interfaces = names }
}

func onNodes(all ...metav1.LabelSelector) func(*metallb.L2AdvertisementSpec) {
	return func(s *metallb.L2AdvertisementSpec) { s.NodeSelectors = all }
}

func forServices(all ...metav1.LabelSelector) func(*metallb.L2AdvertisementSpec) {
	return func(s *metallb.L2AdvertisementSpec) { s.ServiceSelectors = all }
}

func preferring(weight int32, s metav1.LabelSelector) func(*metallb.L2AdvertisementSpec) {
	return func(spec *metallb.L2AdvertisementSpec) {
		spec.PreferredNodeSelectors = append(spec.PreferredNodeSelectors, metallb.PreferredNodeSelector{Weight: weight, Preference: s})
	}
}

// match is the selector of one label.
func match(key, value string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

// host is a node with the label name and a speaker that can use eth0.
func host(name string, change ...func(*Node)) Node {
	n := Node{
		Node:    &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"name": name}}},
		Speaker: &SpeakerReport{Interfaces: []string{"eth0"}},
	}
	for _, c := range change {
		c(&n)
	}
	return n
}

func silent(n *Node) { n.Speaker = nil }
func closed(n *Node) { n.Speaker.Closed = true }

func having(interfaces ...string) func(*Node) {
	return func(n *Node) { n.Speaker.Interfaces = interfaces }
}

func labelled(key, value string) func(*Node) {
	return func(n *Node) { n.Labels[key] = value }
}

func condition(kind corev1.NodeConditionType, status corev1.ConditionStatus) func(*Node) {
	return func(n *Node) {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: kind, Status: status})
	}
}

// web is a Service with addresses.
func web(policy corev1.ServiceExternalTrafficPolicy, addresses ...string) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.ServiceSpec{ExternalTrafficPolicy: policy, Selector: map[string]string{"app": "web"}},
	}
	for _, a := range addresses {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	return svc
}

// pods are ready endpoints in one slice, one on each of nodes.
func pods(family discoveryv1.AddressType, nodes ...string) []*discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{AddressType: family}
	for i := range nodes {
		address := fmt.Sprintf("10.0.%d.%d", i/256, i%256)
		if family == discoveryv1.AddressTypeIPv6 {
			address = fmt.Sprintf("fd00::%x", i)
		}
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, NodeName: &nodes[i]})
	}
	return []*discoveryv1.EndpointSlice{slice}
}

func owners(address, node string) map[netip.Addr]string {
	return map[netip.Addr]string{netip.MustParseAddr(address): node}
}

// byName orders the candidates of d by name, for cases in which the order does
// not matter.
func byName(d Layer2) []string {
	names := slices.Clone(d.Candidates)
	slices.Sort(names)
	return names
}

// ask compiles c and decides about the one address of in.
func ask(c Config, in Input) Layer2 {
	v, _ := Compile(c)
	return v.Layer2(in)[0]
}

// plain is the simplest world that works: three nodes, one pool, one
// advertisement, and a pod.
func plain() (Config, Input) {
	return Config{
			Self:             "n1",
			Pools:            []*metallb.IPAddressPool{makePool("public", "192.0.2.0/24")},
			L2Advertisements: []*metallb.L2Advertisement{ad("all")},
			Nodes:            []Node{host("n1"), host("n2"), host("n3")},
		}, Input{
			Service:        web(cluster, "192.0.2.1"),
			EndpointSlices: pods(discoveryv1.AddressTypeIPv4, "n2"),
			Health:         trafficpolicy.Healthy,
		}
}
