package plan

import (
	"net/netip"
	"slices"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// groupDescription is that of the AWS Load Balancer Controller.
const groupDescription = "[k8s] Managed SecurityGroup for LoadBalancer"

// attachedGroups returns the security groups of the load balancer, sorted. The
// managed one lets clients in, the cluster's shared one is what the groups of
// the nodes let in.
func (o outline) attachedGroups() ([]string, error) {
	if !o.withGroups {
		return nil, nil
	}
	ids := []string{ManagedGroup}
	if len(o.Settings.SecurityGroups) > 0 {
		ids = nil
	}
	for _, name := range o.Settings.SecurityGroups {
		id, ok := o.Cloud.SecurityGroups[name]
		if !ok {
			return nil, refuseForNow("%s: %q is neither the ID of a security group of VPC %s nor the tag Name of exactly one", annotation.KeySecurityGroups, name, o.Cloud.VPC.ID)
		}
		ids = append(ids, id)
	}
	if o.shared() {
		ids = append(ids, o.Cloud.BackendGroup)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// shared says whether the load balancer has the cluster's shared group: beside
// the managed one always, beside those of the user where that is asked for.
func (o outline) shared() bool {
	asked := o.Settings.ManageBackendRules
	return o.Cloud.BackendGroup != "" && (len(o.Settings.SecurityGroups) == 0 || asked != nil && *asked)
}

// securityGroups returns the managed one, if the load balancer has it.
func (o outline) securityGroups(ports []listenerPort, addresses annotation.IPAddressType) ([]SecurityGroup, error) {
	if !o.withGroups || len(o.Settings.SecurityGroups) > 0 {
		return nil, nil
	}
	sources, err := o.sources(addresses)
	if err != nil {
		return nil, err
	}
	return []SecurityGroup{{
		Name:        o.groupName(),
		Description: groupDescription,
		Tags:        o.tags(resourceGroup),
		Ingress:     frontRules(ports, sources, o.Settings.PathMTUDiscovery),
	}}, nil
}

// sources are who may connect, one source a Rule.
func (o outline) sources(addresses annotation.IPAddressType) ([]Rule, error) {
	var sources []Rule
	for _, cidr := range o.Settings.SourceRanges {
		if cidr.Addr().Is6() && addresses != annotation.DualStack {
			return nil, refuse("source range %s is IPv6, and the load balancer has only IPv4: leave it out, or use %s: %s", cidr, annotation.KeyIPAddressType, annotation.DualStack)
		}
		sources = append(sources, Rule{CIDR: cidr.Masked()})
	}
	for _, list := range unique(o.Settings.PrefixLists) {
		sources = append(sources, Rule{PrefixList: list})
	}
	if len(sources) > 0 {
		return sources, nil
	}
	return everyone(addresses), nil
}

func everyone(addresses annotation.IPAddressType) []Rule {
	all := []Rule{{CIDR: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}}
	if addresses == annotation.DualStack {
		all = append(all, Rule{CIDR: netip.PrefixFrom(netip.IPv6Unspecified(), 0)})
	}
	return all
}

// frontRules lets sources reach ports, by as few rules as there can be.
func frontRules(ports []listenerPort, sources []Rule, pathMTU bool) []Rule {
	var rules []Rule
	for _, source := range sources {
		for _, port := range ports {
			for _, protocol := range port.protocols() {
				rule := source
				rule.Protocol, rule.From, rule.To = protocol, port.number, port.number
				rules = append(rules, rule)
			}
		}
		if pathMTU && source.CIDR.IsValid() {
			rules = append(rules, tooBig(source.CIDR))
		}
	}
	return normal(rules)
}

// tooBig lets in what says that a packet has to be smaller: fragmentation
// needed (RFC 792), packet too big (RFC 4443).
func tooBig(cidr netip.Prefix) Rule {
	if cidr.Addr().Is6() {
		return Rule{Protocol: "icmpv6", From: 2, To: 0, CIDR: cidr}
	}
	return Rule{Protocol: "icmp", From: 3, To: 4, CIDR: cidr}
}
