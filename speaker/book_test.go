package speaker

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/announce"
)

var one1, one2 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")

func called(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

func decided(address netip.Addr, candidates ...string) announce.Layer2 {
	return announce.Layer2{Address: address, Pool: "public", Candidates: candidates}
}

func TestBook(t *testing.T) {
	b := newBook()
	for _, step := range []struct {
		reason    string
		service   string
		decisions []announce.Layer2
		recorded  string
		changed   []netip.Addr
		order     string // of one1; "-" for no claim
	}{
		{"a new Service", "web", []announce.Layer2{decided(one1, "a", "b"), decided(one2, "b")}, "", []netip.Addr{one1, one2}, "a b"},
		{"the same again", "web", []announce.Layer2{decided(one1, "a", "b"), decided(one2, "b")}, "", nil, "a b"},
		{"somebody is on record", "web", []announce.Layer2{decided(one1, "b", "a"), decided(one2, "b")}, "b", []netip.Addr{one1, one2}, "b a"},
		{"another Service shares one of them and agrees on less", "api", []announce.Layer2{decided(one1, "a")}, "b", []netip.Addr{one1}, "a"},
		{"the one that shares has nobody, and does not count", "api", []announce.Layer2{decided(one1)}, "b", []netip.Addr{one1}, "b a"},
		{"a Service gives one address up", "web", []announce.Layer2{decided(one2, "b")}, "b", []netip.Addr{one1}, ""},
		{"the last one gives it up", "api", nil, "", []netip.Addr{one1}, "-"},
		{"one that was never there", "api", nil, "", nil, "-"},
		{"nobody may, and that is a claim too", "new", []announce.Layer2{decided(one1)}, "", []netip.Addr{one1}, ""},
		{"no more than the first are passed on", "new", []announce.Layer2{decided(one1, "a", "b", "c", "d", "e", "f")}, "", []netip.Addr{one1}, "a b c d e"},
		{"one more that nobody is told of", "new", []announce.Layer2{decided(one1, "a", "b", "c", "d", "e", "f", "g")}, "", nil, "a b c d e"},
	} {
		t.Run(step.reason, func(t *testing.T) {
			recorded := map[netip.Addr]string{one1: step.recorded, one2: step.recorded}
			if changed := b.set(called(step.service), step.decisions, recorded); !slices.Equal(changed, step.changed) {
				t.Errorf("changed %v, want %v", changed, step.changed)
			}
			claim, ok := b.claim(one1)
			order := strings.Join(claim.Order, " ")
			if !ok {
				order = "-"
			}
			if order != step.order || claim.Recorded != b.recorded(one1) {
				t.Errorf("claim %+v, want order %q", claim, step.order)
			}
		})
	}
}

// A Service that had an address for itself has but its first candidates in the
// book; whoever joins it has it decided again.
func TestBookOfManyNodes(t *testing.T) {
	b := newBook()
	many := []string{"a", "b", "c", "d", "e", "f", "g"}
	b.set(called("web"), []announce.Layer2{decided(one1, many...)}, nil)
	if behind := b.behind(called("web")); behind != nil {
		t.Errorf("alone, %v is behind", behind)
	}
	b.set(called("api"), []announce.Layer2{decided(one1, "f", "g")}, nil)
	if behind := b.behind(called("api")); !slices.Equal(behind, []types.NamespacedName{called("web")}) {
		t.Fatalf("behind is %v", behind)
	}
	b.set(called("web"), []announce.Layer2{decided(one1, many...)}, nil)
	if claim, _ := b.claim(one1); !slices.Equal(claim.Order, []string{"f", "g"}) {
		t.Errorf("order %v", claim.Order)
	}
	if behind := b.behind(called("api")); behind != nil {
		t.Errorf("decided again, %v is behind", behind)
	}
}
