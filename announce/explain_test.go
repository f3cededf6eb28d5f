package announce

import (
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

func TestWhyNot(t *testing.T) {
	broken := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "zone", Operator: "Is"}}}
	excluded := labelled(corev1.LabelNodeExcludeBalancers, "")
	localPods := func(nodes ...string) func(*Config, *Input) {
		return func(_ *Config, in *Input) {
			in.Service.Spec.ExternalTrafficPolicy = local
			in.EndpointSlices = pods(discoveryv1.AddressTypeIPv4, nodes...)
		}
	}
	for _, tc := range []struct {
		name            string
		change          func(*Config, *Input)
		reason, message string
	}{
		{"no pool", func(c *Config, _ *Input) { c.Pools = nil },
			ReasonNotAdvertised, `192.0.2.1 is in no IPAddressPool: add it to spec.addresses of one`},

		{"no advertisement at all", ads(),
			ReasonNotAdvertised, `no L2Advertisement or BGPAdvertisement selects pool "public": create one with spec.ipAddressPools: [public]`},
		{"none of the pool, one left out", ads(ad("a", forPools("other")), ad("b", onNodes(broken))),
			ReasonNotAdvertised, `no L2Advertisement or BGPAdvertisement selects pool "public": create one with spec.ipAddressPools: [public]` +
				`; not followed because of a mistake that the ConfigurationState names: L2Advertisement "b"`},
		{"none of the Service", ads(ad("a", forServices(match("app", "db"))), ad("b", forServices(match("app", "mail")))),
			ReasonNotAdvertised, `pool "public" is selected by L2Advertisement "a", "b", the Service by none of them: compare spec.serviceSelectors there with the labels of the Service, app=web`},
		{"none of the nodes", ads(ad("a", onNodes(match("rack", "z")))),
			ReasonNotAdvertised, `no node is selected by L2Advertisement "a" for pool "public": compare spec.nodeSelectors with the labels of the nodes`},
		{"no speaker on those selected", func(c *Config, _ *Input) {
			c.Nodes = []Node{host("n5", silent), host("n4", silent), host("n3", silent), host("n2", silent), host("n1", silent)}
		}, ReasonNotAdvertised, `no node selected by L2Advertisement "all" for pool "public" runs a speaker ("n1", "n2", "n3" and 2 more): look at the DaemonSet of the speaker, its node selector and its tolerations`},
		{"no such interface", func(c *Config, _ *Input) {
			c.Nodes[2] = host("n3", silent)
			c.L2Advertisements = []*metallb.L2Advertisement{ad("a", onInterfaces("eth7")), ad("b", onInterfaces("eth6"))}
		}, ReasonNotAdvertised, `no node selected by L2Advertisement "a", "b" for pool "public" has one of the interfaces in spec.interfaces, "eth6", "eth7" ("n1", "n2"): name interfaces that exist there and are up, or none for all`},
		{"no interface", nodes(host("n1", having())),
			ReasonNotAdvertised, `no node selected by L2Advertisement "all" for pool "public" has an interface that can announce ("n1"): look at the links there, and at --exclude-interfaces of the speaker`},

		{"not advertised and no pods: the configuration does not come and go", func(c *Config, in *Input) {
			c.L2Advertisements, in.EndpointSlices = nil, nil
		}, ReasonNotAdvertised, `no L2Advertisement or BGPAdvertisement selects pool "public": create one with spec.ipAddressPools: [public]`},
		{"no pods", func(_ *Config, in *Input) { in.EndpointSlices = nil },
			trafficpolicy.ReasonSelectorMatchesNoPods, `no pod that has an address matches the selector app=web: compare it with the labels of the pods`},
		{"no pods of the family", func(_ *Config, in *Input) { in.EndpointSlices = pods(discoveryv1.AddressTypeIPv6, "n1") },
			trafficpolicy.ReasonNoReadyEndpoints, `no serving endpoint has an IPv4 address, as traffic for 192.0.2.1 needs: look at spec.ipFamilies of the Service and the addresses of its pods`},

		{"each has its obstacle, the nearest to success first", func(c *Config, in *Input) {
			c.Nodes = []Node{host("n1", excluded), host("n2", condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue)), host("n3", closed), host("n4", closed)}
		}, trafficpolicy.ReasonNoEligibleNode, `no node selected by L2Advertisement "all" for pool "public" may announce: "n3" answers the health check with a failure; ` +
			`"n4" answers the health check with a failure; "n2" has the condition NetworkUnavailable; and 1 more. Look at kube-proxy and at draining there`},
		{"no network", nodes(host("n1", condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue))),
			trafficpolicy.ReasonNoEligibleNode, `no node selected by L2Advertisement "all" for pool "public" may announce: "n1" has the condition NetworkUnavailable. Look at the network plugin there`},
		{"excluded", nodes(host("n1", excluded)),
			trafficpolicy.ReasonNoEligibleNode, `no node selected by L2Advertisement "all" for pool "public" may announce: "n1" has the label node.kubernetes.io/exclude-from-external-load-balancers. Remove the label from a node`},
		{"Local, pods elsewhere", localPods("n9", "n8", "n9"),
			trafficpolicy.ReasonNoEligibleNode, `no node selected by L2Advertisement "all" for pool "public" may announce: "n1" has no serving endpoint, and externalTrafficPolicy is Local; ` +
				`"n2" has no serving endpoint, and externalTrafficPolicy is Local; "n3" has no serving endpoint, and externalTrafficPolicy is Local. ` +
				`Serving endpoints are on "n8", "n9": let an L2Advertisement select a node there and a speaker run on it, or use externalTrafficPolicy Cluster`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, in := plain()
			tc.change(&c, &in)
			got := ask(c, in)
			if got.Reason != tc.reason || got.Message != tc.message {
				t.Errorf("got  %s: %s\nwant %s: %s", got.Reason, got.Message, tc.reason, tc.message)
			}
			if len(got.Candidates) != 0 {
				t.Errorf("candidates %q", got.Candidates)
			}
		})
	}
}
