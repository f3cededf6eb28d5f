package plan

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Request is what Desired decides from.
type Request struct {
	Service *corev1.Service
	// Settings are what its annotations ask for.
	Settings       annotation.Settings
	Nodes          []*corev1.Node
	EndpointSlices []*discoveryv1.EndpointSlice
	Cluster        Cluster
	Cloud          Cloud
	// Existing is what was observed: some settings default to what is there. It is
	// empty where the answer is for Hash.
	Existing Stack
	// Gated are addresses of pods that are ready but for a readiness gate of this
	// backend: they are targets, or else the gate would never open.
	Gated map[string]bool
}

// Cluster is what holds for all Services.
type Cluster struct {
	Name string
	// Tags go on everything, below those of a Service.
	Tags map[string]string
	// KubeProxyHealth has instance targets of Services with policy Cluster be
	// checked by kube-proxy's /healthz where a Service does not say.
	KubeProxyHealth bool
}

// Cloud is what AWS said about the surroundings.
type Cloud struct {
	VPC VPC
	// Subnets are all those of the VPC, sorted by ID.
	Subnets []Subnet
	// SecurityGroups are those of the VPC that annotations may name: ID by ID, and
	// by tag Name where that is unique.
	SecurityGroups map[string]string
	// BackendGroup is the ID of the security group that is attached to every load
	// balancer of the cluster and that the nodes' groups let in. It is empty where
	// this cluster does not manage such rules.
	BackendGroup string
}

// VPC is the network of the cluster.
type VPC struct {
	ID    string
	CIDRs []netip.Prefix
}

// Subnet is a subnet of the VPC.
type Subnet struct {
	ID, Zone string
	// ZoneType is availability-zone, local-zone or wavelength-zone, or outpost.
	ZoneType      string
	CIDR          netip.Prefix
	IPv6          []netip.Prefix
	FreeAddresses int32
	// Public: its route table leads to an internet gateway; only looked at where
	// no tag tells.
	Public bool
	Tags   map[string]string
}
