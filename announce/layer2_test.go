package announce

import (
	"net/netip"
	"slices"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

func ads(all ...*metallb.L2Advertisement) func(*Config, *Input) {
	return func(c *Config, _ *Input) { c.L2Advertisements = all }
}

func nodes(all ...Node) func(*Config, *Input) {
	return func(c *Config, _ *Input) { c.Nodes = all }
}

// TestCandidates tells by name who may announce, and on which interfaces of
// n1, which asks.
func TestCandidates(t *testing.T) {
	everyone := []string{"n1", "n2", "n3"}
	all, none := []string(nil), []string{}
	for _, tc := range []struct {
		reason     string
		change     func(*Config, *Input)
		want       []string
		interfaces []string
	}{
		{"nothing is restricted", func(*Config, *Input) {}, everyone, all},

		{"the pool by its name", ads(ad("a", forPools("other", "public"))), everyone, all},
		{"another pool by its name", ads(ad("a", forPools("other"))), nil, none},
		{"the pool by a label", func(c *Config, _ *Input) {
			c.Pools[0].Labels = map[string]string{"zone": "a"}
			c.L2Advertisements = []*metallb.L2Advertisement{ad("a", func(s *metallb.L2AdvertisementSpec) {
				s.IPAddressPoolSelectors = []metav1.LabelSelector{match("zone", "b"), match("zone", "a")}
			})}
		}, everyone, all},
		{"another pool by a label", ads(ad("a", func(s *metallb.L2AdvertisementSpec) {
			s.IPAddressPoolSelectors = []metav1.LabelSelector{match("zone", "a")}
		})), nil, none},
		{"by name or by label, not both", ads(ad("a", forPools("public"), func(s *metallb.L2AdvertisementSpec) {
			s.IPAddressPoolSelectors = []metav1.LabelSelector{match("zone", "a")}
		})), everyone, all},

		{"one of the Service selectors", ads(ad("a", forServices(match("app", "db"), match("app", "web")))), everyone, all},
		{"no Service selector", ads(ad("a", forServices(match("app", "db")))), nil, none},
		{"an empty selector matches every Service", ads(ad("a", forServices(metav1.LabelSelector{}))), everyone, all},

		{"one of the node selectors", ads(ad("a", onNodes(match("name", "n1"), match("name", "n3")))), []string{"n1", "n3"}, all},
		{"advertisements add up", ads(ad("a", onNodes(match("name", "n1"))), ad("b", onNodes(match("name", "n3")))), []string{"n1", "n3"}, all},
		{"one that is for other Services adds nothing", ads(ad("a", onNodes(match("name", "n1"))), ad("b", forServices(match("app", "db")))), []string{"n1"}, all},

		{"an interface that all have", ads(ad("a", onInterfaces("eth0"))), everyone, []string{"eth0"}},
		{"an interface that one has", func(c *Config, _ *Input) {
			c.Nodes[1] = host("n2", having("eth0", "eth1"))
			c.L2Advertisements = []*metallb.L2Advertisement{ad("a", onInterfaces("eth2", "eth1", "eth2"))}
		}, []string{"n2"}, []string{"eth1", "eth2"}},
		{"an interface that none has", ads(ad("a", onInterfaces("eth1"))), nil, []string{"eth1"}},
		{"a node without interfaces", nodes(host("n1"), host("n2", having())), []string{"n1"}, all},
		{"interfaces add up", ads(ad("a", onInterfaces("eth1", "eth0")), ad("b", onInterfaces("eth1", "eth2"))), everyone, []string{"eth0", "eth1", "eth2"}},
		{"all of them wins", ads(ad("a", onInterfaces("eth1")), ad("b")), everyone, all},
		{"interfaces are those for the node that asks", ads(
			ad("a", onInterfaces("eth0"), onNodes(match("name", "n1"))), ad("b", onNodes(match("name", "n2")))), []string{"n1", "n2"}, []string{"eth0"}},
		{"a node that is not selected hands over where the others announce", ads(
			ad("a", onInterfaces("eth0"), onNodes(match("name", "n2")))), []string{"n2"}, []string{"eth0"}},

		{"no speaker, no candidate", nodes(host("n1"), host("n2", silent)), []string{"n1"}, all},
		{"an excluded node, whatever the label says", nodes(host("n1"), host("n2", labelled(corev1.LabelNodeExcludeBalancers, "false"))), []string{"n1"}, all},
		{"a node without a network", nodes(host("n1"), host("n2", condition(corev1.NodeNetworkUnavailable, corev1.ConditionTrue))), []string{"n1"}, all},
		{"a node that is not ready is still one: its health check decides", nodes(host("n1"), host("n2", condition(corev1.NodeReady, corev1.ConditionFalse))), []string{"n1", "n2"}, all},

		{"another node whose kube-proxy refuses", nodes(host("n1"), host("n2", closed)), []string{"n1"}, all},
		{"this node's own answer counts, not its report", func(c *Config, in *Input) {
			c.Nodes = []Node{host("n1", closed), host("n2")}
		}, []string{"n1", "n2"}, all},
		{"this node's kube-proxy refuses", func(_ *Config, in *Input) { in.Health = trafficpolicy.Unhealthy }, []string{"n2", "n3"}, all},
		{"silence leaves what the objects say", func(_ *Config, in *Input) { in.Health = trafficpolicy.Silent }, everyone, all},

		{"no pods", func(_ *Config, in *Input) { in.EndpointSlices = nil }, nil, all},
		{"no pods of the family", func(_ *Config, in *Input) {
			in.EndpointSlices = pods(discoveryv1.AddressTypeIPv6, "n1")
		}, nil, all},

		{"Local: where the pods are", func(_ *Config, in *Input) {
			in.Service.Spec.ExternalTrafficPolicy = local
			in.EndpointSlices = pods(discoveryv1.AddressTypeIPv4, "n3", "n2", "n3", "gone")
		}, []string{"n2", "n3"}, all},
		{"Local: pods of the other family don't count", func(_ *Config, in *Input) {
			in.Service.Spec.ExternalTrafficPolicy = local
			in.EndpointSlices = append(pods(discoveryv1.AddressTypeIPv6, "n3"), pods(discoveryv1.AddressTypeIPv4, "n1")...)
		}, []string{"n1"}, all},
		{"Local: another's kube-proxy decides nothing, the check of the Service would", func(c *Config, in *Input) {
			c.Nodes = []Node{host("n1"), host("n2", closed)}
			in.Service.Spec.ExternalTrafficPolicy = local
			in.EndpointSlices = pods(discoveryv1.AddressTypeIPv4, "n1", "n2")
		}, []string{"n1", "n2"}, all},
		{"Local: this node's check refuses", func(_ *Config, in *Input) {
			in.Service.Spec.ExternalTrafficPolicy = local
			in.EndpointSlices = pods(discoveryv1.AddressTypeIPv4, "n1", "n2")
			in.Health = trafficpolicy.Unhealthy
		}, []string{"n2"}, all},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, in := plain()
			tc.change(&c, &in)
			got := ask(c, in)
			if names := byName(got); !slices.Equal(names, tc.want) {
				t.Errorf("candidates %q, want %q", names, tc.want)
			}
			if !slices.Equal(got.Interfaces, tc.interfaces) || (got.Interfaces == nil) != (tc.interfaces == nil) {
				t.Errorf("interfaces %#v, want %#v", got.Interfaces, tc.interfaces)
			}
			if blank := got.Reason == "" && got.Message == ""; blank != (len(tc.want) > 0) {
				t.Errorf("reason %q, message %q with candidates %q", got.Reason, got.Message, got.Candidates)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	c, in := plain()
	c.Pools = append(c.Pools, makePool("six", "2001:db8::/64"))
	v, _ := Compile(c)
	for _, tc := range []struct {
		reason  string
		ingress []corev1.LoadBalancerIngress
		want    []string
	}{
		{"none yet", nil, nil},
		{"a hostname is no address", []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}}, nil},
		{"no address at all", []corev1.LoadBalancerIngress{{IP: "lb"}}, nil},
		{"sorted, each once, in one spelling", []corev1.LoadBalancerIngress{{IP: "2001:db8::1"}, {IP: "::ffff:192.0.2.9"}, {IP: "192.0.2.9"}, {IP: "192.0.2.1"}},
			[]string{"192.0.2.1 public", "192.0.2.9 public", "2001:db8::1 six"}},
		{"one in no pool is told apart", []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}, []string{"198.51.100.1 "}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			in.Service.Status.LoadBalancer.Ingress = tc.ingress
			var got []string
			for _, d := range v.Layer2(in) {
				got = append(got, d.Address.String()+" "+d.Pool)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestFamiliesApart(t *testing.T) {
	c, in := plain()
	c.Pools = append(c.Pools, makePool("six", "2001:db8::/64"))
	in.Service = web(local, "192.0.2.1", "2001:db8::1")
	in.EndpointSlices = append(pods(discoveryv1.AddressTypeIPv4, "n1"), pods(discoveryv1.AddressTypeIPv6, "n2")...)
	v, _ := Compile(c)
	got := v.Layer2(in)
	if !slices.Equal(got[0].Candidates, []string{"n1"}) || !slices.Equal(got[1].Candidates, []string{"n2"}) {
		t.Errorf("each family has its own pods: got %q and %q", got[0].Candidates, got[1].Candidates)
	}
}

func TestMerge(t *testing.T) {
	address := netip.MustParseAddr("192.0.2.1")
	some := func(interfaces []string, candidates ...string) Layer2 {
		return Layer2{Address: address, Pool: "public", Candidates: candidates, Interfaces: interfaces}
	}
	none := Layer2{Address: address, Pool: "public", Interfaces: []string{"eth9"}, Reason: "R", Message: "first"}
	other := Layer2{Address: address, Pool: "public", Reason: "S", Message: "second"}
	eth0, eth1 := []string{"eth0"}, []string{"eth1"}
	for _, tc := range []struct {
		reason    string
		decisions []Layer2
		want      Layer2
	}{
		{"nothing to merge", nil, Layer2{}},
		{"one Service", []Layer2{some(eth0, "b", "a")}, some(eth0, "b", "a")},
		{"what all agree on, in the first one's order", []Layer2{some(nil, "c", "b", "a"), some(nil, "a", "c", "d")}, some(nil, "c", "a")},
		{"no agreement: the first", []Layer2{some(nil, "c"), some(nil, "a")}, some(nil, "c")},
		{"a Service without pods does not count", []Layer2{none, some(eth0, "b", "a"), some(eth0, "a")}, some(eth0, "a")},
		{"no Service has pods: the first says why", []Layer2{none, other}, none},
		{"interfaces of any", []Layer2{some(eth1, "a"), some(eth0, "a")}, some([]string{"eth0", "eth1"}, "a")},
		{"all interfaces win", []Layer2{some(eth1, "a"), some(nil, "a")}, some(nil, "a")},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			before := dump(tc.decisions)
			if got := Merge(tc.decisions); dump(got) != dump(tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
			if dump(tc.decisions) != before {
				t.Error("the decisions were modified")
			}
		})
	}
}
