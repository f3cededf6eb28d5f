package aws

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// mostToCreate is how many calls a Service with one port may take.
const mostToCreate = 10

func TestCreate(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("warm")
		s.settle("default/warm")
		s.service("web", func(svc *corev1.Service) { svc.Spec.Ports[0].NodePort = 31234 })
		if err := s.ensure("default/web"); reasonOfErr(err) != providers.ReasonProvisioning {
			t.Errorf("got %v while AWS sets up the load balancer", err)
		}
		s.cloud.Reset()
		s.service("third", func(svc *corev1.Service) { svc.Spec.Ports[0].NodePort = 31235 })
		_ = s.ensure("default/third")
		if n := len(s.cloud.Calls()); n > mostToCreate {
			t.Errorf("%d calls, want %d or fewer: %v", n, mostToCreate, s.cloud.Counts())
		}
		if svc, _ := s.get("default/web"); len(svc.Status.LoadBalancer.Ingress) != 1 || svc.Annotations[annotation.KeyApplied] != "" {
			t.Errorf("while AWS sets it up: status %v, annotations %v", svc.Status.LoadBalancer, svc.Annotations)
		}
		s.settle("default/web", "default/third")
		if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" {
			t.Errorf("not provisioned: %+v", c)
		}
		if svc, _ := s.get("default/web"); !strings.HasPrefix(svc.Annotations[annotation.KeyApplied], "v1:") {
			t.Errorf("annotations %v", svc.Annotations)
		}
	})
}

func reasonOfErr(err error) string {
	if r, ok := errors.AsType[*providers.Refusal](err); ok {
		return r.Reason
	}
	return ""
}

func TestNothingChanged(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web")
		s.settle("default/web")
		s.cloud.Reset()
		for range 3 {
			if err := s.ensure("default/web"); err != nil {
				t.Error(err)
			}
		}
		if calls := s.cloud.Calls(); len(calls) > 0 {
			t.Errorf("calls for a Service that did not change: %v", calls)
		}
	})
}

// A process that begins lists once and finds by the annotation that nothing is
// to be done; its first scan changes nothing either.
func TestRestart(t *testing.T) {
	t.Parallel()
	const services = 40
	inBubble(t, awsLike(), func(s *site) {
		var names []string
		for i := range services {
			svc := s.service(fmt.Sprintf("s-%02d", i), func(svc *corev1.Service) { svc.Spec.Ports[0].NodePort = 30000 + int32(i) })
			names = append(names, "default/"+svc.Name)
		}
		s.settle(names...)
		s.cloud.Reset()
		s.start()
		for _, name := range names {
			if err := s.ensure(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(s.cloud.Calls()); n > 6 {
			t.Errorf("%d calls: %v", n, s.cloud.Counts())
		}
		s.settle(names...) // longer than until the first scan
		if s.changes() > 0 || len(s.cloud.Calls()) > 25 {
			t.Errorf("%d changes, calls %v", s.changes(), s.cloud.Counts())
		}
	})
}

// An hour at rest costs a scan.
func TestRest(t *testing.T) {
	t.Parallel()
	const services = 100
	o := awsLike()
	o.Limits.LoadBalancers = services
	inBubble(t, o, func(s *site) {
		var names []string
		for i := range services {
			svc := s.service(fmt.Sprintf("s-%03d", i))
			names = append(names, "default/"+svc.Name)
		}
		s.settle(names...)
		time.Sleep(2 * time.Hour)
		s.cloud.Reset()
		time.Sleep(12 * time.Hour)
		if len(s.takeWoken()) > 0 {
			t.Error("woke Services without a reason")
		}
		perHour := float64(len(s.cloud.Calls())) / 12
		if perHour*500/services > 200 {
			t.Errorf("%.1f calls an hour for %d Services: %v", perHour, services, s.cloud.Counts())
		}
	})
}

func TestAdoption(t *testing.T) {
	for name, tc := range map[string]struct {
		service fakeaws.LBCService
		change  func(*corev1.Service)
	}{
		"instances": {fakeaws.LBCService{Ports: []fakeaws.LBCPort{{Port: 80, TargetPort: 30080}}}, func(*corev1.Service) {}},
		"before there were security groups": {fakeaws.LBCService{Ports: []fakeaws.LBCPort{{Port: 80, TargetPort: 30080}}, WithoutGroups: true},
			func(svc *corev1.Service) { svc.Annotations[annotation.KeyManageBackendRules] = "false" }},
		"internet-facing, though nobody says so any more": {fakeaws.LBCService{Ports: []fakeaws.LBCPort{{Port: 80, TargetPort: 30080}}, Scheme: "internet-facing"}, func(*corev1.Service) {}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				tc.service.Cluster, tc.service.Namespace, tc.service.Name = clusterName, "default", "web"
				tc.service.VPC, tc.service.Subnets, tc.service.NodeGroup = s.eks.VPC, s.eks.Private, s.eks.NodeGroup
				if tc.service.Scheme != "" {
					tc.service.Subnets = s.eks.Public
				}
				for _, n := range s.eks.Nodes {
					tc.service.Targets = append(tc.service.Targets, n.Instance)
				}
				stack := s.cloud.AddLBCService(tc.service)
				time.Sleep(time.Hour)
				s.start()
				svc := s.service("web", tc.change)
				before := s.cloud.Dump()
				s.cloud.Reset()
				changes, err := s.provider.Plan(s.t.Context(), s.request(svc))
				if err != nil || len(changes) > 0 {
					t.Errorf("a dry run says %v, %v", changes, err)
				}
				s.settle("default/web")
				if after := s.cloud.Dump(); s.changes() > 0 || after != before {
					t.Errorf("%d changes:\n%s", s.changes(), difference(before, after))
				}
				if svc, _ := s.get("default/web"); svc.Status.LoadBalancer.Ingress[0].Hostname != stack.DNSName {
					t.Errorf("got %v, want %s", svc.Status.LoadBalancer.Ingress, stack.DNSName)
				}
			})
		})
	}
}

// AWS returns another one's load balancer or target group for a name that it has:
// it is left as it is, and what was made beside it goes.
func TestForeign(t *testing.T) {
	for _, kind := range []string{"CreateLoadBalancer", "CreateTargetGroup"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				s.service("warm")
				s.settle("default/warm")
				s.foreign(kind)
				before := s.cloud.Dump()
				s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyName] = "theirs" })
				err := s.ensure("default/web")
				if reasonOfErr(err) != providers.ReasonBackendError || !strings.Contains(fmt.Sprint(err), "theirs") && kind == "CreateLoadBalancer" {
					t.Errorf("got %v", err)
				}
				time.Sleep(10 * time.Minute)
				s.cloud.Reset()
				if again := s.ensure("default/web"); reasonOfErr(again) != reasonOfErr(err) || s.changes() > 0 {
					t.Errorf("again: %v, changes %d", again, s.changes())
				}
				if got := withoutNodes(s.cloud.Dump()); got != withoutNodes(before) {
					t.Errorf("something changed:\n%s", difference(before, got))
				}
				s.change("default/web", func(svc *corev1.Service) {
					svc.Annotations[annotation.KeyName] = "ours"
					svc.Spec.Ports[0].Port = 81
				})
				s.settle("default/web")
				if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" {
					t.Errorf("with other names: %+v", c)
				}
			})
		})
	}
}

func withoutNodes(dump string) string {
	var kept []string
	for line := range strings.Lines(dump) {
		if !strings.Contains(line, "berth-lb.dev/backend") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// foreign makes what has the name that web needs, tagged by another cluster.
func (s *site) foreign(kind string) {
	tags := []elbtypes.Tag{{Key: new("elbv2.k8s.aws/cluster"), Value: new("green")}, {Key: new("service.k8s.aws/stack"), Value: new("default/web")}}
	clients := NewClients(configOf(s.cloud))
	var err error
	if kind == "CreateLoadBalancer" {
		_, err = clients.BalancingChange.CreateLoadBalancer(s.t.Context(), &elb.CreateLoadBalancerInput{
			Name: new("theirs"), Type: "network", Scheme: "internal", Subnets: s.eks.Private, Tags: tags,
		})
	} else {
		probe := s.service("web")
		plan, planErr := s.provider.Plan(s.t.Context(), s.request(probe))
		if planErr != nil {
			s.t.Fatal(planErr)
		}
		_, err = clients.BalancingChange.CreateTargetGroup(s.t.Context(), &elb.CreateTargetGroupInput{
			Name: new(targetGroupIn(plan).Name), Protocol: "TCP", Port: new(int32(30080)), VpcId: &s.eks.VPC, Tags: tags,
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Whatever is changed or deleted behind our back is put right by the next scan.
func TestDrift(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"listener", "load balancer", "target group port", "security group rule", "nodes' rule", "tag", "target"} {
		t.Run(name, func(t *testing.T) { restores(t, name, false) })
	}
	// What an earlier process left on the Service is not to be trusted then.
	t.Run("listener, after a restart", func(t *testing.T) { restores(t, "listener", true) })
}

func restores(t *testing.T, name string, restarted bool) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web")
		s.settle("default/web")
		if restarted {
			time.Sleep(10 * time.Minute)
			s.settle("default/web")
			s.start()
			s.settle("default/web")
		}
		before := s.cloud.Dump()
		s.harm(name)
		if s.cloud.Dump() == before {
			t.Fatal("nothing was harmed")
		}
		// Targets are looked at in one of twelve scans.
		for range 13 {
			time.Sleep(time.Hour)
			s.settle(keysOf(s.takeWoken())...)
		}
		if got := s.cloud.Dump(); got != before {
			t.Errorf("not restored:\n%s", difference(before, got))
		}
	})
}

// What gets the tags of another owner is that one's from then on.
func TestHandedOver(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		why  string
		then func(*site)
	}{
		{"scans see it", func(s *site) {
			s.patrol(3 * time.Hour)
			if c := s.condition("default/web", providers.ConditionProvisioned); !strings.Contains(c.Message, "belongs to somebody else") {
				s.t.Errorf("told %+v", c)
			}
		}},
		{"the Service is deleted before one does", func(s *site) {
			if err := s.release("default/web"); err != nil {
				s.t.Error(err)
			}
		}},
		{"the Service is deleted when one has", func(s *site) {
			s.patrol(2 * time.Hour)
			if err := s.release("default/web"); err != nil {
				s.t.Error(err)
			}
		}},
		{"the load balancer is to be replaced", func(s *site) {
			s.change("default/web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyScheme] = "internet-facing" })
			_ = s.ensure("default/web")
		}},
		{"the Service changes before one does", func(s *site) {
			s.change("default/web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyHealthInterval] = "20" })
			_ = s.ensure("default/web")
		}},
		{"the Service vanishes while no process runs", func(s *site) {
			svc, _ := s.get("default/web")
			s.start()
			if err := s.provider.Release(s.ctx, providers.KeyOf(svc)); err != nil {
				s.t.Error(err)
			}
		}},
	} {
		for key, value := range map[string]string{plan.TagCluster: "green", plan.TagStack: "default/other"} {
			t.Run(tc.why+", by "+key, func(t *testing.T) {
				inBubble(t, awsLike(), func(s *site) {
					s.service("web")
					s.settle("default/web")
					time.Sleep(10 * time.Minute) // listings know what there is
					s.handOver(key, value)
					before := s.theirs()
					tc.then(s)
					if got := s.theirs(); got != before {
						t.Errorf("something changed that is another's:\n%s", difference(before, got))
					}
				})
			})
		}
	}
}

// patrol has default/web be looked at, woken or not.
func (s *site) patrol(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Minute) {
		_ = s.ensure("default/web")
	}
}

// theirs is what there is that another owner has.
func (s *site) theirs() string {
	var kept []string
	for _, thing := range regexp.MustCompile(`(?m)^\S.*\n(?: .*\n)*`).FindAllString(s.cloud.Dump(), -1) {
		if strings.Contains(thing, plan.TagCluster+"=green") || strings.Contains(thing, plan.TagStack+"=default/other") {
			kept = append(kept, thing)
		}
	}
	if len(kept) != 3 {
		s.t.Fatalf("a load balancer, a target group and a security group are another's, and not\n%s", kept)
	}
	return strings.Join(kept, "")
}

func keysOf(keys []providers.Key) (names []string) {
	for _, k := range keys {
		names = append(names, k.String())
	}
	return names
}

// Users that protect a load balancer keep it.
func TestDeletionProtection(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web", func(svc *corev1.Service) {
			svc.Annotations[annotation.KeyAttributes] = "deletion_protection.enabled=true"
		})
		s.settle("default/web")
		before := s.cloud.Dump()
		svc, _ := s.get("default/web")
		err := s.provider.Release(s.t.Context(), providers.KeyOf(svc))
		if reasonOfErr(err) != providers.ReasonInvalidRequest || !strings.Contains(err.Error(), "deletion_protection") {
			t.Errorf("got %v", err)
		}
		if got := s.cloud.Dump(); got != before {
			t.Errorf("something changed:\n%s", difference(before, got))
		}
		// AWS does not tell when that changes.
		for range 20 {
			refusal, _ := errors.AsType[*providers.Refusal](s.provider.Release(s.t.Context(), providers.KeyOf(svc)))
			if refusal == nil || refusal.RetryAfter == 0 || refusal.RetryAfter > longestRetry {
				t.Fatalf("got %+v, which is not tried again in time", refusal)
			}
		}
		s.unprotect()
		if err := s.release("default/web"); err != nil {
			t.Error(err)
		}
	})
}

// Users put right at AWS what AWS lacks, and tell nobody.
func TestRefusedUntilAWSChanges(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeySecurityGroups] = "later" })
		if err := s.ensure("default/web"); reasonOfErr(err) != providers.ReasonInvalidRequest || !strings.Contains(err.Error(), "later") {
			t.Fatalf("without the security group: %v", err)
		}
		s.cloud.AddSecurityGroup(fakeaws.SecurityGroup{ID: "sg-1", VPC: s.eks.VPC, Name: "1", Description: "1", Tags: map[string]string{"Name": "later"}})
		s.settle("default/web")
		if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" {
			t.Errorf("with it: %+v", c)
		}
	})
}

// Nodes that come together are registered together.
func TestNodesJoin(t *testing.T) {
	t.Parallel()
	inBubble(t, awsLike(), func(s *site) {
		names := []string{"default/a", "default/b", "default/c"}
		for i, name := range []string{"a", "b", "c"} {
			s.service(name, func(svc *corev1.Service) { svc.Spec.Ports[0].NodePort = 30000 + int32(i) })
		}
		s.settle(names...)
		s.cloud.Reset()
		for range 50 {
			s.eks.AddNode(s.cloud)
			for _, name := range names {
				_ = s.ensure(name)
			}
			time.Sleep(20 * time.Millisecond)
		}
		s.settle(names...)
		if n := s.cloud.Counts()["RegisterTargets"]; n != len(names) {
			t.Errorf("%d calls to register 50 nodes for %d Services: %v", n, len(names), s.cloud.Counts())
		}
	})
}

// While pods are replaced one by one, each gone when the next is ready, the
// target group is never without a healthy target.
func TestRollingUpdate(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.pods["web"] = []string{"10.0.96.201", "10.0.96.202", "10.0.96.203"}
		s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyTargetType] = "ip" })
		s.settle("default/web")
		lb := s.loadBalancer("default/web")
		for i := range 3 {
			pods := slices.Clone(s.pods["web"])
			pods[i] = fmt.Sprintf("10.0.96.%d", 211+i)
			s.pods["web"] = pods
			_ = s.ensure("default/web")
			for range 10 {
				if len(s.cloud.Serving(lb, 80)) == 0 {
					t.Fatalf("no healthy target after replacing pod %d", i)
				}
				for _, key := range s.takeWoken() {
					_ = s.ensure(key.String())
				}
				time.Sleep(time.Second)
			}
		}
		s.settle("default/web")
		if got := s.cloud.Serving(lb, 80); len(got) != 3 {
			t.Errorf("at the end %v", got)
		}
	})
}

// Where all pods are replaced at once, more than one call takes out, the old ones
// stay until a new one is healthy.
func TestAllPodsReplaced(t *testing.T) {
	o := awsLike()
	o.Latency = 50 * time.Millisecond // so that these calls are made at the same time
	inBubble(t, o, func(s *site) {
		pods := func(third int) (addresses []string) {
			for i := range 240 {
				addresses = append(addresses, fmt.Sprintf("10.0.%d.%d", third, 10+i))
			}
			return addresses
		}
		s.pods["web"] = pods(97)
		s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyTargetType] = "ip" })
		s.settle("default/web")
		lb := s.loadBalancer("default/web")
		s.pods["web"] = pods(98)
		_ = s.ensure("default/web")
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
			if len(s.cloud.Serving(lb, 80)) == 0 {
				t.Fatal("no target is healthy")
			}
			s.ensureWoken()
		}
		if got := s.serving(lb); len(got) != 240 || !strings.HasPrefix(got[0], "10.0.98.") {
			t.Errorf("at the end %d serve, as %v", len(got), got[0])
		}
	})
}

// An address that was a target a moment ago may be that of another pod, of which
// nothing is known: others stay until it is healthy.
func TestAddressUsedAgain(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.pods["web"] = []string{oldPod}
		s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyTargetType] = "ip" })
		s.settle("default/web")
		lb := s.loadBalancer("default/web")
		s.pods["web"] = []string{newPod}
		_ = s.ensure("default/web")
		for end := time.Now().Add(3 * time.Minute); !slices.Equal(s.serving(lb), s.pods["web"]); time.Sleep(100 * time.Millisecond) {
			if s.ensureWoken(); time.Now().After(end) {
				t.Fatalf("the new pod does not take over: %v serve", s.serving(lb))
			}
		}
		s.pods["web"] = []string{oldPod}
		_ = s.ensure("default/web")
		s.keepsServing(lb, 3*time.Minute)
		if got := s.serving(lb); !slices.Equal(got, s.pods["web"]) {
			t.Errorf("at the end %v serve", got)
		}
	})
}

// Who may not do something is told what, and others go on.
func TestDenied(t *testing.T) {
	t.Parallel()
	for action, reason := range map[string]string{
		"tag:GetResources":                            "tag:GetResources",
		"ec2:DescribeSubnets":                         "ec2:DescribeSubnets",
		"ec2:AuthorizeSecurityGroupIngress":           "ec2:AuthorizeSecurityGroupIngress",
		"elasticloadbalancing:CreateListener":         "elasticloadbalancing:CreateListener",
		"elasticloadbalancing:RegisterTargets":        "elasticloadbalancing:RegisterTargets",
		"elasticloadbalancing:CreateLoadBalancer":     "elasticloadbalancing:CreateLoadBalancer",
		"elasticloadbalancing:DescribeTags":           "elasticloadbalancing:DescribeTags",
		"elasticloadbalancing:DescribeLoadBalancer*":  "",
		"elasticloadbalancing:ModifyTargetGroup*":     "",
		"elasticloadbalancing:DescribeTargetHealth":   "",
		"elasticloadbalancing:DescribeListenerAttri*": "",
	} {
		t.Run(action, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				s.cloud.Deny(action)
				s.service("web")
				err := s.ensure("default/web")
				if reason != "" && (reasonOfErr(err) != providers.ReasonBackendError || !strings.Contains(err.Error(), reason)) {
					t.Errorf("got %v", err)
				}
				first := s.condition("default/web", providers.ConditionProvisioned).Message
				time.Sleep(time.Minute)
				_ = s.ensure("default/web")
				if again := s.condition("default/web", providers.ConditionProvisioned).Message; again != first {
					t.Errorf("told %q, then %q", first, again)
				}
				s.cloud.Allow(action)
				s.settle("default/web")
				if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" {
					t.Errorf("once allowed: %+v", c)
				}
			})
		})
	}
}

func TestTargetsUnhealthy(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.cloud.SetTargetHealth(func(fakeaws.Target) fakeaws.Health { return fakeaws.Unhealthy })
		s.service("web")
		s.settle("default/web")
		if c := s.condition("default/web", providers.ConditionServing); c.Reason != reasonTargetsUnhealthy || !strings.Contains(c.Message, "FailedHealthChecks") {
			t.Errorf("got %+v", c)
		}
		s.start()
		_ = s.ensure("default/web")
		if c := s.condition("default/web", providers.ConditionServing); c.Reason != reasonTargetsUnhealthy {
			t.Errorf("after a restart %+v", c)
		}
		s.cloud.SetTargetHealth(func(fakeaws.Target) fakeaws.Health { return fakeaws.Healthy })
		s.settle("default/web")
		if c := s.condition("default/web", providers.ConditionServing); c.Status != "True" {
			t.Errorf("once healthy %+v", c)
		}
	})
}

// What a Service left behind that vanished while nobody looked is listed, and
// released by that name.
func TestOwned(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		svc := s.service("web")
		s.settle("default/web")
		if owned, err := s.provider.Owned(s.t.Context()); err != nil || !slices.Equal(owned, []providers.Key{providers.KeyOf(svc)}) {
			t.Errorf("owned %v, %v", owned, err)
		}
		s.mu.Lock()
		delete(s.services, "default/web")
		s.mu.Unlock()
		s.start()
		owned, err := s.provider.Owned(s.t.Context())
		if want := []providers.Key{{Namespace: "default", Name: "web"}}; err != nil || !slices.Equal(owned, want) {
			t.Fatalf("owned %v, %v; want %v", owned, err, want)
		}
		for err = providers.ErrPending; errors.Is(err, providers.ErrPending); time.Sleep(5 * time.Second) {
			err = s.provider.Release(s.t.Context(), owned[0])
		}
		if owned, again := s.provider.Owned(s.t.Context()); err != nil || again != nil || len(owned) > 0 {
			t.Errorf("after %v owned %v, %v", err, owned, again)
		}
	})
}

// Two clusters in one VPC keep to their own.
func TestTwoClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fakeaws.New(awsLike())
		blue := newSite(t, cloud)
		defer func() { blue.stop() }()
		green := &site{t: t, cloud: cloud, eks: blue.eks, services: map[string]*corev1.Service{}, pods: map[string][]string{}, last: map[string]error{}, woken: map[providers.Key]bool{}, stop: func() {}}
		green.set = func(o *Options) { o.Cluster.Name = "green" }
		green.start()
		defer func() { green.stop() }()
		blue.service("web")
		blue.settle("default/web")
		alone := cloud.Dump()
		green.service("web", func(svc *corev1.Service) {
			svc.Annotations[annotation.KeySubnets] = strings.Join(blue.eks.Private, ",") // they are tagged for the other
		})
		green.settle("default/web")
		if c := green.condition("default/web", providers.ConditionProvisioned); c.Status != "True" {
			t.Errorf("the second cluster: %+v", c)
		}
		if err := green.release("default/web"); err != nil {
			t.Fatal(err)
		}
		green.settle()
		got := withoutGreenGroup(cloud.Dump())
		if got != alone {
			t.Errorf("the other cluster left or took something:\n%s", difference(alone, got))
		}
	})
}

// withoutGreenGroup leaves out the shared group of a cluster, which stays.
func withoutGreenGroup(dump string) string {
	var kept []string
	skip := false
	for line := range strings.Lines(dump) {
		if !strings.HasPrefix(line, " ") {
			skip = strings.HasPrefix(line, "security group k8s-traffic-green-")
		}
		if !skip {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
