package chart

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

const (
	gate  = "target-health.elbv2.k8s.aws/berth"
	other = "example.com/warm"
)

// What aws.injectReadinessGates promises: in namespaces with the label that the AWS
// Load Balancer Controller asks for, pods that are to be targets get a gate.
func TestPodsAreGivenGates(t *testing.T) {
	kube := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	api, err := kube.Client()
	check.Must(t, err)
	for name, label := range map[string]string{"gated": "enabled", "plain": "disabled"} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"elbv2.k8s.aws/pod-readiness-gate-inject": label}}}
		check.Must(t, api.Create(ctx, namespace))
		for _, svc := range gatedServices(name) {
			check.Must(t, api.Create(ctx, svc))
		}
	}
	// Later than the Services: it would give class-less ones a class.
	createPolicies(t, api, "--set=defaultTargetType=ip")
	// The API server heeds a policy, and knows its parameters, a moment later.
	check.Eventually(t, 30*time.Second, func() error {
		return check.Is("the policy has an effect", slices.Contains(gatesOf(t, api, "gated", "web"), gate), true)
	})
	for _, test := range []struct {
		why, namespace, app string
		has, want           []string
	}{
		{"a target by its Service's annotation", "gated", "web", nil, []string{gate}},
		{"a target of two Services", "gated", "twice", nil, []string{gate}},
		{"one that asks by the older annotation", "gated", "legacy", nil, []string{gate}},
		{"one that asks without a class", "gated", "classless", nil, []string{gate}},
		{"one that only says which controller is not to serve it", "gated", "external", nil, nil},
		{"it keeps the gates that it has", "gated", "web", []string{other}, []string{other, gate}},
		{"it has the gate already", "gated", "web", []string{gate}, []string{gate}},
		{"its node is the target", "gated", "node", nil, nil},
		{"its Service is another controller's", "gated", "foreign", nil, nil},
		{"its Service is no load balancer", "gated", "internal", nil, nil},
		{"no Service selects it", "gated", "lonely", nil, nil},
		{"its namespace does not ask for gates", "plain", "web", nil, nil},
	} {
		t.Run(test.why, func(t *testing.T) {
			check.Eventually(t, 30*time.Second, func() error {
				return check.Is("what it has", fmt.Sprint(gatesOf(t, api, test.namespace, test.app, test.has...)), fmt.Sprint(test.want))
			})
		})
	}
}

// gatedServices are one for each way in which a Service may, or may not, ask for a
// load balancer with pods as targets.
func gatedServices(namespace string) (all []client.Object) {
	const prefix = "service.beta.kubernetes.io/aws-load-balancer-"
	ours, foreign := "service.k8s.aws/nlb", "example.com/other"
	add := func(name, app string, class *string, annotations map[string]string) {
		all = append(all, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: annotations},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: class,
				Selector: map[string]string{"app": app}, Ports: []corev1.ServicePort{{Port: 80}}},
		})
	}
	ip := map[string]string{prefix + "nlb-target-type": "ip"}
	add("web", "web", &ours, ip)
	add("twice", "twice", &ours, ip)
	add("twice-more", "twice", &ours, ip)
	add("legacy", "legacy", &ours, map[string]string{prefix + "type": "nlb-ip"})
	add("node", "node", &ours, map[string]string{prefix + "nlb-target-type": "instance"})
	add("classless", "classless", nil, map[string]string{prefix + "type": "external", prefix + "nlb-target-type": "ip"})
	add("external", "external", nil, map[string]string{prefix + "type": "external"})
	add("foreign", "foreign", &foreign, ip)
	all = append(all,
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "internal", Annotations: ip},
			Spec: corev1.ServiceSpec{Selector: map[string]string{"app": "internal"}, Ports: []corev1.ServicePort{{Port: 80}}}},
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "all", Annotations: ip},
			Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: &ours, Ports: []corev1.ServicePort{{Port: 80}}}})
	return all
}

// gatesOf are those that a new pod of the app would get.
func gatesOf(t *testing.T, api client.Client, namespace, app string, has ...string) (gates []string) {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: app + "-", Labels: map[string]string{"app": app, "version": "1"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: app, Image: app}}},
	}
	for _, g := range has {
		pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: corev1.PodConditionType(g)})
	}
	check.Must(t, api.Create(t.Context(), pod, client.DryRunAll))
	for _, g := range pod.Spec.ReadinessGates {
		gates = append(gates, string(g.ConditionType))
	}
	return gates
}
