//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// plain is a path without anything that an advertisement can add.
func plain(p lab.Path) bool {
	return slices.Equal(p.ASPath, []uint32{lab.NodeASN}) && len(p.Communities)+len(p.LargeCommunities) == 0
}

// What an advertisement adds reaches routers as it is written, and again with
// every edit, without a session being reset; an external peer is told no
// LOCAL_PREF (RFC 4271 section 5.1.5).
func tellsAttributes(g *ground) {
	svc := g.serve("attributes", "web")
	g.announced(svc, g.Nodes...)
	check := g.undisturbed()
	undo := g.advertise(func(s *metallb.BGPAdvertisementSpec) {
		s.LocalPref = 150
		s.AsPathPrepend = 2
		s.Communities = []string{"64500:7", "64500:3", "large:64500:1:2"}
	})
	for _, r := range g.Routers {
		g.told(r, svc, "with communities and a longer AS path", func(p lab.Path) bool {
			return slices.Equal(p.ASPath, []uint32{lab.NodeASN, lab.NodeASN, lab.NodeASN}) && p.LocalPref == 100 &&
				slices.Equal(p.Communities, []string{"64500:3", "64500:7"}) && slices.Equal(p.LargeCommunities, []string{"64500:1:2"})
		})
	}
	undo()
	for _, r := range g.Routers {
		g.told(r, svc, "without them", plain)
	}
	check()
}

// An alias stands for what the Community says at the time, be it created or
// changed after the advertisement that uses it.
func followsAliases(g *ground) {
	svc := g.serve("alias", "web")
	g.announced(svc, g.Nodes...)
	check := g.undisturbed()
	g.create(&metallb.Community{ObjectMeta: named("aliases"), Spec: metallb.CommunitySpec{
		Communities: []metallb.CommunityAlias{{Name: "blue", Value: "64500:1"}},
	}})
	undo := g.advertise(func(s *metallb.BGPAdvertisementSpec) { s.Communities = []string{"blue"} })
	marked := func(small, large []string) func(lab.Path) bool {
		return func(p lab.Path) bool {
			return slices.Equal(p.Communities, small) && slices.Equal(p.LargeCommunities, large)
		}
	}
	for _, r := range g.Routers {
		g.told(r, svc, "marked blue", marked([]string{"64500:1"}, nil))
	}
	edit(g, g.writeSpec, &metallb.Community{ObjectMeta: named("aliases")}, func(c *metallb.Community) {
		c.Spec.Communities[0].Value = "large:64500:2:3"
	})
	for _, r := range g.Routers {
		g.told(r, svc, "marked as blue is now", marked(nil, []string{"64500:2:3"}))
	}
	undo()
	for _, r := range g.Routers {
		g.told(r, svc, "unmarked", plain)
	}
	check()
}

// aggregated has a Service's addresses come from the pool that is announced as
// a whole.
func aggregated(svc *corev1.Service) {
	svc.Annotations = map[string]string{"metallb.io/address-pool": site.AggregatePool}
}

// An aggregate is there while any address in it is, and its addresses are not
// told one by one.
func aggregates(g *ground) {
	prefixes := []netip.Prefix{netip.MustParsePrefix(lab.AggregatePool[0]), netip.MustParsePrefix(lab.AggregatePool[1])}
	all := func(nodes ...*lab.Node) {
		g.t.Helper()
		ctx, cancel := context.WithTimeout(g.ctx, site.Patience)
		defer cancel()
		for _, r := range g.Routers {
			for _, prefix := range prefixes {
				var hops []netip.Addr
				for _, n := range nodes {
					hops = append(hops, of(&n.Station, prefix.Addr()))
				}
				_, err := r.AwaitRoute(ctx, prefix, hops...)
				g.must(err)
			}
		}
	}
	first, second := g.serve("aggregate1", "web", aggregated), g.serve("aggregate2", "web", aggregated)
	all(g.Nodes...)
	g.reached(first)
	// What comes after them is here: nothing of theirs is on its way.
	marker := g.serve("aggregate-marker1", "web")
	g.announced(marker, g.Nodes...)
	since := g.Routers[0].Routes()[prefixes[0]].Since
	g.remove(first.Name)
	// One that came after is here: so is what became of the removal.
	marker = g.serve("aggregate-marker2", "web")
	g.announced(marker, g.Nodes...)
	g.reached(second)
	if now := g.Routers[0].Routes()[prefixes[0]].Since; now != since {
		g.t.Errorf("%s changed after %s, with an address in it all the time", prefixes[0], now.Sub(since))
	}
	for _, r := range g.Routers {
		for _, addr := range append(site.Addresses(first), site.Addresses(second)...) {
			if route, there := r.Routes()[whole(addr)]; there {
				g.t.Errorf("%s has %s by %v beside the aggregate", r.Name, addr, route.NextHops)
			}
		}
	}
	g.remove(second.Name)
	all()
}

// An advertisement for the sessions with one router leaves the other without.
func choosesPeers(g *ground) {
	svc := g.serve("peers", "web")
	g.announced(svc, g.Nodes...)
	chosen, other := g.Routers[0], g.Routers[1]
	check := g.undisturbed()
	undo := g.advertise(func(s *metallb.BGPAdvertisementSpec) { s.Peers = peersOf(chosen) })
	g.sees(other, svc)
	g.sees(chosen, svc, g.Nodes...)
	undo()
	g.announced(svc, g.Nodes...)
	check()
}

// peersOf names the BGPPeers of a router.
func peersOf(r *lab.Router) []string {
	return []string{site.PeerName(r, corev1.IPv4Protocol), site.PeerName(r, corev1.IPv6Protocol)}
}

// The nodes that an advertisement selects announce, and no other.
func choosesNodes(g *ground) {
	svc := g.serve("nodes", "web")
	g.announced(svc, g.Nodes...)
	g.advertise(func(s *metallb.BGPAdvertisementSpec) { s.NodeSelectors = on(g.Nodes[1], g.Nodes[2]) })
	g.announced(svc, g.Nodes[1:]...)
	g.advertise(func(s *metallb.BGPAdvertisementSpec) { s.NodeSelectors = on(g.Nodes[0]) })
	g.announced(svc, g.Nodes[0])
	g.reached(svc)
}

// A Service is announced while its labels are selected, and says so while they
// are not.
func choosesServices(g *ground) {
	svc := g.serve("services", "web")
	g.announced(svc, g.Nodes...)
	g.advertise(func(s *metallb.BGPAdvertisementSpec) {
		s.ServiceSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{"public": "yes"}}}
	})
	g.announced(svc)
	g.says(g.serving(svc, metav1.ConditionFalse, "NotAdvertised"), fmt.Sprintf("%q", site.RoutedPool), "spec.serviceSelectors")
	edit(g, g.writeSpec, svc, func(s *corev1.Service) { s.Labels = map[string]string{"public": "yes"} })
	g.announced(svc, g.Nodes...)
	g.serving(svc, metav1.ConditionTrue, "")
}

// Two advertisements for one pool tell two routers different things of one
// prefix, and where they meet, what both add is told.
func advertisesTwice(g *ground) {
	svc := g.serve("twice", "web")
	first, second := g.Routers[0], g.Routers[1]
	g.advertise(func(s *metallb.BGPAdvertisementSpec) {
		s.Peers, s.Communities = peersOf(first), []string{"64500:1"}
	})
	g.create(&metallb.BGPAdvertisement{ObjectMeta: named("second"), Spec: metallb.BGPAdvertisementSpec{
		IPAddressPools: []string{site.RoutedPool}, Peers: peersOf(second), Communities: []string{"64500:2"}, AsPathPrepend: 1,
	}})
	marked := func(hops int, communities ...string) func(lab.Path) bool {
		return func(p lab.Path) bool { return slices.Equal(p.Communities, communities) && len(p.ASPath) == hops }
	}
	g.told(first, svc, "as the first says", marked(1, "64500:1"))
	g.told(second, svc, "as the second says", marked(2, "64500:2"))
	g.announced(svc, g.Nodes...)
	edit(g, g.writeSpec, &metallb.BGPAdvertisement{ObjectMeta: named("second")}, func(a *metallb.BGPAdvertisement) {
		a.Spec.Peers, a.Spec.AsPathPrepend = nil, 0
	})
	g.told(first, svc, "as both say", marked(1, "64500:1", "64500:2"))
	g.told(second, svc, "as the second says now", marked(1, "64500:2"))
}
