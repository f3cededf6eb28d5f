package announce

import (
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestBGPAdvertisementProblems tells what is wrong, and what Self still tells
// of 192.0.2.1 and 2001:db8::1.
func TestBGPAdvertisementProblems(t *testing.T) {
	wrong := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "rack", Operator: "Is"}}}
	const ad = "BGPAdvertisement a"
	const all = "192.0.2.1/32: r1,r2; 2001:db8::1/128: r1,r2"
	pool := func(name string, entries ...string) func(*Config, *Input) {
		return func(c *Config, _ *Input) { c.Pools = append(c.Pools, makePool(name, entries...)) }
	}
	defined := func(objects ...*metallb.Community) func(*Config, *Input) {
		return func(c *Config, _ *Input) { c.Communities = objects }
	}
	for _, tc := range []struct {
		reason   string
		change   func(*Config, *Input)
		want     string
		problems []string
	}{
		{"nothing wrong", bgpAds(bgpAd("a")), all, nil},
		{"Services by no selector", bgpAds(bgpAd("a", ofServices(wrong))), "", []string{ad, "spec.serviceSelectors[0]", "not a label selector"}},
		{"nodes by no selector", bgpAds(bgpAd("a", fromNodes(match("name", "n1"), wrong))), "", []string{ad, "spec.nodeSelectors[1]", "not a label selector"}},
		{"pools by no selector", bgpAds(bgpAd("a", func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPoolSelectors = []metav1.LabelSelector{wrong} })), "",
			[]string{ad, "spec.ipAddressPoolSelectors[0]", "not a label selector"}},
		{"the others are followed", bgpAds(bgpAd("a", fromNodes(wrong)), bgpAd("b")), all, []string{ad, "spec.nodeSelectors[0]", "not a label selector"}},
		{"a pool that is none, beside one", bgpAds(bgpAd("a", ofPools("pulbic", "public"))), all, []string{ad, "spec.ipAddressPools[0]", `"pulbic" is no IPAddressPool: allowed are "public"`}},

		{"a peer that is none, beside one", bgpAds(bgpAd("a", toPeers("r1", "r3"))), "192.0.2.1/32: r1; 2001:db8::1/128: r1",
			[]string{ad, "spec.peers[1]", `"r3" is no BGPPeer: allowed are "r1", "r2"`}},
		{"a peer that is refused has its own problem", together(bgpAds(bgpAd("a", toPeers("r1", "r3"))), func(c *Config, _ *Input) {
			c.BGPPeers = append(c.BGPPeers, peer("r3", "10.0.0.3", func(s *v1beta2.BGPPeerSpec) { s.MyASN = 0 }))
		}), "192.0.2.1/32: r1; 2001:db8::1/128: r1", []string{"BGPPeer r3", "spec.myASN", "0"}},
		{"no peer at all", together(bgpAds(bgpAd("a", toPeers("r1"))), peers()), "", []string{ad, "spec.peers[0]", `"r1" is no BGPPeer, and there is none`}},

		{"a length of IPv6 for IPv4", bgpAds(bgpAd("a", aggregated(64, 64))), "", []string{ad, "spec.aggregationLength", "64: allowed are 1 to 32"}},
		{"a length of more than IPv6", bgpAds(bgpAd("a", aggregated(32, 129))), "", []string{ad, "spec.aggregationLengthV6", "129: allowed are 1 to 128"}},
		{"the whole internet", bgpAds(bgpAd("a", aggregated(24, 0))), "", []string{ad, "spec.aggregationLengthV6", "0: allowed are 1 to 128"}},
		{"an aggregate of some Services", bgpAds(bgpAd("a", aggregated(24, 128), ofServices(match("app", "web")))), "",
			[]string{ad, "spec.aggregationLength", "24 beside spec.serviceSelectors: allowed there is 32"}},
		{"a host route of some Services", bgpAds(bgpAd("a", aggregated(32, 128), ofServices(match("app", "web")))), all, nil},
		{"the pool as a whole", bgpAds(bgpAd("a", aggregated(24, 64))), "192.0.2.0/24: r1,r2; 2001:db8::/64: r1,r2", nil},
		{"more than the pool, in one family", bgpAds(bgpAd("a", aggregated(23, 64))), "2001:db8::/64: r1,r2",
			[]string{ad, "spec.aggregationLength", `23 makes prefixes that are larger than 192.0.2.0-192.0.2.255 of pool "public", where the advertisement is not followed: allowed there are 24 to 32`}},
		{"more than another pool", together(pool("small", "198.51.100.0/28", "10.0.0.0/8"), bgpAds(bgpAd("a", aggregated(24, 64)))), "192.0.2.0/24: r1,r2; 2001:db8::/64: r1,r2",
			[]string{ad, "spec.aggregationLength", `24 makes prefixes that are larger than 198.51.100.0-198.51.100.15 of pool "small", where`}},
		{"a range counts as the largest prefix in it", together(pool("range", "198.51.100.10-198.51.100.20"), bgpAds(bgpAd("a", aggregated(30, 128)))), "192.0.2.0/30: r1,r2; 2001:db8::1/128: r1,r2", nil},
		{"and no larger", together(pool("range", "198.51.100.10-198.51.100.20"), bgpAds(bgpAd("a", aggregated(29, 128)))), "192.0.2.0/29: r1,r2; 2001:db8::1/128: r1,r2",
			[]string{ad, "spec.aggregationLength", `pool "range", where the advertisement is not followed: allowed there are 30 to 32`}},

		{"communities of all forms", together(bgpAds(bgpAd("a", communities("large:1:2:3", "no-export", "65535:0", "64512:100", "64512:100", "big"), ofPools("public"))),
			defined(makeCommunity("c", "no-export", "65535:65281", "big", "large:4294967295:0:0"))),
			"192.0.2.1/32: r1,r2 64512:100 65535:0 65535:65281 large:1:2:3 large:4294967295:0:0; 2001:db8::1/128: r1,r2 64512:100 65535:0 65535:65281 large:1:2:3 large:4294967295:0:0", nil},
		{"an alias that is none: not announced without it", bgpAds(bgpAd("a", communities("64512:1", "no-export"))), "",
			[]string{ad, "spec.communities[1]", `"no-export" is no community: allowed are a:b, both of 0 to 65535`}},
		{"a part too large", bgpAds(bgpAd("a", communities("64512:65536"))), "", []string{ad, "spec.communities[0]", `"64512:65536"`}},
		{"not large", bgpAds(bgpAd("a", communities("big:1:2:3"))), "", []string{ad, "spec.communities[0]", `"big:1:2:3"`}},
		{"a large part too large", bgpAds(bgpAd("a", communities("large:1:2:4294967296"))), "", []string{ad, "spec.communities[0]", "4294967295"}},
		{"three parts", bgpAds(bgpAd("a", communities("1:2:3"))), "", []string{ad, "spec.communities[0]", `"1:2:3"`}},
		{"an alias with a bad value", together(bgpAds(bgpAd("a", communities("x"))), defined(makeCommunity("c", "y", "1:1", "x", "one"))), "",
			[]string{"Community c", "spec.communities[1].value", `"one" is no community`, ad, "spec.communities[0]", `"x" is no community`}},
		{"an alias twice: the first", together(bgpAds(bgpAd("a", communities("x"))), defined(makeCommunity("d", "x", "2:2"), makeCommunity("c", "x", "1:1"))),
			"192.0.2.1/32: r1,r2 1:1; 2001:db8::1/128: r1,r2 1:1", []string{"Community d", "spec.communities[0].name", `"x" is a name that Community "c" gives already`}},

		{"two values of LOCAL_PREF: the first by name", bgpAds(bgpAd("b", localPref(200), communities("1:1")), bgpAd("a", localPref(100))),
			"192.0.2.1/32: r1,r2 pref 100 1:1; 2001:db8::1/128: r1,r2 pref 100 1:1",
			[]string{"BGPAdvertisement b", "spec.localPref", `200 is not followed where BGPAdvertisement "a", which comes first by name, gives 100 to the same prefixes for the same peers, as those of pool "public"`}},
		{"one value twice", bgpAds(bgpAd("a", localPref(100)), bgpAd("b", localPref(100))), "192.0.2.1/32: r1,r2 pref 100; 2001:db8::1/128: r1,r2 pref 100", nil},
		{"a value and none", bgpAds(bgpAd("a"), bgpAd("b", localPref(100))), "192.0.2.1/32: r1,r2 pref 100; 2001:db8::1/128: r1,r2 pref 100", nil},
		{"two values for two peers", bgpAds(bgpAd("a", localPref(100), toPeers("r1")), bgpAd("b", localPref(200), toPeers("r2"))),
			"192.0.2.1/32: r1 pref 100; 192.0.2.1/32: r2 pref 200; 2001:db8::1/128: r1 pref 100; 2001:db8::1/128: r2 pref 200", nil},
		{"two values for two prefixes", bgpAds(bgpAd("a", localPref(100)), bgpAd("b", localPref(200), aggregated(24, 64))),
			"192.0.2.0/24: r1,r2 pref 200; 192.0.2.1/32: r1,r2 pref 100; 2001:db8::/64: r1,r2 pref 200; 2001:db8::1/128: r1,r2 pref 100", nil},
		{"two values on two nodes", bgpAds(bgpAd("a", localPref(100), fromNodes(match("name", "n1"))), bgpAd("b", localPref(200), fromNodes(match("name", "n2")))),
			"192.0.2.1/32: r1,r2 pref 100; 2001:db8::1/128: r1,r2 pref 100", nil},
		{"two values for two sets of Services, perhaps", bgpAds(bgpAd("a", localPref(100), ofServices(match("app", "db"))), bgpAd("b", localPref(200))),
			"192.0.2.1/32: r1,r2 pref 200; 2001:db8::1/128: r1,r2 pref 200", nil},
		{"two values for two pools", together(pool("other", "198.51.100.0/24"), bgpAds(bgpAd("a", localPref(100), ofPools("other")), bgpAd("b", localPref(200), ofPools("public")))),
			"192.0.2.1/32: r1,r2 pref 200; 2001:db8::1/128: r1,r2 pref 200", nil},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, in := routed()
			c.BGPPeers = []*v1beta2.BGPPeer{peer("r1", "10.0.0.1", bothFamilies), peer("r2", "10.0.0.2", bothFamilies)}
			in.Service = web(cluster, "192.0.2.1", "2001:db8::1")
			in.EndpointSlices = append(in.EndpointSlices, pods("IPv6", "n2")...)
			tc.change(&c, &in)
			v, problems := Compile(c)
			checkProblems(t, problems, tc.problems...)
			var routes []Route
			for _, d := range v.BGP(in) {
				routes = append(routes, d.Routes...)
			}
			if got := spelled(routes); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
