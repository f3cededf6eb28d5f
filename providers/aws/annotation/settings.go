// Package annotation reads what the annotations of the AWS Load Balancer
// Controller ask for on a Service, and says which of them can't be done.
package annotation

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// TargetType is what a target group sends to.
type TargetType string

// Target types: nodes by node port, or pods by address.
const (
	Instance TargetType = "instance"
	IP       TargetType = "ip"
)

// Scheme is where a load balancer can be reached from.
type Scheme string

// Schemes.
const (
	Internal       Scheme = "internal"
	InternetFacing Scheme = "internet-facing"
)

// IPAddressType is which families a load balancer has addresses of.
type IPAddressType string

// Address types.
const (
	IPv4      IPAddressType = "ipv4"
	DualStack IPAddressType = "dualstack"
)

// Settings are what annotations ask for. What is not asked for is the zero
// value, and nil where the zero value can be asked for. Ports are those of
// the Service, whether an annotation has them by number or by name.
type Settings struct {
	TargetType    TargetType
	Scheme        Scheme
	IPAddressType IPAddressType
	// Name is that of the load balancer.
	Name string

	// Subnets are IDs or values of the tag Name, one per zone. The addresses and
	// allocations are as many, or none; where there are no Subnets, it is for
	// others to compare. An address is for the subnet that it is in, whatever the
	// order; allocations and prefixes go by the order of Subnets.
	Subnets        []string
	EIPAllocations []string
	PrivateIPv4    []netip.Addr
	IPv6           []netip.Addr
	// SourceNATPrefixes are the prefixes for IPv6 source NAT, one per subnet, the
	// zero value for one that AWS assigns.
	PrefixForSourceNAT bool
	SourceNATPrefixes  []netip.Prefix

	// SecurityGroups are IDs or values of the tag Name; none asks for a managed
	// one, unless NoSecurityGroups.
	SecurityGroups     []string
	NoSecurityGroups   bool
	ManageBackendRules *bool
	// PrivateLinkRules says whether inbound rules count for PrivateLink traffic:
	// "on", "off" or empty.
	PrivateLinkRules string
	PrefixLists      []string
	// SourceRanges are who may connect; none means all. The field of the spec wins
	// over the annotation.
	SourceRanges []netip.Prefix
	// PathMTUDiscovery has the managed group let ICMP in that says a packet is too
	// big.
	PathMTUDiscovery bool

	// Attributes are those of the load balancer, older annotations for single ones
	// included.
	Attributes map[string]string
	// MinimumCapacity is in load balancer capacity units.
	MinimumCapacity *int32

	// TLSPorts are the ports that listen with TLS; Certificates are ARNs, the
	// first being the default.
	TLSPorts     map[int32]bool
	Certificates []string
	SSLPolicy    string
	ALPN         string
	// BackendTLS has targets of TLS listeners spoken to by TLS.
	BackendTLS bool

	// TargetGroupAttributes and ListenerAttributes are complete for each port:
	// whatever was said for all ports is in there. proxy_protocol_v2.enabled always
	// is, so that it ends with the annotation that asked for it. Values are written
	// as AWS shows them.
	TargetGroupAttributes map[int32]map[string]string
	ListenerAttributes    map[ProtocolPort]map[string]string
	// MultiCluster has targets of others in the target groups be left alone.
	MultiCluster bool

	HealthCheck HealthCheck
	// NodeLabels selects the nodes to register.
	NodeLabels labels.Selector
	// Tags go on everything that is made.
	Tags map[string]string
}

// ProtocolPort names a listener, as in TCP-80.
type ProtocolPort struct {
	Protocol string
	Port     int32
}

// HealthCheck is what annotations say about health checks. Port is
// "traffic-port" or a number. Timeout is at most Interval, and at most 10 s where
// that is nil; AWS refuses others, so that a default must give way to an
// Interval that is shorter.
type HealthCheck struct {
	Protocol          string // TCP, HTTP or HTTPS
	Port              string
	Path              *string
	Interval, Timeout *time.Duration
	Healthy           *int32
	Unhealthy         *int32
	SuccessCodes      *string
	// KubeProxy has the nodes' kube-proxy be asked, by annotation
	// berth-lb.dev/aws-health-check: nil where that is not said.
	KubeProxy *bool
}
