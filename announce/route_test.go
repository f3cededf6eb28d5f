package announce

import (
	"net/netip"
	"slices"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

// TestRoutes tells what n1 announces, and who does as everybody sees it.
func TestRoutes(t *testing.T) {
	const routes, everyone = "192.0.2.1/32: r1,r2", "n1: r1,r2; n2: r1,r2; n3: r1,r2"
	const others = "n2: r1,r2; n3: r1,r2"
	health := func(a trafficpolicy.Answer) func(*Config, *Input) {
		return func(_ *Config, in *Input) { in.Health = a }
	}
	onN1, onN2 := match("name", "n1"), match("name", "n2")
	for _, tc := range []struct {
		reason      string
		change      func(*Config, *Input)
		want, reach string
	}{
		{"every node to every peer", func(*Config, *Input) {}, routes, everyone},

		{"nodes that are selected", bgpAds(bgpAd("a", fromNodes(onN2))), "", "n2: r1,r2"},
		{"peers by name", bgpAds(bgpAd("a", toPeers("r2"))), "192.0.2.1/32: r2", "n1: r2; n2: r2; n3: r2"},
		{"peers that the node has", peers(peer("r1", "10.0.0.1", atNodes(onN1)), peer("r2", "10.0.0.2", atNodes(onN2)), peer("r3", "10.0.0.3")),
			"192.0.2.1/32: r1,r3", "n1: r1,r3; n2: r2,r3; n3: r3"},
		{"no peer, no announcer", peers(peer("r1", "10.0.0.1", atNodes(onN2))), "", "n2: r1"},
		{"none of its peers is meant", together(peers(peer("r1", "10.0.0.1", atNodes(onN1)), peer("r2", "10.0.0.2")), bgpAds(bgpAd("a", toPeers("r1")))), "192.0.2.1/32: r1", "n1: r1"},
		{"a peer of the other family", peers(peer("r1", "2001:db8::1"), peer("r2", "10.0.0.2")), "192.0.2.1/32: r2", "n1: r2; n2: r2; n3: r2"},
		{"a peer of both", peers(peer("r1", "2001:db8::1", bothFamilies), peer("r2", "10.0.0.2")), routes, everyone},
		{"two peers with one address: as the sessions are", peers(peer("r1", "10.0.0.1", atNodes(onN1)), peer("r2", "10.0.0.1")), "192.0.2.1/32: r1", "n1: r1; n2: r2; n3: r2"},
		{"no speaker, no announcer", nodes(host("n1"), host("n2", silent)), routes, "n1: r1,r2"},
		{"no speaker reported here yet", nodes(host("n1", silent), host("n2")), "", "n2: r1,r2"},
		{"no interface that layer 2 could use", nodes(host("n1", having())), routes, "n1: r1,r2"},

		{"an excluded node", nodes(host("n1", labelled(corev1.LabelNodeExcludeBalancers, "")), host("n2")), "", "n2: r1,r2"},
		{"a node without a network", nodes(host("n1"), host("n2", condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue))), routes, "n1: r1,r2"},
		{"a node that is not ready: its sessions decide", nodes(host("n1"), host("n2", condition(corev1.NodeReady, corev1.ConditionUnknown))), routes, "n1: r1,r2; n2: r1,r2"},
		{"this node's kube-proxy refuses", health(trafficpolicy.Unhealthy), "", others},
		{"silence leaves what the objects say", health(trafficpolicy.Silent), routes, everyone},
		{"another node's kube-proxy refuses", nodes(host("n1"), host("n2", closed), host("n3")), routes, "n1: r1,r2; n3: r1,r2"},

		{"no pods", func(_ *Config, in *Input) { in.EndpointSlices = nil }, "", ""},
		{"no pods of the family", func(_ *Config, in *Input) { in.EndpointSlices = pods(discoveryv1.AddressTypeIPv6, "n1") }, "", ""},
		{"Cluster: the last pods terminate", draining("n2"), routes, everyone},

		{"Local: where the pods are", isLocalWith("n3", "n1", "gone"), routes, "n1: r1,r2; n3: r1,r2"},
		{"Local: pods elsewhere", isLocalWith("n3"), "", "n3: r1,r2"},
		{"Local: the check of the Service refuses", together(isLocalWith("n1", "n3"), health(trafficpolicy.Unhealthy)), "", "n3: r1,r2"},
		{"Local: another's kube-proxy decides nothing", together(isLocalWith("n1", "n3"), nodes(host("n1"), host("n3", closed))), routes, "n1: r1,r2; n3: r1,r2"},
		{"Local: this node is drained, and others are ready", together(isLocalWith("n1", "n3"), draining("n1")), "", "n3: r1,r2"},
		{"Local: another is drained", together(isLocalWith("n1", "n3"), draining("n3")), routes, "n1: r1,r2"},
		{"Local: terminating and ready pods on one node", together(isLocalWith("n1", "n3", "n1"), func(_ *Config, in *Input) {
			draining("n1")(nil, in)
			in.EndpointSlices[0].Endpoints[2].Conditions = discoveryv1.EndpointConditions{}
		}), routes, "n1: r1,r2; n3: r1,r2"},
		{"Local: all are drained: what is left serves", together(isLocalWith("n1", "n3"), draining("n1", "n3")), routes, "n1: r1,r2; n3: r1,r2"},
		{"Local: ready where no speaker is: what is left serves", together(isLocalWith("n1", "n3"), draining("n1"), nodes(host("n1"), host("n3", silent))), routes, "n1: r1,r2"},
		{"Local: ready where the node is excluded", together(isLocalWith("n1", "n3"), draining("n1"), nodes(host("n1"), host("n3", labelled(corev1.LabelNodeExcludeBalancers, "")))), routes, "n1: r1,r2"},
		{"Local: ready pods of the other family don't count", together(isLocalWith("n1"), draining("n1"), func(_ *Config, in *Input) {
			in.EndpointSlices = append(in.EndpointSlices, pods(discoveryv1.AddressTypeIPv6, "n3")...)
		}), routes, "n1: r1,r2"},

		// The scores of 192.0.2.1 give the order n3, n2, n1.
		{"ClientIP: one node, and one that stands by", clientIP, "", "n2: r1,r2; n3: r1,r2"},
		{"ClientIP: one that is believed dead comes last", together(clientIP, nodes(host("n1"), host("n2"), host("n3", condition(corev1.NodeReady, corev1.ConditionUnknown)))), "192.0.2.1/32: r1,r2 pref 1 prepend 8 standby", "n1: r1,r2; n2: r1,r2"},
		{"ClientIP: one that has a peer", together(clientIP, peers(peer("r1", "10.0.0.1", atNodes(onN1)))), "192.0.2.1/32: r1", "n1: r1"},
		{"ClientIP: one that is selected", together(clientIP, bgpAds(bgpAd("a", fromNodes(onN1, onN2)))), "192.0.2.1/32: r1,r2 pref 1 prepend 8 standby", "n1: r1,r2; n2: r1,r2"},
		{"ClientIP: one that has a speaker", together(clientIP, nodes(host("n1"), host("n2", closed), host("n3", silent))), routes, "n1: r1,r2"},
		{"ClientIP and Local: one that has pods", together(clientIP, isLocalWith("n1", "n2")), "192.0.2.1/32: r1,r2 pref 1 prepend 8 standby", "n1: r1,r2; n2: r1,r2"},
		{"ClientIP and Local: one that refuses does not stand by either", together(clientIP, isLocalWith("n1", "n2"), health(trafficpolicy.Unhealthy)), "", "n2: r1,r2"},
		{"ClientIP and Local: one that has ready pods", together(clientIP, isLocalWith("n1", "n2"), draining("n2")), routes, "n1: r1,r2; n2: r1,r2"},
		{"ClientIP and Local: one that drains stands by", together(clientIP, isLocalWith("n1", "n3"), draining("n1")), "192.0.2.1/32: r1,r2 pref 1 prepend 8 standby", "n1: r1,r2; n3: r1,r2"},
		{"ClientIP and Local: ready where the node is believed dead", together(clientIP, isLocalWith("n1", "n3"), draining("n1"), nodes(host("n1"), host("n3", condition(corev1.NodeReady, corev1.ConditionUnknown)))), routes, "n1: r1,r2; n3: r1,r2"},
		{"ClientIP: a standby by its own advertisement", together(clientIP, nodes(host("n1"), host("n2")), bgpAds(bgpAd("a", func(s *metallb.BGPAdvertisementSpec) {
			s.LocalPref, s.AsPathPrepend, s.Communities = 200, 2, []string{"1:1"}
		}))), "192.0.2.1/32: r1,r2 pref 1 prepend 10 1:1 standby", "n1: r1,r2; n2: r1,r2"},

		{"several advertisements: communities add up, the longest prepend counts", bgpAds(bgpAd("a", communities("1:2"), prepended(1)), bgpAd("b", communities("1:1", "1:2"), prepended(3))),
			"192.0.2.1/32: r1,r2 prepend 3 1:1 1:2", everyone},
		{"for each peer by itself", bgpAds(bgpAd("a", communities("1:2")), bgpAd("b", communities("1:1"), toPeers("r1"))),
			"192.0.2.1/32: r1 1:1 1:2; 192.0.2.1/32: r2 1:2", everyone},
		{"peers of several advertisements", bgpAds(bgpAd("a", toPeers("r2"), fromNodes(onN1)), bgpAd("b", toPeers("r1"), fromNodes(onN1, onN2))), routes, "n1: r1,r2; n2: r1"},
		{"an aggregate and the address itself", bgpAds(bgpAd("a"), bgpAd("b", aggregated(24, 64), toPeers("r1"))), "192.0.2.0/24: r1; 192.0.2.1/32: r1,r2", everyone},
		{"those that select the Service", bgpAds(bgpAd("a", ofServices(match("app", "db")), communities("1:1")), bgpAd("b", ofServices(match("app", "web")), communities("2:2")), bgpAd("c", communities("3:3"))),
			"192.0.2.1/32: r1,r2 2:2 3:3", everyone},
		{"LOCAL_PREF of those that select the Service: the first by name", bgpAds(bgpAd("b", ofServices(match("app", "web")), localPref(200)), bgpAd("a", ofServices(match("app", "web")), localPref(100)), bgpAd("c", ofServices(match("app", "db")))),
			"192.0.2.1/32: r1,r2 pref 100", everyone},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, in := routed()
			tc.change(&c, &in)
			v, problems := Compile(c)
			for _, p := range problems {
				if p.Field != "spec.peerAddress" {
					t.Errorf("problem: %+v", p)
				}
			}
			decided, reach := v.BGP(in)[0], v.Reach(in)[0]
			if got := spelled(decided.Routes); got != tc.want {
				t.Errorf("routes %q, want %q", got, tc.want)
			}
			if got := reaching(reach); got != tc.reach {
				t.Errorf("reach %q, want %q", got, tc.reach)
			}
			if (reach.Reason == "") != (tc.reach != "") || (decided.Reason == "") != (tc.reach != "") {
				t.Errorf("reasons stand for announcers alone: %+v, %+v", decided, reach)
			}
		})
	}
}

// TestAskHealthCheck: only those who would announce a Local Service ask its
// check, and go on asking while it fails.
func TestAskHealthCheck(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*Config, *Input)
		want   bool
	}{
		{"Cluster asks kube-proxy", func(*Config, *Input) {}, false},
		{"Local with a pod here", isLocalWith("n1"), true},
		{"Local without", isLocalWith("n2"), false},
		{"drained while others are ready", together(isLocalWith("n1", "n2"), draining("n1")), false},
		{"one node, which is another, and this one stands by", together(isLocalWith("n1", "n2"), clientIP), true},
		{"one node, and another stands by", together(isLocalWith("n1", "n2", "n3"), clientIP), false},
		{"one node, which is this one", together(isLocalWith("n1"), clientIP), true},
		{"no peer here", together(isLocalWith("n1"), peers(peer("r1", "10.0.0.1", atNodes(match("name", "n2"))))), false},
		{"excluded", together(isLocalWith("n1"), nodes(host("n1", labelled(corev1.LabelNodeExcludeBalancers, "")))), false},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			for _, answer := range []trafficpolicy.Answer{trafficpolicy.Silent, trafficpolicy.Healthy, trafficpolicy.Unhealthy} {
				c, in := routed()
				tc.change(&c, &in)
				in.Health = answer
				v, _ := Compile(c)
				if got := v.BGP(in)[0].Local; got != tc.want {
					t.Errorf("answer %v: got %v", answer, got)
				}
			}
		})
	}
}

// TestWhoseAddress tells which protocols speak of an address at all.
func TestWhoseAddress(t *testing.T) {
	l2 := func(all ...*metallb.L2Advertisement) func(*Config, *Input) { return ads(all...) }
	db, app := match("app", "db"), match("app", "web")
	both, layer2, bgp := [2]bool{true, true}, [2]bool{true, false}, [2]bool{false, true}
	for _, tc := range []struct {
		reason string
		change func(*Config, *Input)
		want   [2]bool
	}{
		{"asked for by BGP", together(l2(), bgpAds(bgpAd("b"))), bgp},
		{"asked for by layer 2", together(l2(ad("a")), bgpAds()), layer2},
		{"asked for by both", together(l2(ad("a")), bgpAds(bgpAd("b"))), both},
		{"asked for by none: both say so", together(l2(), bgpAds()), both},
		{"in no pool: both say so", func(_ *Config, in *Input) { in.Service = web(cluster, "198.51.100.1") }, both},
		{"of another pool", together(l2(ad("a", forPools("other"))), bgpAds(bgpAd("b"))), bgp},
		{"BGP for the pool, and not for the Service", together(l2(), bgpAds(bgpAd("b", ofServices(db)))), bgp},
		{"layer 2 for the pool, and not for the Service", together(l2(ad("a", forServices(db))), bgpAds()), layer2},
		{"both for the pool, BGP for the Service", together(l2(ad("a", forServices(db))), bgpAds(bgpAd("b", ofServices(app)))), bgp},
		{"both for the pool, layer 2 for the Service", together(l2(ad("a", forServices(app))), bgpAds(bgpAd("b", ofServices(db)))), layer2},
		{"both for the pool, none for the Service", together(l2(ad("a", forServices(db))), bgpAds(bgpAd("b", ofServices(db)))), both},
		{"BGP with prefixes larger than the pool", together(l2(), bgpAds(bgpAd("b", aggregated(8, 128)))), bgp},
		{"the same beside layer 2", together(l2(ad("a")), bgpAds(bgpAd("b", aggregated(8, 128)))), layer2},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, in := routed()
			tc.change(&c, &in)
			v, _ := Compile(c)
			if got := [2]bool{len(v.Layer2(in)) > 0, len(v.BGP(in)) > 0}; got != tc.want {
				t.Errorf("layer 2 and BGP: got %v, want %v", got, tc.want)
			}
			if len(v.BGP(in)) != len(v.Reach(in)) {
				t.Errorf("what a node decides and what all see: %+v, %+v", v.BGP(in), v.Reach(in))
			}
		})
	}
}

func TestFamiliesApartByBGP(t *testing.T) {
	c, in := routed()
	c.BGPPeers = []*v1beta2.BGPPeer{peer("four", "10.0.0.1"), peer("six", "2001:db8::1")}
	in.Service = web(local, "192.0.2.1", "2001:db8::1")
	in.EndpointSlices = append(pods(discoveryv1.AddressTypeIPv4, "n1"), pods(discoveryv1.AddressTypeIPv6, "n2")...)
	v, _ := Compile(c)
	got := v.Reach(in)
	if reaching(got[0]) != "n1: four" || reaching(got[1]) != "n2: six" {
		t.Errorf("each family has its own pods and peers: got %+v", got)
	}
}

// TestPathsAreShared: 10,000 Services that are told alike cost one list.
func TestPathsAreShared(t *testing.T) {
	c, in := routed()
	v, _ := Compile(c)
	first := v.BGP(in)[0].Routes[0].Paths
	in.Service = web(cluster, "192.0.2.77")
	if second := v.BGP(in)[0].Routes[0].Paths; &first[0] != &second[0] {
		t.Error("each address has its own list")
	}
}

// first is the node that announces the one address of in, and not as a standby.
func first(v *View, in Input) string {
	q := (&asker{in: in}).about(addressesOf(in.Service)[0])
	o, _ := v.offering(in.Service, q.address)
	return v.nodes[v.chosen(q, o.plan.sites)[0].node].Name
}

// TestOneNodeSpreads: addresses of Services that one node announces are shared
// out, and only those of a node that goes move.
func TestOneNodeSpreads(t *testing.T) {
	c, in := routed()
	clientIP(&c, &in)
	before, after := map[netip.Addr]string{}, map[netip.Addr]string{}
	for i, chosen := range []map[netip.Addr]string{before, after} {
		c.Nodes = c.Nodes[:3-i] // without n3
		v, _ := Compile(c)
		for last := range 250 {
			address := netip.AddrFrom4([4]byte{192, 0, 2, byte(last)})
			in.Service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address.String()}}
			chosen[address] = first(v, in)
		}
	}
	count := map[string]int{}
	for address, node := range before {
		count[node]++
		if node != "n3" && after[address] != node {
			t.Errorf("%s moved from %s to %s", address, node, after[address])
		}
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		if count[name] < 60 {
			t.Errorf("%s has %d of 250", name, count[name])
		}
	}
}

func TestMergeRoutes(t *testing.T) {
	to := func(a Attributes, peers ...string) Path { return Path{Peers: peers, Attributes: a} }
	first := []Path{to(Attributes{Communities: []uint32{2}}, "r1", "r2")}
	for _, tc := range []struct {
		reason string
		all    [][]Path
		want   []Path
	}{
		{"nothing", nil, nil},
		{"Services that tell nobody", [][]Path{nil, {}}, nil},
		{"one", [][]Path{nil, first}, first},
		{"the same again", [][]Path{first, first, first}, first},
		{"an equal one", [][]Path{first, slices.Clone(first)}, first},
		{"communities add up", [][]Path{first, {to(Attributes{Communities: []uint32{1, 2}, LargeCommunities: []LargeCommunity{{1, 2, 3}}}, "r1", "r2")}},
			[]Path{to(Attributes{Communities: []uint32{1, 2}, LargeCommunities: []LargeCommunity{{1, 2, 3}}}, "r1", "r2")}},
		{"the longest prepend, the first LOCAL_PREF that there is", [][]Path{
			{to(Attributes{Prepend: 1}, "r1")}, {to(Attributes{Prepend: 5, LocalPref: 7}, "r1")}, {to(Attributes{Prepend: 2, LocalPref: 9}, "r1")},
		}, []Path{to(Attributes{Prepend: 5, LocalPref: 7}, "r1")}},
		{"peers apart that are told different things", [][]Path{first, {to(Attributes{LocalPref: 1}, "r1")}},
			[]Path{to(Attributes{LocalPref: 1, Communities: []uint32{2}}, "r1"), to(Attributes{Communities: []uint32{2}}, "r2")}},
		{"a standby gives way", [][]Path{{to(Attributes{Prepend: 8, Standby: true}, "r1", "r2")}, {to(Attributes{Prepend: 1}, "r1")}, {to(Attributes{Prepend: 9, Standby: true}, "r1")}},
			[]Path{to(Attributes{Prepend: 1}, "r1"), to(Attributes{Prepend: 8, Standby: true}, "r2")}},
		{"peers together that end up the same", [][]Path{{to(Attributes{Prepend: 1}, "r2"), to(Attributes{Prepend: 2}, "r3")}, {to(Attributes{Prepend: 2}, "r1", "r2")}},
			[]Path{to(Attributes{Prepend: 2}, "r1", "r2", "r3")}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			before := dump(tc.all)
			if got := MergeRoutes(tc.all...); dump(got) != dump(tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if dump(tc.all) != before {
				t.Error("the contributions were modified")
			}
		})
	}
}
