package trafficpolicy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMayCarry(t *testing.T) {
	excluded := node("a", label(corev1.LabelNodeExcludeBalancers, ""))
	here, elsewhere := []Endpoint{{Node: "a"}}, []Endpoint{{Node: "b"}}

	for _, tc := range []struct {
		reason    string
		policy    corev1.ServiceExternalTrafficPolicy
		node      *corev1.Node
		endpoints []Endpoint
		health    Answer
		want      Obstacle
	}{
		{"Cluster, healthy", cluster, node("a"), elsewhere, Healthy, NoObstacle},
		{"Cluster, draining", cluster, node("a"), here, Unhealthy, HealthCheckFails},
		{"Cluster, kube-proxy restarts or is replaced", cluster, node("a"), elsewhere, Silent, NoObstacle},
		{"Cluster, excluded", cluster, excluded, here, Healthy, NodeExcluded},
		{"Local, healthy", local, node("a"), here, Healthy, NoObstacle},
		{"Local, nothing here", local, node("a"), elsewhere, Healthy, NoEndpointOnNode},
		{"Local, kube-proxy knows first that nothing is here", local, node("a"), here, Unhealthy, HealthCheckFails},
		{"Local, silence: as the EndpointSlices say, here", local, node("a"), here, Silent, NoObstacle},
		{"Local, silence: as the EndpointSlices say, elsewhere", local, node("a"), elsewhere, Silent, NoEndpointOnNode},
		{"Local, excluded", local, excluded, here, Healthy, NodeExcluded},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			svc := &corev1.Service{Spec: corev1.ServiceSpec{ExternalTrafficPolicy: tc.policy}}
			got := MayCarry(svc, tc.node, tc.endpoints, tc.health)
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if (got == NoObstacle) != (got.Message() == "") {
				t.Errorf("message of %q: %q", got, got.Message())
			}
		})
	}
}

func TestHealthCheckOf(t *testing.T) {
	for _, tc := range []struct {
		reason string
		spec   corev1.ServiceSpec
		want   HealthCheck
		fails  bool
	}{
		{"Cluster asks kube-proxy", corev1.ServiceSpec{ExternalTrafficPolicy: cluster}, HealthCheck{10256, "/healthz"}, false},
		{"unset is Cluster", corev1.ServiceSpec{HealthCheckNodePort: 30000}, HealthCheck{10256, "/healthz"}, false},
		{"Local asks for the Service", corev1.ServiceSpec{ExternalTrafficPolicy: local, HealthCheckNodePort: 30000}, HealthCheck{30000, "/healthz"}, false},
		{"Local without a port", corev1.ServiceSpec{ExternalTrafficPolicy: local}, HealthCheck{}, true},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web"}, Spec: tc.spec}
			got, err := HealthCheckOf(svc, KubeProxyHealthPort)
			if got != tc.want || (err != nil) != tc.fails {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestAnswerOf(t *testing.T) {
	for status, want := range map[int]Answer{200: Healthy, 503: Unhealthy, 204: Unhealthy, 404: Unhealthy} {
		if got := AnswerOf(status); got != want {
			t.Errorf("%d: got %v, want %v", status, got, want)
		}
	}
}
