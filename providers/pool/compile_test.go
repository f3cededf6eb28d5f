package pool

import (
	"slices"
	"strings"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCompileRefuses: each broken pool is refused by itself, and named with the
// field and the value.
func TestCompileRefuses(t *testing.T) {
	nonsense := []metav1.LabelSelector{{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}}
	for _, tc := range []struct {
		why     string
		pools   []metallb.IPAddressPool
		refused []string
		told    []string
	}{
		{
			why:   "all in order, touching but not overlapping",
			pools: []metallb.IPAddressPool{pool("a", "192.0.2.0-192.0.2.9"), pool("b", "192.0.2.10-192.0.2.20", "2001:db8::/64")},
		},
		{
			why:     "the younger of two that overlap",
			pools:   []metallb.IPAddressPool{younger(pool("a", "192.0.2.0/28")), pool("b", "198.51.100.0/24", "192.0.2.0/24")},
			refused: []string{"a"},
			told:    []string{"IPAddressPool a: spec.addresses[0]:", "of the IPAddressPool b, which is older"},
		},
		{
			why:     "an overlap within one pool",
			pools:   []metallb.IPAddressPool{pool("a", "192.0.2.0/24", "192.0.2.7-192.0.2.7")},
			refused: []string{"a"},
			told:    []string{"IPAddressPool a: spec.addresses[1]:", "spec.addresses[0] of the same pool"},
		},
		{
			why:     "one that overlaps only a refused one goes on",
			pools:   []metallb.IPAddressPool{pool("a", "192.0.2.0/24", "nonsense"), younger(pool("b", "192.0.2.0/28"))},
			refused: []string{"a"},
			told:    []string{`spec.addresses[1]: "nonsense"`},
		},
		{
			why:     "a reversed range",
			pools:   []metallb.IPAddressPool{pool("a", "192.0.2.9-192.0.2.1")},
			refused: []string{"a"},
			told:    []string{`"192.0.2.9-192.0.2.1"`, "reversed"},
		},
		{
			why:     "two families in one range",
			pools:   []metallb.IPAddressPool{pool("a", "192.0.2.1-2001:db8::1")},
			refused: []string{"a"},
			told:    []string{"one family"},
		},
		{
			why:     "nothing in it",
			pools:   []metallb.IPAddressPool{pool("a")},
			refused: []string{"a"},
			told:    []string{"spec.addresses: is empty"},
		},
		{
			why: "a selector that is none",
			pools: []metallb.IPAddressPool{func() metallb.IPAddressPool {
				p := pool("a", "192.0.2.0/24")
				p.Spec.AllocateTo = &metallb.ServiceAllocation{ServiceSelectors: nonsense}
				return p
			}()},
			refused: []string{"a"},
			told:    []string{"spec.serviceAllocation.serviceSelectors[0]", "Near"},
		},
	} {
		t.Run(tc.why, func(t *testing.T) {
			pools, problems := compile(tc.pools)
			var frozen []string
			for _, p := range pools {
				if p.Frozen {
					frozen = append(frozen, p.Name)
				}
			}
			if !slices.Equal(frozen, tc.refused) {
				t.Errorf("refused: %v, want %v", frozen, tc.refused)
			}
			told := summary(problems)
			for _, want := range tc.told {
				if !strings.Contains(told, want) {
					t.Errorf("%q doesn't say %q", told, want)
				}
			}
			if len(tc.told) == 0 && told != "" {
				t.Errorf("told %q", told)
			}
		})
	}
}

func younger(p metallb.IPAddressPool) metallb.IPAddressPool {
	p.CreationTimestamp = metav1.NewTime(time.Unix(1, 0))
	return p
}
