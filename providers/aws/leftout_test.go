package aws

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// What AWS does not take is left out and named, others are registered, and it is
// tried again.
func TestLeftOut(t *testing.T) {
	for why, tc := range map[string]struct {
		kind        string
		spoil, mend func(*site)
		named       string
		count       int // of those that serve meanwhile
	}{
		"an instance that does not run": {"instance",
			func(s *site) {
				s.cloud.SetInstanceState(s.eks.Nodes[1].Instance, ec2types.InstanceStateNameStopped)
			},
			func(s *site) {
				s.cloud.SetInstanceState(s.eks.Nodes[1].Instance, ec2types.InstanceStateNameRunning)
			}, "node-001", 2},
		"two addresses that no target can have": {"ip",
			func(s *site) { s.pods["web"] = []string{"10.0.96.200", "198.51.100.7", "198.51.100.8", "10.0.96.201"} },
			func(s *site) { s.pods["web"] = []string{"10.0.96.200", "10.0.96.201", "10.0.96.202"} }, "198.51.100.7", 2},
	} {
		t.Run(why, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				tc.spoil(s)
				s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyTargetType] = tc.kind })
				_ = s.ensure("default/web")
				s.passes(10 * time.Minute)
				lb := s.loadBalancer("default/web")
				if got := s.serving(lb); len(got) != tc.count {
					t.Errorf("got %v", got)
				}
				if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" || !strings.Contains(c.Message, tc.named) {
					t.Errorf("got %+v", c)
				}
				tc.mend(s)
				s.passes(10 * time.Minute)
				if got := s.serving(lb); len(got) != 3 {
					t.Errorf("once AWS takes them, %v serve", got)
				}
				if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" || strings.Contains(c.Message, tc.named) {
					t.Errorf("once AWS takes them: %+v", c)
				}
			})
		})
	}
}

// A Service whose pods come and go all the time has AWS asked again now and then, and
// soon enough once that takes what it did not.
func TestLeftOutIsNotAskedForEachEvent(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web")
		s.settle("default/web")
		added := s.eks.AddNode(s.cloud)
		s.cloud.SetInstanceState(added.Instance, ec2types.InstanceStateNameStopped)
		events := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				_ = s.ensure("default/web")
			}
		}
		events(10 * time.Second)
		s.cloud.Reset()
		events(5 * time.Minute)
		if n := s.cloud.Counts()["RegisterTargets"]; n == 0 || n > 10 {
			t.Errorf("%d calls for a node that AWS does not take, in 5 min", n)
		}
		if c := s.condition("default/web", providers.ConditionProvisioned); !strings.Contains(c.Message, "node-003") {
			t.Errorf("told %+v", c)
		}
		s.cloud.SetInstanceState(added.Instance, ec2types.InstanceStateNameRunning)
		_ = s.ensure("default/web")
		s.passes(2 * time.Minute)
		if got := s.serving(s.loadBalancer("default/web")); len(got) != 4 {
			t.Errorf("once AWS takes it, %v serve", got)
		}
	})
}

// passes lets time pass, in which Services are looked at when they are woken.
func (s *site) passes(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		s.ensureWoken()
	}
}

// picky is an AWS that does not take targets of bad, and tells which or not.
type picky struct {
	BalancingChange
	bad   []string
	tells bool
	calls int
	taken []string
}

func (p *picky) RegisterTargets(_ context.Context, in *elb.RegisterTargetsInput, _ ...func(*elb.Options)) (*elb.RegisterTargetsOutput, error) {
	p.calls++
	var ids, bad []string
	for _, t := range in.Targets {
		ids = append(ids, *t.Id)
		if slices.Contains(p.bad, *t.Id) {
			bad = append(bad, *t.Id)
		}
	}
	switch {
	case len(bad) > 0 && p.tells:
		return nil, apiError(invalidTarget, "The following targets are not in a running state and cannot be registered: '"+strings.Join(bad, "', '")+"'.")
	case len(bad) > 0:
		return nil, apiError(invalidTarget, "One or more targets are not valid")
	}
	p.taken = append(p.taken, ids...)
	return nil, nil
}

func TestRegisterOthers(t *testing.T) {
	for _, tc := range []struct {
		why        string
		all, bad   []string
		tells      bool
		calls, out int
	}{
		{"all are taken", []string{"i-1", "i-2", "i-3"}, nil, true, 1, 0},
		{"one is not, and AWS says which", []string{"i-1", "i-2", "i-3"}, []string{"i-2"}, true, 2, 1},
		{"two are not, one of which begins like another", []string{"10.0.0.1", "10.0.0.11", "10.0.0.2"}, []string{"10.0.0.1", "10.0.0.2"}, true, 2, 2},
		{"none is", []string{"i-1", "i-2", "i-3"}, []string{"i-1", "i-2", "i-3"}, true, 1, 3},
		{"one is not, and AWS does not say which", []string{"i-1", "i-2", "i-3", "i-4"}, []string{"i-3"}, false, 5, 1},
		{"the only one is not, and AWS does not say so", []string{"i-1"}, []string{"i-1"}, false, 1, 1},
	} {
		t.Run(tc.why, func(t *testing.T) {
			aws := &picky{bad: tc.bad, tells: tc.tells}
			e := &execution{calls: Clients{BalancingChange: aws}}
			var targets []plan.Target
			for _, id := range tc.all {
				targets = append(targets, plan.Target{ID: id, Port: 80})
			}
			if err := e.registerTargets(t.Context(), plan.RegisterTargets{TargetGroup: "arn:x", Targets: targets}); err != nil {
				t.Fatal(err)
			}
			if aws.calls != tc.calls || len(e.leftOut) != tc.out || len(aws.taken) != len(tc.all)-tc.out {
				t.Errorf("%d calls, %v taken, %v left out", aws.calls, aws.taken, e.leftOut)
			}
		})
	}
}
