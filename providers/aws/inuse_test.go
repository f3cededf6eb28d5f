package aws

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
)

// A Service that asks for an address which another one has is told so in AWS's
// words, and gets it once that is gone.
func TestAddressInUse(t *testing.T) {
	asks := func(s *site, subnet int, allocations ...string) func(*corev1.Service) {
		return func(svc *corev1.Service) {
			svc.Annotations[annotation.KeyScheme] = "internet-facing"
			svc.Annotations[annotation.KeySubnets] = strings.Join(s.eks.Public[:subnet], ",")
			svc.Annotations[annotation.KeyEIPAllocations] = strings.Join(allocations, ",")
		}
	}
	for why, before := range map[string]bool{
		"a new load balancer":            false,
		"a zone that comes back with it": true,
	} {
		t.Run(why, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				for _, id := range []string{"eipalloc-1", "eipalloc-2"} {
					s.cloud.AddAddress(id)
				}
				s.service("first", asks(s, 1, "eipalloc-1"))
				names := []string{"default/first"}
				if before {
					s.service("web", asks(s, 2))
					names = append(names, "default/web")
				}
				s.settle(names...)
				s.cloud.Reset()
				if !before {
					s.service("web")
				}
				s.change("default/web", asks(s, 2, "eipalloc-1", "eipalloc-2"))
				err := s.ensure("default/web")
				if reasonOfErr(err) != providers.ReasonBackendError || !strings.Contains(err.Error(), "not available for use") {
					t.Errorf("got %v", err)
				}
				if n := s.cloud.Counts()["CreateListener"]; n > 0 {
					t.Errorf("%d listeners, of no load balancer", n)
				}
				if err := s.release("default/first"); err != nil {
					t.Fatal(err)
				}
				s.settle("default/web")
				c := s.condition("default/web", providers.ConditionProvisioned)
				if dump := s.cloud.Dump(); c.Status != "True" || !strings.Contains(dump, "eipalloc-1") || !strings.Contains(dump, "eipalloc-2") {
					t.Errorf("got %+v, and\n%s", c, dump)
				}
			})
		})
	}
}
