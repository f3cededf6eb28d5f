package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// refusals are ways in which a Service that serves is refused, and back.
var refusals = map[string]struct {
	annotation, value string
	fault             fakeaws.Fault // that comes with it
}{
	"an annotation is wrong":       {annotation: annotation.KeyScheme, value: "public"},
	"a subnet is not found":        {annotation: annotation.KeySubnets, value: "none"},
	"AWS does not take a value":    {annotation.KeyAttributes, "access_logs.s3.enabled=true,access_logs.s3.bucket=b", fakeaws.Fault{Action: "ModifyLoadBalancerAttributes", Every: 1, Kind: fakeaws.Refuse, Code: "InvalidConfigurationRequest", Message: "no such bucket"}},
	"AWS does not take a listener": {annotation.KeyListenerAttributes + ".TCP-80", "tcp.idle_timeout.seconds=400", fakeaws.Fault{Action: "ModifyListenerAttributes", Every: 1, Kind: fakeaws.Refuse, Code: "ValidationError", Message: "no"}},
}

// Nodes and pods that come and go while a Service is refused do so in its target
// groups, also if the process began after it was refused.
func TestTargetsOfRefused(t *testing.T) {
	t.Parallel()
	for why, tc := range refusals {
		for _, kind := range []string{"instance", "ip"} {
			for _, restarted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/restarted=%v", why, kind, restarted), func(t *testing.T) {
					t.Parallel()
					inBubble(t, awsLike(), func(s *site) {
						s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyTargetType] = kind })
						s.settle("default/web")
						lb := s.loadBalancer("default/web")
						s.change("default/web", func(svc *corev1.Service) { svc.Annotations[tc.annotation] = tc.value })
						if tc.fault.Every > 0 {
							s.cloud.Inject(tc.fault)
						}
						refused(t, s)
						if restarted {
							s.start()
						}
						s.replaceAll("web")
						for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
							s.ensureWoken()
							if len(s.cloud.Serving(lb, 80)) == 0 {
								t.Fatal("no target is left that serves")
							}
						}
						refused(t, s)
						if got, want := s.serving(lb), s.wanted("web", kind); !slices.Equal(got, want) {
							t.Errorf("got %v, want %v", got, want)
						}

						s.cloud.Reset()
						refused(t, s)
						if s.changes() > 0 && tc.fault.Every == 0 {
							t.Errorf("again, something was changed: %v", s.cloud.Counts())
						}
						s.cloud.ClearFaults()
						s.change("default/web", func(svc *corev1.Service) { delete(svc.Annotations, tc.annotation) })
						s.settle("default/web")
						if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" {
							t.Errorf("once corrected: %+v", c)
						}
					})
				})
			}
		}
	}
}

func refused(t *testing.T, s *site) {
	t.Helper()
	before, _ := s.get("default/web")
	if err := s.ensure("default/web"); reasonOfErr(err) != providers.ReasonInvalidRequest || strings.Contains(err.Error(), "follow") {
		t.Errorf("got %v", err)
	}
	if after, _ := s.get("default/web"); !slices.EqualFunc(after.Status.LoadBalancer.Ingress, before.Status.LoadBalancer.Ingress,
		func(a, b corev1.LoadBalancerIngress) bool { return a.Hostname == b.Hostname }) {
		t.Errorf("the status shows %v, before %v", after.Status.LoadBalancer, before.Status.LoadBalancer)
	}
}

// replaceAll puts other pods in the place of those that there are, and other nodes
// in that of all but one.
func (s *site) replaceAll(name string) {
	kept := len(s.eks.Nodes) - 1
	for range kept {
		s.eks.AddNode(s.cloud)
	}
	s.eks.Nodes = s.eks.Nodes[kept:]
	s.pods[name] = []string{"10.0.96.221", "10.0.96.222"}
	_ = s.ensure("default/" + name)
}

func (s *site) serving(lb string) (ids []string) {
	for _, t := range s.cloud.Serving(lb, 80) {
		ids = append(ids, t.ID)
	}
	return ids
}

func (s *site) wanted(name, kind string) (ids []string) {
	if kind == "ip" {
		return s.pods[name]
	}
	for _, n := range s.eks.Nodes {
		ids = append(ids, n.Instance)
	}
	slices.Sort(ids)
	return ids
}

// Who is a target can't be told where that is what is wrong, and nothing else is
// known: then targets stay.
func TestTargetsUnknown(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web")
		s.settle("default/web")
		s.change("default/web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyNodeLabels] = "-=-" })
		s.start()
		before := s.cloud.Dump()
		s.eks.Nodes = s.eks.Nodes[1:]
		refused(t, s)
		s.settle("default/web")
		if got := s.cloud.Dump(); got != before {
			t.Errorf("something changed:\n%s", difference(before, got))
		}
	})
}

// What is in the way of targets is told as well, and is tried again.
func TestTargetsDenied(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web")
		s.settle("default/web")
		s.change("default/web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyScheme] = "public" })
		s.cloud.Deny("elasticloadbalancing:RegisterTargets")
		s.eks.AddNode(s.cloud)
		_ = s.ensure("default/web")
		time.Sleep(quiet)
		err := s.ensure("default/web")
		if reasonOfErr(err) != providers.ReasonInvalidRequest || !strings.Contains(err.Error(), "public") || !strings.Contains(err.Error(), "RegisterTargets") {
			t.Errorf("got %v", err)
		}
		s.cloud.Allow("elasticloadbalancing:RegisterTargets")
		s.settle("default/web")
		if got := s.serving(s.loadBalancer("default/web")); len(got) != 4 {
			t.Errorf("once allowed, %v serve", got)
		}
	})
}

// A pod that waits for its gate while the Service is refused is let in: a rolling
// update goes on.
func TestGateOfRefused(t *testing.T) {
	withGates(t, func(s *site, d *doors) {
		s.change("default/web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyScheme] = "public" })
		d.wait(s, newPod)
		refused(t, s)
		for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
			s.ensureWoken()
		}
		if trouble, told := d.said(newPod); !told || trouble != "" {
			t.Errorf("told %v: %q", told, trouble)
		}
	})
}

// A node port that changes while a Service is refused is let in by the nodes: for a
// load balancer without security groups if it is known who its clients may be.
func TestNodePortOfRefused(t *testing.T) {
	for _, tc := range []struct {
		why               string
		without, restarts bool
		opened            bool
	}{
		{"it has security groups", false, false, true},
		{"it has, and a process began since", false, true, true},
		{"it has none, and who may come was read before", true, false, true},
		{"it has none, and who may come can't be read", true, true, false},
	} {
		t.Run(tc.why, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				s.service("web", func(svc *corev1.Service) {
					svc.Annotations[annotation.KeyNoSecurityGroups] = fmt.Sprint(tc.without)
					svc.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24"}
				})
				s.settle("default/web")
				s.change("default/web", func(svc *corev1.Service) {
					svc.Annotations[annotation.KeyScheme] = "public"
					svc.Spec.Ports[0].NodePort = 31234
				})
				if tc.restarts {
					s.start()
				}
				refused(t, s)
				dump := s.cloud.Dump()
				if opened := strings.Contains(dump, "tcp 31234-31234 from"); opened != tc.opened {
					t.Errorf("targets can be reached: %v\n%s", opened, dump)
				}
				if tc.without && (strings.Contains(dump, "31234-31234 from 192.0.2.0/24") != tc.opened || strings.Contains(dump, "31234-31234 from 0.0.0.0/0")) {
					t.Errorf("others may come than asked for:\n%s", dump)
				}
			})
		})
	}
}

// A scan knows what a Service asked for before it was refused: it does not have
// nodes go by that, nor are its targets left to what happens to them.
func TestScanOfRefused(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web")
		s.settle("default/web")
		s.change("default/web", func(svc *corev1.Service) {
			svc.Annotations[annotation.KeyScheme] = "public"
			svc.Spec.Ports[0].NodePort = 31234
		})
		refused(t, s)
		want := s.nodeRules()
		time.Sleep(90 * time.Minute)
		if got := s.nodeRules(); !slices.Equal(got, want) {
			t.Errorf("nodes let in %v, before the scan %v", got, want)
		}
		s.ensureWoken()
		s.harm("target")
		time.Sleep(90 * time.Minute)
		s.ensureWoken()
		time.Sleep(3 * time.Minute) // until it is healthy
		if got := s.serving(s.loadBalancer("default/web")); len(got) != len(s.eks.Nodes) {
			t.Errorf("only %v serve", got)
		}
	})
}

// That another one's target group has the name that is needed is not found out
// again by making things, whatever targets do meanwhile.
func TestTargetsWhileForeign(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyTargetType] = "ip" })
		s.settle("default/web")
		s.change("default/web", func(svc *corev1.Service) {
			svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "more", Protocol: corev1.ProtocolTCP, Port: 81, NodePort: 30081})
		})
		svc, _ := s.get("default/web")
		changes, err := s.provider.Plan(s.t.Context(), s.request(svc))
		if err != nil {
			t.Fatal(err)
		}
		_, err = NewClients(configOf(s.cloud)).BalancingChange.CreateTargetGroup(s.t.Context(), &elb.CreateTargetGroupInput{
			Name: new(targetGroupIn(changes).Name), Protocol: "TCP", Port: new(int32(80)), VpcId: &s.eks.VPC,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.ensure("default/web"); !strings.Contains(fmt.Sprint(err), "belongs to somebody else") {
			t.Fatalf("got %v", err)
		}
		s.cloud.Reset()
		s.pods["web"] = []string{"10.0.96.221"}
		for range 5 {
			if err := s.ensure("default/web"); !strings.Contains(fmt.Sprint(err), "belongs to somebody else") {
				t.Errorf("again: %v", err)
			}
			time.Sleep(time.Minute)
		}
		if got := s.serving(s.loadBalancer("default/web")); !slices.Equal(got, s.pods["web"]) {
			t.Errorf("got %v", got)
		}
		if n := s.cloud.Counts()["CreateTargetGroup"]; n > 0 {
			t.Errorf("%d target groups were asked for", n)
		}
	})
}
