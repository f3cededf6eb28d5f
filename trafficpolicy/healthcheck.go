package trafficpolicy

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// KubeProxyHealthPort is where kube-proxy answers for its node, unless
// --healthz-bind-address moves it. It fails there while the node is being
// deleted or carries the autoscaler's taint (KEP-3836).
const KubeProxyHealthPort int32 = 10256

// HealthCheck is an HTTP check of a node: 200 is healthy.
type HealthCheck struct {
	Port int32
	Path string
}

// HealthCheckOf returns the check that says whether a node may carry svc:
// for Local that of the Service, which also knows whether the node has an
// endpoint, for Cluster that of kube-proxy on kubeProxyPort.
func HealthCheckOf(svc *corev1.Service, kubeProxyPort int32) (HealthCheck, error) {
	if !isLocal(svc) {
		return HealthCheck{Port: kubeProxyPort, Path: "/healthz"}, nil
	}
	if svc.Spec.HealthCheckNodePort == 0 {
		return HealthCheck{}, fmt.Errorf("Service %s/%s has externalTrafficPolicy Local and no healthCheckNodePort: set one, or use Cluster", svc.Namespace, svc.Name)
	}
	return HealthCheck{Port: svc.Spec.HealthCheckNodePort, Path: "/healthz"}, nil
}

// Answer is what a node's health check says.
type Answer int

const (
	// Silent is no answer: refused, timed out, or not asked yet.
	Silent Answer = iota
	Healthy
	Unhealthy
)

// AnswerOf reads the status code of a response.
func AnswerOf(status int) Answer {
	if status == 200 {
		return Healthy
	}
	return Unhealthy
}
