package annotation

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// LoadBalancerClass is the class of the AWS Load Balancer Controller for
// Network Load Balancers.
const LoadBalancerClass = "service.k8s.aws/nlb"

// Finalizer is what the AWS Load Balancer Controller leaves on Services.
const Finalizer = "service.k8s.aws/resources"

const (
	prefix    = "service.beta.kubernetes.io/aws-load-balancer-"
	ownPrefix = "berth-lb.dev/aws-"
)

// Annotations of the AWS Load Balancer Controller, as its users know them.
const (
	KeyType          = prefix + "type"
	KeyTargetType    = prefix + "nlb-target-type"
	KeyName          = prefix + "name"
	KeyScheme        = prefix + "scheme"
	KeyInternal      = prefix + "internal" // older than KeyScheme
	KeyIPAddressType = prefix + "ip-address-type"
	KeyTags          = prefix + "additional-resource-tags"
	KeyNodeLabels    = prefix + "target-node-labels"

	KeySubnets            = prefix + "subnets"
	KeyEIPAllocations     = prefix + "eip-allocations"
	KeyPrivateIPv4        = prefix + "private-ipv4-addresses"
	KeyIPv6               = prefix + "ipv6-addresses"
	KeyPrefixForSourceNAT = prefix + "enable-prefix-for-ipv6-source-nat"
	KeySourceNATPrefixes  = prefix + "source-nat-ipv6-prefixes"

	KeySecurityGroups     = prefix + "security-groups"
	KeyNoSecurityGroups   = prefix + "disable-nlb-sg"
	KeyManageBackendRules = prefix + "manage-backend-security-group-rules"
	KeyPrivateLinkRules   = prefix + "inbound-sg-rules-on-private-link-traffic"
	KeyPrefixLists        = prefix + "security-group-prefix-lists"
	KeyPathMTU            = prefix + "enable-icmp-for-path-mtu-discovery"
	KeySourceRanges       = "service.beta.kubernetes.io/load-balancer-source-ranges"

	KeyCertificates    = prefix + "ssl-cert"
	KeyTLSPorts        = prefix + "ssl-ports"
	KeySSLPolicy       = prefix + "ssl-negotiation-policy"
	KeyBackendProtocol = prefix + "backend-protocol"
	KeyALPN            = prefix + "alpn-policy"

	KeyAttributes            = prefix + "attributes"
	KeyCrossZone             = prefix + "cross-zone-load-balancing-enabled"
	KeyAccessLog             = prefix + "access-log-enabled"
	KeyAccessLogBucket       = prefix + "access-log-s3-bucket-name"
	KeyAccessLogPrefix       = prefix + "access-log-s3-bucket-prefix"
	KeyMinimumCapacity       = prefix + "minimum-load-balancer-capacity"
	KeyTargetGroupAttributes = prefix + "target-group-attributes" // and with .PORT
	KeyListenerAttributes    = prefix + "listener-attributes"     // with .PROTOCOL-PORT
	KeyProxyProtocol         = prefix + "proxy-protocol"
	KeyProxyProtocolPorts    = prefix + "proxy-protocol-per-target-group"
	KeyMultiCluster          = prefix + "multi-cluster-target-group"
	KeyTCPUDP                = prefix + "enable-tcp-udp-listener"

	KeyHealthProtocol     = prefix + "healthcheck-protocol"
	KeyHealthPort         = prefix + "healthcheck-port"
	KeyHealthPath         = prefix + "healthcheck-path"
	KeyHealthInterval     = prefix + "healthcheck-interval"
	KeyHealthTimeout      = prefix + "healthcheck-timeout"
	KeyHealthyThreshold   = prefix + "healthcheck-healthy-threshold"
	KeyUnhealthyThreshold = prefix + "healthcheck-unhealthy-threshold"
	KeySuccessCodes       = prefix + "healthcheck-success-codes"

	keyQUICPorts    = prefix + "quic-enabled-ports"
	keyEIPDiscovery = prefix + "eip-allocations-discovery-tags"
)

// Annotations of Berth's own.
const (
	// KeyHealthCheck says what instance targets are asked under the policy
	// Cluster: HealthCheckKubeProxy or HealthCheckTrafficPort.
	KeyHealthCheck = ownPrefix + "health-check"
	// KeyApplied is written by Berth: the hash of what was applied last.
	KeyApplied = ownPrefix + "applied"
)

// Values of KeyHealthCheck.
const (
	HealthCheckKubeProxy   = "kube-proxy"
	HealthCheckTrafficPort = "traffic-port"
)

// known are the annotations that there are, without suffixes.
var known = []string{
	KeyType, KeyTargetType, KeyName, KeyScheme, KeyInternal, KeyIPAddressType, KeyTags, KeyNodeLabels,
	KeySubnets, KeyEIPAllocations, KeyPrivateIPv4, KeyIPv6, KeyPrefixForSourceNAT, KeySourceNATPrefixes,
	KeySecurityGroups, KeyNoSecurityGroups, KeyManageBackendRules, KeyPrivateLinkRules, KeyPrefixLists, KeyPathMTU,
	KeyCertificates, KeyTLSPorts, KeySSLPolicy, KeyBackendProtocol, KeyALPN,
	KeyAttributes, KeyCrossZone, KeyAccessLog, KeyAccessLogBucket, KeyAccessLogPrefix, KeyMinimumCapacity,
	KeyTargetGroupAttributes, KeyListenerAttributes, KeyProxyProtocol, KeyProxyProtocolPorts, KeyMultiCluster, KeyTCPUDP,
	KeyHealthProtocol, KeyHealthPort, KeyHealthPath, KeyHealthInterval, KeyHealthTimeout,
	KeyHealthyThreshold, KeyUnhealthyThreshold, KeySuccessCodes,
	keyQUICPorts, keyEIPDiscovery, KeyHealthCheck, KeyApplied,
}

// Values of KeyType.
const (
	typeExternal = "external"
	typeNLBIP    = "nlb-ip" // older than external with KeyTargetType
)

// Wants says whether svc asks for this backend by its annotations, which only
// counts where it names no class: KeyType is nlb-ip, or external with
// KeyTargetType beside it.
func Wants(svc *corev1.Service) bool {
	if svc.Spec.LoadBalancerClass != nil {
		return false
	}
	switch strings.TrimSpace(svc.Annotations[KeyType]) {
	case typeNLBIP:
		return true
	case typeExternal:
		return strings.TrimSpace(svc.Annotations[KeyTargetType]) != ""
	}
	return false
}
