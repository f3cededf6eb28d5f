package suite

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func sharing(key string) serviceOption { return annotated(sharingAnnotation, key) }

// Services with one key share one address, unless something is in the way.
func TestSharing(t *testing.T) {
	t.Parallel()
	l := newLab(t, "sharing")
	l.neverTwice()
	l.pool("blue", ranges("192.0.2.0/24"))
	l.start()
	l.create("alone")
	l.has("alone", "192.0.2.0")
	l.create("web", sharing("k"), port(corev1.ProtocolTCP, 80))
	l.has("web", "192.0.2.1")

	// A lower address is free, and yet a sharer lands with its group.
	l.delete("alone")
	l.gone("alone")
	l.create("dns", sharing("k"), port(corev1.ProtocolUDP, 53))
	l.has("dns", "192.0.2.1")
	l.create("quic", sharing("k"), port(corev1.ProtocolUDP, 80))
	l.has("quic", "192.0.2.1")
	l.counts("blue", usage{assigned4: 1, available4: 255})

	t.Run("a port that is taken", func(t *testing.T) {
		l := l.in(t)
		l.create("clash", sharing("k"), port(corev1.ProtocolTCP, 80), asking("192.0.2.1"))
		l.refused("clash", "AddressInUse", "192.0.2.1", "/web", "TCP/80")
		l.edit("clash", func(svc *corev1.Service) { svc.Spec.Ports[0].Port = 8080 })
		l.has("clash", "192.0.2.1")
	})
	t.Run("a port that is taken, where any address will do", func(t *testing.T) {
		l := l.in(t)
		l.create("apart", sharing("k"), port(corev1.ProtocolTCP, 80))
		l.has("apart", "192.0.2.0")
	})
	t.Run("another key", func(t *testing.T) {
		l := l.in(t)
		l.create("other-key", sharing("other"), port(corev1.ProtocolTCP, 1), asking("192.0.2.1"))
		l.refused("other-key", "AddressInUse", "192.0.2.1", "/web", "another sharing key")
	})
	t.Run("no key", func(t *testing.T) {
		l := l.in(t)
		l.create("no-key", port(corev1.ProtocolTCP, 2), asking("192.0.2.1"))
		l.refused("no-key", "AddressInUse", "192.0.2.1")
	})
	t.Run("the Local policy beside Services of other pods", func(t *testing.T) {
		l := l.in(t)
		l.create("local", sharing("k"), port(corev1.ProtocolTCP, 3), local, asking("192.0.2.1"))
		l.refused("local", "AddressInUse", "192.0.2.1", "externalTrafficPolicy")
		l.edit("local", func(svc *corev1.Service) {
			svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
		})
		l.has("local", "192.0.2.1")
	})
	t.Run("the Local policy with the same pods", func(t *testing.T) {
		l := l.in(t)
		l.create("local-tcp", sharing("pods"), port(corev1.ProtocolTCP, 53), local, selecting("names"), asking("192.0.2.9"))
		l.create("local-udp", sharing("pods"), port(corev1.ProtocolUDP, 53), local, selecting("names"), asking("192.0.2.9"))
		l.has("local-tcp", "192.0.2.9")
		l.has("local-udp", "192.0.2.9")
		l.create("local-other", sharing("pods"), port(corev1.ProtocolTCP, 54), local, selecting("others"), asking("192.0.2.9"))
		l.refused("local-other", "AddressInUse", "192.0.2.9", "selector")
	})
	t.Run("a key that is given up", func(t *testing.T) {
		l := l.in(t)
		l.annotate("dns", sharingAnnotation, "")
		l.has("dns", "192.0.2.2")
		l.has("web", "192.0.2.1")
	})
	t.Run("a key in the old way", func(t *testing.T) {
		l := l.in(t)
		l.create("old", annotated(legacyPrefix+"allow-shared-ip", "old"), port(corev1.ProtocolTCP, 1), asking("192.0.2.20"))
		l.create("new", sharing("old"), annotated(legacyPrefix+"allow-shared-ip", "old"), port(corev1.ProtocolTCP, 2))
		l.create("newer", annotated(legacyPrefix+"allow-shared-ip", "old"), port(corev1.ProtocolTCP, 3))
		for _, name := range []string{"old", "new", "newer"} {
			l.has(name, "192.0.2.20")
		}
	})
}
