package fakeaws

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// groupProtocols are those of Network Load Balancers, without QUIC.
var groupProtocols = []elb.ProtocolEnum{elb.ProtocolEnumTcp, elb.ProtocolEnumUdp, elb.ProtocolEnumTcpUdp, elb.ProtocolEnumTls}

func (c *Cloud) createTargetGroup(in *elbv2.CreateTargetGroupInput) (*elbv2.CreateTargetGroupOutput, error) {
	if err := checkName("target group", *in.Name); err != nil {
		return nil, err
	}
	tags, err := c.newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if err := c.permitted(elbv2Service, "CreateTargetGroup", tags); err != nil {
		return nil, err
	}
	g, err := c.wantedTargetGroup(in)
	if err != nil {
		return nil, err
	}
	for _, other := range c.targetGroups {
		if other.name != g.name {
			continue
		}
		if !other.alike(g) {
			return nil, refuse("DuplicateTargetGroupName", "A target group with the same name '%s' exists, but with different settings", g.name)
		}
		return &elbv2.CreateTargetGroupOutput{TargetGroups: []elb.TargetGroup{c.showTargetGroup(other)}}, nil
	}
	if len(c.targetGroups) >= c.options.Limits.TargetGroups {
		return nil, refuse("TooManyTargetGroups", "The maximum number of target groups has been reached")
	}
	g.id = c.number("target group", 16)
	g.arn = c.arn(elbv2Service, fmt.Sprintf("targetgroup/%s/%s", g.name, g.id))
	g.tags, g.targets = tags, map[targetKey]*target{}
	g.attributes = defaultTargetGroupAttributes(g)
	c.targetGroups[g.arn] = g
	c.setTags(g.arn, tags)
	return &elbv2.CreateTargetGroupOutput{TargetGroups: []elb.TargetGroup{c.showTargetGroup(g)}}, nil
}

// wantedTargetGroup checks what is asked for, all but what others have.
func (c *Cloud) wantedTargetGroup(in *elbv2.CreateTargetGroupInput) (*targetGroup, error) {
	g := &targetGroup{
		name: *in.Name, vpc: str(in.VpcId), protocol: in.Protocol,
		kind:   cmp.Or(in.TargetType, elb.TargetTypeEnumInstance),
		ipType: cmp.Or(in.IpAddressType, elb.TargetGroupIpAddressTypeEnumIpv4),
	}
	switch {
	case g.kind != elb.TargetTypeEnumInstance && g.kind != elb.TargetTypeEnumIp:
		return nil, invalid("Target groups of target type '%s' are not made here", g.kind)
	case in.Protocol == "":
		return nil, invalid("A protocol must be specified")
	case !slices.Contains(groupProtocols, in.Protocol):
		return nil, invalid("Target groups of protocol '%s' are not made here", in.Protocol)
	case in.ProtocolVersion != nil || in.TargetControlPort != nil:
		return nil, invalid("ProtocolVersion and TargetControlPort are not supported for target groups with the %s protocol", in.Protocol)
	case in.Port == nil:
		return nil, invalid("A port must be specified")
	case *in.Port < 1 || *in.Port > 65535:
		return nil, outOfRange("port", *in.Port, 1, 65535)
	case in.VpcId == nil:
		return nil, invalid("A VPC ID must be specified")
	case c.vpcs[*in.VpcId] == nil:
		return nil, invalid("The VPC ID '%s' is not found", *in.VpcId)
	case in.HealthCheckEnabled != nil && !*in.HealthCheckEnabled:
		return nil, misconfigured("Health check enabled must be true for target groups with target type '%s'", g.kind)
	}
	g.port = *in.Port
	check, err := (healthCheck{}).changed(healthCheckChange{
		protocol: in.HealthCheckProtocol, port: in.HealthCheckPort, path: in.HealthCheckPath, matcher: in.Matcher,
		interval: in.HealthCheckIntervalSeconds, timeout: in.HealthCheckTimeoutSeconds,
		healthy: in.HealthyThresholdCount, unhealthy: in.UnhealthyThresholdCount,
	})
	g.check = check
	return g, err
}

// alike says whether creating the other again is the same call.
func (g *targetGroup) alike(other *targetGroup) bool {
	return g.protocol == other.protocol && g.port == other.port && g.vpc == other.vpc && g.kind == other.kind &&
		g.ipType == other.ipType && g.check == other.check
}

// healthCheckChange is what a call says about health checks.
type healthCheckChange struct {
	protocol                              elb.ProtocolEnum
	port, path                            *string
	matcher                               *elb.Matcher
	interval, timeout, healthy, unhealthy *int32
}

var (
	matcherPart = regexp.MustCompile(`^[2-5][0-9][0-9](-[2-5][0-9][0-9])?(,[2-5][0-9][0-9](-[2-5][0-9][0-9])?)*$`)
	checkPath   = regexp.MustCompile(`^/[!-~]*$`)
)

// changed returns h with the changes, and AWS's defaults where nothing was said.
func (h healthCheck) changed(by healthCheckChange) (healthCheck, error) {
	h.protocol = cmp.Or(by.protocol, h.protocol, elb.ProtocolEnumTcp)
	web := h.protocol == elb.ProtocolEnumHttp || h.protocol == elb.ProtocolEnumHttps
	if !web {
		h.path, h.codes = "", ""
	}
	h.port = cmp.Or(str(by.port), h.port, "traffic-port")
	h.path = cmp.Or(str(by.path), h.path)
	if by.matcher != nil {
		h.codes = str(by.matcher.HttpCode)
	}
	for _, n := range []struct {
		what        string
		to          *int32
		value       *int32
		least, most int32
		otherwise   int32
	}{
		{"healthCheckIntervalSeconds", &h.interval, by.interval, 5, 300, 30},
		{"healthCheckTimeoutSeconds", &h.timeout, by.timeout, 2, 120, timeoutOf(h.protocol)},
		{"healthyThresholdCount", &h.healthy, by.healthy, 2, 10, 5},
		{"unhealthyThresholdCount", &h.unhealthy, by.unhealthy, 2, 10, 2},
	} {
		if n.value != nil {
			*n.to = *n.value
		}
		*n.to = cmp.Or(*n.to, n.otherwise)
		if *n.to < n.least || *n.to > n.most {
			return h, outOfRange(n.what, *n.to, n.least, n.most)
		}
	}
	if web {
		h.path, h.codes = cmp.Or(h.path, "/"), cmp.Or(h.codes, "200-399")
	}
	return h, h.valid(web)
}

func timeoutOf(protocol elb.ProtocolEnum) int32 {
	if protocol == elb.ProtocolEnumHttp {
		return 6
	}
	return 10
}

func (h healthCheck) valid(web bool) error {
	port, err := strconv.Atoi(h.port)
	switch {
	case !web && h.protocol != elb.ProtocolEnumTcp:
		return invalid("Health check protocol '%s' is not supported: it is TCP, HTTP or HTTPS", h.protocol)
	case h.port != "traffic-port" && (err != nil || port < 1 || port > 65535):
		return invalid("Health check port '%s' must be 'traffic-port' or a port between 1 and 65535", h.port)
	case !web && h.path != "":
		return misconfigured("A health check path cannot be specified for health checks with the TCP protocol")
	case !web && h.codes != "":
		return misconfigured("Custom health check matchers are not supported for health checks with the TCP protocol")
	case web && (len(h.path) > 1024 || !checkPath.MatchString(h.path)):
		return invalid("Health check path '%s' must begin with '/' and have at most 1024 characters", h.path)
	case web && !matcherPart.MatchString(h.codes):
		return invalid("Health check matcher HTTP code '%s' must be within '200-599' inclusive", h.codes)
	case h.timeout > h.interval:
		return invalid("Health check timeout '%d' must be smaller than or equal to the interval '%d'", h.timeout, h.interval)
	}
	return nil
}

func (c *Cloud) targetGroup(arn string) (*targetGroup, error) {
	if err := checkARN(arn, "targetgroup/", "target group"); err != nil {
		return nil, err
	}
	g, ok := c.targetGroups[arn]
	if !ok {
		return nil, refuse("TargetGroupNotFound", "Target groups '%s' not found", arn)
	}
	return g, nil
}

// deleteTargetGroup is not surprised by one that is gone.
func (c *Cloud) deleteTargetGroup(in *elbv2.DeleteTargetGroupInput) (*elbv2.DeleteTargetGroupOutput, error) {
	if err := checkARN(*in.TargetGroupArn, "targetgroup/", "target group"); err != nil {
		return nil, err
	}
	g, ok := c.targetGroups[*in.TargetGroupArn]
	if !ok {
		return &elbv2.DeleteTargetGroupOutput{}, nil
	}
	if err := c.permitted(elbv2Service, "DeleteTargetGroup", g.tags); err != nil {
		return nil, err
	}
	if len(c.listenersTo(g.arn)) > 0 || c.now().Before(g.busyUntil) {
		return nil, refuse("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", g.arn)
	}
	delete(c.targetGroups, g.arn)
	c.setTags(g.arn, nil)
	return &elbv2.DeleteTargetGroupOutput{}, nil
}

func (c *Cloud) describeTargetGroups(in *elbv2.DescribeTargetGroupsInput) (*elbv2.DescribeTargetGroupsOutput, error) {
	ways := 0
	for _, n := range []int{len(in.TargetGroupArns), len(in.Names), len(str(in.LoadBalancerArn))} {
		ways += min(n, 1)
	}
	if ways > 1 {
		return nil, invalid("Target groups can be described by ARNs, by names or by load balancer, not by several of these")
	}
	if n := len(in.TargetGroupArns) + len(in.Names); n > describedAtOnce {
		return nil, invalid("You cannot describe more than '%d' target groups at a time", describedAtOnce)
	}
	found, err := c.targetGroupsOf(in)
	if err != nil {
		return nil, err
	}
	page, next, err := elbPageOf(c, found, func(g *targetGroup) string { return g.arn }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeTargetGroupsOutput{TargetGroups: []elb.TargetGroup{}, NextMarker: next}
	for _, g := range page {
		out.TargetGroups = append(out.TargetGroups, c.showTargetGroup(g))
	}
	return out, nil
}

func (c *Cloud) targetGroupsOf(in *elbv2.DescribeTargetGroupsInput) ([]*targetGroup, error) {
	var found []*targetGroup
	for _, arn := range in.TargetGroupArns {
		g, err := c.targetGroup(arn)
		if err != nil {
			return nil, err
		}
		found = append(found, g)
	}
	for _, name := range in.Names {
		i := len(found)
		for _, g := range c.targetGroups {
			if g.name == name {
				found = append(found, g)
			}
		}
		if len(found) == i {
			return nil, refuse("TargetGroupNotFound", "Target groups '[%s]' not found", name)
		}
	}
	if in.LoadBalancerArn != nil {
		if _, err := c.loadBalancer(*in.LoadBalancerArn); err != nil {
			return nil, err
		}
		for _, g := range c.targetGroups {
			if c.loadBalancerOf(g) == *in.LoadBalancerArn {
				found = append(found, g)
			}
		}
		return found, nil
	}
	if len(in.TargetGroupArns)+len(in.Names) == 0 {
		found = slices.Collect(maps.Values(c.targetGroups))
	}
	return found, nil
}

// loadBalancerOf is the ARN of the one whose listeners send to g, or empty.
func (c *Cloud) loadBalancerOf(g *targetGroup) string {
	for _, l := range c.listenersTo(g.arn) {
		return l.loadBalancer
	}
	return ""
}

func (c *Cloud) showTargetGroup(g *targetGroup) elb.TargetGroup {
	shown := elb.TargetGroup{
		TargetGroupArn: &g.arn, TargetGroupName: &g.name, VpcId: &g.vpc,
		Protocol: g.protocol, Port: &g.port, TargetType: g.kind, IpAddressType: g.ipType,
		HealthCheckEnabled: ptr(true), HealthCheckProtocol: g.check.protocol, HealthCheckPort: ptr(g.check.port),
		HealthCheckIntervalSeconds: ptr(g.check.interval), HealthCheckTimeoutSeconds: ptr(g.check.timeout),
		HealthyThresholdCount: ptr(g.check.healthy), UnhealthyThresholdCount: ptr(g.check.unhealthy),
		HealthCheckPath: text(g.check.path), LoadBalancerArns: []string{},
	}
	if g.check.codes != "" {
		shown.Matcher = &elb.Matcher{HttpCode: ptr(g.check.codes)}
	}
	if lb := c.loadBalancerOf(g); lb != "" {
		shown.LoadBalancerArns = append(shown.LoadBalancerArns, lb)
	}
	return shown
}

func (c *Cloud) modifyTargetGroup(in *elbv2.ModifyTargetGroupInput) (*elbv2.ModifyTargetGroupOutput, error) {
	g, err := c.targetGroup(*in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	if err := c.permitted(elbv2Service, "ModifyTargetGroup", g.tags); err != nil {
		return nil, err
	}
	if in.HealthCheckEnabled != nil && !*in.HealthCheckEnabled {
		return nil, misconfigured("Health check enabled must be true for target groups with target type '%s'", g.kind)
	}
	check, err := g.check.changed(healthCheckChange{
		protocol: in.HealthCheckProtocol, port: in.HealthCheckPort, path: in.HealthCheckPath, matcher: in.Matcher,
		interval: in.HealthCheckIntervalSeconds, timeout: in.HealthCheckTimeoutSeconds,
		healthy: in.HealthyThresholdCount, unhealthy: in.UnhealthyThresholdCount,
	})
	if err != nil {
		return nil, err
	}
	g.check = check
	return &elbv2.ModifyTargetGroupOutput{TargetGroups: []elb.TargetGroup{c.showTargetGroup(g)}}, nil
}
