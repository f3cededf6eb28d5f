package announce

import (
	"math/rand/v2"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
)

func TestSame(t *testing.T) {
	racks := func(c *Config, _ *Input) {
		c.L2Advertisements = []*metallb.L2Advertisement{ad("a", onNodes(match("rack", "a")), onInterfaces("eth0"))}
		c.Nodes[1] = host("n2", labelled("rack", "a"))
	}
	for _, tc := range []struct {
		reason string
		world  func(*Config, *Input)
		change func(*Config, *Input)
		want   bool
	}{
		{"nothing", racks, func(*Config, *Input) {}, true},
		{"a label that no selector is about", racks, nodes(host("n1"), host("n2", labelled("rack", "a"), labelled("feature", "x")), host("n3")), true},
		{"an interface that no advertisement is for", racks, nodes(host("n1"), host("n2", labelled("rack", "a"), having("eth0", "eth1")), host("n3")), true},
		{"Ready for the first time", racks, nodes(host("n1"), host("n2", labelled("rack", "a"), condition(corev1.NodeReady, corev1.ConditionTrue)), host("n3")), true},

		{"a label that decides", racks, nodes(host("n1"), host("n2"), host("n3")), false},
		{"a label that is preferred", ads(ad("a", preferring(1, match("rack", "a")))), nodes(host("n1"), host("n2", labelled("rack", "a")), host("n3")), false},
		{"the only interface that is allowed", racks, nodes(host("n1"), host("n2", labelled("rack", "a"), having("eth1")), host("n3")), false},
		{"a node that is not Ready", racks, nodes(host("n1"), host("n2", labelled("rack", "a")), host("n3", condition(corev1.NodeReady, corev1.ConditionFalse))), false},
		{"a node that is excluded", racks, nodes(host("n1"), host("n2", labelled("rack", "a")), host("n3", labelled(corev1.LabelNodeExcludeBalancers, ""))), false},
		{"a kube-proxy that can't serve", racks, nodes(host("n1"), host("n2", labelled("rack", "a"), closed), host("n3")), false},
		{"a speaker that comes", nodes(host("n1"), host("n2", silent), host("n3")), nodes(host("n1"), host("n2"), host("n3")), false},
		{"another pool", racks, func(c *Config, _ *Input) { c.Pools = append(c.Pools, makePool("more", "10.0.0.0/24")) }, false},
		{"other addresses", racks, func(c *Config, _ *Input) { c.Pools = []*metallb.IPAddressPool{makePool("public", "192.0.2.0/25")} }, false},
		{"an advertisement for other Services", racks, ads(ad("a", onNodes(match("rack", "a")), onInterfaces("eth0"), forServices(match("app", "db")))), false},
		{"another attribute", bgpAds(bgpAd("all")), bgpAds(bgpAd("all", func(s *metallb.BGPAdvertisementSpec) { s.LocalPref = 7 })), false},
		{"a router less", bgpAds(bgpAd("all")), func(c *Config, _ *Input) { c.BGPPeers = c.BGPPeers[:1] }, false},
		{"a node that is to have no session any more", bgpAds(bgpAd("all")), peers(peer("r1", "10.0.0.1", func(s *v1beta2.BGPPeerSpec) {
			s.NodeSelectors = append(s.NodeSelectors, match("name", "n1"))
		}), peer("r2", "10.0.0.2")), false},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, in := routed()
			c.L2Advertisements = []*metallb.L2Advertisement{ad("all")}
			tc.world(&c, &in)
			before, _ := Compile(c)
			before.Layer2(in) // what was asked does not matter
			tc.change(&c, &in)
			after, _ := Compile(c)
			if before.Same(after) != tc.want || after.Same(before) != tc.want {
				t.Errorf("got %t", !tc.want)
			}
		})
	}
	none, _ := Compile(Config{})
	if none.Same(nil) || (*View)(nil).Same(none) || !(*View)(nil).Same(nil) {
		t.Error("nil is like something, or unlike itself")
	}
}

// TestSameDecisions: in views that are the same, every Service gets the same.
func TestSameDecisions(t *testing.T) {
	same := 0
	for seed := range uint64(3000) {
		d := dice{rand.New(rand.NewPCG(seed, 5))}
		c, in := d.routedWorld()
		if len(c.Nodes) == 0 {
			continue
		}
		before, _ := Compile(c)
		n := &c.Nodes[d.IntN(len(c.Nodes))]
		n.Node = n.DeepCopy()
		d.touch(n)
		after, _ := Compile(c)
		if before.SameForMany(after) && !OneNode(in.Service) && dump(everything{Reach: before.Reach(in)}) != dump(everything{Reach: after.Reach(in)}) {
			t.Fatalf("seed %d: the same for many, and yet\n%v\n%v", seed, before.Reach(in), after.Reach(in))
		}
		if !before.Same(after) {
			continue
		}
		same++
		was, is := everything{nil, nil, before.Layer2(in), before.BGP(in), before.Reach(in)}, everything{nil, nil, after.Layer2(in), after.BGP(in), after.Reach(in)}
		if dump(was) != dump(is) {
			t.Fatalf("seed %d: the same, and yet\n%s\n%s", seed, dump(was), dump(is))
		}
	}
	if same < 100 {
		t.Errorf("only %d changes made no difference: the dice are loaded", same)
	}
}

// touch changes a node in one way.
func (d dice) touch(n *Node) {
	if n.Labels == nil {
		n.Labels = map[string]string{}
	}
	report := SpeakerReport{}
	if n.Speaker != nil {
		report = *n.Speaker
	}
	switch d.IntN(5) {
	case 0:
		n.Labels["rack"] = []string{"a", "b", "c"}[d.IntN(3)]
	case 1:
		n.Labels["feature"] = "x"
	case 2:
		report.Interfaces = d.some("eth0", "eth1", "eth2")
	case 3:
		report.Closed = !report.Closed
	case 4:
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
	}
	if n.Speaker != nil {
		n.Speaker = &report
	}
}

// TestPlansAreSharedByServices: what some of a pool's advertisements come to is
// not worked out for each Service that they select.
func TestPlansAreSharedByServices(t *testing.T) {
	c, in := routed()
	bgpAds(bgpAd("all"), bgpAd("more"), bgpAd("db", func(s *metallb.BGPAdvertisementSpec) {
		s.ServiceSelectors = append(s.ServiceSelectors, match("app", "db"))
	}))(&c, &in)
	v, _ := Compile(c)
	first, _ := v.offering(in.Service, addressesOf(in.Service)[0])
	next := web(cluster, "192.0.2.2")
	second, _ := v.offering(next, addressesOf(next)[0])
	if len(first.matching) != 2 || first.plan != second.plan {
		t.Error("each has its own")
	}
}
