package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// stage is a piece of a Service's life that ends with everything settled.
type stage struct {
	name string
	live func(*site)
}

// stages is a life of a Service with much of what there is, each piece of which
// makes calls of other kinds.
var stages = []stage{
	{"create", func(s *site) {
		s.cloud.AddCertificate("arn:aws:acm:eu-west-1:123456789012:certificate/a")
		s.service("web", func(svc *corev1.Service) {
			svc.Annotations[annotation.KeyTargetGroupAttributes] = "deregistration_delay.timeout_seconds=5"
			svc.Annotations[annotation.KeyAttributes] = "load_balancing.cross_zone.enabled=true"
		})
		s.settle("default/web")
	}},
	{"update", func(s *site) {
		s.change("default/web", func(svc *corev1.Service) {
			svc.Spec.Ports[0].NodePort = 30090
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, NodePort: 30053})
			svc.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24"}
			svc.Annotations[annotation.KeyHealthInterval] = "20"
			svc.Annotations[annotation.KeyTags] = "team=red"
		})
		s.eks.Nodes = s.eks.Nodes[1:]
		s.settle("default/web")
	}},
	{"replace", func(s *site) {
		s.change("default/web", func(svc *corev1.Service) {
			svc.Annotations[annotation.KeyTargetType] = "ip"
			svc.Annotations[annotation.KeyScheme] = "internet-facing"
			for i := range svc.Spec.Ports {
				svc.Spec.Ports[i].TargetPort = intstr.FromInt32(8080)
			}
		})
		s.settle("default/web")
	}},
	{"roll", func(s *site) {
		s.pods["web"] = []string{"10.0.96.201"}
		s.settle("default/web")
	}},
	{"delete", func(s *site) {
		if err := s.release("default/web"); err != nil {
			s.t.Errorf("release: %v", err)
		}
		s.settle()
	}},
}

// after are the states that there are after each stage when nothing goes wrong,
// and how many calls each stage makes.
func lifeOf(t *testing.T) (after []string, calls []int) {
	inBubble(t, awsLike(), func(s *site) {
		for _, stage := range stages {
			s.cloud.Reset()
			stage.live(s)
			after = append(after, s.cloud.Dump())
			calls = append(calls, len(s.cloud.Calls()))
		}
	})
	return after, calls
}

// apart is how many calls are between two faults of a kind that the SDK retries
// by itself: several fit into one stage.
const apart = 7

// Whatever goes wrong with any call, everything ends as if it had not. A life has a
// fault in each stage, since a stage begins as if there had been none before.
func TestFaults(t *testing.T) {
	t.Parallel()
	want, calls := lifeOf(t)
	for _, tc := range []struct {
		fault   fakeaws.Fault
		retried bool
	}{
		{fakeaws.Fault{Kind: fakeaws.Err500}, true},
		{fakeaws.Fault{Kind: fakeaws.Timeout}, true},
		{fakeaws.Fault{Kind: fakeaws.Silence}, true},
		{fakeaws.Fault{Kind: fakeaws.Throttle}, true},
		{fakeaws.Fault{Kind: fakeaws.LostAnswer}, false},
		{fakeaws.Fault{Kind: fakeaws.Refuse, Code: "InternalFailure", Message: "no retry helps", Status: 400}, false},
	} {
		last := slices.Max(calls)
		if tc.retried {
			last = apart
		}
		for n := 1; n <= last; n++ {
			t.Run(fmt.Sprintf("%s/%d", tc.fault.Kind, n), func(t *testing.T) {
				t.Parallel()
				live(t, n, calls, want, func(s *site, i int) {
					s.cloud.ClearFaults()
					s.cloud.Inject(faultsAt(tc.fault, n, calls[i], tc.retried)...)
				})
			})
		}
	}
}

// faultsAt is one at the nth call and, if it is retried, more of it later on.
func faultsAt(f fakeaws.Fault, n, calls int, retried bool) []fakeaws.Fault {
	f.Nth = n
	all := []fakeaws.Fault{f}
	for retried && f.Nth+apart <= calls {
		f.Nth += apart
		all = append(all, f)
	}
	return all
}

// live lives until the last stage that makes n calls, with trouble in each stage
// that does, and compares what there is after it.
func live(t *testing.T, n int, calls []int, want []string, trouble func(s *site, stage int)) {
	inBubble(t, awsLike(), func(s *site) {
		for i, stage := range stages {
			if n > slices.Max(calls[i:]) {
				return
			}
			if n <= calls[i] {
				trouble(s, i)
			}
			s.cloud.Reset()
			stage.live(s)
			if s.differs(stage.name, want[i]) {
				return
			}
		}
	})
}

func short(c fakeaws.Call) string {
	text := c.Time.Format(time.TimeOnly) + " " + c.String()
	return text[:min(len(text), 200)]
}

// difference lists the lines that only one has.
func difference(want, got string) string {
	var b strings.Builder
	in := func(text string) map[string]int {
		lines := map[string]int{}
		for line := range strings.Lines(text) {
			lines[line]++
		}
		return lines
	}
	w, g := in(want), in(got)
	for _, line := range sortedKeys(w) {
		if w[line] > g[line] {
			b.WriteString("- " + line)
		}
	}
	for _, line := range sortedKeys(g) {
		if g[line] > w[line] {
			b.WriteString("+ " + line)
		}
	}
	return b.String()
}

// A process that ends with any call, the answer to which it does not see, is
// continued by the next one.
func TestKilled(t *testing.T) {
	t.Parallel()
	want, calls := lifeOf(t)
	for n := 1; n <= slices.Max(calls); n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			live(t, n, calls, want, func(s *site, _ int) {
				s.fatal = n
				s.start()
			})
		})
	}
}

// differs reports how what there is differs from what there should be.
func (s *site) differs(stage, want string) bool {
	got := s.cloud.Dump()
	if got == want {
		return false
	}
	s.t.Errorf("after %s:\n%s", stage, difference(want, got))
	for _, c := range s.cloud.Calls() {
		s.t.Log(short(c))
	}
	return true
}

// Nobody else waits for a look that takes long.
func TestSilence(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		delays := fakeaws.AWSDelays()
		s.patience = time.Hour
		s.start()
		s.cloud.SetTargetHealth(func(fakeaws.Target) fakeaws.Health { return fakeaws.Unhealthy }) // and looked at again
		s.service("web")
		_ = s.ensure("default/web")
		s.passes(delays.Provisioning + 15*time.Second) // its targets are looked at
		s.cloud.Inject(fakeaws.Fault{Action: "DescribeTargetHealth", Every: 1, Kind: fakeaws.Silence})
		s.service("other", func(svc *corev1.Service) { svc.Spec.Ports[0].NodePort = 31000 })
		_ = s.ensure("default/other")
		s.passes(delays.Provisioning + 30*time.Second)
		if c := s.condition("default/other", providers.ConditionProvisioned); c.Status != "True" {
			t.Errorf("nobody looked at the other Service: %+v", c)
		}
	})
}
