//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Ports of a Service of NewService, and of every pod.
const (
	// EchoPort answers lines of TCP and datagrams of UDP.
	EchoPort = 7007
	// HTTPPort answers HTTP.
	HTTPPort = 8080
)

// appLabel is what a Service of NewService selects pods by.
const appLabel = "app"

// NewService returns a dual-stack Service of type LoadBalancer for the pods
// that were started for app, yet to be created. Its ports are EchoPort, by TCP
// and UDP, and HTTPPort.
func NewService(namespace, name, app string) *corev1.Service {
	dual := corev1.IPFamilyPolicyRequireDualStack
	port := func(name string, protocol corev1.Protocol, number int32) corev1.ServicePort {
		return corev1.ServicePort{Name: name, Protocol: protocol, Port: number, TargetPort: intstr.FromInt32(number)}
	}
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: corev1.ServiceSpec{
			Type:           corev1.ServiceTypeLoadBalancer,
			IPFamilyPolicy: &dual,
			Selector:       map[string]string{appLabel: app},
			Ports: []corev1.ServicePort{
				port("lines", corev1.ProtocolTCP, EchoPort),
				port("datagrams", corev1.ProtocolUDP, EchoPort),
				port("http", corev1.ProtocolTCP, HTTPPort),
			},
		},
	}
}

// GiveAddresses writes addresses into a Service's status as a load balancer
// would whose packets arrive with the address as their destination. It stands
// in where a test has no controller.
func GiveAddresses(ctx context.Context, api client.Client, svc *corev1.Service, addrs ...netip.Addr) error {
	before := svc.DeepCopy()
	mode := corev1.LoadBalancerIPModeVIP
	svc.Status.LoadBalancer.Ingress = nil
	for _, addr := range addrs {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress,
			corev1.LoadBalancerIngress{IP: addr.String(), IPMode: &mode})
	}
	if err := api.Status().Patch(ctx, svc, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("giving addresses to %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	return nil
}

// join makes the nodes known to the API server, which they reach from now on.
func (l *Lab) join(ctx context.Context) error {
	for _, n := range l.Nodes {
		if err := n.openGateway(); err != nil {
			return fmt.Errorf("on %s: %w", n.Name, err)
		}
		if err := n.register(ctx); err != nil {
			return fmt.Errorf("making the Node %s: %w", n.Name, err)
		}
	}
	return nil
}

// register creates the Node as a kubelet would. One that an earlier lab left
// is taken over.
func (n *Node) register(ctx context.Context) error {
	subnets := podNets(n.Number)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:   n.Name,
			Labels: map[string]string{corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux"},
		},
		Spec: corev1.NodeSpec{
			PodCIDR:  subnets[0].String(),
			PodCIDRs: []string{subnets[0].String(), subnets[1].String()},
		},
	}
	err := n.lab.api.Create(ctx, node)
	if apierrors.IsAlreadyExists(err) {
		err = n.lab.api.Get(ctx, client.ObjectKeyFromObject(node), node)
	}
	if err != nil {
		return err
	}
	node.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: n.IPv4.String()},
		{Type: corev1.NodeInternalIP, Address: n.IPv6.String()},
		{Type: corev1.NodeHostName, Address: n.Name},
	}
	node.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
	}}
	return n.lab.api.Status().Update(ctx, node)
}

// MarkUnreachable does what Kubernetes does some 40 s after it last heard of a
// node: the Node's condition Ready is Unknown, and its pods are not ready.
func (n *Node) MarkUnreachable(ctx context.Context) error {
	if err := n.setReady(ctx, corev1.ConditionUnknown); err != nil {
		return err
	}
	for _, pod := range n.Pods() {
		if err := pod.Unready(ctx); err != nil {
			return err
		}
	}
	return nil
}

// MarkReady ends MarkUnreachable, for the pods too.
func (n *Node) MarkReady(ctx context.Context) error {
	if err := n.setReady(ctx, corev1.ConditionTrue); err != nil {
		return err
	}
	for _, pod := range n.Pods() {
		if err := pod.Ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) setReady(ctx context.Context, status corev1.ConditionStatus) error {
	node := &corev1.Node{}
	if err := n.lab.api.Get(ctx, client.ObjectKey{Name: n.Name}, node); err != nil {
		return fmt.Errorf("reading the Node %s: %w", n.Name, err)
	}
	before := node.DeepCopy()
	for i := range node.Status.Conditions {
		if condition := &node.Status.Conditions[i]; condition.Type == corev1.NodeReady {
			condition.Status, condition.LastTransitionTime = status, metav1.Now()
		}
	}
	if err := n.lab.api.Status().Patch(ctx, node, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("marking the Node %s: %w", n.Name, err)
	}
	return nil
}

// leave takes nodes and pods from the API server.
func (l *Lab) leave(ctx context.Context) {
	for _, n := range l.Nodes {
		for _, pod := range n.Pods() {
			_ = pod.remove(ctx)
		}
		_ = l.api.Delete(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}})
	}
}
