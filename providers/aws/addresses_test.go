package aws

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// A load balancer gets other addresses whatever its listeners are, without being
// refused anything on the way.
func TestAddressesChange(t *testing.T) {
	udp := func(svc *corev1.Service) {
		svc.Spec.Ports = append(svc.Spec.Ports, corev1.ServicePort{Name: "dns", Protocol: corev1.ProtocolUDP, Port: 53, NodePort: 30053})
	}
	dual := func(svc *corev1.Service) { svc.Annotations[annotation.KeyIPAddressType] = "dualstack" }
	natted := func(svc *corev1.Service) { svc.Annotations[annotation.KeyPrefixForSourceNAT] = "on" }
	ipv4 := func(svc *corev1.Service) {
		svc.Annotations[annotation.KeyIPAddressType] = "ipv4"
		delete(svc.Annotations, annotation.KeyPrefixForSourceNAT)
	}
	overIPv6 := func(svc *corev1.Service) {
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
	}
	withoutUDP := func(svc *corev1.Service) { svc.Spec.Ports = svc.Spec.Ports[:1] }
	type changes []func(*corev1.Service)
	for why, tc := range map[string]struct {
		before, after changes
		want          string
	}{
		"IPv6 comes, and UDP needs source NAT":   {changes{udp}, changes{dual, natted}, "dualstack"},
		"IPv6 goes with source NAT":              {changes{udp, dual, natted}, changes{ipv4}, "ipv4"},
		"IPv6 goes, and targets had it":          {changes{dual, overIPv6}, changes{ipv4}, "ipv4"},
		"IPv6 comes, and UDP goes":               {changes{udp}, changes{dual, withoutUDP}, "dualstack"},
		"source NAT goes with UDP, and IPv6 not": {changes{udp, dual, natted}, changes{withoutUDP, func(svc *corev1.Service) { delete(svc.Annotations, annotation.KeyPrefixForSourceNAT) }}, "dualstack"},
	} {
		t.Run(why, func(t *testing.T) {
			inBubble(t, awsLike(), func(s *site) {
				s.eks = s.cloud.AddEKS(fakeaws.EKS{Cluster: "dual", Nodes: 3, DualStack: true})
				s.set = func(o *Options) { o.Cluster.Name = "dual" }
				s.start()
				s.service("web", tc.before...)
				s.settle("default/web")
				for _, change := range tc.after {
					s.change("default/web", change)
				}
				if err := s.ensure("default/web"); err != nil {
					t.Errorf("got %v", err)
				}
				s.settle("default/web")
				if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" || !strings.Contains(s.cloud.Dump(), ": internal "+tc.want) {
					t.Errorf("got %+v, and\n%s", c, s.cloud.Dump())
				}
			})
		})
	}
}

// Capacity is reserved once a new load balancer is active, and nothing waits for
// that.
func TestCapacityOfNew(t *testing.T) {
	inBubble(t, awsLike(), func(s *site) {
		s.service("web", func(svc *corev1.Service) { svc.Annotations[annotation.KeyMinimumCapacity] = "CapacityUnits=100" })
		if err := s.ensure("default/web"); reasonOfErr(err) != providers.ReasonProvisioning {
			t.Errorf("got %v", err)
		}
		if n := s.cloud.Counts()["CreateListener"]; n != 1 {
			t.Errorf("%d listeners", n)
		}
		s.settle("default/web")
		if c := s.condition("default/web", providers.ConditionProvisioned); c.Status != "True" || s.cloud.Counts()["ModifyCapacityReservation"] != 1 {
			t.Errorf("got %+v, calls %v", c, s.cloud.Counts())
		}
	})
}
