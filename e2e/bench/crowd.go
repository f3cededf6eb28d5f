package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/berth-lb/berth/e2e/site"
)

// endpointsEach is how many endpoints a Service of a crowd has, each on a node
// of its own.
const endpointsEach = 3

// crowd writes served Services and their endpoints by itself, in place of the
// controllers that would.
func crowd(ctx context.Context, b *bench, s *site.Site) (*ground, error) {
	g, err := groundOf(ctx, b, s)
	if err != nil {
		return nil, err
	}
	return g, g.gather(ctx, b, s)
}

// groundOf is the API server of a site, with the pool of the crowd.
func groundOf(ctx context.Context, b *bench, s *site.Site) (*ground, error) {
	g := &ground{Cluster: s.Kube, workers: b.workers}
	var err error
	if g.client, err = kubernetes.NewForConfig(brief(s.Kube.Config())); err != nil {
		return nil, err
	}
	return g, g.pool(ctx, "10.128.0.0/12")
}

func (g *ground) gather(ctx context.Context, b *bench, s *site.Site) error {
	began := time.Now()
	err := g.each(b.large, func(i int) error {
		svc, err := g.lonely(ctx, s, i)
		if err != nil {
			return err
		}
		return g.give(ctx, svc, addressOf(i))
	})
	progress("  wrote %d Services with %d endpoints in %v", b.large, endpointsEach*b.large, time.Since(began).Round(time.Second))
	return err
}

// addressOf is the address of the i-th Service.
func addressOf(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(128 + i>>16), byte(i >> 8), byte(i)})
}

// lonely writes a Service without an address, and its endpoints.
func (g *ground) lonely(ctx context.Context, s *site.Site, i int) (*corev1.Service, error) {
	svc := service(name(i), nil)
	svc.Spec.Selector = nil // nobody else writes its endpoints
	created, err := g.create(ctx, svc)
	if err != nil {
		return nil, err
	}
	_, err = g.client.DiscoveryV1().EndpointSlices(namespace).Create(ctx, endpointSlice(s, i), metav1.CreateOptions{})
	return created, err
}

// give writes addresses into the status of a Service, in place of those there.
func (g *ground) give(ctx context.Context, svc *corev1.Service, addrs ...netip.Addr) error {
	svc.Status.LoadBalancer.Ingress = nil
	for _, addr := range addrs {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress,
			corev1.LoadBalancerIngress{IP: addr.String(), IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})
	}
	written, err := g.client.CoreV1().Services(namespace).UpdateStatus(ctx, svc, metav1.UpdateOptions{})
	if err == nil {
		*svc = *written
	}
	return err
}

func endpointSlice(s *site.Site, i int) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: name(i),
			Labels: map[string]string{discoveryv1.LabelServiceName: name(i), discoveryv1.LabelManagedBy: "bench"},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("http"), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)},
			{Name: ptr.To("https"), Port: ptr.To[int32](8443), Protocol: ptr.To(corev1.ProtocolTCP)},
		},
	}
	for e := range endpointsEach {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.%d.%d.%d", 200+e, i>>8&255, i&255)},
			NodeName:  ptr.To(s.Nodes[e%len(s.Nodes)].Name),
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: fmt.Sprintf("%s-%d", name(i), e)},
			Conditions: discoveryv1.EndpointConditions{
				Ready: ptr.To(true), Serving: ptr.To(true), Terminating: ptr.To(false),
			},
		})
	}
	return slice
}

// churn changes one endpoint after the other, that of another Service each
// time, and returns how many.
func (g *ground) churn(ctx context.Context, b *bench, aSecond int) (changes int, err error) {
	pace := time.NewTicker(time.Second / time.Duration(aSecond))
	defer pace.Stop()
	total := int(b.watch.Seconds() * float64(aSecond))
	err = g.each(total, func(i int) error {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		return g.flip(ctx, i%b.large, i/b.large%2 == 1)
	})
	return total, err
}

// flip says that the first endpoint of a Service is ready, or is not.
func (g *ground) flip(ctx context.Context, i int, ready bool) error {
	patch := fmt.Appendf(nil, `[{"op":"replace","path":"/endpoints/0/conditions/ready","value":%t},`+
		`{"op":"replace","path":"/endpoints/0/conditions/serving","value":%t}]`, ready, ready)
	_, err := g.client.DiscoveryV1().EndpointSlices(namespace).Patch(ctx, name(i), types.JSONPatchType, patch, metav1.PatchOptions{})
	return err
}
