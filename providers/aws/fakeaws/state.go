package fakeaws

import (
	"net/netip"
	"time"

	ec2 "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

type vpc struct {
	id      string
	cidrs   []netip.Prefix
	ipv6    []netip.Prefix
	gateway bool // an internet gateway is attached
	tags    map[string]string
}

func (v *vpc) contains(addr netip.Addr) bool {
	return within(v.cidrs, addr) || within(v.ipv6, addr)
}

func within(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

type subnet struct {
	id, vpc, zone, zoneType string
	cidr                    netip.Prefix
	ipv6                    netip.Prefix
	used                    int32
	tags                    map[string]string
}

// free is how many addresses are left: AWS keeps five for itself.
func (s *subnet) free() int32 {
	return int32(1)<<(32-s.cidr.Bits()) - 5 - s.used
}

type routeTable struct {
	id, vpc string
	subnets []string // none for the main one
	gateway string
	nat     string
	tags    map[string]string
}

type securityGroup struct {
	id, name, description, vpc string
	rules                      []rule
	tags                       map[string]string
}

// rule is one inbound rule, with one source.
type rule struct {
	source
	id, description string
}

// source is what makes a rule another one.
type source struct {
	protocol string
	from, to int32
	cidr     netip.Prefix
	list     string
	group    string
}

type instance struct {
	id    string
	state ec2.InstanceStateName
	tags  map[string]string
}

// networkInterface is one of an instance, or by itself.
type networkInterface struct {
	id, subnet, instance, description string
	address                           netip.Addr
	groups                            []string
	index                             int32
}

type loadBalancer struct {
	arn, id, name, dnsName, vpc string
	scheme                      elb.LoadBalancerSchemeEnum
	ipType                      elb.IpAddressType
	mappings                    []mapping // by zone
	groups                      []string  // none at creation is none for ever
	privateLink                 elb.EnforceSecurityGroupInboundRulesOnPrivateLinkTrafficEnum
	sourceNAT                   elb.EnablePrefixForIpv6SourceNatEnum
	attributes, tags            map[string]string
	capacity                    int32
	created                     time.Time
	failed                      bool // and never becomes active
}

type mapping struct {
	subnet, allocation, ipv4, ipv6, prefix string
}

// remains are what a deleted load balancer still occupies.
type remains struct {
	loadBalancer *loadBalancer
	until        time.Time
}

type targetGroup struct {
	arn, id, name, vpc string
	protocol           elb.ProtocolEnum
	port               int32
	kind               elb.TargetTypeEnum
	ipType             elb.TargetGroupIpAddressTypeEnum
	check              healthCheck
	attributes, tags   map[string]string
	targets            map[targetKey]*target
	usedSince          time.Time // zero where no listener sends to it
	busyUntil          time.Time // the load balancer is gone, but not quite
}

type healthCheck struct {
	protocol           elb.ProtocolEnum
	port, path, codes  string
	interval, timeout  int32
	healthy, unhealthy int32
}

type targetKey struct {
	id   string
	port int32
}

type target struct {
	zone    string // as it was told
	since   time.Time
	leaving bool
	gone    time.Time // when it has drained
}

type listener struct {
	arn, id, loadBalancer string
	protocol              elb.ProtocolEnum
	port                  int32
	group                 string
	certificates          []string // the default one first
	policy                string
	alpn                  []string
	attributes, tags      map[string]string
}

// tagVersion is what the tags of something were from a moment on, nil once it is
// gone.
type tagVersion struct {
	at   time.Time
	tags map[string]string
}
