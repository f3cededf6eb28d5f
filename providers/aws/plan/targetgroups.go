package plan

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Attributes of target groups that are decided here.
const (
	proxyProtocol    = "proxy_protocol_v2.enabled"
	stickiness       = "stickiness.enabled"
	stickinessType   = "stickiness.type"
	preserveClientIP = "preserve_client_ip.enabled"
)

// targetGroups returns one for each listener, sorted by port.
func (o outline) targetGroups(ports []listenerPort, addresses annotation.IPAddressType) (groups []TargetGroup, warnings []string, err error) {
	check, err := o.healthCheck()
	if err != nil {
		return nil, nil, err
	}
	nodes, warnings := o.nodeTargets()
	for _, p := range ports {
		g := TargetGroup{
			Key:          o.targetGroupKey(p.number),
			Protocol:     p.targets(o.Settings),
			TargetType:   o.Settings.TargetType,
			HealthCheck:  check,
			Attributes:   o.targetAttributes(p),
			Tags:         o.tags(o.targetGroupKey(p.number)),
			MultiCluster: o.Settings.MultiCluster,
		}
		if g.IPAddressType, err = o.family(p.number, addresses); err != nil {
			return nil, nil, err
		}
		if g.Port, err = o.targetPort(p.service[0]); err != nil {
			return nil, nil, err
		}
		if g.TargetType == annotation.Instance {
			g.Targets = onPort(nodes, g.Port)
		} else {
			g.Targets = o.podTargets(p.service[0], g.IPAddressType)
		}
		g.Name = o.targetGroupName(g)
		groups = append(groups, g)
	}
	return groups, warnings, nil
}

// family chooses that of the targets. A listener forwards to one target group
// and a target group has one family, so that a Service of two has to choose:
// what there is stays, else the first family of the Service that the load
// balancer can reach. Clients of the other family are translated.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html
func (o outline) family(port int32, addresses annotation.IPAddressType) (string, error) {
	var possible []string
	for _, f := range familiesOf(o.Service) {
		switch {
		case f == corev1.IPv4Protocol:
			possible = append(possible, ipv4)
		case addresses == annotation.DualStack:
			possible = append(possible, ipv6)
		}
	}
	if len(possible) == 0 {
		return "", refuse("spec.ipFamilies is IPv6 alone, and a load balancer with only IPv4 can't reach such targets: use %s: %s, or add IPv4", annotation.KeyIPAddressType, annotation.DualStack)
	}
	if kept := o.keptFamily(port, o.Settings.TargetType); slices.Contains(possible, kept) {
		return kept, nil
	}
	return possible[0], nil
}

// familiesOf are those of a Service, which the API server says.
func familiesOf(svc *corev1.Service) []corev1.IPFamily {
	if len(svc.Spec.IPFamilies) == 0 {
		return []corev1.IPFamily{corev1.IPv4Protocol}
	}
	return svc.Spec.IPFamilies
}

// Families of target groups.
const (
	ipv4 = "ipv4"
	ipv6 = "ipv6"
)

// targetPort is what the target group shows. Every target is registered with
// its own port, so that this one carries nothing.
func (o outline) targetPort(p corev1.ServicePort) (int32, error) {
	switch {
	case o.Settings.TargetType == annotation.Instance && p.NodePort == 0:
		return 0, refuse("spec.ports: port %d has no nodePort, which %s: %s needs: set spec.allocateLoadBalancerNodePorts to true, or use ip", p.Port, annotation.KeyTargetType, annotation.Instance)
	case o.Settings.TargetType == annotation.Instance:
		return p.NodePort, nil
	case p.TargetPort.Type == intstr.String:
		return 1, nil
	case p.TargetPort.IntVal == 0:
		return p.Port, nil // what the API server defaults it to
	}
	return p.TargetPort.IntVal, nil
}

// targetAttributes are those that annotations name, and two that are decided
// without them. Proxy protocol is off unless it is asked for: targets that do
// not expect it break. Session affinity has to be kept by the load balancer,
// since each kube-proxy keeps it for itself alone; TLS has none.
func (o outline) targetAttributes(p listenerPort) map[string]string {
	attributes := map[string]string{proxyProtocol: "false"}
	if o.Service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP && p.protocol != tls {
		attributes[stickiness], attributes[stickinessType] = "true", "source_ip"
	}
	maps.Copy(attributes, o.Settings.TargetGroupAttributes[p.number])
	return attributes
}
