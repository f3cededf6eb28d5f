//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/aws"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

//go:embed aws.yaml
var awsYAML []byte

const intervalAnnotation = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-interval"

// nlb is a Service of the demo with AWS, and what has to become of it.
type nlb struct {
	name string
	// groups is how many target groups have nodes in them, targets how many targets
	// all its groups have at first.
	groups, targets int
	// reason is why it gets none at first; said is in the condition Provisioned.
	reason, said string
}

var nlbs = []*nlb{
	{name: "web", groups: 1, targets: 3},
	{name: "api", targets: 2},
	{name: "shop", groups: 2, targets: 6},
	{name: "typo", groups: 1, targets: 3, said: "do you mean service.beta.kubernetes.io/aws-load-balancer-scheme?"},
	{name: "wrong", groups: 1, targets: 3, reason: providers.ReasonInvalidRequest, said: intervalAnnotation},
}

func (s *awsStage) play(ctx context.Context) error {
	began := time.Now()
	return inTurn(
		func() error { return s.buildNLBs(ctx) },
		func() error { return s.correct(ctx) },
		func() error { return s.showKubectl(ctx, "get", "services", "--namespace", namespace) },
		func() error { return s.becomeActive(ctx, began) },
		func() error { return s.joinNode(ctx) },
		func() error { return s.joinPod(ctx) },
		func() error { return s.restart(ctx) },
		func() error { return s.adopt(ctx) },
		func() error { return s.remove(ctx) },
	)
}

// buildNLBs creates the Services, each once the one before has an answer, and
// shows what was called at AWS for each.
func (s *awsStage) buildNLBs(ctx context.Context) error {
	heading("Five Services (e2e/demo/aws.yaml), and the calls at AWS for each")
	services, err := cluster.Decode(awsYAML)
	if err != nil {
		return err
	}
	for i, service := range services {
		err := s.showAnswer(ctx, nlbs[i], func() error { return s.api.Create(ctx, service) })
		if err != nil {
			return err
		}
	}
	return nil
}

// correct gives the Service that was refused what it should have had.
func (s *awsStage) correct(ctx context.Context) error {
	one := nlbs[len(nlbs)-1]
	service, err := s.service(ctx, one.name)
	if err != nil {
		return err
	}
	fmt.Printf("\n  %s\n\nCorrected:\n\n", conditionOf(service, providers.ConditionProvisioned).Message)
	one.reason, one.said = "", ""
	return s.showAnswer(ctx, one, func() error { return s.annotate(ctx, service, intervalAnnotation, "10") })
}

// showAnswer does something to a Service, and shows what comes of it.
func (s *awsStage) showAnswer(ctx context.Context, one *nlb, do func() error) error {
	s.account.Reset()
	began := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("writing the Service %s: %w", one.name, err)
	}
	if err := s.await(ctx, one.name+" has an answer", func(ctx context.Context) error { return s.answered(ctx, one) }); err != nil {
		return err
	}
	outcome := "a hostname, listeners and targets"
	if one.reason != "" {
		outcome = one.reason
	}
	fmt.Printf("%-6s %s after %d ms\n", one.name, outcome, time.Since(began).Milliseconds())
	cluster, own, _ := byPurpose(s.account.Calls())
	if len(cluster) > 0 {
		showCalls("once for the cluster", cluster)
	}
	showCalls("for the Service", own)
	return nil
}

// answered says what is missing until AWS was told all that a Service asks for.
func (s *awsStage) answered(ctx context.Context, one *nlb) error {
	service, err := s.service(ctx, one.name)
	if err != nil {
		return err
	}
	want := one.reason
	if want == "" {
		want = providers.ReasonProvisioning
	}
	if (one.reason == "") != (hostname(service) != "") {
		return fmt.Errorf("its hostname is %q", hostname(service))
	}
	if got := s.targets(one.name); one.reason == "" && got != one.targets {
		return fmt.Errorf("it has %d targets, want %d", got, one.targets)
	}
	return checkCondition(service, providers.ConditionProvisioned, want)
}

// targets counts those in the target groups of a Service.
func (s *awsStage) targets(service string) int {
	n, own := 0, false
	for line := range strings.Lines(s.account.Dump()) {
		if !strings.HasPrefix(line, " ") {
			own = strings.HasPrefix(line, "target group k8s-demo-"+service+"-")
		}
		if own && strings.HasPrefix(line, "  target ") {
			n++
		}
	}
	return n
}

func (s *awsStage) service(ctx context.Context, name string) (*corev1.Service, error) {
	service := &corev1.Service{}
	return service, s.api.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, service)
}

func hostname(service *corev1.Service) string {
	if all := service.Status.LoadBalancer.Ingress; len(all) == 1 {
		return all[0].Hostname
	}
	return ""
}

// becomeActive waits until AWS has set up all load balancers.
func (s *awsStage) becomeActive(ctx context.Context, began time.Time) error {
	heading("AWS sets them up")
	s.account.Reset()
	for _, one := range nlbs {
		if err := s.await(ctx, one.name+" is as it should be", func(ctx context.Context) error { return s.isAsItShould(ctx, one) }); err != nil {
			return err
		}
	}
	fmt.Printf("All are active %.1f s after the first was created. Berth looks every 10 s, at all of them together:\n\n", time.Since(began).Seconds())
	_, _, watching := byPurpose(s.account.Calls())
	showCalls("looks", watching)
	fmt.Println("\nWhat the Services say of themselves in .status.conditions:")
	fmt.Println()
	return s.showProvisioned(ctx)
}

func (s *awsStage) isAsItShould(ctx context.Context, one *nlb) error {
	service, err := s.service(ctx, one.name)
	if err != nil {
		return err
	}
	if err := checkCondition(service, providers.ConditionProvisioned, one.reason); err != nil {
		return err
	}
	if said := conditionOf(service, providers.ConditionProvisioned).Message; !strings.Contains(said, one.said) {
		return fmt.Errorf("its condition does not say %q: %s", one.said, said)
	}
	if one.reason != "" {
		return nil
	}
	return checkCondition(service, providers.ConditionServing, "")
}

func (s *awsStage) showProvisioned(ctx context.Context) error {
	t := table()
	defer t.Flush()
	fmt.Fprintln(t, "SERVICE\tPROVISIONED\tSERVING\tMESSAGE")
	for _, one := range nlbs {
		service, err := s.service(ctx, one.name)
		if err != nil {
			return err
		}
		provisioned, serving := conditionOf(service, providers.ConditionProvisioned), conditionOf(service, providers.ConditionServing)
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", one.name, provisioned.Status, serving.Status, provisioned.Message)
	}
	return nil
}

// joinNode has a node join, which becomes a target of every group of nodes.
func (s *awsStage) joinNode(ctx context.Context) error {
	heading("A node joins, then a pod")
	groups := 0
	for _, one := range nlbs {
		groups += one.groups
	}
	s.account.Reset()
	began := time.Now()
	node := s.account.Site.AddNode(s.account.Cloud)
	if err := s.api.Create(ctx, aws.Node("node4", node)); err != nil {
		return err
	}
	if err := s.awaitRegistered(ctx, node.Instance, groups); err != nil {
		return err
	}
	fmt.Printf("node4 is a target in all %d groups that have nodes after %d ms. Berth waits a second for others.\n", groups, time.Since(began).Milliseconds())
	cluster, own, _ := byPurpose(s.account.Calls())
	showCalls("once for the cluster", cluster)
	showCalls("for the Services", own)
	return nil
}

// joinPod has a pod start, which becomes a target of the group of pods.
func (s *awsStage) joinPod(ctx context.Context) error {
	s.account.Reset()
	began := time.Now()
	if err := s.addPod(ctx); err != nil {
		return err
	}
	if err := s.awaitRegistered(ctx, fmt.Sprintf("10.0.100.%d", s.pods), 1); err != nil {
		return err
	}
	fmt.Printf("app-%d is a target of api after %d ms.\n", s.pods, time.Since(began).Milliseconds())
	_, own, _ := byPurpose(s.account.Calls())
	showCalls("for the Service", own)
	if len(own) != 1 {
		return fmt.Errorf("%d calls for one pod, want 1", len(own))
	}
	return nil
}

// awaitRegistered returns once something is a target of so many groups, for each
// of which there was one call.
func (s *awsStage) awaitRegistered(ctx context.Context, target string, groups int) error {
	return s.await(ctx, target+" is registered", func(context.Context) error {
		if got := strings.Count(s.account.Dump(), "  target "+target+":"); got != groups {
			return fmt.Errorf("it is a target of %d groups, want %d", got, groups)
		}
		if got := s.account.Counts()["RegisterTargets"]; got != groups {
			return fmt.Errorf("there were %d calls, want %d", got, groups)
		}
		return nil
	})
}

// restart has the controller start anew, with nothing to do.
func (s *awsStage) restart(ctx context.Context) error {
	heading("berth-controller is restarted")
	for _, one := range nlbs {
		if err := s.await(ctx, one.name+" has all that it asks for", func(ctx context.Context) error { return s.isApplied(ctx, one) }); err != nil {
			return err
		}
	}
	before := s.account.Dump()
	err := inTurn(
		func() error { return s.stopOnAWS(ctx) },
		func() error { return s.startOnAWS(ctx) },
		func() error { return pause(ctx, 2*time.Second) },
	)
	if err != nil {
		return err
	}
	fmt.Println("On each Service is a hash of what was applied (berth-lb.dev/aws-applied): nothing is asked about it.")
	fmt.Println()
	cluster, own, watching := byPurpose(s.account.Calls())
	showCalls("once for the cluster", cluster)
	showCalls("for the Services", append(own, watching...))
	if len(own)+len(watching) > 0 || s.account.Dump() != before {
		return errors.New("there should be no call for a Service after a restart")
	}
	return nil
}

func (s *awsStage) isApplied(ctx context.Context, one *nlb) error {
	service, err := s.service(ctx, one.name)
	if err == nil && service.Annotations["berth-lb.dev/aws-applied"] == "" {
		err = errors.New("it has no annotation that says so")
	}
	return err
}

// adopt takes over what the AWS Load Balancer Controller made.
func (s *awsStage) adopt(ctx context.Context) error {
	heading("Taking over from the AWS Load Balancer Controller")
	if err := s.stopOnAWS(ctx); err != nil {
		return err
	}
	service, err := s.inherit(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, taggingLag); err != nil {
		return err
	}
	fmt.Println("berth-controller is stopped. Here is a Service that the other one has served, with its finalizer and")
	fmt.Println("its NLB. What would Berth change?")
	if err := s.compare(ctx, service); err != nil {
		return err
	}
	before := s.account.Dump()
	if err := s.startOnAWS(ctx); err != nil {
		return err
	}
	legacy := &nlb{name: service.Name}
	if err := s.await(ctx, "legacy is taken over", func(ctx context.Context) error { return s.isAsItShould(ctx, legacy) }); err != nil {
		return err
	}
	now, err := s.service(ctx, service.Name)
	if err != nil {
		return err
	}
	fmt.Printf("\nberth-controller is started, and serves it. The hostname is %s, as before.\n\n", hostname(now))
	_, own, watching := byPurpose(s.account.Calls())
	changing := s.account.Changing()
	showCalls("that look at it", slices.DeleteFunc(append(watching, own...), fakeaws.Call.Changes))
	showCalls("that change something", changing)
	if len(changing) > 0 || s.account.Dump() != before || hostname(now) != hostname(service) {
		return fmt.Errorf("it was changed:\n%s", aws.Difference(before, s.account.Dump()))
	}
	return nil
}

// inherit makes a Service as the AWS Load Balancer Controller leaves it.
func (s *awsStage) inherit(ctx context.Context) (*corev1.Service, error) {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "legacy", Finalizers: []string{"service.k8s.aws/resources"}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: new("service.k8s.aws/nlb"),
			Selector: map[string]string{"app": "app"}, Ports: []corev1.ServicePort{{Port: 80}},
		},
	}
	if err := s.api.Create(ctx, service); err != nil {
		return nil, err
	}
	site := s.account.Site
	made := fakeaws.LBCService{
		Cluster: clusterName, Namespace: namespace, Name: service.Name,
		VPC: site.VPC, Subnets: site.Private, NodeGroup: site.NodeGroup,
		Ports: []fakeaws.LBCPort{{Port: 80, TargetPort: service.Spec.Ports[0].NodePort}},
	}
	for _, node := range site.Nodes {
		made.Targets = append(made.Targets, node.Instance)
	}
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: s.account.AddLBCService(made).DNSName}}
	return service, s.api.Status().Update(ctx, service)
}

// compare shows that a dry run has nothing to say, and that otherwise it would.
func (s *awsStage) compare(ctx context.Context, service *corev1.Service) error {
	out, err := s.dryRun(ctx)
	if err != nil {
		return err
	}
	if out != "" {
		return errors.New("the dry run should have said nothing")
	}
	fmt.Println("(nothing)")
	fmt.Println("\nIf it asked for another health check:")
	if err := s.annotate(ctx, service, intervalAnnotation, "20"); err != nil {
		return err
	}
	if out, err = s.dryRun(ctx); err != nil {
		return err
	}
	if !strings.Contains(out, "every 20s") {
		return errors.New("the dry run should have named the health check")
	}
	return s.annotate(ctx, service, intervalAnnotation, "")
}

// annotate sets an annotation; empty removes it.
func (s *awsStage) annotate(ctx context.Context, service *corev1.Service, key, value string) error {
	before := service.DeepCopy()
	if value == "" {
		delete(service.Annotations, key)
	} else {
		metav1.SetMetaDataAnnotation(&service.ObjectMeta, key, value)
	}
	return s.api.Patch(ctx, service, client.MergeFrom(before))
}

// remove deletes all Services, and shows that nothing of theirs is left.
func (s *awsStage) remove(ctx context.Context) error {
	heading("All Services are deleted")
	s.account.Reset()
	began := time.Now()
	if err := s.api.DeleteAllOf(ctx, &corev1.Service{}, client.InNamespace(namespace)); err != nil {
		return err
	}
	err := s.await(ctx, "all Services are gone", func(ctx context.Context) error {
		var left corev1.ServiceList
		err := s.api.List(ctx, &left, client.InNamespace(namespace))
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d are left", len(left.Items))
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("They are gone after %.1f s, with their finalizers. AWS takes a while to let go of security groups.\n\n", time.Since(began).Seconds())
	_, own, _ := byPurpose(s.account.Calls())
	showCalls("for the Services", own)
	if left := s.account.Left(s.bare); left != "" {
		return fmt.Errorf("the account still holds:\n%s", left)
	}
	fmt.Println("\nNothing is left of them. The security group that all load balancers of the cluster share stays, and")
	fmt.Println("the rule by which the other controller had the nodes let it in.")
	return nil
}
