package announce

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

// bgpAd is a BGPAdvertisement that change makes different from the simplest
// one.
func bgpAd(name string, change ...func(*metallb.BGPAdvertisementSpec)) *metallb.BGPAdvertisement {
	a := &metallb.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, c := range change {
		c(&a.Spec)
	}
	return a
}

func ofPools(names ...string) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.IPAddressPools = names }
}

func toPeers(names ...string) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.Peers = names }
}

func fromNodes(all ...metav1.LabelSelector) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.NodeSelectors = all }
}

func ofServices(all ...metav1.LabelSelector) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.ServiceSelectors = all }
}

func aggregated(four, six int32) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.AggregationLength, s.AggregationLengthV6 = &four, &six }
}

func communities(all ...string) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.Communities = all }
}

func localPref(value uint32) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.LocalPref = value }
}

func prepended(times uint8) func(*metallb.BGPAdvertisementSpec) {
	return func(s *metallb.BGPAdvertisementSpec) { s.AsPathPrepend = times }
}

// peer is a BGPPeer in another AS that change makes different from the simplest
// one.
func peer(name, address string, change ...func(*v1beta2.BGPPeerSpec)) *v1beta2.BGPPeer {
	p := &v1beta2.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "berth-system", Name: name},
		Spec:       v1beta2.BGPPeerSpec{MyASN: 64512, ASN: 64513, Address: address},
	}
	for _, c := range change {
		c(&p.Spec)
	}
	return p
}

func atNodes(all ...metav1.LabelSelector) func(*v1beta2.BGPPeerSpec) {
	return func(s *v1beta2.BGPPeerSpec) { s.NodeSelectors = all }
}

func bothFamilies(s *v1beta2.BGPPeerSpec) { s.DualStackAddressFamily = true }

func seconds(n float64) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(n * float64(time.Second))}
}

func profile(name string, change ...func(*metallb.BFDProfileSpec)) *metallb.BFDProfile {
	p := &metallb.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, c := range change {
		c(&p.Spec)
	}
	return p
}

func makeCommunity(name string, pairs ...string) *metallb.Community {
	c := &metallb.Community{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for i := 0; i < len(pairs); i += 2 {
		c.Spec.Communities = append(c.Spec.Communities, metallb.CommunityAlias{Name: pairs[i], Value: pairs[i+1]})
	}
	return c
}

func bgpAds(all ...*metallb.BGPAdvertisement) func(*Config, *Input) {
	return func(c *Config, _ *Input) { c.BGPAdvertisements = all }
}

func peers(all ...*v1beta2.BGPPeer) func(*Config, *Input) {
	return func(c *Config, _ *Input) { c.BGPPeers = all }
}

// together makes several changes one.
func together(all ...func(*Config, *Input)) func(*Config, *Input) {
	return func(c *Config, in *Input) {
		for _, change := range all {
			change(c, in)
		}
	}
}

// routed is the simplest world that works with BGP: three nodes, one pool of
// both families, one advertisement, two routers, and a pod.
func routed() (Config, Input) {
	return Config{
			Self:              "n1",
			Pools:             []*metallb.IPAddressPool{makePool("public", "192.0.2.0/24", "2001:db8::/64")},
			BGPAdvertisements: []*metallb.BGPAdvertisement{bgpAd("all")},
			BGPPeers:          []*v1beta2.BGPPeer{peer("r1", "10.0.0.1"), peer("r2", "10.0.0.2")},
			Nodes:             []Node{host("n1"), host("n2"), host("n3")},
		}, Input{
			Service:        web(cluster, "192.0.2.1"),
			EndpointSlices: pods(discoveryv1.AddressTypeIPv4, "n2"),
			Health:         trafficpolicy.Healthy,
		}
}

// isLocalWith makes the Service Local with one ready pod on each of nodes.
func isLocalWith(nodes ...string) func(*Config, *Input) {
	return func(_ *Config, in *Input) {
		in.Service.Spec.ExternalTrafficPolicy = local
		in.EndpointSlices = pods(discoveryv1.AddressTypeIPv4, nodes...)
	}
}

func clientIP(_ *Config, in *Input) { in.Service.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }

// draining marks the pods on nodes as serving while they terminate.
func draining(nodes ...string) func(*Config, *Input) {
	yes, no := true, false
	return func(_ *Config, in *Input) {
		for _, s := range in.EndpointSlices {
			for i := range s.Endpoints {
				for _, name := range nodes {
					if *s.Endpoints[i].NodeName == name {
						s.Endpoints[i].Conditions = discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
					}
				}
			}
		}
	}
}

// spelled writes routes on one line: "prefix: peers attributes; …".
func spelled(routes []Route) string {
	var lines []string
	for _, r := range routes {
		for _, p := range r.Paths {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s: %s %s", r.Prefix, strings.Join(p.Peers, ","), wording(p.Attributes))))
		}
	}
	return strings.Join(lines, "; ")
}

func wording(a Attributes) string {
	var words []string
	if a.LocalPref != 0 {
		words = append(words, fmt.Sprint("pref ", a.LocalPref))
	}
	if a.Prepend != 0 {
		words = append(words, fmt.Sprint("prepend ", a.Prepend))
	}
	for _, c := range a.Communities {
		words = append(words, fmt.Sprintf("%d:%d", c>>16, c&0xffff))
	}
	for _, c := range a.LargeCommunities {
		words = append(words, fmt.Sprintf("large:%d:%d:%d", c[0], c[1], c[2]))
	}
	if a.Standby {
		words = append(words, "standby")
	}
	return strings.Join(words, " ")
}

// reaching writes announcers on one line: "node: peers; …".
func reaching(r Reach) string {
	var lines []string
	for _, a := range r.Announcers {
		lines = append(lines, a.Node+": "+strings.Join(a.Peers, ","))
	}
	return strings.Join(lines, "; ")
}

// checkProblems compares problems with triples of object, field and a part of
// the message.
func checkProblems(t *testing.T, got []Problem, want ...string) {
	t.Helper()
	for i := 0; i < len(want); i += 3 {
		if i/3 >= len(got) {
			t.Errorf("no problem of %s in %s: %s", want[i], want[i+1], want[i+2])
			continue
		}
		p := got[i/3]
		if p.Object != want[i] || p.Field != want[i+1] || !strings.Contains(p.Message, want[i+2]) {
			t.Errorf("got  %s %s: %s\nwant %s %s: %s", p.Object, p.Field, p.Message, want[i], want[i+1], want[i+2])
		}
	}
	if len(got) > len(want)/3 {
		t.Errorf("got %d problems, want %d: %+v", len(got), len(want)/3, got)
	}
}
