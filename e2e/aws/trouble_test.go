package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// do performs an action at AWS by somebody else.
func do[O any](l *lab, in any) *O {
	l.t.Helper()
	out, err := fakeaws.Do[O](l.account.Cloud, in)
	if err != nil {
		l.t.Fatalf("%T: %v", in, err)
	}
	return out
}

func (l *lab) loadBalancers() []elbv2types.LoadBalancer {
	l.t.Helper()
	return do[elbv2.DescribeLoadBalancersOutput](l, &elbv2.DescribeLoadBalancersInput{}).LoadBalancers
}

func (l *lab) listeners() []elbv2types.Listener {
	l.t.Helper()
	return do[elbv2.DescribeListenersOutput](l, &elbv2.DescribeListenersInput{LoadBalancerArn: l.loadBalancers()[0].LoadBalancerArn}).Listeners
}

// unprotect takes the protection of all load balancers away.
func (l *lab) unprotect() {
	l.t.Helper()
	for _, lb := range l.loadBalancers() {
		do[elbv2.ModifyLoadBalancerAttributesOutput](l, &elbv2.ModifyLoadBalancerAttributesInput{
			LoadBalancerArn: lb.LoadBalancerArn,
			Attributes:      []elbv2types.LoadBalancerAttribute{{Key: new("deletion_protection.enabled"), Value: new("false")}},
		})
	}
}

// What IAM denies is named on the Service, and is done once it is allowed.
func TestDenied(t *testing.T) {
	t.Parallel()
	l := newLab(t, "denied", atOnce())
	const listing = "tag:GetResources"
	l.account.Deny(listing)
	l.start()
	l.create("first")
	l.refused("first", "BackendError", listing)
	l.account.Allow(listing)
	l.touch("first")
	l.served("first")

	for i, action := range []string{
		"ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress",
		"elasticloadbalancing:CreateTargetGroup", "elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:DescribeTags",
		"elasticloadbalancing:RegisterTargets", "elasticloadbalancing:CreateListener",
	} {
		name := fmt.Sprintf("web-%d", i)
		l.account.Deny(action)
		l.create(name)
		l.refused(name, "BackendError", action)
		l.account.Allow(action)
		l.touch(name)
		l.served(name)
	}
	if out := l.dryRun(); out != "" {
		t.Errorf("in the end a dry run still says:\n%s", out)
	}

	for _, action := range []string{"elasticloadbalancing:DeleteLoadBalancer", "elasticloadbalancing:DeleteTargetGroup", "ec2:DeleteSecurityGroup"} {
		name := l.anyName()
		l.account.Deny(action)
		l.delete(name)
		l.refused(name, "BackendError", action)
		l.account.Allow(action)
		l.touch(name)
		l.gone(name)
	}
}

// anyName is that of the first Service of the lab.
func (l *lab) anyName() string {
	l.t.Helper()
	var list corev1.ServiceList
	l.must(l.api.List(l.t.Context(), &list, client.InNamespace(l.apps)))
	return list.Items[0].Name
}

// Without credentials the Service says so, and how to give some.
func TestNoCredentials(t *testing.T) {
	t.Parallel()
	l := newLab(t, "nobody", atOnce())
	l.startWith(l.account.EnvOfNobody())
	l.create("web")
	svc := l.refused("web", "BackendError", "has no AWS credentials", "IRSA", "Pod Identity")
	if calls := l.account.Calls(); len(calls) > 0 || hostname(svc) != "" {
		t.Errorf("without credentials there were %d calls and the hostname %q", len(calls), hostname(svc))
	}
}

// What has our name and is somebody else's is left alone, though AWS may return it
// as if it was made just now.
func TestForeignName(t *testing.T) {
	t.Parallel()
	l := newLab(t, "foreign", atOnce())
	l.start()
	for _, c := range []struct {
		name    string
		options []serviceOption
		tags    map[string]string
	}{
		{name: "nobodys", tags: nil},
		{name: "anothers", tags: map[string]string{"elbv2.k8s.aws/cluster": "foreign", "service.k8s.aws/stack": "foreign/another"}},
		{name: "alike", options: []serviceOption{annotated("disable-nlb-sg", "true")}, tags: map[string]string{"elbv2.k8s.aws/cluster": "other", "service.k8s.aws/stack": "foreign/alike"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := *l
			l.t = t
			in := &elbv2.CreateLoadBalancerInput{
				Name: &c.name, Type: elbv2types.LoadBalancerTypeEnumNetwork, Scheme: elbv2types.LoadBalancerSchemeEnumInternal, Subnets: l.account.Site.Private,
			}
			for key, value := range c.tags {
				in.Tags = append(in.Tags, elbv2types.Tag{Key: &key, Value: &value})
			}
			arn := *do[elbv2.CreateLoadBalancerOutput](&l, in).LoadBalancers[0].LoadBalancerArn
			before := l.account.Dump()

			l.create("web-"+c.name, append(c.options, annotated("name", c.name))...)
			l.refused("web-"+c.name, "BackendError", arn, "belongs to somebody else", "elbv2.k8s.aws/cluster")
			l.eventually(func() error {
				return check.Is("besides the shared group, what was made is still there", strings.Contains(l.account.Dump(), "stack="+l.apps+"/web-"+c.name), false)
			})
			if lost := linesLost(before, l.account.Dump()); lost != "" {
				t.Errorf("what is somebody else's was changed:\n%s", lost)
			}
			l.delete("web-" + c.name)
			l.gone("web-" + c.name)
			if lost := linesLost(before, l.account.Dump()); lost != "" {
				t.Errorf("with the Service, something of somebody else's went:\n%s", lost)
			}
		})
	}
}

// linesLost are those of before that are not in now.
func linesLost(before, now string) string {
	var lost []string
	for line := range strings.Lines(Difference(before, now)) {
		if strings.HasPrefix(line, "- ") {
			lost = append(lost, line)
		}
	}
	return strings.Join(lost, "")
}

// loss is something that somebody deletes at AWS.
type loss struct {
	what string
	lose func(*lab)
	// touch changes the Service in a way that needs what was lost, and back takes
	// that back.
	touch, back serviceOption
}

var losses = []loss{
	{
		what:  "load-balancer",
		lose:  (*lab).loseLoadBalancer,
		touch: annotated("attributes", "load_balancing.cross_zone.enabled=true"),
		back:  annotated("attributes", "load_balancing.cross_zone.enabled=false"),
	},
	{
		what:  "listener",
		lose:  (*lab).loseListener,
		touch: annotated("listener-attributes.TCP-80", "tcp.idle_timeout.seconds=400"),
		back:  annotated("listener-attributes.TCP-80", "tcp.idle_timeout.seconds=350"),
	},
	{
		what: "target-group",
		lose: func(l *lab) {
			group := l.listeners()[0].DefaultActions[0].TargetGroupArn
			l.loseListener()
			l.loseTargetGroup(group)
		},
		touch: annotated("healthcheck-interval", "20"),
		back:  annotated("healthcheck-interval", ""),
	},
	{
		what: "rules-in-front",
		lose: func(l *lab) {
			front := l.front()
			do[ec2.RevokeSecurityGroupIngressOutput](l, &ec2.RevokeSecurityGroupIngressInput{GroupId: front.GroupId, IpPermissions: front.IpPermissions})
		},
		touch: func(svc *corev1.Service) { svc.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24"} },
		back:  func(svc *corev1.Service) { svc.Spec.LoadBalancerSourceRanges = nil },
	},
	{
		what: "everything",
		lose: func(l *lab) {
			group := l.listeners()[0].DefaultActions[0].TargetGroupArn
			l.loseLoadBalancer()
			l.loseTargetGroup(group)
			do[ec2.DeleteSecurityGroupOutput](l, &ec2.DeleteSecurityGroupInput{GroupId: l.front().GroupId})
		},
		touch: annotated("healthcheck-interval", "20"),
		back:  annotated("healthcheck-interval", ""),
	},
}

func (l *lab) loseLoadBalancer() {
	do[elbv2.DeleteLoadBalancerOutput](l, &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: l.loadBalancers()[0].LoadBalancerArn})
}

func (l *lab) loseListener() {
	do[elbv2.DeleteListenerOutput](l, &elbv2.DeleteListenerInput{ListenerArn: l.listeners()[0].ListenerArn})
}

func (l *lab) loseTargetGroup(arn *string) {
	do[elbv2.DeleteTargetGroupOutput](l, &elbv2.DeleteTargetGroupInput{TargetGroupArn: arn})
}

// front is the security group of the only Service.
func (l *lab) front() ec2types.SecurityGroup {
	l.t.Helper()
	groups := do[ec2.DescribeSecurityGroupsOutput](l, &ec2.DescribeSecurityGroupsInput{}).SecurityGroups
	at := slices.IndexFunc(groups, func(g ec2types.SecurityGroup) bool { return strings.Contains(*g.Description, "Managed") })
	if at < 0 {
		l.t.Fatal("there is no managed security group")
	}
	return groups[at]
}

// What somebody deletes at AWS comes back as soon as a call runs into it.
func TestLost(t *testing.T) {
	t.Parallel()
	for _, c := range losses {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, "lost-"+c.what, atOnce())
			l.start()
			l.create("web")
			before := l.served("web")
			whole := l.account.Dump()
			c.lose(l)
			l.edit("web", c.touch)
			l.applied("web", before.Annotations[appliedAnnotation])
			l.edit("web", c.back)
			l.holds(whole)
		})
	}
}

// applied returns the Service once something else than before was applied.
func (l *lab) applied(name, before string) *corev1.Service {
	l.t.Helper()
	return l.until(name, func(svc *corev1.Service) error {
		if now := svc.Annotations[appliedAnnotation]; now == "" || now == before {
			return fmt.Errorf("what was applied is still %q", now)
		}
		return check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned")
	})
}
