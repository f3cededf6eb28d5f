package announce

import (
	"testing"

	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

func TestWhyNotByBGP(t *testing.T) {
	broken := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "rack", Operator: "Is"}}}
	excluded := labelled(corev1.LabelNodeExcludeBalancers, "")
	for _, tc := range []struct {
		name            string
		change          func(*Config, *Input)
		reason, message string
	}{
		{"no pool", func(c *Config, _ *Input) { c.Pools = nil },
			ReasonNotAdvertised, `192.0.2.1 is in no IPAddressPool: add it to spec.addresses of one`},
		{"no advertisement, some left out", together(ads(ad("c", onNodes(broken))), bgpAds(bgpAd("a", ofPools("other")), bgpAd("b", fromNodes(broken)))),
			ReasonNotAdvertised, `no L2Advertisement or BGPAdvertisement selects pool "public": create one with spec.ipAddressPools: [public]` +
				`; not followed because of a mistake that the ConfigurationState names: L2Advertisement "c" and BGPAdvertisement "b"`},
		{"one that makes prefixes too large", bgpAds(bgpAd("a", aggregated(8, 64))),
			ReasonNotAdvertised, `no L2Advertisement or BGPAdvertisement selects pool "public": create one with spec.ipAddressPools: [public]` +
				`; not followed because of a mistake that the ConfigurationState names: BGPAdvertisement "a"`},
		{"none of the Service", together(ads(ad("c", forServices(match("app", "db")))), bgpAds(bgpAd("a", ofServices(match("app", "db"))), bgpAd("b", ofServices(match("app", "db"))))),
			ReasonNotAdvertised, `pool "public" is selected by L2Advertisement "c" and BGPAdvertisement "a", "b", the Service by none of them: compare spec.serviceSelectors there with the labels of the Service, app=web`},

		{"no peer at all", peers(),
			ReasonNotAdvertised, `pool "public" is selected by BGPAdvertisement "all", and there is no BGPPeer that can be followed: create one, or look at what the ConfigurationState says of those there are`},
		{"none of those that are named", bgpAds(bgpAd("a", toPeers("r3"))),
			ReasonNotAdvertised, `pool "public" is selected by BGPAdvertisement "a", and none of the BGPPeers in spec.peers there can be followed: allowed are "r1", "r2"`},
		{"none of the family", peers(peer("six", "2001:db8::1"), peer("other", "2001:db8::2")),
			ReasonNotAdvertised, `pool "public" is selected by BGPAdvertisement "all", and none of its peers, BGPPeer "other", "six", exchanges IPv4 prefixes: set spec.dualStackAddressFamily there, or have one with an IPv4 address`},
		{"none of the nodes", bgpAds(bgpAd("a", fromNodes(match("rack", "z")))),
			ReasonNotAdvertised, `no node is selected by BGPAdvertisement "a" for pool "public": compare spec.nodeSelectors with the labels of the nodes`},
		{"no speaker on those selected", nodes(host("n1", silent), host("n2", silent)),
			ReasonNotAdvertised, `no node selected by BGPAdvertisement "all" for pool "public" runs a speaker ("n1", "n2"): look at the DaemonSet of the speaker, its node selector and its tolerations`},
		{"peers of other nodes", together(peers(peer("r1", "10.0.0.1", atNodes(match("name", "n3")))), bgpAds(bgpAd("a", fromNodes(match("name", "n1"), match("name", "n2"))))),
			ReasonNotAdvertised, `no node selected by BGPAdvertisement "a" for pool "public" that runs a speaker ("n1", "n2") has a session with one of its peers, BGPPeer "r1": ` +
				`compare spec.nodeSelectors there with the labels of the nodes, and look at what the ConfigurationState says of them`},

		{"not advertised and no pods: the configuration does not come and go", func(c *Config, in *Input) { c.BGPPeers, in.EndpointSlices = []*v1beta2.BGPPeer{}, nil },
			ReasonNotAdvertised, `pool "public" is selected by BGPAdvertisement "all", and there is no BGPPeer that can be followed: create one, or look at what the ConfigurationState says of those there are`},
		{"no pods", func(_ *Config, in *Input) { in.EndpointSlices = nil },
			trafficpolicy.ReasonSelectorMatchesNoPods, `no pod that has an address matches the selector app=web: compare it with the labels of the pods`},
		{"each has its obstacle", nodes(host("n1", excluded), host("n2", closed)),
			trafficpolicy.ReasonNoEligibleNode, `no node selected by BGPAdvertisement "all" for pool "public" may announce: "n2" answers the health check with a failure; ` +
				`"n1" has the label node.kubernetes.io/exclude-from-external-load-balancers. Look at kube-proxy and at draining there`},
		{"one node for all, and none may", together(clientIP, nodes(host("n1", excluded))),
			trafficpolicy.ReasonNoEligibleNode, `no node selected by BGPAdvertisement "all" for pool "public" may announce: "n1" has the label node.kubernetes.io/exclude-from-external-load-balancers. Remove the label from a node`},
		{"Local, pods elsewhere", together(isLocalWith("n9"), nodes(host("n1"))),
			trafficpolicy.ReasonNoEligibleNode, `no node selected by BGPAdvertisement "all" for pool "public" may announce: "n1" has no serving endpoint, and externalTrafficPolicy is Local. ` +
				`Serving endpoints are on "n9": let a BGPAdvertisement select a node there and a speaker run on it, or use externalTrafficPolicy Cluster`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, in := routed()
			tc.change(&c, &in)
			v, _ := Compile(c)
			got, reach := v.BGP(in)[0], v.Reach(in)[0]
			if got.Reason != tc.reason || got.Message != tc.message {
				t.Errorf("got  %s: %s\nwant %s: %s", got.Reason, got.Message, tc.reason, tc.message)
			}
			if reach.Reason != got.Reason || reach.Message != got.Message {
				t.Errorf("all see %s: %s", reach.Reason, reach.Message)
			}
			if len(got.Routes)+len(reach.Announcers) != 0 {
				t.Errorf("announced: %+v %+v", got, reach)
			}
		})
	}
}
