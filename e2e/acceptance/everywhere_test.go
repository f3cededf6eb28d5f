//go:build linux

package acceptance

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/check"
)

// everywhere is what holds for every backend.
var everywhere = []story{
	{"a Service gets an address and says so", getsAddress},
	{"a Service says whether it has pods", tellsOfPods},
	{"a Service gets an address of each family", getsBothFamilies},
	{"classes choose who serves", choosesByClass},
	{"a Service that changes its type gives its address back", changesType},
	{"a Service made anew is served anew", madeAnew},
}

func getsAddress(s *scene) {
	s.run("web")
	s.create("web")
	svc := s.served("web")
	if got, want := svc.Annotations[backendAnnotation], s.namespace+"/"+s.backend; got != want {
		s.t.Errorf("the backend on record is %q, want %q", got, want)
	}
	if mode := svc.Status.LoadBalancer.Ingress[0].IPMode; mode == nil || *mode != corev1.LoadBalancerIPModeVIP {
		s.t.Errorf("ipMode is %v, want VIP", mode)
	}
	s.serves("web")
	s.eventually(func() error {
		return check.Is("the number of events IPAllocated", check.Events(s.t, s.api, s.home, "web", "IPAllocated"), 1)
	})
	s.delete("web")
}

func tellsOfPods(s *scene) {
	s.create("web")
	before := check.Addresses(s.served("web"))
	s.doesNotServe("web", "SelectorMatchesNoPods", "app=web")
	s.run("web")
	s.serves("web")
	s.must(s.pods.end(s.ctx, s.home, "web"))
	s.doesNotServe("web", "SelectorMatchesNoPods", "app=web")
	if after := check.Addresses(s.served("web")); !slices.Equal(before, after) {
		s.t.Errorf("the addresses %v became %v when pods came and went", before, after)
	}
}

func getsBothFamilies(s *scene) {
	svc := s.create("dual", dualStack)
	if len(svc.Spec.ClusterIPs) < 2 {
		s.t.Log("the cluster has one family: so has the Service")
	}
	s.until("dual", func(svc *corev1.Service) error {
		if want := min(len(svc.Spec.ClusterIPs), s.families()); len(check.Addresses(svc)) != want {
			return fmt.Errorf("it has %v, want one of each of %d families", check.Addresses(svc), want)
		}
		if len(svc.Spec.ClusterIPs) > s.families() {
			return check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned", "missing")
		}
		return check.Condition(svc, provisioned, metav1.ConditionTrue, "Provisioned")
	})
}

func choosesByClass(s *scene) {
	s.create("theirs", ofClass("example.com/another"))
	s.create("ours", ofClass("berth-lb.dev/"+s.backend))
	s.served("ours")
	s.create("later")
	s.served("later") // by now theirs has been seen, too
	theirs, err := s.read("theirs")
	s.must(err)
	if len(theirs.Finalizers) > 0 || len(theirs.Annotations) > 0 || len(theirs.Status.Conditions) > 0 || len(check.Addresses(theirs)) > 0 {
		s.t.Errorf("a Service of another's class was touched: %s", check.Describe(theirs))
	}
}

func changesType(s *scene) {
	s.create("web")
	s.served("web")
	s.edit("web", func(svc *corev1.Service) { svc.Spec.Type = corev1.ServiceTypeClusterIP })
	s.until("web", func(svc *corev1.Service) error {
		if len(svc.Finalizers) > 0 || svc.Annotations[backendAnnotation] != "" || len(check.Addresses(svc)) > 0 || len(svc.Status.Conditions) > 0 {
			return errors.New("something of Berth's is still on it")
		}
		return nil
	})
	s.edit("web", func(svc *corev1.Service) { svc.Spec.Type = corev1.ServiceTypeLoadBalancer })
	s.served("web")
}

func madeAnew(s *scene) {
	for range 3 {
		s.create("web")
		s.served("web")
		s.delete("web")
	}
}
