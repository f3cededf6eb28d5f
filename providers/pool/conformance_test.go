package pool

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Backend {
		objects := &cluster{}
		objects.pools = append(objects.pools, pool("a", "192.0.2.0/26", "2001:db8::/64"))
		return conformance.Backend{
			Start: func(c conformance.Cluster) providers.Provider { return New(objects, "berth-system", c.Wake) },
			Refuse: func(svc *corev1.Service) {
				svc.Annotations = map[string]string{"metallb.io/loadBalancerIPs": "198.51.100.1"}
			},
		}
	})
}
