//go:build linux

package pages

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
)

const (
	metallbPage      = "migrate-from-metallb.md"
	metallbNamespace = "metallb-system"
)

// Over and back by layer 2, while a client asks.
func TestThereAndBack(t *testing.T) {
	s := newScene(t, metallbPage, metallbNamespace)
	s.installMetalLB()
	before, specs := addresses(s), s.specs()
	s.reached(lab.HTTPPort, services[0].addresses...)
	s.does("Before")

	s.does("Keep the CRDs")
	s.unchanged(specs)
	flow := s.load()
	s.does("Stop MetalLB's controller")
	s.does("Install Berth")
	for _, g := range services {
		s.condition(g.name, "berth-lb.dev/Provisioned")
	}
	s.condition("web", "berth-lb.dev/Serving")
	s.announce("del") // MetalLB's speaker ends
	s.does("Stop MetalLB's speakers")
	s.reached(lab.HTTPPort, services[0].addresses...)
	s.does("Check")
	// Those that go through the node of MetalLB's speaker when another one takes
	// the address over may be.
	if sent, lost := flow.stop(s); lost > sent/100 {
		t.Errorf("%d of %d pages were lost on the way over", lost, sent)
	}
	s.does("Afterwards")
	if left := s.run("kubectl -n metallb-system get servicel2statuses,secrets -o name"); strings.Contains(left, "x7k2p") || strings.Contains(left, "memberlist") {
		t.Errorf("of MetalLB there is still\n%s", left)
	}
	s.unchanged(specs)
	if after := addresses(s); !slices.Equal(before, after) {
		t.Errorf("the addresses %v became %v", before, after)
	}
	s.condition("web", "berth-lb.dev/Serving")

	s.does("Back")
	s.unchanged(specs)
	if after := addresses(s); !slices.Equal(before, after) {
		t.Errorf("on the way back the addresses %v became %v", before, after)
	}
	for _, g := range services {
		svc := s.get(g.name)
		if len(svc.Finalizers) > 0 || len(svc.Status.Conditions) > 0 || svc.Annotations["berth-lb.dev/backend"] != "" {
			t.Errorf("of Berth there is still on Service %s: %v %v %v", g.name, svc.Finalizers, svc.Status.Conditions, svc.Annotations)
		}
		for key, value := range g.annotations {
			if svc.Annotations[key] != value {
				t.Errorf("the annotation %s of Service %s was %q and is %q", key, g.name, value, svc.Annotations[key])
			}
		}
	}
	s.announce("add")
	s.reached(lab.HTTPPort, services[0].addresses...)
	s.run("kubectl get bgppeers.v1beta2.metallb.io -A")
	if strategy := s.run("kubectl get crd bgppeers.metallb.io -o jsonpath='{.spec.conversion.strategy}'"); strategy != "Webhook" {
		t.Errorf("MetalLB's BGPPeers are converted by %s, want its webhook", strategy)
	}
}

// With BGP one node after the other goes over.
func TestNodeByNode(t *testing.T) {
	s := newScene(t, metallbPage, metallbNamespace)
	s.installMetalLB()
	before := addresses(s)
	s.does("Keep the CRDs")
	s.does("Stop MetalLB's controller")
	steps := s.under("BGP, node by node", "sh")
	s.do(steps[0])
	s.do(steps[1])
	wanted := func(metallb, berth string) {
		t.Helper()
		for name, want := range map[string]string{"metallb-speaker": metallb, "metallb-frr-k8s": metallb, "berth-speaker": berth} {
			s.eventually(func() error {
				got, err := s.try("kubectl -n metallb-system get daemonset " + name + " -o jsonpath='{.status.desiredNumberScheduled}'")
				if err == nil && got != want {
					err = fmt.Errorf("%s is wanted on %q nodes, and should be on %s", name, got, want)
				}
				return err
			})
		}
	}
	wanted("2", "0")
	s.run("kubectl label node node1 berth-lb.dev/speaker=here")
	wanted("1", "1")
	s.run("kubectl label node node2 berth-lb.dev/speaker=here")
	wanted("0", "2")
	s.do(steps[2])
	s.run("kubectl -n metallb-system rollout status daemonset berth-speaker --timeout 1m")
	s.condition("web", "berth-lb.dev/Serving")
	if after := addresses(s); !slices.Equal(before, after) {
		t.Errorf("the addresses %v became %v", before, after)
	}
}

// addresses are those of all Services, as their statuses have them.
func addresses(s *scene) []string {
	s.t.Helper()
	var list corev1.ServiceList
	s.must(s.api.List(s.t.Context(), &list, client.InNamespace("default")))
	var all []string
	for _, svc := range list.Items {
		for _, in := range svc.Status.LoadBalancer.Ingress {
			all = append(all, svc.Name+" "+in.IP)
		}
	}
	slices.Sort(all)
	return all
}

// What the page warns of is so: without the step that keeps them, the CRDs go
// with MetalLB's release, and all pools with them.
func TestUninstallTakesThePools(t *testing.T) {
	kube := cluster.New(t, cluster.Options{})
	s := newShell(t, kube, metallbPage)
	const crds = "kubectl get crd -o name | grep '/ipaddresspools.metallb.io'"
	install := "helm install metallb metallb/metallb -n metallb-system --create-namespace --version 0.16.2"
	for _, c := range []struct {
		name, before string
		keeps        bool
	}{
		{"as they are", "", false},
		{"with the annotation alone", "kubectl annotate crd ipaddresspools.metallb.io helm.sh/resource-policy=keep", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := *s
			s.t = t
			s.run(install)
			s.run(crds)
			s.run(c.before)
			s.run("helm uninstall metallb -n metallb-system --wait")
			if out, err := s.try(crds); (err == nil) != c.keeps {
				t.Errorf("after the release is gone there is %q", out)
			}
		})
	}
}
