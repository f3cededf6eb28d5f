//go:build linux

package pages

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/release"
)

const installPage = "install.md"

// From nothing to a served Service by layer 2, through upgrade and rollback, to
// nothing again.
func TestInstallLayer2(t *testing.T) {
	s := newScene(t, installPage, release.Namespace)
	s.does("Bare metal: layer 2")
	s.applies("Bare metal: layer 2")

	s.write("web.yaml", s.under("Something to serve", "yaml")[0].Text)
	s.does("Something to serve")
	s.condition("web", "berth-lb.dev/Serving")
	in := s.get("web").Status.LoadBalancer.Ingress
	if len(in) != 1 || !strings.HasPrefix(in[0].IP, "172.30.0.2") {
		t.Fatalf("the status of the Service has %+v", in)
	}
	s.reached(80, in[0].IP)

	s.does("Upgrading")
	s.does("Rolling back")
	s.condition("web", "berth-lb.dev/Serving")
	s.reached(80, in[0].IP)
	s.applies("Bare metal: BGP")
	s.does("Bare metal: BGP")

	steps := s.under("Removing", "sh")
	s.do(steps[0])
	if now := s.get("web").Status.LoadBalancer.Ingress; len(now) != 1 || now[0].IP != in[0].IP {
		t.Errorf("with Berth gone the status of the Service has %+v", now)
	}
	s.do(steps[1])
	if svc := s.get("web"); len(svc.Finalizers)+len(svc.Status.Conditions)+len(svc.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("of Berth there is still on the Service %v %+v", svc.Finalizers, svc.Status)
	}
	s.do(steps[2])
	s.run("kubectl delete svc web --timeout 30s")
}

// The rest of the page, as far as the API server and Helm can tell.
func TestInstallElsewhere(t *testing.T) {
	kube := cluster.New(t, cluster.Options{})
	s := newShell(t, kube, installPage)
	root, err := cluster.Root()
	check.Must(t, err)
	check.Must(t, kube.Install(t.Context(), filepath.Join(root, "charts", "berth", "crds")))
	s.run("kubectl create namespace berth-system")
	s.applies("kind")
	s.applies("EKS")
	for _, heading := range []string{"kind", "EKS"} {
		for _, b := range s.under(heading, "sh") {
			// Nothing here runs the Job that the chart waits for.
			s.run(strings.NewReplacer("helm install", "helm template --validate", "helm upgrade --install", "helm template --validate", " --wait", "").Replace(b.Text))
		}
	}
}
