package fake_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/conformance"
	"github.com/berth-lb/berth/providers/fake"
)

func TestConformance(t *testing.T) {
	for name, options := range map[string]fake.Options{
		"prompt":    {},
		"slow":      {Latency: time.Millisecond, Provisioning: 5 * time.Millisecond, Deletion: 5 * time.Millisecond, Hostnames: true},
		"throttled": {CallsPerSecond: 1000},
	} {
		options.Unsupported = []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolSCTP}
		t.Run(name, func(t *testing.T) {
			conformance.Run(t, func(t *testing.T) conformance.Backend {
				cloud := fake.NewCloud(options)
				return conformance.Backend{
					Start:   func(c conformance.Cluster) providers.Provider { return fake.New(cloud, c.Wake) },
					Changes: cloud.Changes,
					Refuse:  func(svc *corev1.Service) { svc.Spec.Ports[0].Protocol = corev1.ProtocolSCTP },
				}
			})
		})
	}
}
