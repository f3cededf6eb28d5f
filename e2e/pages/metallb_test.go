//go:build linux

package pages

import (
	"maps"
	"net/netip"
	"os/exec"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/berth-lb/berth/e2e/lab"
)

// installMetalLB leaves what MetalLB would: its chart's objects, a user's, and
// Services with addresses.
func (s *scene) installMetalLB() {
	s.t.Helper()
	s.run("helm install metallb metallb/metallb -n metallb-system --create-namespace --version 0.16.2")
	// Nobody answers it here. Helm brings it back with the next upgrade.
	s.run("kubectl delete validatingwebhookconfiguration metallb-webhook-configuration")
	s.eventually(func() error {
		_, err := s.kube.Apply(s.t.Context(), []byte(objects))
		return err
	})
	for _, g := range services {
		s.create(g)
	}
	s.announce("add")
}

// announce has the first node answer for the addresses of the Service web, as
// MetalLB's speaker there would, or no more.
func (s *scene) announce(verb string) {
	s.t.Helper()
	ip, err := exec.LookPath("ip")
	s.must(err)
	for _, address := range services[0].addresses {
		args := []string{"address", verb, address, "dev", "eth0"}
		if verb == "add" && netip.MustParseAddr(address).Is6() {
			args = append(args, "nodad")
		}
		p, err := s.Nodes[0].Run(ip, args...)
		s.must(err)
		s.must(p.Wait(s.t.Context()))
	}
}

func (s *scene) create(g given) {
	s.t.Helper()
	port := max(g.port, lab.HTTPPort)
	if g.port != 0 {
		port = g.port
	}
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: g.name, Annotations: maps.Clone(g.annotations), Labels: g.labels},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerIP: g.field,
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Port: port, TargetPort: intstr.FromInt32(lab.HTTPPort)}},
		},
	}
	if g.dual {
		policy := corev1.IPFamilyPolicyRequireDualStack
		svc.Spec.IPFamilyPolicy = &policy
	}
	s.must(s.api.Create(s.t.Context(), svc))
	for _, address := range g.addresses {
		in := corev1.LoadBalancerIngress{IP: address}
		if mode := corev1.LoadBalancerIPModeVIP; !g.old {
			in.IPMode = &mode
		}
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, in)
	}
	s.must(s.api.Status().Update(s.t.Context(), svc))
}
