package announce

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestProblems(t *testing.T) {
	wrong := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "zone", Operator: "Is", Values: []string{"a"}}}}
	c, in := plain()
	c.L2Advertisements = []*metallb.L2Advertisement{
		ad("services", forServices(wrong)),
		ad("pools", func(s *metallb.L2AdvertisementSpec) { s.IPAddressPoolSelectors = []metav1.LabelSelector{wrong} }),
		ad("nodes", onNodes(metav1.LabelSelector{}, wrong)),
		ad("preferred", preferring(1, match("a", "b")), preferring(2, wrong)),
		ad("names", forPools("pulbic", "public"), onNodes(match("name", "n2"))),
		ad("empty", onNodes(metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "zone", Operator: metav1.LabelSelectorOpIn}}})),
		ad("key", onNodes(match("two words", ""))),
	}
	v, problems := Compile(c)
	for i, want := range []struct{ object, field, message string }{
		{"L2Advertisement empty", "spec.nodeSelectors[0]", "In or NotIn and values"},
		{"L2Advertisement key", "spec.nodeSelectors[0]", `"two words"`},
		{"L2Advertisement names", "spec.ipAddressPools[0]", `"pulbic" is no IPAddressPool: allowed are "public"`},
		{"L2Advertisement nodes", "spec.nodeSelectors[1]", `"Is" is not a valid label selector operator; allowed are `},
		{"L2Advertisement pools", "spec.ipAddressPoolSelectors[0]", `"Is"`},
		{"L2Advertisement preferred", "spec.preferredNodeSelectors[1].preference", `"Is"`},
		{"L2Advertisement services", "spec.serviceSelectors[0]", `"Is"`},
	} {
		if i >= len(problems) {
			t.Fatalf("got %d problems, want one about %s", len(problems), want.object)
		}
		got := problems[i]
		if got.Object != want.object || got.Field != want.field || !strings.Contains(got.Message, want.message) {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if len(problems) != 7 {
		t.Errorf("got %d problems: %+v", len(problems), problems)
	}
	if got := v.Layer2(in)[0].Candidates; !slices.Equal(got, []string{"n2"}) {
		t.Errorf("the pool that exists is announced and the other advertisements are left out: got %q", got)
	}
}

func TestNoSuchPoolAtAll(t *testing.T) {
	_, problems := Compile(Config{L2Advertisements: []*metallb.L2Advertisement{ad("a", forPools("public"))}})
	if len(problems) != 1 || problems[0].Message != `"public" is no IPAddressPool, and there is none: create it` {
		t.Errorf("got %+v", problems)
	}
}

func TestPoolOf(t *testing.T) {
	v, problems := Compile(Config{Pools: []*metallb.IPAddressPool{
		makePool("wide", "10.0.0.0/8", "192.0.2.10-192.0.2.20"),
		makePool("inner", "10.1.0.0/16", "nonsense", "10.1.5.0/24"),
		makePool("other", "192.0.2.21-192.0.2.30", "2001:db8::/64", "192.0.2.5-192.0.2.9"),
		makePool("empty"),
	}})
	if len(problems) != 0 {
		t.Errorf("pools are reported by who gives addresses: got %+v", problems)
	}
	for address, want := range map[string]string{
		"192.0.2.4":       "",
		"192.0.2.5":       "other",
		"192.0.2.9":       "other",
		"192.0.2.10":      "wide",
		"192.0.2.20":      "wide",
		"192.0.2.21":      "other",
		"192.0.2.30":      "other",
		"192.0.2.31":      "",
		"9.255.255.255":   "",
		"10.0.0.0":        "wide",
		"10.1.0.0":        "inner", // of pools that overlap the first by name
		"10.1.5.7":        "inner",
		"10.1.6.0":        "inner",
		"10.2.0.0":        "wide", // behind a narrow range in a wide one
		"10.255.255.255":  "wide",
		"11.0.0.0":        "",
		"2001:db8::":      "other",
		"2001:db8:0:1::":  "",
		"2001:db7:ffff::": "",
		"::":              "",
		"0.0.0.0":         "",
	} {
		got := ""
		if p := v.poolOf(netip.MustParseAddr(address)); p != nil {
			got = p.name
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", address, got, want)
		}
	}
}
