package chart

import (
	"path/filepath"
	"strings"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
)

// TestNotes: what Helm says after an install is about this cluster.
func TestNotes(t *testing.T) {
	kube := cluster.New(t, cluster.Options{})
	helm, err := release.New(kube)
	check.Must(t, err)
	api, err := kube.Client(metallb.AddToScheme)
	check.Must(t, err)
	ctx := t.Context()
	expect := func(why string, args []string, says, not string) {
		t.Helper()
		out, err := helm.Run(ctx, append([]string{"install", release.Name, chartDir(t), "--dry-run=server"}, args...)...)
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		_, notes, _ := strings.Cut(out, "NOTES:")
		if !strings.Contains(notes, says) {
			t.Errorf("%s: the notes don't say %q:\n%s", why, says, notes)
		}
		if not != "" && strings.Contains(notes, not) {
			t.Errorf("%s: the notes say %q:\n%s", why, not, notes)
		}
	}

	const pool, warning = "no addresses to give yet", "WARNING: this namespace enforces the Pod Security level restricted"
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: release.Namespace}}
	check.Must(t, api.Create(ctx, namespace))
	expect("a cluster without CRDs", nil, pool, "WARNING")

	check.Must(t, kube.Install(ctx, filepath.Join(chartDir(t), "crds")))
	expect("one with CRDs, and no pool", nil, pool, "WARNING")
	expect("EKS", eks(t), "New Services of type LoadBalancer without a class get this one.", pool)

	gates := append(eks(t), "--set=aws.setLoadBalancerClass=false,aws.mutatingPolicies=none")
	expect("EKS with gates alone, which the cluster can't give", gates, "aws.injectReadinessGates have no effect", "get this one")

	elsewhere := &metallb.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "others"},
		Spec:       metallb.IPAddressPoolSpec{Addresses: []string{"198.51.100.0/28"}},
	}
	check.Must(t, api.Create(ctx, elsewhere))
	_, err = helm.Run(ctx, "install", release.Name, chartDir(t), "--dry-run=server")
	if err == nil || !strings.Contains(err.Error(), "IPAddressPools are in default, and Berth heeds only those in its own namespace, here berth-system") {
		t.Errorf("beside MetalLB in another namespace Helm says %v", err)
	}
	expect("beside MetalLB, and meant so", []string{"--set=ignorePoolsElsewhere=true"}, "NOTE: the IPAddressPools in default are not Berth's", "WARNING")
	expect("beside MetalLB, without pools of Berth's", eks(t), "loadBalancerClass", pool)

	namespace.Labels = map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	check.Must(t, api.Update(ctx, namespace))
	check.Must(t, api.Delete(ctx, elsewhere))
	expect("a namespace where speakers can't start", nil, warning, "")
	expect("which does not matter without speakers", eks(t), "loadBalancerClass", "WARNING")

	if err := api.Create(ctx, &metallb.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Namespace: release.Namespace, Name: "there"},
		Spec:       metallb.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/28"}},
	}); err != nil {
		t.Fatal(err)
	}
	expect("a pool that is there, as MetalLB's", nil, warning, pool)
	elsewhere.ResourceVersion = ""
	check.Must(t, api.Create(ctx, elsewhere))
	expect("others' pools besides", nil, warning, "NOTE: the IPAddressPools")
}
