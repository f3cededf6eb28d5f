package aws

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// This file is the two ways between what the SDK has and what package plan has.

func str[S ~string](s S) *string {
	if s == "" {
		return nil
	}
	return new(string(s))
}

// loadBalancerOf leaves attributes, capacity, tags and listeners to be looked
// up.
func loadBalancerOf(lb elbtypes.LoadBalancer) plan.LoadBalancer {
	out := plan.LoadBalancer{
		ARN:                sdk.ToString(lb.LoadBalancerArn),
		DNSName:            sdk.ToString(lb.DNSName),
		Name:               sdk.ToString(lb.LoadBalancerName),
		Scheme:             annotation.Scheme(lb.Scheme),
		IPAddressType:      annotation.IPAddressType(lb.IpAddressType),
		SecurityGroups:     slices.Sorted(slices.Values(lb.SecurityGroups)),
		PrivateLinkRules:   sdk.ToString(lb.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic),
		PrefixForSourceNAT: lb.EnablePrefixForIpv6SourceNat == elbtypes.EnablePrefixForIpv6SourceNatEnumOn,
	}
	if lb.State != nil {
		out.State = string(lb.State.Code)
	}
	for _, zone := range lb.AvailabilityZones {
		out.Subnets = append(out.Subnets, mappingOf(zone))
	}
	slices.SortFunc(out.Subnets, func(a, b plan.SubnetMapping) int { return strings.Compare(a.SubnetID, b.SubnetID) })
	return out
}

func mappingOf(zone elbtypes.AvailabilityZone) plan.SubnetMapping {
	out := plan.SubnetMapping{SubnetID: sdk.ToString(zone.SubnetId), Zone: sdk.ToString(zone.ZoneName)}
	for _, address := range zone.LoadBalancerAddresses {
		if address.AllocationId != nil {
			out.AllocationID = *address.AllocationId
		}
		if ip, err := netip.ParseAddr(sdk.ToString(address.PrivateIPv4Address)); err == nil {
			out.PrivateIPv4 = ip
		}
		if ip, err := netip.ParseAddr(sdk.ToString(address.IPv6Address)); err == nil {
			out.IPv6 = ip
		}
	}
	if len(zone.SourceNatIpv6Prefixes) > 0 {
		if prefix, err := netip.ParsePrefix(zone.SourceNatIpv6Prefixes[0]); err == nil {
			out.SourceNATPrefix = prefix
		}
	}
	return out
}

func mappingsTo(all []plan.SubnetMapping) []elbtypes.SubnetMapping {
	var out []elbtypes.SubnetMapping
	for _, m := range all {
		one := elbtypes.SubnetMapping{SubnetId: str(m.SubnetID), AllocationId: str(m.AllocationID)}
		if m.PrivateIPv4.IsValid() {
			one.PrivateIPv4Address = str(m.PrivateIPv4.String())
		}
		if m.IPv6.IsValid() {
			one.IPv6Address = str(m.IPv6.String())
		}
		if m.SourceNATPrefix.IsValid() {
			one.SourceNatIpv6Prefix = str(m.SourceNATPrefix.String())
		}
		out = append(out, one)
	}
	return out
}

// sourceNAT is empty where nothing was asked for: AWS takes "off" for a request
// of its own.
func sourceNAT(on bool) elbtypes.EnablePrefixForIpv6SourceNatEnum {
	if on {
		return elbtypes.EnablePrefixForIpv6SourceNatEnumOn
	}
	return ""
}

// targetGroupOf leaves attributes, tags and targets to be looked up, and the
// Key, which is a tag.
func targetGroupOf(g elbtypes.TargetGroup) plan.TargetGroup {
	out := plan.TargetGroup{
		ARN:           sdk.ToString(g.TargetGroupArn),
		Name:          sdk.ToString(g.TargetGroupName),
		Protocol:      string(g.Protocol),
		Port:          sdk.ToInt32(g.Port),
		TargetType:    annotation.TargetType(g.TargetType),
		IPAddressType: string(g.IpAddressType),
		HealthCheck: plan.HealthCheck{
			Protocol:  string(g.HealthCheckProtocol),
			Port:      sdk.ToString(g.HealthCheckPort),
			Path:      sdk.ToString(g.HealthCheckPath),
			Interval:  time.Duration(sdk.ToInt32(g.HealthCheckIntervalSeconds)) * time.Second,
			Timeout:   time.Duration(sdk.ToInt32(g.HealthCheckTimeoutSeconds)) * time.Second,
			Healthy:   sdk.ToInt32(g.HealthyThresholdCount),
			Unhealthy: sdk.ToInt32(g.UnhealthyThresholdCount),
		},
	}
	if g.Matcher != nil {
		out.HealthCheck.Matcher = sdk.ToString(g.Matcher.HttpCode)
	}
	return out
}

func seconds(d time.Duration) *int32 {
	if d == 0 {
		return nil
	}
	return new(int32(d / time.Second))
}

func threshold(n int32) *int32 {
	if n == 0 {
		return nil
	}
	return &n
}

func matcherTo(codes string) *elbtypes.Matcher {
	if codes == "" {
		return nil
	}
	return &elbtypes.Matcher{HttpCode: &codes}
}

// listenerOf leaves attributes and tags, and has the ARN where the target group
// is to be.
func listenerOf(l elbtypes.Listener) plan.Listener {
	out := plan.Listener{
		ARN:       sdk.ToString(l.ListenerArn),
		Protocol:  string(l.Protocol),
		Port:      sdk.ToInt32(l.Port),
		SSLPolicy: sdk.ToString(l.SslPolicy),
	}
	if len(l.AlpnPolicy) > 0 {
		out.ALPN = l.AlpnPolicy[0]
	}
	for _, c := range l.Certificates {
		out.Certificates = append(out.Certificates, sdk.ToString(c.CertificateArn))
	}
	for _, action := range l.DefaultActions {
		if action.TargetGroupArn != nil {
			out.TargetGroup = *action.TargetGroupArn
		} else if f := action.ForwardConfig; f != nil && len(f.TargetGroups) > 0 {
			out.TargetGroup = sdk.ToString(f.TargetGroups[0].TargetGroupArn)
		}
	}
	return out
}

func forwardTo(targetGroup string) []elbtypes.Action {
	return []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, TargetGroupArn: &targetGroup}}
}

func certificatesTo(arns []string) []elbtypes.Certificate {
	var out []elbtypes.Certificate
	for _, arn := range arns {
		out = append(out, elbtypes.Certificate{CertificateArn: &arn})
	}
	return out
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func targetOf(t *elbtypes.TargetDescription) plan.Target {
	out := plan.Target{ID: sdk.ToString(t.Id), Port: sdk.ToInt32(t.Port)}
	if zone := sdk.ToString(t.AvailabilityZone); zone == everyZone {
		out.Zone = zone
	}
	return out
}

// everyZone is the zone of addresses outside the VPC.
const everyZone = "all"

func targetsTo(all []plan.Target) []elbtypes.TargetDescription {
	var out []elbtypes.TargetDescription
	for _, t := range all {
		out = append(out, elbtypes.TargetDescription{Id: &t.ID, Port: &t.Port, AvailabilityZone: str(t.Zone)})
	}
	return out
}

func elbTags(tags map[string]string) []elbtypes.Tag {
	var out []elbtypes.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, elbtypes.Tag{Key: &key, Value: new(tags[key])})
	}
	return out
}

func ec2Tags(tags map[string]string) []ec2types.Tag {
	var out []ec2types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, ec2types.Tag{Key: &key, Value: new(tags[key])})
	}
	return out
}

func tagsOfELB(tags []elbtypes.Tag) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		out[sdk.ToString(t.Key)] = sdk.ToString(t.Value)
	}
	return out
}

func tagsOfEC2(tags []ec2types.Tag) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		out[sdk.ToString(t.Key)] = sdk.ToString(t.Value)
	}
	return out
}

func securityGroupOf(g ec2types.SecurityGroup) plan.SecurityGroup {
	out := plan.SecurityGroup{
		ID:          sdk.ToString(g.GroupId),
		Name:        sdk.ToString(g.GroupName),
		Description: sdk.ToString(g.Description),
		Tags:        tagsOfEC2(g.Tags),
	}
	for _, p := range g.IpPermissions {
		out.Ingress = append(out.Ingress, rulesOf(p)...)
	}
	return out
}

// rulesOf takes a permission apart: AWS lists all sources of a port together.
func rulesOf(p ec2types.IpPermission) []plan.Rule {
	base := plan.Rule{Protocol: sdk.ToString(p.IpProtocol), From: sdk.ToInt32(p.FromPort), To: sdk.ToInt32(p.ToPort)}
	var out []plan.Rule
	add := func(description *string, set func(*plan.Rule)) {
		rule := base
		rule.Description = sdk.ToString(description)
		set(&rule)
		out = append(out, rule)
	}
	prefix := func(text, description *string) {
		if cidr, err := netip.ParsePrefix(sdk.ToString(text)); err == nil {
			add(description, func(r *plan.Rule) { r.CIDR = cidr })
		}
	}
	for _, s := range p.IpRanges {
		prefix(s.CidrIp, s.Description)
	}
	for _, s := range p.Ipv6Ranges {
		prefix(s.CidrIpv6, s.Description)
	}
	for _, s := range p.PrefixListIds {
		add(s.Description, func(r *plan.Rule) { r.PrefixList = sdk.ToString(s.PrefixListId) })
	}
	for _, s := range p.UserIdGroupPairs {
		add(s.Description, func(r *plan.Rule) { r.Group = sdk.ToString(s.GroupId) })
	}
	return out
}

// permissionsTo puts rules of the same ports together again.
func permissionsTo(rules []plan.Rule) []ec2types.IpPermission {
	type ports struct {
		protocol string
		from, to int32
	}
	var out []ec2types.IpPermission
	at := map[ports]int{}
	for _, r := range rules {
		key := ports{r.Protocol, r.From, r.To}
		i, known := at[key]
		if !known {
			i = len(out)
			at[key] = i
			out = append(out, ec2types.IpPermission{IpProtocol: &r.Protocol, FromPort: &r.From, ToPort: &r.To})
		}
		addSource(&out[i], r)
	}
	return out
}

func addSource(p *ec2types.IpPermission, r plan.Rule) {
	description := str(r.Description)
	switch {
	case r.Group != "":
		p.UserIdGroupPairs = append(p.UserIdGroupPairs, ec2types.UserIdGroupPair{GroupId: &r.Group, Description: description})
	case r.PrefixList != "":
		p.PrefixListIds = append(p.PrefixListIds, ec2types.PrefixListId{PrefixListId: &r.PrefixList, Description: description})
	case r.CIDR.Addr().Is6():
		p.Ipv6Ranges = append(p.Ipv6Ranges, ec2types.Ipv6Range{CidrIpv6: new(r.CIDR.String()), Description: description})
	default:
		p.IpRanges = append(p.IpRanges, ec2types.IpRange{CidrIp: new(r.CIDR.String()), Description: description})
	}
}
