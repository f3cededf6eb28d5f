//go:build linux

package install

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/aws"
	"github.com/berth-lb/berth/e2e/site"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// clusterName is the one value that EKS takes. The account here calls the VPC
// after it, whose ID is hexadecimal.
const clusterName = "c0ffee"

// On EKS the name of the cluster is all that it takes: instance metadata tells the
// rest. A Service that names no class gets a Network Load Balancer.
func TestEKS(t *testing.T) {
	account := aws.Open(t.Context(), clusterName, 3, fakeaws.Options{})
	metadata := httptest.NewServer(fakeaws.Metadata(aws.Region, account.Site.VPC))
	t.Cleanup(metadata.Close)
	var env []string
	for _, variable := range account.EnvOnInstance(metadata.URL) {
		if _, value, _ := strings.Cut(variable, "="); value != "" && strings.HasPrefix(variable, "AWS_") {
			env = append(env, variable)
		}
	}
	g := newGround(t, site.Options{Nodes: -1, Clients: -1, WithoutKubeProxy: true}, []string{strings.TrimPrefix(account.URL, "http://"), strings.TrimPrefix(metadata.URL, "http://")}, env)
	for i, node := range account.Site.Nodes {
		g.must(g.API.Create(t.Context(), aws.Node(fmt.Sprint("node", i+1), node)))
	}
	profile := "--values=" + g.chart + "/values-eks.yaml"
	if _, err := g.helm.Run(t.Context(), "install", "berth", g.chart, "--create-namespace", profile); err == nil || !strings.Contains(err.Error(), "clusterName") {
		t.Fatalf("without the name of the cluster: %v", err)
	}
	g.install(profile, "--set=clusterName="+clusterName)

	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shop"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	g.must(g.API.Create(t.Context(), svc))
	g.until("it has a load balancer", func(ctx context.Context) (bool, error) {
		err := g.API.Get(ctx, client.ObjectKeyFromObject(svc), svc)
		if err != nil {
			return false, err
		}
		return orElse(len(svc.Status.LoadBalancer.Ingress) > 0, "its conditions are %+v", svc.Status.Conditions)
	})
	if class := svc.Spec.LoadBalancerClass; class == nil || *class != "service.k8s.aws/nlb" {
		t.Errorf("its class is %v", class)
	}
	g.must(g.API.Delete(t.Context(), svc))
	g.until("it is gone", func(ctx context.Context) (bool, error) {
		err := g.API.Get(ctx, client.ObjectKeyFromObject(svc), svc)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}
