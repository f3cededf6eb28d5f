package chart

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// TestServicesAreGivenAClass is what aws.setLoadBalancerClass promises.
func TestServicesAreGivenAClass(t *testing.T) {
	kube := cluster.New(t, cluster.Options{})
	ctx := t.Context()
	api, err := kube.Client()
	check.Must(t, err)
	createPolicies(t, api)
	service := func(name string, ofType corev1.ServiceType, class *string) *corev1.Service {
		return &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec:       corev1.ServiceSpec{Type: ofType, LoadBalancerClass: class, Ports: []corev1.ServicePort{{Port: 80}}},
		}
	}
	// The API server heeds a policy a moment after it took it.
	check.Eventually(t, 30*time.Second, func() error {
		probe := service("probe", corev1.ServiceTypeLoadBalancer, nil)
		check.Must(t, api.Create(ctx, probe, client.DryRunAll))
		return check.Is("the policy has an effect", classOf(probe) != "", true)
	})

	const ours = "service.k8s.aws/nlb"
	other := "example.com/other"
	for _, test := range []struct {
		why  string
		svc  *corev1.Service
		want string
	}{
		{"a load balancer without a class", service("plain", corev1.ServiceTypeLoadBalancer, nil), ours},
		{"one with a class keeps it", service("other", corev1.ServiceTypeLoadBalancer, &other), other},
		{"what is no load balancer has none", service("internal", corev1.ServiceTypeClusterIP, nil), ""},
	} {
		check.Must(t, api.Create(ctx, test.svc))
		if got := classOf(test.svc); got != test.want {
			t.Errorf("%s: got class %q, want %q", test.why, got, test.want)
		}
	}

	// Who writes all of a Service anew, without the class, means to keep it.
	for _, class := range []string{ours, other} {
		name := map[string]string{ours: "plain", other: "other"}[class]
		whole := service(name, corev1.ServiceTypeLoadBalancer, nil)
		check.Must(t, api.Get(ctx, client.ObjectKeyFromObject(whole), whole))
		whole.Spec.LoadBalancerClass = nil
		whole.Labels = map[string]string{"changed": "true"}
		if err := api.Update(ctx, whole); err != nil {
			t.Errorf("a Service with class %q is written without it: %v", class, err)
		}
		if got := classOf(whole); got != class {
			t.Errorf("a Service with class %q that is written without it has class %q", class, got)
		}
	}

	// One that becomes a load balancer later is like a new one.
	late := service("internal", corev1.ServiceTypeLoadBalancer, nil)
	check.Must(t, api.Patch(ctx, late, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"type":"LoadBalancer"}}`))))
	if got := classOf(late); got != ours {
		t.Errorf("a Service that becomes a load balancer has class %q", got)
	}
	// One that is no load balancer any more has no class to keep.
	if err := api.Patch(ctx, late, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"type":"ClusterIP","loadBalancerClass":null}}`))); err != nil {
		t.Error(err)
	}
	if got := classOf(late); got != "" {
		t.Errorf("a Service that is no load balancer any more has class %q", got)
	}
}

// createPolicies creates those of the profile for EKS.
func createPolicies(t *testing.T, api client.Client, args ...string) {
	t.Helper()
	for _, o := range objects(t, append(eks(t), append(args, "--set=aws.mutatingPolicies=v1")...)...) {
		if o.GroupVersionKind().Group == "admissionregistration.k8s.io" {
			check.Must(t, api.Create(t.Context(), o))
		}
	}
}

func classOf(svc *corev1.Service) string {
	if svc.Spec.LoadBalancerClass == nil {
		return ""
	}
	return *svc.Spec.LoadBalancerClass
}
