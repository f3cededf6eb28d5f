package plan

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/trafficpolicy"
)

// computeType is the label by which EKS tells nodes that are no instances.
// https://docs.aws.amazon.com/eks/latest/userguide/fargate.html
const computeType = "eks.amazonaws.com/compute-type"

var providerID = regexp.MustCompile(`^aws:///?[^/]*/(i-[0-9a-f]+)$`)

// nodeTargets returns the IDs of the instances to register, sorted, and names
// those nodes whose instance can't be told. Local registers all nodes as well:
// the health check decides (KEP-3458).
func (o outline) nodeTargets() (ids, warnings []string) {
	if o.Settings.TargetType != annotation.Instance {
		return nil, nil
	}
	var broken []*corev1.Node
	uninitialized := 0
	for _, n := range trafficpolicy.EligibleNodes(o.Nodes) {
		m := providerID.FindStringSubmatch(n.Spec.ProviderID)
		switch {
		case !selects(o.Settings.NodeLabels, n), n.Labels[computeType] == "fargate", n.Labels[computeType] == "hybrid":
		case m != nil:
			ids = append(ids, m[1])
		case n.Spec.ProviderID == "":
			uninitialized++ // a moment in the life of every node
		default:
			broken = append(broken, n)
		}
	}
	if len(broken) > 0 {
		warnings = append(warnings, fmt.Sprintf("no target are the nodes whose spec.providerID is not aws:///ZONE/i-…: %s",
			some(broken, func(n *corev1.Node) string { return fmt.Sprintf("%s (%.60q)", n.Name, n.Spec.ProviderID) })))
	}
	if uninitialized > 0 && len(ids) == 0 {
		warnings = append(warnings, "no node has a spec.providerID yet: the cloud controller manager sets it")
	}
	slices.Sort(ids)
	return slices.Compact(ids), warnings
}

func selects(selector labels.Selector, n *corev1.Node) bool {
	return selector == nil || selector.Matches(labels.Set(n.Labels))
}

func onPort(ids []string, port int32) []Target {
	targets := make([]Target, len(ids))
	for i, id := range ids {
		targets[i] = Target{ID: id, Port: port}
	}
	return targets
}

// podTargets returns the endpoints of a port in one family, sorted.
//
// They are those that serve under the policy Cluster, whatever that of the
// Service: the load balancer reaches pods without a kube-proxy between, and so
// falls back on terminating ones only where nobody is ready anywhere.
func (o outline) podTargets(p corev1.ServicePort, family string) []Target {
	targets := []Target{}
	byPort := slicesByPort(o.EndpointSlices, p, family)
	var all []*discoveryv1.EndpointSlice
	for _, s := range byPort {
		all = append(all, s.slices...)
	}
	serving := map[trafficpolicy.Endpoint]bool{}
	for _, e := range trafficpolicy.ServingEndpoints(corev1.ServiceExternalTrafficPolicyCluster, all) {
		serving[e] = true
	}
	for _, s := range byPort {
		for _, e := range trafficpolicy.ServingEndpoints(corev1.ServiceExternalTrafficPolicyCluster, s.slices) {
			if serving[e] {
				targets = append(targets, o.podTarget(e.Address, s.port))
			}
		}
		for _, address := range o.gated(s.slices) {
			targets = append(targets, o.podTarget(address, s.port))
		}
	}
	slices.SortFunc(targets, compareTargets)
	return slices.Compact(targets)
}

// numbered are the slices in which a port has one number; pods may disagree on
// what a named port is.
type numbered struct {
	port   int32
	slices []*discoveryv1.EndpointSlice
}

func slicesByPort(all []*discoveryv1.EndpointSlice, p corev1.ServicePort, family string) []numbered {
	var out []numbered
	for _, s := range all {
		number, ok := portIn(s, p)
		if !ok || s.AddressType != addressType(family) {
			continue
		}
		i := slices.IndexFunc(out, func(n numbered) bool { return n.port == number })
		if i < 0 {
			i = len(out)
			out = append(out, numbered{port: number})
		}
		out[i].slices = append(out[i].slices, s)
	}
	return out
}

func addressType(family string) discoveryv1.AddressType {
	if family == ipv6 {
		return discoveryv1.AddressTypeIPv6
	}
	return discoveryv1.AddressTypeIPv4
}

// portIn finds the port of the slice that has the name of p.
func portIn(s *discoveryv1.EndpointSlice, p corev1.ServicePort) (int32, bool) {
	for _, sp := range s.Ports {
		name, protocol := "", corev1.ProtocolTCP
		set(&name, sp.Name)
		set(&protocol, sp.Protocol)
		if name == p.Name && protocol == cmp.Or(p.Protocol, corev1.ProtocolTCP) && sp.Port != nil {
			return *sp.Port, true
		}
	}
	return 0, false
}

// gated returns the addresses that only wait for a readiness gate.
func (o outline) gated(all []*discoveryv1.EndpointSlice) []string {
	var addresses []string
	for _, s := range all {
		for _, e := range s.Endpoints {
			if len(e.Addresses) > 0 && o.Gated[e.Addresses[0]] {
				addresses = append(addresses, e.Addresses[0])
			}
		}
	}
	return addresses
}

func (o outline) podTarget(address string, port int32) Target {
	t := Target{ID: address, Port: port}
	if ip, err := netip.ParseAddr(address); err == nil && len(o.Cloud.VPC.CIDRs) > 0 {
		t.ID = ip.String()
		if !slices.ContainsFunc(o.Cloud.VPC.CIDRs, func(p netip.Prefix) bool { return p.Contains(ip) }) {
			t.Zone = allZones
		}
	}
	return t
}

// allZones is the zone of an address outside the VPC.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetDescription.html
const allZones = "all"

func compareTargets(a, b Target) int {
	return cmp.Or(strings.Compare(a.ID, b.ID), cmp.Compare(a.Port, b.Port), strings.Compare(a.Zone, b.Zone))
}
