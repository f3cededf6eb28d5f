package main

import (
	"context"
	"fmt"
	"net/netip"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// both is a router of each software.
var both = []lab.RouterOptions{{Software: lab.FRR}, {Software: lab.BIRD}}

// software is what a router of both is, or of twice both.
func software(r *lab.Router) lab.Software { return both[(r.Number-1)%len(both)].Software }

// withRouters runs do where what is written to the API server is all that
// happens: no pods, nobody who gives addresses, and no speaker yet. All of the
// large pool is announced by BGP, and by one session from each node to each
// router.
func withRouters(ctx context.Context, b *bench, nodes int, routers []lab.RouterOptions, do func(*site.Site, *ground) error) error {
	opts := site.Options{
		Nodes: nodes, Clients: -1, Routers: routers,
		WithoutController: true, WithoutKubeProxy: true, WithoutSpeakers: true,
	}
	return withSite(ctx, opts, func(s *site.Site) error {
		if err := bySession4(ctx, s); err != nil {
			return err
		}
		g, err := groundOf(ctx, b, s)
		if err != nil {
			return err
		}
		all := &metallb.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: "bench"}}
		all.Spec.IPAddressPools = []string{"bench"}
		if err := s.API.Create(ctx, all); err != nil {
			return err
		}
		return do(s, g)
	})
}

// bySession4 leaves the sessions by IPv4, which both families come by.
func bySession4(ctx context.Context, s *site.Site) error {
	for _, r := range s.Routers {
		if err := s.API.Delete(ctx, peerOf(r, corev1.IPv6Protocol)); err != nil {
			return err
		}
		if err := change(ctx, s, peerOf(r, corev1.IPv4Protocol), func(p *v1beta2.BGPPeer) { p.Spec.DualStackAddressFamily = true }); err != nil {
			return err
		}
	}
	return nil
}

func peerOf(r *lab.Router, family corev1.IPFamily) *v1beta2.BGPPeer {
	return &v1beta2.BGPPeer{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: site.PeerName(r, family)}}
}

// withoutGracefulRestart has routers forget what a speaker told them when it
// ends.
func withoutGracefulRestart(ctx context.Context, s *site.Site) error {
	for _, r := range s.Routers {
		if err := change(ctx, s, peerOf(r, corev1.IPv4Protocol), func(p *v1beta2.BGPPeer) { p.Spec.EnableGracefulRestart = false }); err != nil {
			return err
		}
	}
	return nil
}

// runSpeakers starts speakers on the first nodes, and returns when they have
// read everything.
func runSpeakers(ctx context.Context, s *site.Site, nodes ...*lab.Node) error {
	for _, n := range nodes {
		p, err := s.RunSpeaker(n)
		if err != nil {
			return err
		}
		s.Speakers = append(s.Speakers, p)
	}
	return ready(ctx, s, nodes...)
}

// awaitSessions returns when every router has a session with each of the nodes.
func awaitSessions(ctx context.Context, s *site.Site, nodes ...*lab.Node) error {
	for _, r := range s.Routers {
		for _, n := range nodes {
			err := s.Await(ctx, fmt.Sprintf("%s has a session with %s", r.Name, n.Name), func(ctx context.Context) (bool, error) {
				neighbours, err := r.Neighbours(ctx)
				return neighbours[n.IPv4].Established(), err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// single is the prefix of one address.
func single(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

// hops are the nodes' addresses of the family of addr.
func hops(addr netip.Addr, nodes ...*lab.Node) (all []netip.Addr) {
	for _, n := range nodes {
		if addr.Is4() {
			all = append(all, n.IPv4)
		} else {
			all = append(all, n.IPv6)
		}
	}
	return all
}
