package chart

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
)

// crdCluster is a control plane where the Job of the chart may run.
type crdCluster struct {
	t *testing.T
	*cluster.Cluster
	api client.Client
	// kubeconfig is that of the Job's ServiceAccount.
	kubeconfig string
}

func newCRDCluster(t *testing.T) *crdCluster {
	c := &crdCluster{t: t, Cluster: cluster.New(t, cluster.Options{})}
	var err error
	c.api, err = c.Client(metallb.AddToScheme, v1beta2.AddToScheme)
	check.Must(t, err)
	ctx := t.Context()
	check.Must(t, c.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: release.Namespace}}))
	apply(ctx, t, c.Cluster, "-crds", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
	config, err := c.ServiceAccountConfig(ctx, release.Namespace, release.Name+"-crds")
	check.Must(t, err)
	c.kubeconfig, err = c.WriteKubeconfig("crds", config)
	check.Must(t, err)
	return c
}

// applyCRDs is what the Job does.
func (c *crdCluster) applyCRDs() string {
	c.t.Helper()
	binary, err := cluster.Built("berth-controller.race")
	check.Must(c.t, err)
	out, err := exec.CommandContext(c.t.Context(), binary, "apply-crds", "--kubeconfig="+c.kubeconfig, "--timeout=60s").CombinedOutput()
	if err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func (c *crdCluster) crd(name string) *apiextensionsv1.CustomResourceDefinition {
	c.t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	check.Must(c.t, c.api.Get(c.t.Context(), client.ObjectKey{Name: name}, crd))
	return crd
}

// each expects the same of every CRD.
func (c *crdCluster) each(out, what string) {
	c.t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) < 10 {
		c.t.Errorf("there are %d lines: %s", len(lines), out)
	}
	for _, line := range lines {
		if !strings.HasSuffix(line, " "+what) {
			c.t.Errorf("%q does not say %s", line, what)
		}
	}
}

func TestCRDsOfOneRelease(t *testing.T) {
	c := newCRDCluster(t)
	c.each(c.applyCRDs(), "created")
	c.each(c.applyCRDs(), "unchanged")

	// Somebody changes one by hand.
	crd := c.crd("ipaddresspools.metallb.io")
	crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Description = "changed"
	check.Must(t, c.api.Update(t.Context(), crd))
	if out := c.applyCRDs(); !strings.Contains(out, "ipaddresspools.metallb.io changed\n") {
		t.Errorf("it says: %s", out)
	}
	if crd := c.crd("ipaddresspools.metallb.io"); crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Description == "changed" {
		t.Error("the change by hand is still there")
	}

	// A newer release was here before.
	annotate(t, c, "communities.metallb.io", "v99.1.0")
	version := c.crd("communities.metallb.io").ResourceVersion
	if out := c.applyCRDs(); !strings.Contains(out, "communities.metallb.io left alone: it is of the newer release v99.1.0\n") {
		t.Errorf("it says: %s", out)
	}
	if c.crd("communities.metallb.io").ResourceVersion != version {
		t.Error("a CRD of a newer release was changed")
	}
}

func annotate(t *testing.T, c *crdCluster, name, version string) {
	t.Helper()
	crd := c.crd(name)
	crd.Annotations["berth-lb.dev/crds-version"] = version
	check.Must(t, c.api.Update(t.Context(), crd))
}

// TestCRDsOfMetalLB takes over from an installation that began when BGPPeers
// were still stored as v1beta1, and whose webhook is gone.
func TestCRDsOfMetalLB(t *testing.T) {
	c := newCRDCluster(t)
	ctx := t.Context()
	peer := c.peerOfEarlierDays(metalLBCRDs(t))
	crd := c.crd("bgppeers.metallb.io")
	url := "https://metallb-webhook.invalid/convert"
	crd.Spec.Conversion = &apiextensionsv1.CustomResourceConversion{
		Strategy: apiextensionsv1.WebhookConverter,
		Webhook: &apiextensionsv1.WebhookConversion{
			ClientConfig: &apiextensionsv1.WebhookClientConfig{URL: &url}, ConversionReviewVersions: []string{"v1"},
		},
	}
	check.Must(t, c.api.Update(ctx, crd, client.FieldOwner("helm")))

	for _, line := range strings.Split(strings.TrimSpace(c.applyCRDs()), "\n") {
		if !strings.HasSuffix(line, " changed") && !strings.HasPrefix(line, "bgpnodestatuses.berth-lb.dev created") {
			t.Errorf("it says: %s", line)
		}
	}
	crd = c.crd("bgppeers.metallb.io")
	if crd.Spec.Conversion.Strategy != apiextensionsv1.NoneConverter || crd.Spec.Conversion.Webhook != nil {
		t.Errorf("the conversion is %+v", crd.Spec.Conversion)
	}
	var served []string
	for _, v := range crd.Spec.Versions {
		served = append(served, fmt.Sprintf("%s served=%t stored=%t", v.Name, v.Served, v.Storage))
	}
	if got, want := strings.Join(served, ", "), "v1beta2 served=true stored=true, v1beta1 served=true stored=false"; got != want {
		t.Errorf("the versions are %s, want %s", got, want)
	}
	now := &v1beta2.BGPPeer{}
	check.Must(t, c.api.Get(ctx, client.ObjectKeyFromObject(peer), now))
	if now.Spec.Address != peer.Spec.Address || len(now.Spec.NodeSelectors) != 1 || now.Spec.NodeSelectors[0].MatchLabels["rack"] != "1" {
		t.Errorf("the peer is now %+v", now.Spec)
	}
	c.each(c.applyCRDs(), "unchanged")

	// Manifests of earlier days still work, and lose nothing that they don't know.
	now.Spec.VRFName = "red"
	check.Must(t, c.api.Update(ctx, now))
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"peerPort":1790}}`))
	check.Must(t, c.api.Patch(ctx, peer, patch))
	check.Must(t, c.api.Get(ctx, client.ObjectKeyFromObject(peer), now))
	if now.Spec.Port != 1790 || now.Spec.VRFName != "red" {
		t.Errorf("patched as v1beta1, the peer is %+v", now.Spec)
	}
}

// Helm must not find the CRDs: it would apply them before the Job, and fail where
// somebody else did. The Job's role, which can't read them therefore, names all.
func TestHelmLeavesCRDsAlone(t *testing.T) {
	helm, err := release.New(nil)
	check.Must(t, err)
	dir := t.TempDir()
	if _, err := helm.Run(t.Context(), "package", chartDir(t), "--destination="+dir); err != nil {
		t.Fatal(err)
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packages) != 1 {
		t.Fatalf("the packages are %v, %v", packages, err)
	}
	for _, at := range []string{chartDir(t), packages[0]} {
		out, err := helm.Run(t.Context(), "show", "crds", at)
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("of %s Helm shows %.200q, %v", at, out, err)
		}
	}

	var want, got []string
	files, err := filepath.Glob(filepath.Join(chartDir(t), "crds", "*.yaml"))
	check.Must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check.Must(t, err)
		crd := &apiextensionsv1.CustomResourceDefinition{}
		check.Must(t, yaml.UnmarshalStrict(text, crd))
		want = append(want, crd.Name)
	}
	for _, o := range objects(t) {
		if o.GetKind() == "ClusterRole" && o.GetName() == "berth-crds" {
			role := &rbacv1.ClusterRole{}
			check.Must(t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, role))
			got = role.Rules[0].ResourceNames
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the Job may change %v, and the CRDs are %v", got, want)
	}
}

// peerOfEarlierDays creates a peer that is stored as v1beta1, and then has
// v1beta2 stored, as upgrades of MetalLB did.
func (c *crdCluster) peerOfEarlierDays(dir string) *metallb.BGPPeer {
	c.t.Helper()
	ctx := c.t.Context()
	text, err := os.ReadFile(filepath.Join(dir, "metallb.io_bgppeers.yaml"))
	check.Must(c.t, err)
	crd := &apiextensionsv1.CustomResourceDefinition{}
	check.Must(c.t, yaml.UnmarshalStrict(text, crd))
	for i := range crd.Spec.Versions {
		crd.Spec.Versions[i].Storage = crd.Spec.Versions[i].Name == "v1beta1"
	}
	early := c.t.TempDir()
	text, err = yaml.Marshal(crd)
	check.Must(c.t, err)
	check.Must(c.t, os.WriteFile(filepath.Join(early, "bgppeers.yaml"), text, 0o600))
	check.Must(c.t, c.Install(ctx, early))
	peer := &metallb.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Namespace: release.Namespace, Name: "tor"},
		Spec: metallb.BGPPeerSpec{
			MyASN: 64500, ASN: 64501, Address: "192.0.2.1",
			NodeSelectors: []metallb.NodeSelector{{MatchLabels: map[string]string{"rack": "1"}}},
		},
	}
	check.Must(c.t, c.api.Create(ctx, peer))
	check.Must(c.t, c.Install(ctx, dir))
	if stored := c.crd("bgppeers.metallb.io").Status.StoredVersions; !slices.Equal(stored, []string{"v1beta1", "v1beta2"}) {
		c.t.Fatalf("the stored versions are %v", stored)
	}
	return peer
}

// metalLBCRDs is where the module of MetalLB that is built in has its CRDs.
func metalLBCRDs(t *testing.T) string {
	t.Helper()
	module, err := release.MetalLB(t.Context())
	check.Must(t, err)
	dir := filepath.Join(module, "config", "crd", "bases")
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}
