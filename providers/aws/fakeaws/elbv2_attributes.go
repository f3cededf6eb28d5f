package fakeaws

import (
	"maps"
	"slices"
	"strconv"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// accepts says whether an attribute may have a value.
type accepts func(value string) bool

func oneOf(values ...string) accepts {
	return func(value string) bool { return slices.Contains(values, value) }
}

func between(least, most int) accepts {
	return func(value string) bool {
		n, err := strconv.Atoi(value)
		return err == nil && strconv.Itoa(n) == value && n >= least && n <= most
	}
}

func either(a, b accepts) accepts { return func(value string) bool { return a(value) || b(value) } }

func anything(string) bool { return true }

var boolean = oneOf("true", "false")

// The attributes of Network Load Balancers and what is theirs, with the values
// that they may have.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
// and those beside it.
var (
	loadBalancerAttributes = map[string]accepts{
		"deletion_protection.enabled":            boolean,
		"load_balancing.cross_zone.enabled":      boolean,
		"access_logs.s3.enabled":                 boolean,
		"access_logs.s3.bucket":                  anything,
		"access_logs.s3.prefix":                  anything,
		"ipv6.deny_all_igw_traffic":              boolean,
		"zonal_shift.config.enabled":             boolean,
		"dns_record.client_routing_policy":       oneOf("any_availability_zone", "availability_zone_affinity", "partial_availability_zone_affinity"),
		"secondary_ips.auto_assigned.per_subnet": between(0, 7),
	}
	targetGroupAttributes = map[string]accepts{
		"deregistration_delay.timeout_seconds":                                           between(0, 3600),
		"deregistration_delay.connection_termination.enabled":                            boolean,
		"stickiness.enabled":                                                             boolean,
		"stickiness.type":                                                                oneOf("source_ip"),
		"load_balancing.cross_zone.enabled":                                              oneOf("true", "false", "use_load_balancer_configuration"),
		"preserve_client_ip.enabled":                                                     boolean,
		"proxy_protocol_v2.enabled":                                                      boolean,
		"target_group_health.dns_failover.minimum_healthy_targets.count":                 either(oneOf("off"), between(1, 1000)),
		"target_group_health.dns_failover.minimum_healthy_targets.percentage":            either(oneOf("off"), between(1, 100)),
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      between(1, 1000),
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": either(oneOf("off"), between(1, 100)),
		"target_health_state.unhealthy.connection_termination.enabled":                   boolean,
		"target_health_state.unhealthy.draining_interval_seconds":                        between(0, 360000),
	}
	listenerAttributes = map[string]accepts{
		"tcp.idle_timeout.seconds": between(60, 6000),
	}
)

func defaultLoadBalancerAttributes(lb *loadBalancer) map[string]string {
	return map[string]string{
		"deletion_protection.enabled":            "false",
		"load_balancing.cross_zone.enabled":      "false",
		"access_logs.s3.enabled":                 "false",
		"access_logs.s3.bucket":                  "",
		"access_logs.s3.prefix":                  "",
		"ipv6.deny_all_igw_traffic":              strconv.FormatBool(lb.scheme == elb.LoadBalancerSchemeEnumInternal),
		"zonal_shift.config.enabled":             "false",
		"dns_record.client_routing_policy":       "any_availability_zone",
		"secondary_ips.auto_assigned.per_subnet": "0",
	}
}

func defaultTargetGroupAttributes(g *targetGroup) map[string]string {
	udp := carriesUDP(g.protocol)
	attributes := map[string]string{
		"deregistration_delay.timeout_seconds":                                           "300",
		"deregistration_delay.connection_termination.enabled":                            strconv.FormatBool(udp),
		"stickiness.enabled":                                                             "false",
		"stickiness.type":                                                                "source_ip",
		"load_balancing.cross_zone.enabled":                                              "use_load_balancer_configuration",
		"preserve_client_ip.enabled":                                                     strconv.FormatBool(udp || g.kind == elb.TargetTypeEnumInstance),
		"proxy_protocol_v2.enabled":                                                      "false",
		"target_group_health.dns_failover.minimum_healthy_targets.count":                 "1",
		"target_group_health.dns_failover.minimum_healthy_targets.percentage":            "off",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count":      "1",
		"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
	}
	if !udp {
		attributes["target_health_state.unhealthy.connection_termination.enabled"] = "true"
		attributes["target_health_state.unhealthy.draining_interval_seconds"] = "0"
	}
	return attributes
}

func defaultListenerAttributes(l *listener) map[string]string {
	if l.protocol != elb.ProtocolEnumTcp {
		return map[string]string{}
	}
	return map[string]string{"tcp.idle_timeout.seconds": "350"}
}

// attribute is what the three kinds of attributes have in common.
type attribute struct{ key, value *string }

// changedAttributes returns had with the changes, or says which is wrong.
func changedAttributes(what string, had map[string]string, known map[string]accepts, by []attribute) (map[string]string, error) {
	changed := maps.Clone(had)
	for _, a := range by {
		key, value := str(a.key), str(a.value)
		accepted, ok := known[key]
		if _, has := had[key]; !ok || !has {
			return nil, invalid("%s attribute key '%s' is not recognized", what, key)
		}
		if !accepted(value) {
			return nil, invalid("%s attribute '%s' cannot have the value '%s'", what, key, value)
		}
		changed[key] = value
	}
	return changed, nil
}

func (c *Cloud) describeLoadBalancerAttributes(in *elbv2.DescribeLoadBalancerAttributesInput) (*elbv2.DescribeLoadBalancerAttributesOutput, error) {
	lb, err := c.loadBalancer(*in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeLoadBalancerAttributesOutput{}
	for _, key := range sortedKeys(lb.attributes) {
		out.Attributes = append(out.Attributes, elb.LoadBalancerAttribute{Key: ptr(key), Value: ptr(lb.attributes[key])})
	}
	return out, nil
}

func (c *Cloud) modifyLoadBalancerAttributes(in *elbv2.ModifyLoadBalancerAttributesInput) (*elbv2.ModifyLoadBalancerAttributesOutput, error) {
	lb, err := c.changeable(in.LoadBalancerArn, "ModifyLoadBalancerAttributes")
	if err != nil {
		return nil, err
	}
	var by []attribute
	for _, a := range in.Attributes {
		by = append(by, attribute{a.Key, a.Value})
	}
	changed, err := changedAttributes("Load balancer", lb.attributes, loadBalancerAttributes, by)
	if err != nil {
		return nil, err
	}
	const secondary = "secondary_ips.auto_assigned.per_subnet"
	switch {
	case changed["access_logs.s3.enabled"] == "true" && changed["access_logs.s3.bucket"] == "":
		return nil, misconfigured("The value of 'access_logs.s3.bucket' cannot be empty when access logs are enabled")
	case changed[secondary] < lb.attributes[secondary]:
		return nil, misconfigured("The value of '%s' cannot be decreased", secondary)
	}
	lb.attributes = changed
	described, err := c.describeLoadBalancerAttributes(&elbv2.DescribeLoadBalancerAttributesInput{LoadBalancerArn: in.LoadBalancerArn})
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyLoadBalancerAttributesOutput{Attributes: described.Attributes}, nil
}

func (c *Cloud) describeTargetGroupAttributes(in *elbv2.DescribeTargetGroupAttributesInput) (*elbv2.DescribeTargetGroupAttributesOutput, error) {
	g, err := c.targetGroup(*in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeTargetGroupAttributesOutput{}
	for _, key := range sortedKeys(g.attributes) {
		out.Attributes = append(out.Attributes, elb.TargetGroupAttribute{Key: ptr(key), Value: ptr(g.attributes[key])})
	}
	return out, nil
}

func (c *Cloud) modifyTargetGroupAttributes(in *elbv2.ModifyTargetGroupAttributesInput) (*elbv2.ModifyTargetGroupAttributesOutput, error) {
	g, err := c.targetGroup(*in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	if err := c.permitted(elbv2Service, "ModifyTargetGroupAttributes", g.tags); err != nil {
		return nil, err
	}
	var by []attribute
	for _, a := range in.Attributes {
		by = append(by, attribute{a.Key, a.Value})
	}
	changed, err := changedAttributes("Target group", g.attributes, targetGroupAttributes, by)
	if err != nil {
		return nil, err
	}
	if err := checkTargetGroupAttributes(g, changed); err != nil {
		return nil, err
	}
	g.attributes = changed
	described, err := c.describeTargetGroupAttributes(&elbv2.DescribeTargetGroupAttributesInput{TargetGroupArn: in.TargetGroupArn})
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyTargetGroupAttributesOutput{Attributes: described.Attributes}, nil
}

// checkTargetGroupAttributes refuses values that do not go with the group, or
// with each other.
func checkTargetGroupAttributes(g *targetGroup, a map[string]string) error {
	const draining = "target_health_state.unhealthy.draining_interval_seconds"
	switch {
	case carriesUDP(g.protocol) && a["preserve_client_ip.enabled"] == "false":
		return misconfigured("Client IP preservation cannot be disabled for target groups with the %s protocol", g.protocol)
	case g.protocol == elb.ProtocolEnumTls && a["stickiness.enabled"] == "true":
		return misconfigured("Stickiness is not supported for target groups with the TLS protocol")
	case !carriesUDP(g.protocol) && a[draining] != "0" && a["target_health_state.unhealthy.connection_termination.enabled"] == "true":
		return misconfigured("'%s' can only be set where connections to unhealthy targets are not terminated", draining)
	}
	return nil
}

func (c *Cloud) describeListenerAttributes(in *elbv2.DescribeListenerAttributesInput) (*elbv2.DescribeListenerAttributesOutput, error) {
	l, err := c.listener(*in.ListenerArn)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeListenerAttributesOutput{Attributes: []elb.ListenerAttribute{}}
	for _, key := range sortedKeys(l.attributes) {
		out.Attributes = append(out.Attributes, elb.ListenerAttribute{Key: ptr(key), Value: ptr(l.attributes[key])})
	}
	return out, nil
}

func (c *Cloud) modifyListenerAttributes(in *elbv2.ModifyListenerAttributesInput) (*elbv2.ModifyListenerAttributesOutput, error) {
	l, err := c.listener(*in.ListenerArn)
	if err != nil {
		return nil, err
	}
	var by []attribute
	for _, a := range in.Attributes {
		by = append(by, attribute{a.Key, a.Value})
	}
	changed, err := changedAttributes("Listener", l.attributes, listenerAttributes, by)
	if err != nil {
		return nil, err
	}
	l.attributes = changed
	described, err := c.describeListenerAttributes(&elbv2.DescribeListenerAttributesInput{ListenerArn: in.ListenerArn})
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyListenerAttributesOutput{Attributes: described.Attributes}, nil
}
