package aws

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// anotherScheme makes for another load balancer.
func anotherScheme(svc *corev1.Service) { svc.Annotations[annotation.KeyScheme] = "internet-facing" }

// While a load balancer is replaced, which takes minutes, the old one goes on
// serving: its targets follow nodes and pods. That costs no calls once they have.
func TestOldLoadBalancerFollows(t *testing.T) {
	for _, kind := range []string{"instance", "ip"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyTargetType] = kind })
				s.settle("default/web")
				old := s.loadBalancer("default/web")
				s.change("default/web", anotherScheme)
				_ = s.ensure("default/web")
				s.replaceAll("web")
				s.keepsServing(old, 120*time.Second)
				s.cloud.Reset()
				s.keepsServing(old, 20*time.Second)
				if got, want := s.serving(old), s.wanted("web", kind); !slices.Equal(got, want) {
					t.Errorf("got %v, want %v", got, want)
				}
				if n := s.cloud.Counts()["DescribeTags"]; n > 0 || s.changes() > 0 {
					t.Errorf("nothing has to be changed, and calls are made for that: %v", s.cloud.Counts())
				}
				s.settle("default/web")
				if got, want := s.serving(s.loadBalancer("default/web")), s.wanted("web", kind); !slices.Equal(got, want) {
					t.Errorf("its successor has %v, want %v", got, want)
				}
			})
		})
	}
}

// keepsServing looks whether a load balancer always has a target.
func (s *site) keepsServing(lb string, d time.Duration) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		s.ensureWoken()
		if len(s.cloud.Serving(lb, 80)) == 0 {
			s.t.Fatal("no target is left that serves")
		}
	}
}

// A load balancer whose successor AWS can't set up stays, and is what the status
// shows; it is kept where the change is taken back.
func TestSuccessorFails(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web")
		s.settle("default/web")
		old, before := s.loadBalancer("default/web"), s.shownBy("default/web")
		s.cloud.FailLoadBalancers(true)
		s.change("default/web", anotherScheme)
		_ = s.ensure("default/web")
		s.keepsServing(old, 5*time.Minute)
		s.replaceAll("web")
		s.keepsServing(old, 5*time.Minute)
		if got, want := s.serving(old), s.wanted("web", "instance"); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if c := s.condition("default/web", providers.ConditionProvisioned); !strings.Contains(c.Message, "could not set up") || s.shownBy("default/web") != before {
			t.Errorf("told %+v; the status shows %s instead of %s", c, s.shownBy("default/web"), before)
		}
		s.change("default/web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyScheme] = "internal" })
		s.settle("default/web")
		c := s.condition("default/web", providers.ConditionProvisioned)
		if n := strings.Count(s.cloud.Dump(), "load balancer k8s-"); c.Status != "True" || s.shownBy("default/web") != before || n != 1 {
			t.Errorf("taken back: %+v, %d load balancers, the status shows %s", c, n, s.shownBy("default/web"))
		}
	})
}

func (s *site) shownBy(name string) string {
	svc, _ := s.get(name)
	if len(svc.Status.LoadBalancer.Ingress) == 0 {
		return ""
	}
	return svc.Status.LoadBalancer.Ingress[0].Hostname
}

// Nodes let a load balancer in as long as it is there, whatever its successor needs.
func TestOldLoadBalancerReaches(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyNoSecurityGroups] = "true" })
		s.settle("default/web")
		clients := func() bool {
			return slices.ContainsFunc(s.nodeRules(), func(r plan.Rule) bool { return r.CIDR.IsValid() && r.CIDR.Bits() == 0 })
		}
		if !clients() {
			t.Fatalf("clients can't reach nodes: %v", s.nodeRules())
		}
		s.change("default/web", func(svc *corev1.Service) { delete(svc.Annotations, annotation.KeyNoSecurityGroups) })
		s.change("default/web", anotherScheme)
		_ = s.ensure("default/web")
		for end := time.Now().Add(100 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
			s.ensureWoken()
			if !clients() {
				t.Fatalf("clients can't reach nodes by the old one any more: %v", s.nodeRules())
			}
		}
		s.settle("default/web")
		time.Sleep(time.Hour)
		s.settle("default/web")
		if clients() {
			t.Errorf("open when it is gone: %v", s.nodeRules())
		}
		s.reached([]string{"default/web"})
	})
}
