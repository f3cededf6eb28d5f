package announce

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/berth-lb/berth/trafficpolicy"
)

func (d dice) bgpAdvertisement(name string) *metallb.BGPAdvertisement {
	return bgpAd(name, func(s *metallb.BGPAdvertisementSpec) {
		if d.oneIn(2) {
			s.IPAddressPools = d.some("a", "b", "gone")
		}
		if d.oneIn(2) {
			s.Peers = d.some("p0", "p1", "p2", "p9")
		}
		if d.oneIn(2) {
			s.NodeSelectors = d.selectors("rack", "a", "b")
		}
		if d.oneIn(3) {
			s.ServiceSelectors = d.selectors("app", "web", "db")
		} else if d.oneIn(3) {
			s.AggregationLength, s.AggregationLengthV6 = ptr.To(d.Int32N(12)+22), ptr.To(d.Int32N(70)+60)
		}
		s.Communities = d.some("1:1", "1:2", "alias", "large:1:2:3")
		s.LocalPref, s.AsPathPrepend = d.Uint32N(3), uint8(d.IntN(3))
	})
}

func (d dice) peer(name string) *v1beta2.BGPPeer {
	addresses := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "2001:db8::2", "nowhere"}
	return peer(name, addresses[d.IntN(len(addresses))], func(s *v1beta2.BGPPeerSpec) {
		s.DualStackAddressFamily = d.oneIn(3)
		if d.oneIn(3) {
			s.NodeSelectors = d.selectors("rack", "a", "b")
		}
		if d.oneIn(6) {
			s.BFDProfile = "fast"
		}
	})
}

// routedWorld is a world that has BGP too.
func (d dice) routedWorld() (Config, Input) {
	c, in := d.world()
	for i := range d.IntN(4) {
		c.BGPAdvertisements = append(c.BGPAdvertisements, d.bgpAdvertisement(fmt.Sprint("ad", i)))
	}
	for i := range d.IntN(5) {
		c.BGPPeers = append(c.BGPPeers, d.peer(fmt.Sprint("p", i)))
	}
	c.BFDProfiles = []*metallb.BFDProfile{profile("fast", func(s *metallb.BFDProfileSpec) { s.TransmitInterval = ptr.To(d.Uint32N(60)) })}
	c.Communities = []*metallb.Community{makeCommunity("d", "alias", "3:3"), makeCommunity("c", "alias", "4:4")}
	if d.oneIn(3) {
		in.Service.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	}
	return c, in
}

func (d dice) shuffledRoutes(c Config, in Input) (Config, Input) {
	c, in = d.shuffled(c, in)
	c.BGPAdvertisements, c.BGPPeers = shuffle(d, c.BGPAdvertisements), shuffle(d, c.BGPPeers)
	c.BFDProfiles, c.Communities = shuffle(d, c.BFDProfiles), shuffle(d, c.Communities)
	return c, in
}

// everything is all that can be asked of a Config and an Input.
type everything struct {
	Problems []Problem
	Peers    []Peer
	Layer2   []Layer2
	BGP      []BGP
	Reach    []Reach
}

func decideAll(c Config, in Input) everything {
	v, problems := Compile(c)
	return everything{problems, v.Peers(), v.Layer2(in), v.BGP(in), v.Reach(in)}
}

// FuzzRoutes holds decisions about BGP against what is true of all of them.
func FuzzRoutes(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		d := dice{rand.New(rand.NewPCG(seed, 1))}
		c, in := d.routedWorld()
		before := dump(c) + dump(in)
		all := decideAll(c, in)

		if dump(c)+dump(in) != before {
			t.Error("the inputs were modified")
		}
		if again := decideAll(d.shuffledRoutes(c, in)); dump(all) != dump(again) {
			t.Errorf("the order of the inputs matters:\n%s\n%s", dump(all), dump(again))
		}
		for _, one := range all.BGP {
			checkRoutes(t, one, all.Peers)
		}
		for _, one := range all.Reach {
			checkAnnouncers(t, in, one)
		}
		checkEveryAddress(t, in, all)
		checkNodesAgree(t, c, in)
	})
}

func checkRoutes(t *testing.T, d BGP, peers []Peer) {
	if len(d.Routes) > 0 && d.Reason != "" || (d.Reason == "") != (d.Message == "") {
		t.Errorf("a reason and a message stand for routes: %+v", d)
	}
	for i, r := range d.Routes {
		if !r.Prefix.Contains(d.Address) || r.Prefix != r.Prefix.Masked() || i > 0 && d.Routes[i-1].Prefix.Compare(r.Prefix) >= 0 {
			t.Errorf("routes are not those of the address, or not sorted: %+v", d)
		}
		var told []string
		for j, p := range r.Paths {
			told = append(told, p.Peers...)
			if !slices.IsSorted(p.Peers) || !slices.IsSorted(p.Communities) || j > 0 && r.Paths[j-1].Peers[0] >= p.Peers[0] {
				t.Errorf("paths are not sorted: %+v", r)
			}
			if j > 0 && r.Paths[j-1].equal(p.Attributes) {
				t.Errorf("peers that are told the same are apart: %+v", r)
			}
		}
		slices.Sort(told)
		if len(told) == 0 || len(slices.Compact(slices.Clone(told))) != len(told) {
			t.Errorf("peers are told twice, or none is: %+v", r)
		}
		for _, name := range told {
			i := slices.IndexFunc(peers, func(p Peer) bool { return p.Name == name })
			if i < 0 || !peers[i].exchanges(familyIndex(d.Address)) {
				t.Errorf("%s is no peer for %s: %+v", name, r.Prefix, peers)
			}
		}
	}
}

func checkAnnouncers(t *testing.T, in Input, r Reach) {
	if (r.Reason == "") != (len(r.Announcers) > 0) || (r.Reason == "") != (r.Message == "") {
		t.Errorf("a reason and a message stand for announcers: %+v", r)
	}
	if OneNode(in.Service) && len(r.Announcers) > 2 {
		t.Errorf("one node and a standby are enough: %+v", r)
	}
	for i, a := range r.Announcers {
		if len(a.Peers) == 0 || !slices.IsSorted(a.Peers) || i > 0 && r.Announcers[i-1].Node >= a.Node {
			t.Errorf("not sorted, or nobody is told: %+v", r)
		}
	}
}

// checkEveryAddress: some protocol speaks of each address.
func checkEveryAddress(t *testing.T, in Input, all everything) {
	for _, address := range addressesOf(in.Service) {
		layer2 := slices.ContainsFunc(all.Layer2, func(d Layer2) bool { return d.Address == address })
		bgp := slices.ContainsFunc(all.BGP, func(d BGP) bool { return d.Address == address })
		reach := slices.ContainsFunc(all.Reach, func(r Reach) bool { return r.Address == address })
		if !layer2 && !bgp || bgp != reach {
			t.Errorf("%s: layer 2 %v, BGP %v, all see %v", address, layer2, bgp, reach)
		}
	}
}

// checkNodesAgree: what nodes announce, each by itself, is what all see of
// them, and under a failing check nothing.
func checkNodesAgree(t *testing.T, c Config, in Input) {
	in.Health = trafficpolicy.Silent
	for i := range c.Nodes {
		if c.Nodes[i].Speaker != nil {
			c.Nodes[i].Speaker.Closed = false
		}
	}
	reference := decideAll(c, in).Reach
	alone := map[netip.Addr]int{}
	for _, n := range c.Nodes {
		c.Self = n.Name
		in.Health = trafficpolicy.Silent
		all := decideAll(c, in)
		if dump(all.Reach) != dump(reference) {
			t.Errorf("%s sees %+v, others %+v", n.Name, all.Reach, reference)
		}
		for i, d := range all.BGP {
			checkReached(t, n.Name, d, reference[i])
			if slices.ContainsFunc(d.Routes, func(r Route) bool { return !r.Paths[0].Standby }) {
				alone[d.Address]++
			}
		}
		in.Health = trafficpolicy.Unhealthy
		for i, d := range decideAll(c, in).BGP {
			if len(d.Routes) > 0 || d.Local != all.BGP[i].Local {
				t.Errorf("%s fails its check: %+v, before: %+v", n.Name, d, all.BGP[i])
			}
		}
	}
	for _, r := range reference {
		if OneNode(in.Service) && alone[r.Address] != min(1, len(r.Announcers)) {
			t.Errorf("clients must keep to one node: %d announce %+v", alone[r.Address], r)
		}
	}
}

func checkReached(t *testing.T, node string, d BGP, r Reach) {
	var told []string
	for _, route := range d.Routes {
		for _, p := range route.Paths {
			told = append(told, p.Peers...)
		}
	}
	var seen []string
	for _, a := range r.Announcers {
		if a.Node == node {
			seen = a.Peers
		}
	}
	if !slices.Equal(distinct(told), seen) {
		t.Errorf("%s tells %q of %s, and is seen to tell %q", node, told, d.Address, seen)
	}
	if d.Reason != r.Reason || d.Message != r.Message {
		t.Errorf("%s says %s: %s, others %s: %s", node, d.Reason, d.Message, r.Reason, r.Message)
	}
}
