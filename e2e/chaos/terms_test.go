package chaos

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// What Services ask by, and what the controller writes on them.
const (
	wantsPool      = "metallb.io/address-pool"
	wantsAddresses = "metallb.io/loadBalancerIPs"
	wantsSharing   = "metallb.io/allow-shared-ip"

	recordsPool    = "metallb.io/ip-allocated-from-pool"
	recordsBackend = "berth-lb.dev/backend"
	provisioned    = "berth-lb.dev/Provisioned"
	serving        = "berth-lb.dev/Serving"
	finalizer      = "service.kubernetes.io/load-balancer-cleanup"
)

// terms are what a Service shares an address on.
type terms struct {
	key   string
	ports string // sorted
	pods  string // empty where any node serves it
}

func termsOf(svc *corev1.Service) terms {
	t := terms{key: svc.Annotations[wantsSharing]}
	var ports []string
	for _, p := range svc.Spec.Ports {
		ports = append(ports, fmt.Sprintf("%s/%d", p.Protocol, p.Port))
	}
	slices.Sort(ports)
	t.ports = strings.Join(ports, ",")
	if svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal {
		t.pods = "Local " + labels.FormatLabels(svc.Spec.Selector)
	}
	return t
}

// share says whether Services on these terms may have one address.
func (t terms) share(other terms) bool {
	if t.key == "" || t.key != other.key || t.pods != other.pods {
		return false
	}
	ports := strings.Split(t.ports, ",")
	return !slices.ContainsFunc(strings.Split(other.ports, ","), func(p string) bool { return slices.Contains(ports, p) })
}

// addressesOf are those that the status shows.
func addressesOf(svc *corev1.Service) []netip.Addr {
	var addrs []netip.Addr
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if addr, err := netip.ParseAddr(in.IP); err == nil {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
