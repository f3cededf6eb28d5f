package plan

import (
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/trafficpolicy"
)

// trafficPort has a target be checked where it gets its traffic.
const trafficPort = "traffic-port"

// healthCheck returns that of all target groups of the Service: what its
// traffic policy asks of nodes, or a connection to the target, each as
// annotations change it.
func (o outline) healthCheck() (HealthCheck, error) {
	check := connects()
	if o.asksNodes() {
		node, err := trafficpolicy.HealthCheckOf(o.Service, trafficpolicy.KubeProxyHealthPort)
		if err != nil && o.Settings.HealthCheck.Port == "" {
			return HealthCheck{}, refuse("%v, or name a port by %s", err, annotation.KeyHealthPort)
		}
		check = asks(node)
	}
	return overridden(check, o.Settings.HealthCheck), nil
}

// asksNodes says whether the health of a node is what kube-proxy says: always
// under Local, where it also knows of endpoints; under Cluster where that is
// asked for.
func (o outline) asksNodes() bool {
	switch asked := o.Settings.HealthCheck.KubeProxy; {
	case o.Settings.TargetType != annotation.Instance:
		return false
	case o.Service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal:
		return true
	case asked != nil:
		return *asked
	}
	return o.Cluster.KubeProxyHealth
}

// connects and asks have the times and thresholds of the AWS Load Balancer
// Controller.
func connects() HealthCheck {
	return HealthCheck{Protocol: "TCP", Port: trafficPort, Interval: 10 * time.Second, Timeout: 10 * time.Second, Healthy: 3, Unhealthy: 3}
}

func asks(node trafficpolicy.HealthCheck) HealthCheck {
	return HealthCheck{
		Protocol: "HTTP", Port: strconv.Itoa(int(node.Port)), Path: node.Path, Matcher: "200-399",
		Interval: 10 * time.Second, Timeout: 6 * time.Second, Healthy: 2, Unhealthy: 2,
	}
}

func overridden(check HealthCheck, by annotation.HealthCheck) HealthCheck {
	if by.Protocol != "" {
		check.Protocol = by.Protocol
	}
	if by.Port != "" {
		check.Port = by.Port
	}
	set(&check.Interval, by.Interval)
	set(&check.Timeout, by.Timeout)
	// AWS takes no longer one; a default gives way to what is asked for.
	check.Timeout = min(check.Timeout, check.Interval)
	set(&check.Healthy, by.Healthy)
	set(&check.Unhealthy, by.Unhealthy)
	if check.Protocol == "TCP" {
		check.Path, check.Matcher = "", ""
		return check
	}
	if check.Path == "" {
		check.Path, check.Matcher = "/", "200-399"
	}
	set(&check.Path, by.Path)
	set(&check.Matcher, by.SuccessCodes)
	return check
}

func set[T any](value *T, asked *T) {
	if asked != nil {
		*value = *asked
	}
}
