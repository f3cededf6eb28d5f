//go:build linux

package site

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/lab"
)

// Names of what a site with routers has besides: pools of lab.RoutedPool and
// lab.AggregatePool, the latter announced as a whole, and the profile by which
// routers are watched. No address comes from these pools unless asked for.
const (
	RoutedPool    = "routed"
	AggregatePool = "aggregate"
	BFDProfile    = "lab"
)

// PeerName is the BGPPeer of the session with a router by its IPv4 address or by
// its IPv6 address.
func PeerName(r *lab.Router, family corev1.IPFamily) string {
	if family == corev1.IPv6Protocol {
		return r.Name + "-ipv6"
	}
	return r.Name + "-ipv4"
}

// SecretName is the Secret with a router's password.
func SecretName(r *lab.Router) string { return r.Name + "-password" }

// configureBGP makes the routers peers of all nodes.
func (s *Site) configureBGP(ctx context.Context) error {
	if len(s.Routers) == 0 {
		return nil
	}
	manual := false
	whole4, whole6 := int32(24), int32(120)
	// A router detects with Berth's multiplier, and Berth with the router's.
	timers := s.Routers[0].Config().BFD
	interval, multiplier := uint32(timers.Interval.Milliseconds()), uint32(timers.Multiplier)
	objects := []client.Object{
		&metallb.IPAddressPool{ObjectMeta: named(RoutedPool), Spec: metallb.IPAddressPoolSpec{Addresses: lab.RoutedPool, AutoAssign: &manual}},
		&metallb.IPAddressPool{ObjectMeta: named(AggregatePool), Spec: metallb.IPAddressPoolSpec{Addresses: lab.AggregatePool, AutoAssign: &manual}},
		&metallb.BGPAdvertisement{ObjectMeta: named(RoutedPool), Spec: metallb.BGPAdvertisementSpec{IPAddressPools: []string{RoutedPool}}},
		&metallb.BGPAdvertisement{ObjectMeta: named(AggregatePool), Spec: metallb.BGPAdvertisementSpec{
			IPAddressPools: []string{AggregatePool}, AggregationLength: &whole4, AggregationLengthV6: &whole6,
		}},
		&metallb.BFDProfile{ObjectMeta: named(BFDProfile), Spec: metallb.BFDProfileSpec{
			ReceiveInterval: &interval, TransmitInterval: &interval, DetectMultiplier: &multiplier,
		}},
	}
	for _, r := range s.Routers {
		objects = append(objects, peers(r)...)
	}
	return s.create(ctx, objects...)
}

// peers are a session by each address of a router, with the password that it
// asks nodes for.
func peers(r *lab.Router) (objects []client.Object) {
	config := r.Config()
	password := ""
	if i := slices.IndexFunc(config.Neighbours, func(n lab.BGPNeighbour) bool { return n.Password != "" }); i >= 0 {
		password = config.Neighbours[i].Password
		objects = append(objects, &corev1.Secret{
			ObjectMeta: named(SecretName(r)), Type: corev1.SecretTypeBasicAuth,
			StringData: map[string]string{corev1.BasicAuthPasswordKey: password},
		})
	}
	for family, addr := range map[corev1.IPFamily]netip.Addr{corev1.IPv4Protocol: r.IPv4, corev1.IPv6Protocol: r.IPv6} {
		peer := &v1beta2.BGPPeer{ObjectMeta: named(PeerName(r, family)), Spec: v1beta2.BGPPeerSpec{
			MyASN: lab.NodeASN, ASN: config.ASN, Address: addr.String(), Port: config.Port,
			BFDProfile: BFDProfile, EnableGracefulRestart: true,
		}}
		if password != "" {
			peer.Spec.PasswordSecret = corev1.SecretReference{Name: SecretName(r), Namespace: Namespace}
		}
		objects = append(objects, peer)
	}
	return objects
}

// Routed has a Service's addresses come from the pool that is announced by BGP.
// It is for Serve.
func Routed(svc *corev1.Service) {
	svc.Annotations = map[string]string{"metallb.io/address-pool": RoutedPool}
}

// AwaitRoutes returns when every router sends what is for the addresses of svc
// to exactly these nodes, or knows no such route if there are none.
func (s *Site) AwaitRoutes(ctx context.Context, svc *corev1.Service, nodes ...*lab.Node) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for _, r := range s.Routers {
		for _, addr := range Addresses(svc) {
			if _, err := r.AwaitRoute(ctx, netip.PrefixFrom(addr, addr.BitLen()), hops(addr, nodes)...); err != nil {
				return fmt.Errorf("%w; it says:\n%s", err, r.Log(10))
			}
		}
	}
	return nil
}

// hops are the addresses of nodes of the same family.
func hops(addr netip.Addr, nodes []*lab.Node) (all []netip.Addr) {
	for _, n := range nodes {
		if addr.Is4() {
			all = append(all, n.IPv4)
		} else {
			all = append(all, n.IPv6)
		}
	}
	return all
}
