package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The lines by which a dry run says what it would do.

func (c CreateSecurityGroup) String() string { return "create security group " + c.Group.Name }

func (c AuthorizeIngress) String() string {
	return fmt.Sprintf("let into security group %s: %s", groupText(c.Group), some(c.Rules, Rule.String))
}

func (c CreateTargetGroup) String() string {
	g := c.TargetGroup
	return fmt.Sprintf("create target group %s for port %s: %s, %s targets, %s, checked by %v", g.Name, portOf(g.Key), g.Protocol, g.TargetType, g.IPAddressType, g.HealthCheck)
}

func (c CreateLoadBalancer) String() string {
	lb := c.LoadBalancer
	return fmt.Sprintf("create load balancer %s: %s, %s, in %s, security groups %s", lb.Name, lb.Scheme, lb.IPAddressType,
		some(lb.Subnets, SubnetMapping.String), some(lb.SecurityGroups, groupText))
}

func (c ModifyLoadBalancerAttributes) String() string {
	return fmt.Sprintf("set attributes of %s: %s", loadBalancerText(c.ARN), pairs(c.Attributes))
}

func (c ModifyTargetGroup) String() string {
	return fmt.Sprintf("have the targets of %s checked by %v", targetGroupText(c.TargetGroup), c.HealthCheck)
}

func (c ModifyTargetGroupAttributes) String() string {
	return fmt.Sprintf("set attributes of %s: %s", targetGroupText(c.TargetGroup), pairs(c.Attributes))
}

func (c SetIPAddressType) String() string {
	return fmt.Sprintf("give %s the address type %s", loadBalancerText(c.ARN), c.Type)
}

func (c SetSubnets) String() string {
	text := fmt.Sprintf("put %s into %s", loadBalancerText(c.ARN), some(c.Subnets, SubnetMapping.String))
	if c.IPAddressType != "" {
		text += fmt.Sprintf(", with the address type %s", c.IPAddressType)
	}
	if c.PrefixForSourceNAT {
		text += ", with a prefix for IPv6 source NAT"
	}
	return text
}

func (c SetSecurityGroups) String() string {
	text := fmt.Sprintf("give %s the security groups %s", loadBalancerText(c.ARN), some(c.Groups, groupText))
	if c.PrivateLinkRules != "" {
		text += ", inbound rules for PrivateLink " + c.PrivateLinkRules
	}
	return text
}

func (c SetCapacity) String() string {
	if c.Minimum == 0 {
		return fmt.Sprintf("give back the reserved capacity of %s", loadBalancerText(c.ARN))
	}
	return fmt.Sprintf("reserve %d capacity units for %s", c.Minimum, loadBalancerText(c.ARN))
}

func (c RegisterTargets) String() string {
	return fmt.Sprintf("register %s with %s", counted(len(c.Targets), some(c.Targets, Target.String)), targetGroupText(c.TargetGroup))
}

func (c CreateListener) String() string {
	return fmt.Sprintf("create listener %s of %s, to %s", c.Listener, loadBalancerText(c.LoadBalancer), targetGroupText(c.Listener.TargetGroup))
}

func (c ModifyListener) String() string {
	l := c.Listener
	text := fmt.Sprintf("change listener %s of %s: to %s", l, loadBalancerText(l.ARN), targetGroupText(l.TargetGroup))
	if l.Protocol == tls {
		text += fmt.Sprintf(", certificate %s, policy %s, ALPN %s", first(l.Certificates), orDefault(l.SSLPolicy), orDefault(l.ALPN))
	}
	return text
}

func (c ModifyListenerCertificates) String() string {
	return fmt.Sprintf("change certificates of listener %s: add %s, remove %s", Listener{Protocol: c.Protocol, Port: c.Port}, some(c.Add, same), some(c.Remove, same))
}

func (c ModifyListenerAttributes) String() string {
	return fmt.Sprintf("set attributes of listener %s: %s", Listener{Protocol: c.Protocol, Port: c.Port}, pairs(c.Attributes))
}

func (c AddTags) String() string {
	return fmt.Sprintf("tag %s: %s", some(c.Resources, resourceText), pairs(c.Tags))
}

func (c DeregisterTargets) String() string {
	return fmt.Sprintf("deregister %s from %s", counted(len(c.Targets), some(c.Targets, Target.String)), targetGroupText(c.TargetGroup))
}

func (c DeleteListener) String() string {
	return fmt.Sprintf("delete listener %s of %s", c.Listener, loadBalancerText(c.Listener.ARN))
}

func (c DeleteLoadBalancer) String() string { return "delete load balancer " + c.Name }

func (c DeleteTargetGroup) String() string { return "delete target group " + c.Name }

func (c RevokeIngress) String() string {
	return fmt.Sprintf("no longer let into security group %s: %s", groupText(c.Group), some(c.Rules, Rule.String))
}

func (c DeleteSecurityGroup) String() string {
	return fmt.Sprintf("delete security group %s (%s)", c.Name, c.ID)
}

// String returns what a rule lets in, as "tcp 80-81 from 10.0.0.0/8".
func (r Rule) String() string {
	source := r.PrefixList + r.Group
	if r.CIDR.IsValid() {
		source = r.CIDR.String()
	}
	switch {
	case !hasPorts(r.Protocol):
		return fmt.Sprintf("%s %d/%d from %s", r.Protocol, r.From, r.To, source)
	case r.From == r.To:
		return fmt.Sprintf("%s %d from %s", r.Protocol, r.From, source)
	}
	return fmt.Sprintf("%s %d-%d from %s", r.Protocol, r.From, r.To, source)
}

// String returns ID:port.
func (t Target) String() string { return t.ID + ":" + strconv.Itoa(int(t.Port)) }

// String returns protocol and port.
func (l Listener) String() string { return fmt.Sprintf("%s %d", l.Protocol, l.Port) }

// String returns the subnet, and the addresses that are given to it.
func (m SubnetMapping) String() string {
	text := m.SubnetID
	if m.AllocationID != "" {
		text += " " + m.AllocationID
	}
	if m.PrivateIPv4.IsValid() {
		text += " " + m.PrivateIPv4.String()
	}
	if m.IPv6.IsValid() {
		text += " " + m.IPv6.String()
	}
	if m.SourceNATPrefix.IsValid() {
		text += " " + m.SourceNATPrefix.String()
	}
	return text
}

// String returns what is asked, how often and how often it has to succeed and
// to fail.
func (h HealthCheck) String() string {
	what := h.Protocol + " " + h.Port
	if h.Path != "" {
		what += h.Path + " (" + h.Matcher + ")"
	}
	return fmt.Sprintf("%s every %v within %v, %d/%d times", what, h.Interval, h.Timeout, h.Healthy, h.Unhealthy)
}

// What has no ARN yet is made just before.
func loadBalancerText(arn string) string {
	if arn == "" {
		return "the new load balancer"
	}
	return "load balancer " + nameIn(arn)
}

func targetGroupText(ref string) string {
	if isARN(ref) {
		return "target group " + nameIn(ref)
	}
	return "the new target group for port " + portOf(ref)
}

func groupText(id string) string {
	if id == ManagedGroup {
		return "(new)"
	}
	return id
}

func resourceText(id string) string {
	_, what, _ := strings.Cut(id, ":elasticloadbalancing:")
	if what == "" {
		return id
	}
	kind, _, _ := strings.Cut(what[strings.LastIndex(what, ":")+1:], "/")
	return kind + " " + nameIn(id)
}

// nameIn returns the name of the load balancer or target group in an ARN. They
// end in loadbalancer/net/NAME/ID, listener/net/NAME/ID/ID and
// targetgroup/NAME/ID.
func nameIn(arn string) string {
	parts := strings.Split(arn, "/")
	switch {
	case len(parts) >= 4:
		return parts[2]
	case len(parts) == 3:
		return parts[1]
	}
	return arn
}

// portOf returns the port in a Key.
func portOf(key string) string { return key[strings.LastIndex(key, ":")+1:] }

func counted(n int, targets string) string {
	if n == 1 {
		return "target " + targets
	}
	return fmt.Sprintf("%d targets (%s)", n, targets)
}

func orDefault(value string) string {
	if value == "" {
		return "as it is"
	}
	return value
}

func pairs(values map[string]string) string {
	return some(slices.Sorted(maps.Keys(values)), func(key string) string { return key + "=" + values[key] })
}

func same(text string) string { return text }
