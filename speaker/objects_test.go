package speaker

import (
	"fmt"
	"net/netip"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

// The objects of the stories.

func testNode(name string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"name": name}}}
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.30.0." + fmt.Sprint(10+int(name[len(name)-1]-'a'))}}
	return n
}

// reported is the ConfigurationState of a speaker that runs there.
func reported(node string) *metallb.ConfigurationState {
	return &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: stateName(node),
		Labels: labelsOf(node), Annotations: announce.SpeakerReport{Interfaces: []string{"eth0"}}.Annotations(node)}}
}

// cluster is nodes with speakers, and a pool that is advertised everywhere, the
// nodes preferred in the order of their names.
func cluster(nodes ...string) []client.Object {
	pool := &metallb.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "public"}}
	pool.Spec.Addresses = []string{"192.0.2.0/24", "2001:db8::/64"}
	advertisement := &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "all"}}
	all := []client.Object{pool, advertisement}
	for i, name := range nodes {
		all = append(all, testNode(name), reported(name))
		advertisement.Spec.PreferredNodeSelectors = append(advertisement.Spec.PreferredNodeSelectors, preferred(name, int32(100-i)))
	}
	return all
}

func preferred(node string, weight int32) metallb.PreferredNodeSelector {
	return metallb.PreferredNodeSelector{Weight: weight, Preference: metav1.LabelSelector{MatchLabels: map[string]string{"name": node}}}
}

func testService(name string, addresses ...string) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name)}}
	svc.Spec.Type = corev1.ServiceTypeLoadBalancer
	svc.Spec.Selector = map[string]string{"app": name}
	for _, a := range addresses {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	return svc
}

func local(svc *corev1.Service, port int32) *corev1.Service {
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	svc.Spec.HealthCheckNodePort = port
	return svc
}

// endpoints are ready ones of a Service, one on each of the nodes.
func endpoints(service string, nodes ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4, ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: service + "-1", Labels: map[string]string{discoveryv1.LabelServiceName: service}}}
	for i, node := range nodes {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.0.%d", i+1)}, NodeName: ptr.To(node)})
	}
	return slice
}

// drained has the endpoints on those nodes serve while they terminate.
func drained(slice *discoveryv1.EndpointSlice, nodes ...string) *discoveryv1.EndpointSlice {
	for i := range slice.Endpoints {
		if e := &slice.Endpoints[i]; slices.Contains(nodes, *e.NodeName) {
			e.Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}
		}
	}
	return slice
}

// onRecord is the record as the node wrote it.
func onRecord(svc *corev1.Service, address, node string) *metallb.ServiceL2Status {
	r := announce.Record{Service: client.ObjectKeyFromObject(svc), UID: svc.UID, Address: netip.MustParseAddr(address), Node: node}
	o := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: r.Name(), Labels: r.Labels(), Annotations: r.Annotations()}}
	o.Status = metallb.MetalLBServiceL2Status{Node: node, ServiceName: svc.Name, ServiceNamespace: svc.Namespace, Interfaces: infos([]string{"eth0"})}
	return o
}
