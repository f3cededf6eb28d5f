package announce

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/berth-lb/berth/trafficpolicy"
)

// dump shows all of a value, and tells nil from empty.
func dump(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// dice draws a world in which things often meet, and often miss.
type dice struct{ *rand.Rand }

func (d dice) oneIn(n int) bool { return d.IntN(n) == 0 }

func (d dice) some(from ...string) []string {
	var drawn []string
	for _, s := range from {
		if d.oneIn(2) {
			drawn = append(drawn, s)
		}
	}
	return drawn
}

// selectors are none, or a few of which one may match everything and another
// be broken.
func (d dice) selectors(key string, values ...string) []metav1.LabelSelector {
	var drawn []metav1.LabelSelector
	for range d.IntN(3) {
		drawn = append(drawn, match(key, values[d.IntN(len(values))]))
	}
	if d.oneIn(12) {
		drawn = append(drawn, metav1.LabelSelector{})
	}
	if d.oneIn(20) {
		drawn = append(drawn, metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: "Is"}}})
	}
	return drawn
}

func (d dice) advertisement(name string) *metallb.L2Advertisement {
	return ad(name, func(s *metallb.L2AdvertisementSpec) {
		if d.oneIn(2) {
			s.IPAddressPools = d.some("a", "b", "gone")
		}
		if d.oneIn(3) {
			s.IPAddressPoolSelectors = d.selectors("zone", "a", "b")
			s.ServiceSelectors = d.selectors("app", "web", "db")
		}
		if d.oneIn(2) {
			s.NodeSelectors = d.selectors("rack", "a", "b")
			s.Interfaces = d.some("eth2", "eth0")
		}
		if d.oneIn(2) {
			preferring(d.Int32N(3)+1, match("rack", "a"))(s)
			preferring(d.Int32N(3)+1, match("name", "n1"))(s)
		}
	})
}

func (d dice) host(name string) Node {
	n := host(name, labelled("rack", string(rune('a'+d.IntN(2)))), having(append(d.some("eth0", "eth1"), "eth2")...))
	n.Speaker.Closed = d.oneIn(5)
	if d.oneIn(6) {
		n.Speaker = nil
	}
	if d.oneIn(8) {
		n.Labels[corev1.LabelNodeExcludeBalancers] = ""
	}
	if d.oneIn(4) {
		status := []corev1.ConditionStatus{corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown}[d.IntN(3)]
		condition([]corev1.NodeConditionType{corev1.NodeReady, corev1.NodeNetworkUnavailable}[d.IntN(2)], status)(&n)
	}
	return n
}

func (d dice) slice(node func() string) *discoveryv1.EndpointSlice {
	family, form := discoveryv1.AddressTypeIPv4, "10.0.0.%d"
	if d.oneIn(2) {
		family, form = discoveryv1.AddressTypeIPv6, "fd00::%d"
	}
	slice := &discoveryv1.EndpointSlice{AddressType: family}
	for range d.IntN(5) {
		e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf(form, d.IntN(6)+1)}, NodeName: ptr.To(node())}
		if d.oneIn(3) {
			e.Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(d.oneIn(2)), Terminating: ptr.To(true)}
		}
		slice.Endpoints = append(slice.Endpoints, e)
	}
	return slice
}

func (d dice) world() (Config, Input) {
	c := Config{Self: "n0", Pools: []*metallb.IPAddressPool{makePool("a", "192.0.2.0/28", "2001:db8::/64"), makePool("b", "192.0.2.8/29", "nonsense")}}
	c.Pools[0].Labels = map[string]string{"zone": "a"}
	for i := range d.IntN(5) {
		c.L2Advertisements = append(c.L2Advertisements, d.advertisement(fmt.Sprint("ad", i)))
	}
	count := d.IntN(6) + 1
	for i := range count {
		c.Nodes = append(c.Nodes, d.host(fmt.Sprint("n", i)))
	}
	node := func() string { return fmt.Sprint("n", d.IntN(count+1)) }

	policy := []corev1.ServiceExternalTrafficPolicy{cluster, local}[d.IntN(2)]
	in := Input{
		Service: web(policy, d.some("192.0.2.1", "2001:db8::1", "192.0.2.9", "198.51.100.1", "192.0.2.1")...),
		Owners:  owners("192.0.2.1", node()),
		Health:  trafficpolicy.Answer(d.IntN(3)),
	}
	for range d.IntN(5) {
		in.EndpointSlices = append(in.EndpointSlices, d.slice(node))
	}
	return c, in
}

// shuffled is the same world, its lists in other orders.
func (d dice) shuffled(c Config, in Input) (Config, Input) {
	c.Pools, c.L2Advertisements, c.Nodes = shuffle(d, c.Pools), shuffle(d, c.L2Advertisements), shuffle(d, c.Nodes)
	in.EndpointSlices = shuffle(d, in.EndpointSlices)
	in.Service = in.Service.DeepCopy()
	in.Service.Status.LoadBalancer.Ingress = shuffle(d, in.Service.Status.LoadBalancer.Ingress)
	return c, in
}

func shuffle[T any](d dice, all []T) []T {
	all = slices.Clone(all)
	d.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func decide(c Config, in Input) ([]Layer2, []Problem) {
	v, problems := Compile(c)
	return v.Layer2(in), problems
}

// FuzzDecisions holds decisions against what is true of all of them.
func FuzzDecisions(f *testing.F) {
	for seed := range uint64(500) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		d := dice{rand.New(rand.NewPCG(seed, 0))}
		c, in := d.world()
		before := dump(c) + dump(in)
		decisions, problems := decide(c, in)

		if dump(c)+dump(in) != before {
			t.Error("the inputs were modified")
		}
		otherDecisions, otherProblems := decide(d.shuffled(c, in))
		if dump(decisions) != dump(otherDecisions) || dump(problems) != dump(otherProblems) {
			t.Errorf("the order of the inputs matters:\n%s\n%s", dump(decisions), dump(otherDecisions))
		}
		for _, one := range decisions {
			checkShape(t, c, one)
			checkOwner(t, c, in, one)
		}
		checkAgreement(t, c, in)
	})
}

func checkShape(t *testing.T, c Config, d Layer2) {
	if (d.Reason == "") != (len(d.Candidates) > 0) || (d.Reason == "") != (d.Message == "") {
		t.Errorf("a reason and a message stand for candidates: %+v", d)
	}
	for i, name := range d.Candidates {
		known := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == name && n.Speaker != nil })
		if known < 0 || slices.Contains(d.Candidates[:i], name) {
			t.Errorf("%s has no speaker or is there twice: %+v", name, d)
		}
	}
	if !slices.IsSorted(d.Interfaces) || len(slices.Compact(slices.Clone(d.Interfaces))) != len(d.Interfaces) {
		t.Errorf("interfaces are not sorted: %+v", d)
	}
}

// checkOwner: the owner stays first, and whoever is first stays it once it is
// on record, while the rest keeps its order.
func checkOwner(t *testing.T, c Config, in Input, d Layer2) {
	if owner := in.Owners[d.Address]; slices.Contains(d.Candidates, owner) && d.Candidates[0] != owner {
		t.Errorf("%s is on record and not first: %+v", owner, d)
	}
	for _, name := range d.Candidates {
		in.Owners = map[netip.Addr]string{d.Address: name}
		decisions, _ := decide(c, in)
		i := slices.IndexFunc(decisions, func(again Layer2) bool { return again.Address == d.Address })
		if decisions[i].Candidates[0] != name || len(decisions[i].Candidates) != len(d.Candidates) {
			t.Errorf("with %s on record: %+v, before: %+v", name, decisions[i], d)
		}
	}
}

// checkAgreement: whoever asks gets one order, but for itself.
func checkAgreement(t *testing.T, c Config, in Input) {
	in.Health = trafficpolicy.Silent
	for i := range c.Nodes {
		if c.Nodes[i].Speaker != nil {
			c.Nodes[i].Speaker.Closed = false
		}
	}
	reference, _ := decide(c, in)
	for _, n := range c.Nodes {
		c.Self = n.Name
		in.Health = trafficpolicy.Silent
		if got, _ := decide(c, in); !slices.EqualFunc(got, reference, agree) {
			t.Errorf("%s decides %+v, others %+v", n.Name, got, reference)
		}
		in.Health = trafficpolicy.Unhealthy
		got, _ := decide(c, in)
		for i := range got {
			want := slices.DeleteFunc(slices.Clone(reference[i].Candidates), func(name string) bool { return name == n.Name })
			if !slices.Equal(got[i].Candidates, want) {
				t.Errorf("%s, which fails its check, decides %q, want %q", n.Name, got[i].Candidates, want)
			}
		}
	}
}

func agree(a, b Layer2) bool {
	a.Interfaces, b.Interfaces = nil, nil
	return dump(a) == dump(b)
}
