//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// kind is a session as a BGPPeer can ask for it, from one node to each router.
type kind struct {
	name   string
	node   *lab.Node
	family corev1.IPFamily
	// here is what the BGPPeer says besides the router's address and AS, there
	// what the router's neighbour is besides that of the default.
	here  func(*lab.Router, *v1beta2.BGPPeerSpec)
	there func(*lab.BGPNeighbour)
	// right says what the router has to see of the session, and of what is
	// announced by it. They may be nil.
	right func(lab.NeighbourState) bool
	path  func(lab.Path) bool
	// only is the software of the routers that it is for, empty for both.
	only lab.Software
}

// neighbour is how a router has it.
func (k kind) neighbour() lab.BGPNeighbour {
	n := lab.BGPNeighbour{Address: k.node.IPv4, ASN: lab.NodeASN, Passive: true}
	if k.family == corev1.IPv6Protocol {
		n.Address = k.node.IPv6
	}
	if k.there != nil {
		k.there(&n)
	}
	return n
}

// peer is the BGPPeer for it.
func (k kind) peer(r *lab.Router) *v1beta2.BGPPeer {
	config := r.Config()
	p := &v1beta2.BGPPeer{ObjectMeta: named(k.name + "-" + r.Name), Spec: v1beta2.BGPPeerSpec{
		MyASN: lab.NodeASN, ASN: config.ASN, Address: r.IPv4.String(), Port: config.Port, NodeSelectors: on(k.node),
	}}
	if k.family == corev1.IPv6Protocol {
		p.Spec.Address = r.IPv6.String()
	}
	if k.here != nil {
		k.here(r, &p.Spec)
	}
	return p
}

func (k kind) concerns(r *lab.Router, at int) bool {
	return k.only == "" || k.only == []lab.Software{lab.FRR, lab.BIRD}[at]
}

// reconfigure has all routers start anew with another configuration.
func (g *ground) reconfigure(change func(at int, r *lab.Router, c *lab.BGPConfig)) {
	g.t.Helper()
	errs := make([]error, len(g.Routers))
	var all sync.WaitGroup
	for i, r := range g.Routers {
		all.Go(func() {
			// Also where the story was given up.
			ctx, cancel := context.WithTimeout(context.Background(), site.Patience)
			defer cancel()
			errs[i] = r.Reconfigure(ctx, func(c *lab.BGPConfig) { change(i, r, c) })
		})
	}
	all.Wait()
	for _, err := range errs {
		g.must(err)
	}
}

// otherPeers takes all BGPPeers away until the story ends.
func (g *ground) otherPeers() {
	g.t.Helper()
	var peers v1beta2.BGPPeerList
	g.must(g.API.List(g.ctx, &peers))
	before := make([]lab.BGPConfig, len(g.Routers))
	for i, r := range g.Routers {
		before[i] = r.Config()
	}
	g.t.Cleanup(func() {
		g.reconfigure(func(at int, _ *lab.Router, c *lab.BGPConfig) { *c = before[at] })
		for _, p := range peers.Items {
			g.must(g.API.Create(context.Background(), &v1beta2.BGPPeer{ObjectMeta: named(p.Name), Spec: p.Spec}))
		}
	})
	for i := range peers.Items {
		g.drop(&peers.Items[i])
	}
}

// established has sessions of some kinds, and no others, until the story ends,
// and returns when all are as they should be. The svc is announced by each of
// them, in its family if not in both.
func (g *ground) established(svc *corev1.Service, kinds []kind, change func(at int, r *lab.Router, c *lab.BGPConfig)) {
	g.t.Helper()
	g.reconfigure(func(at int, r *lab.Router, c *lab.BGPConfig) {
		c.Neighbours = nil
		for _, k := range kinds {
			if k.concerns(r, at) {
				c.Neighbours = append(c.Neighbours, k.neighbour())
			}
		}
		if change != nil {
			change(at, r, c)
		}
	})
	for _, k := range kinds {
		for i, r := range g.Routers {
			if k.concerns(r, i) {
				g.create(k.peer(r))
			}
		}
	}
	for _, k := range kinds {
		for i, r := range g.Routers {
			if k.concerns(r, i) {
				g.asAsked(svc, k, r)
			}
		}
	}
}

// asAsked returns when a router has a session of a kind, and by it what is
// announced.
func (g *ground) asAsked(svc *corev1.Service, k kind, r *lab.Router) {
	g.t.Helper()
	from := k.neighbour().Address
	g.until(fmt.Sprintf("%s has a session of %s, %s", r.Name, k.node.Name, k.name), func(ctx context.Context) (bool, error) {
		neighbours, err := r.Neighbours(ctx)
		if err != nil {
			return false, err
		}
		if n := neighbours[from]; !n.Established() || k.right != nil && !k.right(n) {
			_, told, _ := g.sessions(ctx, k.node)
			return false, fmt.Errorf("it has %+v; the node says %+v", n, told[k.name+"-"+r.Name])
		}
		for _, addr := range site.Addresses(svc) {
			paths, err := r.Paths(ctx, whole(addr))
			if err != nil {
				return false, err
			}
			path, there := paths[from]
			if addr.Is4() == from.Is4() && !there || there && k.path != nil && !k.path(path) {
				return false, fmt.Errorf("it has %s by %+v", addr, path)
			}
		}
		return true, nil
	})
}

func lasting(seconds int) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(seconds) * time.Second}
}

const secondASN = 64999

// Passwords from a Secret and from the BGPPeer, AS numbers of every sort, and
// timers, routers' IDs and source addresses are what the router sees of a
// session.
func sessionsOfAllKinds(g *ground) {
	svc := g.serve("kinds", "web")
	g.otherPeers()
	const secret, plain = "from-the-Secret", "from-the-BGPPeer"
	g.create(&corev1.Secret{
		ObjectMeta: named("password"), Type: corev1.SecretTypeBasicAuth,
		StringData: map[string]string{corev1.BasicAuthPasswordKey: secret},
	})
	bySecret := func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Name = "password" }
	wantsSecret := func(n *lab.BGPNeighbour) { n.Password = secret }
	byPlain := func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.Password = plain }
	wantsPlain := func(n *lab.BGPNeighbour) { n.Password = plain }
	v4, v6 := corev1.IPv4Protocol, corev1.IPv6Protocol
	external := func(as uint32) func(lab.Path) bool {
		return func(p lab.Path) bool { return slices.Equal(p.ASPath, []uint32{as}) && p.LocalPref == 100 }
	}
	g.established(svc, []kind{
		{name: "secret-ipv4", node: g.Nodes[0], family: v4, here: bySecret, there: wantsSecret, path: external(lab.NodeASN)},
		{name: "secret-ipv6", node: g.Nodes[0], family: v6, here: bySecret, there: wantsSecret},
		{name: "password-ipv4", node: g.Nodes[1], family: v4, here: byPlain, there: wantsPlain},
		{name: "password-ipv6", node: g.Nodes[1], family: v6, here: byPlain, there: wantsPlain},
		{
			name: "local-as", node: g.Nodes[2], family: v4, path: external(secondASN),
			here:  func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.LocalASN = secondASN },
			there: func(n *lab.BGPNeighbour) { n.ASN = secondASN },
		},
		{
			name: "dynamic-external", node: g.Nodes[2], family: v6, path: external(lab.NodeASN),
			here: func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.ASN, s.DynamicASN = 0, v1beta2.ExternalASNMode },
		},
	}, nil)
	g.withoutKinds()

	g.advertise(func(s *metallb.BGPAdvertisementSpec) { s.LocalPref = 150 })
	const port = 1790
	other, other6 := netip.MustParsePrefix("172.30.7.1/16"), netip.MustParsePrefix("fd00:30::7:1/64")
	for _, addr := range []netip.Prefix{other, other6} {
		g.ip(&g.Nodes[2].Station, fmt.Sprintf("addr add %s dev eth0", addr))
	}
	internal := func(p lab.Path) bool { return len(p.ASPath) == 0 && p.LocalPref == 150 }
	sourceOf := func(addr netip.Prefix) func(*lab.Router, *v1beta2.BGPPeerSpec) {
		return func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.SrcAddress = addr.Addr().String() }
	}
	g.established(svc, []kind{
		{
			name: "internal", node: g.Nodes[0], family: v4, path: internal,
			here:  func(r *lab.Router, s *v1beta2.BGPPeerSpec) { s.MyASN = r.Config().ASN },
			there: func(n *lab.BGPNeighbour) { n.ASN = 0 },
		},
		{
			name: "dynamic-internal", node: g.Nodes[0], family: v6, path: internal,
			here: func(r *lab.Router, s *v1beta2.BGPPeerSpec) {
				s.MyASN, s.ASN, s.DynamicASN = r.Config().ASN, 0, v1beta2.InternalASNMode
			},
			there: func(n *lab.BGPNeighbour) { n.ASN = 0 },
		},
		{
			name: "timers", node: g.Nodes[1], family: v4,
			here: func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = lasting(9), lasting(2) },
			right: func(n lab.NeighbourState) bool {
				return n.Hold == 9*time.Second && n.Keepalive <= 3*time.Second
			},
		},
		{
			name: "router-id", node: g.Nodes[1], family: v6,
			here:  func(_ *lab.Router, s *v1beta2.BGPPeerSpec) { s.RouterID = "192.0.2.7" },
			right: func(n lab.NeighbourState) bool { return n.ID == netip.MustParseAddr("192.0.2.7") },
		},
		{
			name: "source-ipv4", node: g.Nodes[2], family: v4, here: sourceOf(other),
			there: func(n *lab.BGPNeighbour) { n.Address = other.Addr() },
			path:  func(p lab.Path) bool { return p.NextHop == other.Addr() && p.LocalPref == 100 },
		},
		{
			name: "source-ipv6", node: g.Nodes[2], family: v6, here: sourceOf(other6),
			there: func(n *lab.BGPNeighbour) { n.Address = other6.Addr() },
			path:  func(p lab.Path) bool { return p.NextHop == other6.Addr() && p.LocalPref == 100 },
		},
	}, func(_ int, r *lab.Router, c *lab.BGPConfig) {
		c.Port = port // a daemon has one
		for i := range c.Neighbours {
			if c.Neighbours[i].ASN == 0 {
				c.Neighbours[i].ASN = c.ASN
			}
		}
	})
	for _, addr := range []netip.Prefix{other, other6} {
		g.ip(&g.Nodes[2].Station, fmt.Sprintf("addr del %s dev eth0", addr))
	}
}

// withoutKinds takes all BGPPeers away.
func (g *ground) withoutKinds() {
	g.t.Helper()
	var peers v1beta2.BGPPeerList
	g.must(g.API.List(g.ctx, &peers))
	for i := range peers.Items {
		g.drop(&peers.Items[i])
	}
}
