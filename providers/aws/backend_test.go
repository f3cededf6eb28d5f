package aws

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// crowdOf makes many Services whose node ports are step apart.
func (s *site) crowdOf(n int, step int32) (names []string) {
	for i := range n {
		svc := s.service(fmt.Sprintf("s-%03d", i), func(svc *corev1.Service) { svc.Spec.Ports[0].NodePort = 30000 + int32(i)*step })
		names = append(names, "default/"+svc.Name)
	}
	return names
}

// work calls once for each, as the workers of a controller do.
func (s *site) work(names []string) { s.workBy(16, names) }

func (s *site) workBy(workers int, names []string) {
	queue := make(chan string, len(names))
	for _, name := range names {
		queue <- name
	}
	close(queue)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for name := range queue {
				_ = s.ensure(name)
			}
		})
	}
	wg.Wait()
}

// nodeRules are those of the nodes' group that are ours.
func (s *site) nodeRules() []plan.Rule {
	s.t.Helper()
	all, err := listGroups(s.t.Context(), NewClients(configOf(s.cloud)).Network, filter("group-id", s.eks.NodeGroup))
	if err != nil {
		s.t.Fatal(err)
	}
	return slices.DeleteFunc(all[s.eks.NodeGroup].Ingress, func(r plan.Rule) bool { return !strings.HasPrefix(r.Description, "berth-lb.dev/backend=") })
}

// reached reports Services that are not served, or whose node port is closed.
func (s *site) reached(names []string) {
	s.t.Helper()
	rules := s.nodeRules()
	for _, name := range names {
		svc, _ := s.get(name)
		port := svc.Spec.Ports[0].NodePort
		if !slices.ContainsFunc(rules, func(r plan.Rule) bool { return r.From <= port && port <= r.To }) {
			s.t.Errorf("%s: node port %d is closed", name, port)
		}
		if c := s.condition(name, providers.ConditionProvisioned); c.Status != "True" {
			s.t.Errorf("%s: %+v", name, c)
		}
	}
}

const (
	mostRules = 20
	// mostPassing is while rules are merged: those that take the place of others
	// come first.
	mostPassing = 30
)

// crowds is how many of them are tried; the race detector has enough of two.
var crowds = map[bool]int{false: 4, true: 2}[racing]

// However often a process ends while Services are made, and whatever it knew of
// them, rules in the nodes' group stay few.
func TestKilledWhileCrowded(t *testing.T) {
	for seed := range uint64(crowds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			o := awsLike()
			o.Limits.LoadBalancers = 150
			inBubble(t, o, func(s *site) {
				random := rand.New(rand.NewPCG(seed, 7))
				names := s.crowdOf(150, 7)
				for range 20 {
					random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
					s.fatal = 30 + random.IntN(170)
					s.start()
					for some := range slices.Chunk(names, 10) {
						s.work(some)
						time.Sleep(time.Duration(random.IntN(20)) * time.Second)
					}
					if n := len(s.nodeRules()); n > mostPassing {
						s.t.Fatalf("%d rules when the process has ended", n)
					}
				}
				s.start()
				s.settle(names...)
				if n := len(s.nodeRules()); n > mostRules {
					t.Errorf("%d rules in the end", n)
				}
				s.reached(names)
			})
		})
	}
}

// Where there is no room for rules and those that they replace, room is made.
func TestNoRoomForRules(t *testing.T) {
	t.Parallel()
	o := awsLike()
	o.Limits.Rules = mostRules + 1
	inBubble(t, o, func(s *site) {
		names := s.crowdOf(40, 7)
		for some := range slices.Chunk(names, 3) {
			s.settle(some...)
		}
		s.reached(names)
		refused := slices.ContainsFunc(s.cloud.Calls(), func(c fakeaws.Call) bool { return c.Code == "RulesPerSecurityGroupLimitExceeded" })
		if n := len(s.nodeRules()); n > mostRules || !refused {
			t.Errorf("%d rules; refused: %v", n, refused)
		}
	})
}

// Many Services that are made at once, throttled, take the calls that they need
// and cause few changes of the nodes' group; a single one has its port open as soon
// as it has a load balancer. Those above the quota say so, and get their turn.
func TestCrowd(t *testing.T) {
	t.Parallel()
	const (
		services, over = 500, 5
		mostRounds     = 40
		// changesEach are for a security group with a rule, a target group with
		// targets, a load balancer and a listener; and one for what is created again,
		// since a throttled call came after it, and was there.
		changesEach = 6 + 1
	)
	o := awsLike()
	o.Limits.LoadBalancers = services - over
	o.Buckets = fakeaws.AWSBuckets()
	inBubble(t, o, func(s *site) {
		names := s.crowdOf(services, 5)
		began := time.Now()
		_ = s.ensure(names[0])
		time.Sleep(time.Second)
		if n := len(s.nodeRules()); n != 1 {
			t.Errorf("%d rules for a single Service", n)
		}
		tried := s.tryAll(names)
		t.Logf("made in %v", time.Since(began))
		if n := len(tried[providers.ReasonQuotaExceeded]); n != over {
			t.Errorf("%d Services are told that a quota is used up, want %d", n, over)
		}
		for i, name := range tried[""][:over] {
			if err := s.release(name); err != nil {
				t.Fatal(err)
			}
			names = slices.DeleteFunc(names, func(other string) bool { return other == name })
			t.Logf("%d is gone after %v", i, time.Since(began))
		}
		s.settle(names...)
		made, rounds := 0, 0
		for _, c := range s.cloud.Calls() {
			switch {
			case !c.Changes() || c.Code != "":
			case strings.Contains(c.Action, "SecurityGroupIngress") && strings.Contains(c.String(), s.eks.NodeGroup):
				rounds++
			case !strings.HasPrefix(c.Action, "De") && !strings.HasPrefix(c.Action, "Revoke"):
				made++
			}
		}
		if rounds > mostRounds {
			t.Errorf("%d changes of the nodes' group, want %d or fewer", rounds, mostRounds)
		}
		if most := changesEach * services; made > most {
			t.Errorf("%d changes made %d Services, want %d or fewer: %v", made, services, most, s.cloud.Counts())
		}
		t.Log(made, "changes, the nodes' group aside, of which there were", rounds)
		s.reached(names)
	})
}

// tryAll calls for Services until none is throttled any more, and returns them by
// what they are told.
func (s *site) tryAll(names []string) map[string][]string {
	s.t.Helper()
	for range 100 {
		told := map[string][]string{}
		for _, name := range names {
			reason := ""
			if c := s.condition(name, providers.ConditionProvisioned); c.Status != "True" {
				reason = c.Reason
			}
			if reason == providers.ReasonProvisioning {
				reason = ""
			}
			told[reason] = append(told[reason], name)
		}
		again := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			svc, _ := s.get(name)
			return len(svc.Status.LoadBalancer.Ingress) > 0 || slices.Contains(told[providers.ReasonQuotaExceeded], name)
		})
		if len(again) == 0 {
			return told
		}
		s.workBy(4, again) // more would be throttled more, which takes this test time
		time.Sleep(afterThrottle)
	}
	s.t.Fatal("some are still throttled")
	return nil
}

// While AWS throttles everything for minutes, changed Services say so, keep what
// they have, and ask at growing pauses; then all of them are done.
func TestStorm(t *testing.T) {
	t.Parallel()
	const services = 50
	o := awsLike()
	o.Buckets = fakeaws.AWSBuckets()
	inBubble(t, o, func(s *site) {
		names := s.crowdOf(services, 5)
		s.settle(names...)
		const storm = 10 * time.Minute
		s.cloud.Inject(fakeaws.Fault{Kind: fakeaws.Storm, Duration: storm})
		s.cloud.Reset()
		for i, name := range names {
			s.change(name, func(svc *corev1.Service) { svc.Spec.Ports[0].NodePort = 31000 + int32(i) })
		}
		s.work(names)
		for _, name := range names {
			svc, _ := s.get(name)
			if c := s.condition(name, providers.ConditionProvisioned); c.Reason != providers.ReasonThrottled || len(svc.Status.LoadBalancer.Ingress) == 0 {
				t.Errorf("%s in the storm: %+v, it has %v", name, c, svc.Status.LoadBalancer)
			}
		}
		s.settle(names...)
		s.reached(names)
		throttled, perMinute := 0, map[time.Time]int{}
		for _, c := range s.cloud.Calls() {
			if c.Code == "Throttling" || c.Code == "RequestLimitExceeded" {
				throttled++
				perMinute[c.Time.Truncate(time.Minute)]++
			}
		}
		// The SDK tries a call 8 times; after that each Service waits 10 s and more.
		const most, mostPerMinute = 10 * services, 4 * services
		worst := slices.Max(slices.Collect(maps.Values(perMinute)))
		t.Logf("%d calls were throttled, at most %d in a minute", throttled, worst)
		if throttled > most || worst > mostPerMinute {
			t.Errorf("in %v %d calls were throttled, %d in one minute, want %d and %d at most", storm, throttled, worst, most, mostPerMinute)
		}
	})
}

// A rule goes with the Service that needed it, without a scan where all others
// are known.
func TestRuleGoes(t *testing.T) {
	t.Parallel()
	inBubble(t, awsLike(), func(s *site) {
		s.set = func(o *Options) { o.Scan = 1000 * time.Hour }
		s.start()
		names := s.crowdOf(2, 10)
		s.settle(names...)
		for i, name := range names {
			if err := s.release(name); err != nil {
				s.t.Fatal(err)
			}
			if rules := s.nodeRules(); len(rules) != len(names)-1-i {
				t.Errorf("%s is gone: %v", name, rules)
			}
		}
	})
}

// What the AWS Load Balancer Controller made so recently that a listing lacks it
// is found by the name that the status has.
func TestRecognize(t *testing.T) {
	for _, tc := range []struct {
		why      string
		cluster  string
		hostname func(fakeaws.LBCStack) string
		adopted  bool
		looks    int // for a load balancer by name
	}{
		{"its own", clusterName, func(l fakeaws.LBCStack) string { return l.DNSName }, true, 1},
		{"another cluster's", "green", func(l fakeaws.LBCStack) string { return l.DNSName }, false, 1},
		{"one that is gone", clusterName, func(fakeaws.LBCStack) string { return "gone-0123456789abcdef.elb.eu-west-1.amazonaws.com" }, false, 1},
		{"another one had that name", clusterName, func(l fakeaws.LBCStack) string {
			return l.LoadBalancerName + "-0123456789abcdef.elb.eu-west-1.amazonaws.com"
		}, false, 1},
		{"no load balancer of AWS's", clusterName, func(fakeaws.LBCStack) string { return "lb.example.com" }, false, 0},
		{"nothing in the status", clusterName, func(fakeaws.LBCStack) string { return "" }, false, 0},
	} {
		t.Run(tc.why, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				made := fakeaws.LBCService{Cluster: tc.cluster, Namespace: "default", Name: "web", VPC: s.eks.VPC, Subnets: s.eks.Private, NodeGroup: s.eks.NodeGroup,
					Ports: []fakeaws.LBCPort{{Port: 80, TargetPort: 30080}}}
				for _, n := range s.eks.Nodes {
					made.Targets = append(made.Targets, n.Instance)
				}
				stack := s.cloud.AddLBCService(made)
				s.start()
				s.service("web", func(svc *corev1.Service) {
					if h := tc.hostname(stack); h != "" {
						svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: h}}
					}
				})
				s.cloud.Reset()
				_ = s.ensure("default/web")
				counts := s.cloud.Counts()
				if adopted := counts["CreateLoadBalancer"] == 0 && s.changes() == 0; adopted != tc.adopted {
					t.Errorf("adopted: %v; calls %v", adopted, counts)
				}
				looks := 0
				for _, c := range s.cloud.Calls() {
					if c.Action == "DescribeLoadBalancers" && strings.Contains(c.String(), "Names") {
						looks++
					}
				}
				if looks != tc.looks || counts["GetResources"] > 1 {
					t.Errorf("%d looks by name, want %d; calls %v", looks, tc.looks, counts)
				}
			})
		})
	}
}

// Pods with network interfaces of their own, as by security groups for pods or on
// Fargate, are let in by groups that no node has.
func TestPodsWithGroups(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.cloud.AddSecurityGroup(fakeaws.SecurityGroup{ID: "sg-pods", VPC: s.eks.VPC, Name: "pods", Description: "pods"})
		s.cloud.AddNetworkInterface(fakeaws.NetworkInterface{ID: "eni-pod", Subnet: s.eks.Private[0], PrivateIP: "10.0.96.201", Groups: []string{"sg-pods"}})
		s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyTargetType] = "ip" })
		s.settle("default/web")
		bare := s.rulesIn("sg-pods")
		s.pods["web"] = []string{"10.0.96.200", "10.0.96.201"}
		s.cloud.Reset()
		s.settle("default/web")
		if rules := s.rulesIn("sg-pods"); len(bare) > 0 || len(rules) != 1 || rules[0].From != 8080 {
			t.Errorf("its group lets in %v, and before %v", rules, bare)
		}
		if rules := s.rulesIn(s.eks.NodeGroup); len(rules) != 1 {
			t.Errorf("the nodes' group lets in %v", rules)
		}
		if n := s.cloud.Counts()["DescribeNetworkInterfaces"]; n > 1 {
			t.Errorf("%d calls for one pod", n)
		}
		if err := s.release("default/web"); err != nil {
			t.Fatal(err)
		}
		if rules := s.rulesIn("sg-pods"); len(rules) > 0 {
			t.Errorf("when it is gone its group lets in %v", rules)
		}
	})
}

func (s *site) rulesIn(group string) []plan.Rule {
	all, err := listGroups(s.t.Context(), NewClients(configOf(s.cloud)).Network, filter("group-id", group))
	if err != nil {
		s.t.Fatal(err)
	}
	return all[group].Ingress
}
