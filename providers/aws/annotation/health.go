package annotation

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// defaultInterval is that of all health checks whose interval nobody gave.
const defaultInterval = 10 * time.Second

// trafficPort has a target be checked where it gets its traffic.
const trafficPort = "traffic-port"

// healthCheck reads how targets are checked. Ranges are those of
// CreateTargetGroup in the API reference of Elastic Load Balancing.
func (r *reader) healthCheck(targets TargetType) HealthCheck {
	h := HealthCheck{
		Protocol:     r.healthProtocol(),
		Port:         r.healthPort(targets),
		Path:         r.healthPath(),
		Interval:     r.seconds(KeyHealthInterval, 5, 300),
		Timeout:      r.seconds(KeyHealthTimeout, 2, 120),
		Healthy:      r.number(KeyHealthyThreshold, "whole numbers", 2, 10),
		Unhealthy:    r.number(KeyUnhealthyThreshold, "whole numbers", 2, 10),
		SuccessCodes: r.successCodes(),
		KubeProxy:    r.kubeProxy(targets),
	}
	interval := defaultInterval
	if h.Interval != nil {
		interval = *h.Interval
	}
	if h.Timeout != nil && *h.Timeout > interval {
		r.problem("%s: %s is above the interval; allowed are up to %d seconds, as in %s", KeyHealthTimeout, quote(r.value(KeyHealthTimeout)), int(interval.Seconds()), KeyHealthInterval)
	}
	return h
}

func (r *reader) seconds(key string, low, high int32) *time.Duration {
	n := r.number(key, "whole seconds", low, high)
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * time.Second
	return &d
}

func (r *reader) healthProtocol() string {
	v := r.value(KeyHealthProtocol)
	switch protocol := strings.ToUpper(v); protocol {
	case "", "TCP", "HTTP", "HTTPS":
		return protocol
	}
	r.refuse(KeyHealthProtocol, v, "tcp, http, https")
	return ""
}

// healthPort reads a number as that of the target. A name is of a port of the
// Service, and leads to the port that its targets have.
func (r *reader) healthPort(targets TargetType) string {
	v := r.value(KeyHealthPort)
	if v == "" || v == trafficPort {
		return v
	}
	if n, ok := whole(v, 1, math.MaxUint16); ok {
		return strconv.Itoa(int(n))
	}
	p := r.portNamed(v)
	switch {
	case p == nil:
		r.refuse(KeyHealthPort, v, trafficPort+", numbers from 1 to 65535 and names in "+r.allowedPorts())
	case targets == Instance:
		return strconv.Itoa(int(p.NodePort)) // without one the Service is refused already
	case p.TargetPort.Type == intstr.String:
		r.problem("%s: %s has the target port %s, which may have another number in each pod; allowed are %s, numbers, and ports with a number as target port", KeyHealthPort, quote(v), quote(p.TargetPort.StrVal), trafficPort)
	case p.TargetPort.IntVal == 0:
		return strconv.Itoa(int(p.Port)) // what the API server defaults it to
	default:
		return p.TargetPort.String()
	}
	return ""
}

func (r *reader) healthPath() *string {
	v := r.value(KeyHealthPath)
	if v == "" {
		return nil
	}
	if !strings.HasPrefix(v, "/") || len(v) > 1024 || !isWord(v) {
		r.refuse(KeyHealthPath, v, "paths of up to 1024 characters that begin with / and have no blanks")
	}
	return &v
}

// successCodes reads HTTP codes and ranges of them.
func (r *reader) successCodes() *string {
	codes := elements(r, KeySuccessCodes, "codes from 200 to 599 and ranges, as 200,204 or 200-399", func(text string) (string, bool) {
		first, last, isRange := strings.Cut(text, "-")
		low, ok := whole(first, 200, 599)
		if !isRange {
			return strconv.Itoa(int(low)), ok
		}
		high, rangeOK := whole(last, 200, 599)
		return fmt.Sprintf("%d-%d", low, high), ok && rangeOK && low <= high
	})
	if len(codes) == 0 {
		return nil
	}
	joined := strings.Join(codes, ",")
	return &joined
}

func (r *reader) kubeProxy(targets TargetType) *bool {
	v := r.choice(KeyHealthCheck, HealthCheckKubeProxy, HealthCheckTrafficPort)
	if v == "" {
		return nil
	}
	asked := v == HealthCheckKubeProxy
	if asked && targets == IP {
		r.problem("%s: %s is asked on nodes, and the targets are pods; allowed with %s: %s", KeyHealthCheck, HealthCheckKubeProxy, KeyTargetType, Instance)
	}
	return &asked
}
