//go:build linux

package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/release"
	"github.com/berth-lb/berth/e2e/site"
)

// Whoever applied the CRDs that are there, an installation brings them to its
// release: MetalLB's users by a manifest, a GitOps tool, or an earlier Berth.
func TestCRDsOfOthers(t *testing.T) {
	g := newGround(t, site.Options{Nodes: -1, Clients: -1, WithoutKubeProxy: true}, nil, nil)
	g.must(g.API.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node1"}}))
	metallb, err := release.MetalLB(t.Context())
	g.must(err)
	crds := filepath.Join(metallb, "config", "crd", "bases")
	few := []string{"--set=speaker.enabled=false", "--set=controller.replicas=1"}
	for _, by := range [][]string{{"apply"}, {"apply", "--server-side", "--field-manager=flux"}} {
		t.Run("kubectl "+strings.Join(by, " "), func(t *testing.T) {
			g := g.in(t)
			g.kubectl("delete", "crd", "--all")
			g.kubectl(append(by, "-f", crds)...)
			g.install(few...)
			g.ofThisRelease()
			g.uninstall()
		})
	}
	t.Run("an earlier installation, and a chart with other CRDs", func(t *testing.T) {
		g := g.in(t)
		g.chart = otherCRDs(t, g.chart)
		g.install(few...)
		g.ofThisRelease()
		g.uninstall()
	})
	t.Run("nobody, and none is wanted", func(t *testing.T) {
		g := g.in(t)
		g.kubectl("delete", "crd", "--all")
		_, err := g.helm.Run(t.Context(), "install", release.Name, g.chart, "--create-namespace", "--set=crds.enabled=false", few[0], "--set=controller.replicas=0")
		g.must(err)
		if all := g.crds(); len(all) > 0 {
			t.Errorf("there are %d CRDs", len(all))
		}
		g.uninstall()
	})
}

func (g *ground) kubectl(args ...string) {
	g.t.Helper()
	_, err := g.Kube.Kubectl(g.t.Context(), args...)
	g.must(err)
}

func (g *ground) uninstall() {
	g.t.Helper()
	g.Allowed(g.t)
	g.run("uninstall", release.Name, "--wait")
	g.must(g.Excuse()) // Helm takes the roles away while the controllers are still ending.
}

func (g *ground) crds() []apiextensionsv1.CustomResourceDefinition {
	g.t.Helper()
	var all apiextensionsv1.CustomResourceDefinitionList
	g.must(g.API.List(g.t.Context(), &all))
	return all.Items
}

// ofThisRelease fails the test for each CRD that the Job did not see to.
func (g *ground) ofThisRelease() {
	g.t.Helper()
	all := g.crds()
	if len(all) < 10 {
		g.t.Errorf("there are %d CRDs", len(all))
	}
	for _, crd := range all {
		if by := crd.Annotations["berth-lb.dev/crds-version"]; by == "" {
			g.t.Errorf("%s is of no release", crd.Name)
		}
		if crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Title != "" {
			g.t.Errorf("%s is the chart's, and not the program's", crd.Name)
		}
	}
}

// otherCRDs is a chart that differs in all its CRDs, as that of another version may.
func otherCRDs(t *testing.T, chart string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "berth")
	check.Must(t, os.CopyFS(dir, os.DirFS(chart)))
	files, err := filepath.Glob(filepath.Join(dir, "crds", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the chart's CRDs are %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		check.Must(t, err)
		changed := strings.Replace(string(text), "        description: ", "        title: Changed\n        description: ", 1)
		if changed == string(text) {
			t.Fatalf("%s has no description to change", file)
		}
		check.Must(t, os.WriteFile(file, []byte(changed), 0o600))
	}
	return dir
}
