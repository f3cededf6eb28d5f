package plan

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Protocols of listeners and target groups.
const (
	tcp    = "TCP"
	udp    = "UDP"
	tcpUDP = "TCP_UDP"
	tls    = "TLS"
)

// listenerPort is a number that the load balancer listens on, and the ports of
// the Service that have it: one, or TCP before UDP.
type listenerPort struct {
	number   int32
	protocol string
	service  []corev1.ServicePort
}

// Unserved returns the ports of svc that no Network Load Balancer carries, with
// an error for the Service's status (KEP-1435).
func Unserved(svc *corev1.Service) []corev1.PortStatus {
	var unserved []corev1.PortStatus
	for _, p := range svc.Spec.Ports {
		if p.Protocol == corev1.ProtocolSCTP {
			unserved = append(unserved, corev1.PortStatus{Port: p.Port, Protocol: p.Protocol, Error: new("ProtocolNotSupported")})
		}
	}
	return unserved
}

// listenerPorts returns those of the Service, by number: a load balancer has
// one listener on each.
func listenerPorts(req Request) ([]listenerPort, error) {
	byNumber := map[int32]*listenerPort{}
	for _, p := range req.Service.Spec.Ports {
		if p.Protocol == corev1.ProtocolSCTP {
			continue
		}
		l := byNumber[p.Port]
		if l == nil {
			l = &listenerPort{number: p.Port}
			byNumber[p.Port] = l
		}
		l.service = append(l.service, p)
	}
	if len(byNumber) == 0 {
		return nil, refuse("spec.ports has only SCTP; a Network Load Balancer carries TCP and UDP")
	}
	var ports []listenerPort
	for _, number := range slices.Sorted(maps.Keys(byNumber)) {
		l := *byNumber[number]
		slices.SortFunc(l.service, func(a, b corev1.ServicePort) int { return cmp.Compare(a.Protocol, b.Protocol) })
		var err error
		if l.protocol, err = l.listens(req.Settings); err != nil {
			return nil, err
		}
		ports = append(ports, l)
	}
	return ports, nil
}

// listens returns the protocol of the listener.
func (l listenerPort) listens(s annotation.Settings) (string, error) {
	if len(l.service) > 1 {
		return tcpUDP, l.mergeable(s)
	}
	switch {
	case l.service[0].Protocol == corev1.ProtocolUDP:
		return udp, nil
	case s.TLSPorts[l.number]:
		return tls, nil
	}
	return tcp, nil
}

// mergeable refuses TCP and UDP on one number that one target group can't
// carry: it sends both to the same port, and ends no TLS.
func (l listenerPort) mergeable(s annotation.Settings) error {
	a, b := l.service[0], l.service[1]
	switch {
	case s.TLSPorts[l.number]:
		return refuse("%s: port %d is TCP with TLS, and UDP; a load balancer has one listener on a port, and none for both: leave the port out, or take another number for one", annotation.KeyTLSPorts, l.number)
	case s.TargetType == annotation.Instance && a.NodePort != b.NodePort:
		return refuse("spec.ports: port %d has nodePort %d for TCP and %d for UDP; one target group carries both, to one port: set the same nodePort, or use %s: ip", l.number, a.NodePort, b.NodePort, annotation.KeyTargetType)
	case s.TargetType == annotation.IP && a.TargetPort.Type == intstr.Int && b.TargetPort.Type == intstr.Int && a.TargetPort != b.TargetPort:
		return refuse("spec.ports: port %d has targetPort %s for TCP and %s for UDP; one target group carries both, to one port: set the same targetPort", l.number, a.TargetPort.String(), b.TargetPort.String())
	}
	return nil
}

// protocols are those of the packets that arrive, as security groups name them.
func (l listenerPort) protocols() []string {
	switch l.protocol {
	case tcpUDP:
		return []string{"tcp", "udp"}
	case udp:
		return []string{"udp"}
	}
	return []string{"tcp"}
}

// targets returns the protocol of the target group.
func (l listenerPort) targets(s annotation.Settings) string {
	if l.protocol == tls && !s.BackendTLS {
		return tcp
	}
	return l.protocol
}

func (o outline) listeners(ports []listenerPort) []Listener {
	var listeners []Listener
	for _, p := range ports {
		l := Listener{
			Protocol:    p.protocol,
			Port:        p.number,
			TargetGroup: o.targetGroupKey(p.number),
			Attributes:  maps.Clone(o.Settings.ListenerAttributes[annotation.ProtocolPort{Protocol: p.protocol, Port: p.number}]),
			Tags:        o.listenerTags(p.number),
		}
		if p.protocol == tls {
			l.Certificates = unique(o.Settings.Certificates)
			l.SSLPolicy = o.Settings.SSLPolicy
			l.ALPN = cmp.Or(o.Settings.ALPN, noALPN)
		}
		listeners = append(listeners, l)
	}
	return listeners
}

// noALPN is AWS's default.
const noALPN = "None"
