//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

var bfdPlots = []plot{
	{"a node without power is gone at both routers long before the hold time ends", (*scene).losesPower},
	{"where one node announces, another one has stood by when its power goes", (*scene).losesTheOnlyNode},
	{"a cut between one router and one node ends their sessions at once", (*scene).isCutOff},
	{"an edited profile is negotiated anew in the same session", (*scene).editsProfile},
	{"without its profile a peer waits for it", (*scene).missesProfile},
	{"a router over several hops is watched", (*scene).watchesFromAfar},
	{"BFD that is shut down is no failure", (*scene).shutsBFDDown},
	{"a router that shuts a neighbour down says so", (*scene).shutsNeighbourDown},
	{"without the API server routes stay, dead nodes go, and routers that start anew are told", (*scene).losesAPI},
}

// goneWithin is ten lost packets of 200 ms, and what routers take to tell their
// kernels: FRR some 60 ms. A busy machine needs the rest; the hold time would be
// 90 s. The bench has the figure.
const goneWithin = 2*time.Second + 5*time.Second

// routesOf are the routes to the Service.
func (g *scene) routesOf() (all []netip.Prefix) {
	for _, addr := range site.Addresses(g.web) {
		all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
	}
	return all
}

// byAt returns when a router sends what is for the Service to exactly these
// nodes, and the times since when it does so for each address.
func (g *scene) byAt(r *lab.Router, nodes ...*lab.Node) (since []time.Time) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.ctx, site.Patience)
	defer cancel()
	for _, route := range g.routesOf() {
		var hops []netip.Addr
		for _, n := range nodes {
			hop := n.IPv6
			if route.Addr().Is4() {
				hop = n.IPv4
			}
			hops = append(hops, hop)
		}
		at, err := r.AwaitRoute(ctx, route, hops...)
		g.must(err)
		since = append(since, at)
	}
	return since
}

// Nothing says goodbye, and the TCP sessions would live for the hold time.
func (g *scene) losesPower() {
	undisturbed := g.others("node1")
	began := time.Now()
	g.must(g.CutPower(g.Nodes[0]))
	for _, r := range g.Routers {
		for i, at := range g.byAt(r, g.Nodes[1:]...) {
			took := at.Sub(began)
			g.t.Logf("%s: %s lost the node after %s", r.Name, site.Addresses(g.web)[i], took.Round(time.Millisecond))
			if took > goneWithin {
				g.t.Errorf("%s should send nothing to the node after %s, that took %s", r.Name, goneWithin, took)
			}
		}
	}
	g.reached(g.web)
	undisturbed()
	g.must(g.RestorePower(g.ctx, g.Nodes[0]))
	g.announced(g.web, g.Nodes...)
}

// Kubernetes takes the better part of a minute to say that the node is dead.
func (g *scene) losesTheOnlyNode() {
	undisturbed := g.others(g.Nodes[0].Name, g.Nodes[1].Name)
	addr, at := g.keptAwayFrom(g.Nodes[2]) // that is where the pods are
	began := time.Now()
	g.must(g.CutPower(at))
	next := g.onlyNode(addr, at)
	for _, r := range g.Routers {
		took := r.Routes()[whole(addr)].Since.Sub(began)
		g.t.Logf("%s: %s went from %s to %s after %s", r.Name, addr, at.Name, next.Name, took.Round(time.Millisecond))
		if took > goneWithin {
			g.t.Errorf("%s should send everything to the standby after %s, that took %s", r.Name, goneWithin, took)
		}
	}
	g.must(g.RestorePower(g.ctx, at))
	g.announced(g.web, g.Nodes...)
	g.until("the address is back", func(context.Context) (bool, error) { return g.onlyNode(addr, nil) == at, nil })
	undisturbed()
}

// keptAwayFrom serves Services whose clients keep to one node until that is
// another one than avoid, and returns the address of the last and its node.
func (g *scene) keptAwayFrom(avoid *lab.Node) (netip.Addr, *lab.Node) {
	g.t.Helper()
	for i := range 10 {
		svc := g.serve(fmt.Sprint("kept", i), "web", sticky)
		g.reached(svc)
		addr := site.Addresses(svc)[0]
		if at := g.onlyNode(addr, nil); at != avoid {
			return addr, at
		}
	}
	g.t.Fatal("one node has all addresses")
	return netip.Addr{}, nil
}

// Both ends are alive and hear all others; only the way between is gone.
func (g *scene) isCutOff() {
	r, n := g.Routers[0], g.Nodes[0]
	undisturbed := g.others(sessionsWith(r)...)
	began := time.Now()
	g.must(g.Partition(r, n))
	g.t.Cleanup(func() { _ = g.Heal() })
	for _, peer := range sessionsWith(r) {
		g.explains(n.Name, peer, "BFD: the router was not heard in time")
	}
	if took := time.Since(began); took > 15*time.Second {
		g.t.Errorf("the node reports it after %s", took)
	}
	for _, at := range g.byAt(r, g.Nodes[1:]...) {
		g.t.Logf("%s lost the node after %s", r.Name, at.Sub(began).Round(time.Millisecond))
		if took := at.Sub(began); took > goneWithin {
			g.t.Errorf("%s should send nothing to the node after %s, that took %s", r.Name, goneWithin, took)
		}
	}
	g.byAt(g.Routers[1], g.Nodes...)
	g.must(g.Heal())
	g.announced(g.web, g.Nodes...)
	undisturbed()
}

// asks returns when the routers hear that node1 would send as often as that.
func (g *scene) asks(interval time.Duration) {
	g.t.Helper()
	for _, addr := range []netip.Addr{g.Nodes[0].IPv4, g.Nodes[0].IPv6} {
		g.until(fmt.Sprintf("%s asks for %s", addr, interval), func(ctx context.Context) (bool, error) {
			all, err := g.Routers[0].BFDRemote(ctx)
			return orElse(all[addr].Interval == interval, err, "it is %+v", all[addr])
		})
	}
}

// Timers are negotiated by a Poll Sequence (RFC 5880 section 6.8.3).
func (g *scene) editsProfile() {
	undisturbed := g.others()
	usual := g.Routers[0].Config().BFD.Interval
	g.asks(usual)
	slower := uint32(250)
	undo := g.changeProfile(func(s *metallb.BFDProfileSpec) { s.TransmitInterval, s.ReceiveInterval = &slower, &slower })
	g.asks(250 * time.Millisecond)
	undo()
	g.asks(usual)
	for _, n := range g.Nodes {
		g.watched(n.Name, g.allPeers()...)
	}
	undisturbed()
}

// watched returns when a node reports that BFD is up with these peers.
func (g *scene) watched(node string, peers ...string) {
	g.t.Helper()
	for _, peer := range peers {
		g.bfdIs(node, peer, "Up")
	}
}

func (g *scene) bfdIs(node, peer, state string) {
	g.t.Helper()
	g.until(fmt.Sprintf("BFD of %s with %s is %s", node, peer, state), func(ctx context.Context) (bool, error) {
		all, err := g.sessions(ctx, node)
		return orElse(all[peer].BFD == state, err, "it is %q", all[peer].BFD)
	})
}

// Whoever asks for BFD counts on failures being noticed fast: rather no session
// than one without.
func (g *scene) missesProfile() {
	peer := sessionsWith(g.Routers[1])[0]
	undisturbed := g.others(peer)
	g.changePeer(peer, func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "late" })
	for _, n := range g.Nodes {
		g.complains(n.Name, `BGPPeer `+peer+` spec.bfdProfile: "late" is no BFDProfile: create it, or leave the field out`)
	}
	g.create(&metallb.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "late"}})
	g.complains("node1", "")
	g.stands("node1", peer)
	g.watched("node1", peer)
	undisturbed()
}

// afar are addresses that are on no link of both ends.
var afar = struct{ router, node netip.Addr }{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.11")}

// The session is between loopback addresses, as with routers that are reached by
// several ways.
func (g *scene) watchesFromAfar() {
	r, n := g.Routers[0], g.Nodes[0]
	g.must(r.IP("addr add "+afar.router.String()+"/32 dev lo", fmt.Sprintf("route add %s via %s", afar.node, n.IPv4)))
	g.must(n.IP("addr add "+afar.node.String()+"/32 dev lo", fmt.Sprintf("route add %s via %s", afar.router, r.IPv4)))
	g.t.Cleanup(func() {
		_ = n.IP(fmt.Sprintf("route del %s via %s", afar.router, r.IPv4), "addr del "+afar.node.String()+"/32 dev lo")
		_ = r.IP(fmt.Sprintf("route del %s via %s", afar.node, n.IPv4), "addr del "+afar.router.String()+"/32 dev lo")
	})
	asn, neighbour := fmt.Sprint("router bgp ", r.Config().ASN), " neighbor "+afar.node.String()
	g.must(r.Tell(g.ctx, asn,
		neighbour+fmt.Sprint(" remote-as ", lab.NodeASN), neighbour+" ebgp-multihop 255", neighbour+" passive",
		neighbour+" update-source "+afar.router.String(), neighbour+" bfd", neighbour+" bfd profile lab",
		" address-family ipv4 unicast", neighbour+" activate", neighbour+" route-map own out"))
	g.t.Cleanup(func() { _ = r.Tell(context.Background(), asn, " no"+neighbour+fmt.Sprint(" remote-as ", lab.NodeASN)) })

	undisturbed := g.others("afar")
	g.meet("afar", v1beta2.BGPPeerSpec{
		ASN: r.Config().ASN, Address: afar.router.String(), SrcAddress: afar.node.String(),
		EBGPMultiHop: true, BFDProfile: site.BFDProfile,
	})
	g.stands("node1", "afar")
	g.watched("node1", "afar")
	// The way is gone, and neither end says so.
	g.must(r.IP(fmt.Sprintf("route del %s via %s", afar.node, n.IPv4)))
	g.explains("node1", "afar", "BFD: ")
	g.must(r.IP(fmt.Sprintf("route add %s via %s", afar.node, n.IPv4)))
	g.stands("node1", "afar")
	g.watched("node1", "afar")
	undisturbed()
}

// Somebody switches BFD off on the router on purpose (RFC 5882 section 3.2).
func (g *scene) shutsBFDDown() {
	r := g.Routers[0]
	undisturbed := g.others()
	g.must(r.TellBFD(g.ctx, "bfd", "profile lab", "shutdown"))
	g.t.Cleanup(func() { _ = r.TellBFD(context.Background(), "bfd", "profile lab", "no shutdown") })
	for _, peer := range sessionsWith(r) {
		g.bfdIs("node1", peer, "Down")
	}
	g.announced(g.web, g.Nodes...)
	g.must(r.TellBFD(g.ctx, "bfd", "profile lab", "no shutdown"))
	g.watched("node1", sessionsWith(r)...)
	undisturbed()
}

// What an operator writes for others to read is worth repeating (RFC 9003), and
// the way back needs nobody but him.
func (g *scene) shutsNeighbourDown() {
	r := g.Routers[0]
	peer := sessionsWith(r)[0]
	undisturbed := g.others(peer)
	asn, neighbour := fmt.Sprint("router bgp ", r.Config().ASN), "neighbor "+g.Nodes[0].IPv4.String()
	g.must(r.Tell(g.ctx, asn, neighbour+" shutdown message new cables"))
	g.t.Cleanup(func() { _ = r.Tell(context.Background(), asn, "no "+neighbour+" shutdown") })
	g.explains("node1", peer, `administrative shutdown "new cables"`)
	g.must(r.Tell(g.ctx, asn, "no "+neighbour+" shutdown"))
	if s := g.stands("node1", peer); s.State != v1beta1.Established {
		g.t.Errorf("it is %s", s.State)
	}
	undisturbed()
}
