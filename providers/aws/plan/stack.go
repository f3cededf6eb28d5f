// Package plan decides what AWS is to hold for a Service, and by which changes,
// in which order, what it holds becomes that.
package plan

import (
	"net/netip"
	"time"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Stack is all that AWS holds, or is to hold, for one Service. What is wanted
// has no ARNs or IDs of its own, and one load balancer at most; things refer to
// each other by Key. Lists are sorted, those of listeners by port and protocol.
type Stack struct {
	LoadBalancers []LoadBalancer
	TargetGroups  []TargetGroup
	// Groups are the managed security groups in front: one at most is wanted.
	Groups []SecurityGroup
}

// LoadBalancer is a Network Load Balancer.
type LoadBalancer struct {
	ARN, DNSName string
	// State is "provisioning", "active", "active_impaired" or "failed".
	State         string
	Name          string
	Scheme        annotation.Scheme
	IPAddressType annotation.IPAddressType
	Subnets       []SubnetMapping
	// SecurityGroups are IDs, or ManagedGroup for the one of this Stack. A load
	// balancer that was made without any can't get one (nil and empty are alike).
	SecurityGroups []string
	// PrivateLinkRules is "on", "off" or, where it is as AWS likes, empty.
	PrivateLinkRules   string
	PrefixForSourceNAT bool
	// Attributes that are wanted are those that are managed; those observed are
	// all, or nil if they were not looked at.
	Attributes map[string]string
	// MinimumCapacity is in load balancer capacity units. It is wanted only where
	// ManagesCapacity is set; one observed is 0 if it was not looked at.
	MinimumCapacity int32
	ManagesCapacity bool
	Tags            map[string]string
	Listeners       []Listener
}

// ManagedGroup stands for the managed security group of the same Stack.
const ManagedGroup = "managed"

// SubnetMapping is a zone of a load balancer. Addresses and prefixes that are
// not wanted are AWS's to choose.
type SubnetMapping struct {
	SubnetID, Zone, AllocationID string
	PrivateIPv4, IPv6            netip.Addr
	SourceNATPrefix              netip.Prefix
}

// Listener is where a load balancer takes connections.
type Listener struct {
	ARN      string
	Protocol string // TCP, UDP, TCP_UDP or TLS
	Port     int32
	// TargetGroup is the Key of the one in Stack where it is wanted, the ARN where
	// it is observed: two may have one Key while one replaces the other.
	TargetGroup string
	// Certificates are ARNs, the default first; those observed beyond the default
	// are only there where they were looked at.
	Certificates    []string
	SSLPolicy, ALPN string
	Attributes      map[string]string
	Tags            map[string]string
}

// TargetGroup is what a listener sends to.
type TargetGroup struct {
	ARN string
	// Key is namespace/name:port, and its tag service.k8s.aws/resource.
	Key           string
	Name          string
	Protocol      string // TCP, UDP, TCP_UDP or TLS
	Port          int32
	TargetType    annotation.TargetType
	IPAddressType string // ipv4 or ipv6
	HealthCheck   HealthCheck
	Attributes    map[string]string
	Tags          map[string]string
	// Targets that are observed are nil if they were not looked at, and without
	// those that are draining. MultiCluster: others may be in there, and what may
	// be taken out is only Ours, those observed that this cluster is known to have
	// put in.
	Targets      []Target
	MultiCluster bool
	Ours         []Target
}

// HealthCheck is that of a target group.
type HealthCheck struct {
	Protocol, Port, Path string
	Interval, Timeout    time.Duration
	Healthy, Unhealthy   int32
	// Matcher is a list or range of HTTP codes, empty for TCP.
	Matcher string
}

// Target is a node, by instance ID, or a pod, by address.
type Target struct {
	ID   string
	Port int32
	// Zone is "all" for an address outside the VPC, else empty.
	Zone string
}

// SecurityGroup is one that belongs to a Service.
type SecurityGroup struct {
	ID, Name, Description string
	Tags                  map[string]string
	Ingress               []Rule
}

// Rule lets traffic into a security group. One of the sources is set.
type Rule struct {
	Protocol string // tcp, udp, icmp or icmpv6
	// From and To are ports; type and code for ICMP.
	From, To    int32
	CIDR        netip.Prefix
	PrefixList  string
	Group       string
	Description string
}
