package aws

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

const certificate = "arn:aws:acm:" + Region + ":123456789012:certificate/one"

// inherited is a Service that the AWS Load Balancer Controller served, and what
// it made.
type inherited struct {
	name    string
	options []serviceOption
	pods    []string
	made    func(*lab, *corev1.Service, *fakeaws.LBCService)
}

var heritage = []inherited{
	{name: "plain"},
	{
		name:    "public",
		options: []serviceOption{annotated("scheme", "internet-facing"), annotated("attributes", "load_balancing.cross_zone.enabled=true")},
		made: func(l *lab, _ *corev1.Service, made *fakeaws.LBCService) {
			made.Scheme, made.Subnets = elbv2types.LoadBalancerSchemeEnumInternetFacing, l.account.Site.Public
			made.Attributes = map[string]string{"load_balancing.cross_zone.enabled": "true"}
		},
	},
	{
		name: "tls",
		options: []serviceOption{
			port(443, corev1.ProtocolTCP), annotated("ssl-cert", certificate), annotated("ssl-ports", "443"),
			annotated("ssl-negotiation-policy", "ELBSecurityPolicy-TLS13-1-2-2021-06"),
		},
		made: func(_ *lab, _ *corev1.Service, made *fakeaws.LBCService) {
			made.Ports[1].Protocol = elbv2types.ProtocolEnumTls
			made.Ports[1].Certificates, made.Ports[1].Policy = []string{certificate}, "ELBSecurityPolicy-TLS13-1-2-2021-06"
		},
	},
	{
		name:    "pods",
		options: []serviceOption{annotated("nlb-target-type", "ip")},
		pods:    []string{"10.0.100.1", "10.0.130.1"},
		made: func(_ *lab, svc *corev1.Service, made *fakeaws.LBCService) {
			made.TargetType, made.Targets = elbv2types.TargetTypeEnumIp, []string{"10.0.100.1", "10.0.130.1"}
			made.Ports[0].TargetPort = svc.Spec.Ports[0].Port
		},
	},
	{
		name: "local",
		options: []serviceOption{func(svc *corev1.Service) {
			svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		}},
		made: func(_ *lab, svc *corev1.Service, made *fakeaws.LBCService) {
			made.HealthCheckNodePort = svc.Spec.HealthCheckNodePort
		},
	},
	{
		name:    "ranges",
		options: []serviceOption{func(svc *corev1.Service) { svc.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24"} }},
		made: func(_ *lab, _ *corev1.Service, made *fakeaws.LBCService) {
			made.SourceRanges = []string{"192.0.2.0/24"}
		},
	},
}

// inherit makes the Service as the AWS Load Balancer Controller left it, and
// returns the hostname that it has.
func (l *lab) inherit(i inherited) string {
	l.t.Helper()
	svc := l.create(i.name, append(i.options, func(svc *corev1.Service) { svc.Finalizers = []string{lbcFinalizer} })...)
	if len(i.pods) > 0 {
		l.endpoints(svc, i.pods...)
	}
	site := l.account.Site
	made := fakeaws.LBCService{
		Cluster: l.cluster, Namespace: l.apps, Name: i.name,
		VPC: site.VPC, Subnets: site.Private, NodeGroup: site.NodeGroup,
	}
	for _, node := range site.Nodes {
		made.Targets = append(made.Targets, node.Instance)
	}
	for _, p := range svc.Spec.Ports {
		made.Ports = append(made.Ports, fakeaws.LBCPort{Port: p.Port, TargetPort: p.NodePort})
	}
	if i.made != nil {
		i.made(l, svc, &made)
	}
	name := l.account.AddLBCService(made).DNSName
	before := svc.DeepCopy()
	svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: name}}
	l.must(l.api.Status().Patch(l.t.Context(), svc, client.MergeFrom(before)))
	return name
}

// What the AWS Load Balancer Controller made is taken over as it is, and goes
// with its finalizer when the Service does.
func TestAdoption(t *testing.T) {
	t.Parallel()
	l := newLab(t, "adoption", atOnce())
	l.account.AddCertificate(certificate)
	names := map[string]string{}
	for _, i := range heritage {
		names[i.name] = l.inherit(i)
	}
	before := l.account.Dump()
	if out := l.dryRun(); out != "" {
		t.Errorf("a dry run before says:\n%s", out)
	}
	l.start()
	for _, i := range heritage {
		svc := l.served(i.name)
		if hostname(svc) != names[i.name] {
			t.Errorf("the hostname of %s was %s, and became %s", i.name, names[i.name], hostname(svc))
		}
		if !slices.Contains(svc.Finalizers, finalizer) || !slices.Contains(svc.Finalizers, lbcFinalizer) {
			t.Errorf("%s is not adopted: %s", i.name, check.Describe(svc))
		}
	}
	for _, call := range l.account.Changing() {
		t.Errorf("adopting changes something: %v", call)
	}
	if now := l.account.Dump(); now != before {
		t.Errorf("adopting changed:\n%s", Difference(before, now))
	}
	if out := l.dryRun(); out != "" {
		t.Errorf("a dry run afterwards says:\n%s", out)
	}

	for _, i := range heritage {
		l.delete(i.name)
	}
	for _, i := range heritage {
		l.gone(i.name)
	}
	l.empty()
}

// A Service that was deleted while nobody was there to take off the finalizer of
// the AWS Load Balancer Controller goes, with what it has.
func TestOnItsWayOut(t *testing.T) {
	t.Parallel()
	l := newLab(t, "way-out", atOnce())
	l.inherit(inherited{name: "leaving"})
	l.delete("leaving")
	l.start()
	l.gone("leaving")
	l.empty()
}

// What was deleted altogether while no controller ran is found by its tags.
func TestVanished(t *testing.T) {
	t.Parallel()
	l := newLab(t, "vanished", atOnce())
	l.inherit(inherited{name: "web"})
	l.edit("web", func(svc *corev1.Service) { svc.Finalizers = nil })
	l.delete("web")
	l.gone("web")
	if out := l.dryRun(); !strings.HasPrefix(out, "Service "+l.apps+"/web, which is gone") || !strings.Contains(out, "delete load balancer") {
		t.Errorf("a dry run says:\n%s", out)
	}
	l.start()
	l.empty()
}

// Where the AWS Load Balancer Controller goes on serving, by a class of its own,
// what it made is its own, though its tags are those of this cluster.
func TestBesideIt(t *testing.T) {
	t.Parallel()
	l := newLab(t, "beside", atOnce())
	theirs := func(svc *corev1.Service) { svc.Spec.LoadBalancerClass = new("service.k8s.aws/nlb") }
	for _, name := range []string{"web", "leaving"} {
		l.inherit(inherited{name: name, options: []serviceOption{theirs}})
	}
	l.delete("leaving") // its finalizer is that of the other controller, which takes its time
	before, web, leaving := l.account.Dump(), l.get("web"), l.get("leaving")
	if out := l.dryRun(); out != "" {
		t.Errorf("a dry run says:\n%s", out)
	}
	l.start()
	port := l.create("own").Spec.Ports[0].NodePort
	l.served("own")
	check.Quiet() // the search for leftovers was made
	l.delete("own")
	l.gone("own")
	// A rule in the nodes' group stays: what the others need is not known.
	rule := fmt.Sprintf("+   tcp %d-", port)
	if now := l.account.Left(before); now != "" && (!strings.HasPrefix(now, rule) || strings.Count(now, "\n") > 1) {
		t.Errorf("the account holds something else:\n%s", now)
	}
	for _, svc := range []*corev1.Service{web, leaving} {
		if now := l.get(svc.Name); now.ResourceVersion != svc.ResourceVersion {
			t.Errorf("the Service was touched: %s", check.Describe(now))
		}
	}
}
