package aws

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

// Source ranges are replaced by others as long as AWS has room for these; where it
// has not, those that there were still get in.
func TestRangesReplaced(t *testing.T) {
	for why, tc := range map[string]struct {
		limit         int // AWS's default is 60
		before, after int
		reason        string
	}{
		"both together are too many":                      {0, 40, 40, ""},
		"more come than go":                               {0, 30, 50, ""},
		"more calls than one":                             {0, 40, 60, ""},
		"too many come":                                   {0, 40, 70, providers.ReasonQuotaExceeded},
		"too many come for an account with a lower quota": {45, 30, 50, providers.ReasonQuotaExceeded},
		"both fit, in an account with a higher quota":     {150, 70, 70, ""},
		"as many come, in an account with a higher quota": {100, 70, 70, ""},
	} {
		t.Run(why, func(t *testing.T) {
			o := awsLike()
			o.Limits.Rules = tc.limit
			inBubble(t, o, func(s *site) {
				s.service("web", ranges(10, tc.before))
				s.settle("default/web")
				s.change("default/web", ranges(172, tc.after))
				err := s.ensure("default/web")
				if reasonOfErr(err) != tc.reason {
					t.Errorf("got %v", err)
				}
				old, new := strings.Count(s.cloud.Dump(), "80-80 from 10."), strings.Count(s.cloud.Dump(), "80-80 from 172.")
				if tc.reason == "" && (old > 0 || new != tc.after) || tc.reason != "" && old != tc.before {
					t.Errorf("%d old and %d new rules", old, new)
				}
				if tc.reason == "" {
					s.settle("default/web")
				}
			})
		})
	}
}

// ranges are n that can't be merged.
func ranges(first, n int) func(*corev1.Service) {
	return func(svc *corev1.Service) {
		svc.Spec.LoadBalancerSourceRanges = nil
		for i := range n {
			svc.Spec.LoadBalancerSourceRanges = append(svc.Spec.LoadBalancerSourceRanges, fmt.Sprintf("%d.%d.0.0/16", first, 2*i))
		}
	}
}
