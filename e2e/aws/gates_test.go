package aws

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

const gatePrefix = "target-health.elbv2.k8s.aws/"

// kubelet has the pods of a namespace run on paper: their containers are ready at
// once, and end a second after they are told to.
type kubelet struct {
	l     *lab
	given int // addresses
}

// keep looks after pods until the test ends.
func (k *kubelet) keep() {
	ctx, end := context.WithCancel(background)
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			if err := k.once(ctx); err != nil && ctx.Err() == nil {
				k.l.t.Log(err)
			}
			time.Sleep(25 * time.Millisecond)
		}
	})
	k.l.t.Cleanup(func() { end(); done.Wait() })
}

func (k *kubelet) once(ctx context.Context) error {
	var pods corev1.PodList
	if err := k.l.api.List(ctx, &pods, client.InNamespace(k.l.apps)); err != nil {
		return err
	}
	var failures []error
	for i := range pods.Items {
		failures = append(failures, client.IgnoreNotFound(k.see(ctx, &pods.Items[i])))
	}
	return errors.Join(failures...)
}

func (k *kubelet) see(ctx context.Context, p *corev1.Pod) error {
	if at := p.DeletionTimestamp; at != nil {
		told := at.Add(-time.Duration(*p.DeletionGracePeriodSeconds) * time.Second)
		if time.Since(told) < time.Second {
			return nil
		}
		return k.l.api.Delete(ctx, p, client.GracePeriodSeconds(0))
	}
	before := p.DeepCopy()
	if p.Status.PodIP == "" {
		k.given++
		ip := fmt.Sprintf("10.0.100.%d", k.given)
		p.Status.Phase, p.Status.PodIP, p.Status.PodIPs = corev1.PodRunning, ip, []corev1.PodIP{{IP: ip}}
		say(p, corev1.ContainersReady, true)
	}
	say(p, corev1.PodReady, !slices.ContainsFunc(p.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool { return !says(p, g.ConditionType) }))
	return k.l.api.Status().Patch(ctx, p, client.StrategicMergeFrom(before))
}

func says(p *corev1.Pod, t corev1.PodConditionType) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == t && c.Status == corev1.ConditionTrue })
}

func say(p *corev1.Pod, t corev1.PodConditionType, is bool) {
	c := corev1.PodCondition{Type: t, Status: corev1.ConditionFalse}
	if is {
		c.Status = corev1.ConditionTrue
	}
	if i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == t }); i >= 0 {
		p.Status.Conditions[i].Status = c.Status
		return
	}
	p.Status.Conditions = append(p.Status.Conditions, c)
}

// A rolling update does not outrun the load balancer: a pod is told to end when
// there are as many healthy targets without it as there are to be.
func TestReadinessGates(t *testing.T) {
	t.Parallel()
	const replicas, name = 2, "gated"
	kube := cluster.New(t, cluster.Options{Workloads: true})
	api, err := populated(t.Context(), kube)
	check.Must(t, err)
	l := labOn(t, kube, api, Open(t.Context(), "gates", nodes, swift()), "gates")
	l.start()
	(&kubelet{l: l}).keep()
	l.create(name, annotated("nlb-target-type", "ip"), annotated("name", name),
		annotated("target-group-attributes", "deregistration_delay.timeout_seconds=1"),
		func(svc *corev1.Service) { svc.Spec.Selector = map[string]string{"app": name} })
	d := deploymentOf(l.apps, name, replicas)
	l.must(api.Create(t.Context(), d))
	l.rolled(d, func() {})
	before := d.DeepCopy()
	metav1.SetMetaDataAnnotation(&d.Spec.Template.ObjectMeta, "rolled", "once")
	l.must(api.Patch(t.Context(), d, client.MergeFrom(before)))
	fewest := replicas
	l.rolled(d, func() { fewest = min(fewest, l.staying(name)) })
	if fewest < replicas {
		t.Errorf("while pods were replaced %d healthy targets were left that had not been told to end, want %d", fewest, replicas)
	}
}

func deploymentOf(namespace, name string, replicas int32) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Strategy: appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					NodeName:       "node-1", // there is no scheduler
					ReadinessGates: []corev1.PodReadinessGate{{ConditionType: gatePrefix + "berth"}},
					Containers:     []corev1.Container{{Name: "app", Image: "app"}},
				},
			},
		},
	}
}

// rolled returns once a Deployment has what it wants, and calls meanwhile.
func (l *lab) rolled(d *appsv1.Deployment, meanwhile func()) {
	l.t.Helper()
	check.Eventually(l.t, 4*patience, func() error { // each pod waits for a look or two
		l.must(l.api.Get(l.t.Context(), client.ObjectKeyFromObject(d), d))
		meanwhile()
		s, want := d.Status, *d.Spec.Replicas
		if s.ObservedGeneration == d.Generation && s.UpdatedReplicas == want && s.AvailableReplicas == want && s.Replicas == want {
			return nil
		}
		return fmt.Errorf("the Deployment is not done: %+v", s)
	})
}

// staying counts the healthy targets whose pods were not told to end before.
func (l *lab) staying(name string) (n int) {
	l.t.Helper()
	var pods corev1.PodList
	l.must(l.api.List(l.t.Context(), &pods, client.InNamespace(l.apps)))
	healthy := l.account.Serving(name, 80)
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil && slices.ContainsFunc(healthy, func(t fakeaws.Target) bool { return t.ID == p.Status.PodIP }) {
			n++
		}
	}
	return n
}

// A pod that the AWS Load Balancer Controller left waiting gets its answer from who
// takes over, under the name of the target group.
func TestInheritedGate(t *testing.T) {
	t.Parallel()
	l := newLab(t, "inherited-gate", atOnce())
	const before, waits = "10.0.100.1", "10.0.100.2"
	l.inherit(inherited{
		name:    "web",
		options: []serviceOption{annotated("nlb-target-type", "ip")},
		made: func(_ *lab, svc *corev1.Service, made *fakeaws.LBCService) {
			made.TargetType, made.Targets = elbv2types.TargetTypeEnumIp, []string{before, waits}
			made.Ports[0].TargetPort = svc.Spec.Ports[0].Port
		},
	})
	group := do[elbv2.DescribeTargetGroupsOutput](l, &elbv2.DescribeTargetGroupsInput{}).TargetGroups[0]
	gate := corev1.PodConditionType(gatePrefix + *group.TargetGroupName)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.apps, Name: "web-2"},
		Spec: corev1.PodSpec{
			ReadinessGates: []corev1.PodReadinessGate{{ConditionType: gate}},
			Containers:     []corev1.Container{{Name: "app", Image: "app"}},
		},
	}
	l.must(l.api.Create(t.Context(), pod))
	pod.Status.Conditions = []corev1.PodCondition{
		{Type: corev1.ContainersReady, Status: corev1.ConditionTrue},
		{Type: gate, Status: corev1.ConditionFalse, Reason: "Elb.InitialHealthChecking"},
	}
	l.must(l.api.Status().Update(t.Context(), pod))
	l.endpoints(l.get("web"), before, waits)
	l.notReady("web", waits, pod)
	if out := l.dryRun(); out != "" {
		t.Errorf("a dry run says:\n%s", out)
	}

	l.start()
	l.eventually(func() error {
		l.must(l.api.Get(t.Context(), client.ObjectKeyFromObject(pod), pod))
		return check.Is("the gate is open", says(pod, gate), true)
	})
	for _, call := range l.account.Changing() {
		t.Errorf("that changes something: %v", call)
	}
}

// notReady has an endpoint be that of a pod which is not ready.
func (l *lab) notReady(service, address string, pod *corev1.Pod) {
	l.t.Helper()
	slice := &discoveryv1.EndpointSlice{}
	l.must(l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.apps, Name: service}, slice))
	for i := range slice.Endpoints {
		if e := &slice.Endpoints[i]; e.Addresses[0] == address {
			e.Conditions.Ready = new(false)
			e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
		}
	}
	l.must(l.api.Update(l.t.Context(), slice))
}
