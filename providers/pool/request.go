package pool

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/berth-lb/berth/ipam"
	"github.com/berth-lb/berth/providers"
)

// Annotations on Services count under both prefixes; the first is the current
// one of MetalLB, and the one that is written.
const (
	prefix       = "metallb.io/"
	legacyPrefix = "metallb.universe.tf/"

	annotationPool      = "address-pool"
	annotationAddresses = "loadBalancerIPs"
	annotationSharing   = "allow-shared-ip"
	// annotationFrom records the pool that addresses came from.
	annotationFrom = prefix + "ip-allocated-from-pool"
)

// requestOf reads what svc asks for. With a refusal the request is what could
// be read.
func requestOf(svc *corev1.Service, namespaceLabels map[string]string) (ipam.Request, *providers.Refusal) {
	req := ipam.Request{
		ID:              idOf(providers.KeyOf(svc)),
		Created:         svc.CreationTimestamp.Time,
		NamespaceLabels: namespaceLabels,
		Labels:          svc.Labels,
		Ports:           portsOf(svc),
		Backend:         backendOf(svc),
	}
	req.Families, req.Required = familiesOf(svc)
	var errs [3]*providers.Refusal
	req.Pool, errs[0] = annotation(svc, annotationPool)
	req.SharingKey, errs[1] = annotation(svc, annotationSharing)
	req.Addresses, errs[2] = addressesOf(svc)
	if errs[1] != nil {
		req.SharingKey = svc.Annotations[legacyPrefix+annotationSharing] // likely the one that was there first
	}
	for _, err := range errs {
		if err != nil {
			return req, err
		}
	}
	for _, addr := range req.Addresses {
		if !slices.Contains(req.Families, ipam.FamilyOf(addr)) {
			req.Addresses = nil
			return req, invalid("%s is requested, and %v is not among spec.ipFamilies: request an address of a family that the Service has, or change spec.ipFamilies", addr, ipam.FamilyOf(addr))
		}
	}
	return req, nil
}

func idOf(k providers.Key) ipam.ID {
	return ipam.ID{Namespace: k.Namespace, Name: k.Name, UID: string(k.UID)}
}

// familiesOf returns the families that svc wants, primary first, and how many
// of them it must have.
func familiesOf(svc *corev1.Service) (families []ipam.Family, required int) {
	for _, f := range svc.Spec.IPFamilies {
		if f == corev1.IPv6Protocol {
			families = append(families, ipam.IPv6)
		} else {
			families = append(families, ipam.IPv4)
		}
	}
	if policy := svc.Spec.IPFamilyPolicy; policy != nil && *policy == corev1.IPFamilyPolicyRequireDualStack {
		return families, len(families)
	}
	return families, min(1, len(families))
}

func portsOf(svc *corev1.Service) []ipam.Port {
	ports := make([]ipam.Port, len(svc.Spec.Ports))
	for i, p := range svc.Spec.Ports {
		ports[i] = ipam.Port{Protocol: string(p.Protocol), Number: uint16(p.Port)}
	}
	return ports
}

// backendOf tells Services apart whose traffic may need different nodes: with
// the Local policy an address can be shared only where the pods are the same.
func backendOf(svc *corev1.Service) string {
	if svc.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		return ""
	}
	return "Local " + labels.FormatLabels(svc.Spec.Selector)
}

// annotation returns the value of an annotation under either prefix.
func annotation(svc *corev1.Service, name string) (string, *providers.Refusal) {
	current, legacy := svc.Annotations[prefix+name], svc.Annotations[legacyPrefix+name]
	if current != "" && legacy != "" && current != legacy {
		return "", invalid("the annotations %s (%q) and %s (%q) contradict each other: remove one", prefix+name, current, legacyPrefix+name, legacy)
	}
	if current == "" {
		return legacy, nil
	}
	return current, nil
}

// addressesOf returns the addresses that svc asks for.
func addressesOf(svc *corev1.Service) ([]netip.Addr, *providers.Refusal) {
	list, err := annotation(svc, annotationAddresses)
	if err != nil {
		return nil, err
	}
	where := "annotation " + prefix + annotationAddresses
	if svc.Annotations[prefix+annotationAddresses] == "" {
		where = "annotation " + legacyPrefix + annotationAddresses
	}
	switch field := svc.Spec.LoadBalancerIP; {
	case field != "" && list != "":
		return nil, invalid("%s (%q) and spec.loadBalancerIP (%q) are both set: remove one, best the field, which is deprecated", where, list, field)
	case field != "":
		list, where = field, "spec.loadBalancerIP"
	case list == "":
		return nil, nil
	}
	return parseAddresses(list, where)
}

func parseAddresses(list, where string) ([]netip.Addr, *providers.Refusal) {
	var addrs []netip.Addr
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		addr, err := netip.ParseAddr(part)
		if err != nil || addr.Zone() != "" {
			return nil, invalid("%s: %q is not an IP address; allowed are one address of each family, joined by a comma", where, part)
		}
		addr = addr.Unmap()
		for _, other := range addrs {
			if other.Is4() == addr.Is4() {
				return nil, invalid("%s: %s and %s are of one family; allowed is one address of each family", where, other, addr)
			}
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

func invalid(format string, args ...any) *providers.Refusal {
	return &providers.Refusal{Reason: providers.ReasonInvalidRequest, Message: fmt.Sprintf(format, args...)}
}
