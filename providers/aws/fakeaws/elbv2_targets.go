package fakeaws

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	ec2 "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// targetsAtOnce is where AWS begins to refuse calls for their size.
const targetsAtOnce = 200

// Target names one in a target group.
type Target struct {
	Group string // ARN
	ID    string
	Port  int32
}

// Health is what health checks find.
type Health string

// What health checks find once a target is no longer initial.
const (
	Healthy   Health = "healthy"
	Unhealthy Health = "unhealthy"
	Initial   Health = "initial"
)

// private are the ranges that ip targets outside of the VPC may be in.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"),
}

// registerTargets takes all of them or none. One that is draining comes back.
func (c *Cloud) registerTargets(in *elbv2.RegisterTargetsInput) (*elbv2.RegisterTargetsOutput, error) {
	g, err := c.targetGroup(*in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	if n := len(in.Targets); n > targetsAtOnce {
		return nil, invalid("You cannot register more than '%d' targets at a time", targetsAtOnce)
	}
	now := c.now()
	added := map[targetKey]*target{}
	for _, d := range in.Targets {
		key, err := g.key(d)
		if err == nil {
			err = c.checkTarget(g, key, str(d.AvailabilityZone))
		}
		if err != nil {
			return nil, err
		}
		added[key] = &target{zone: str(d.AvailabilityZone), since: now}
	}
	for key := range added {
		if old := g.targets[key]; old != nil && !old.leaving {
			delete(added, key)
		}
	}
	if err := c.checkRoom(g, added); err != nil {
		return nil, err
	}
	for key, t := range added {
		g.targets[key] = t
	}
	return &elbv2.RegisterTargetsOutput{}, nil
}

// key is what tells a target from others of its group.
func (g *targetGroup) key(d elb.TargetDescription) (targetKey, error) {
	key := targetKey{id: str(d.Id), port: g.port}
	if d.Port != nil {
		key.port = *d.Port
	}
	switch {
	case key.id == "":
		return key, missing(elbv2Service, "Targets.Id")
	case key.port < 1 || key.port > 65535:
		return key, outOfRange("targets.port", key.port, 1, 65535)
	case d.QuicServerId != nil:
		return key, invalid("A QUIC server ID is not supported for target groups with the %s protocol", g.protocol)
	}
	return key, nil
}

func (c *Cloud) checkTarget(g *targetGroup, key targetKey, zone string) error {
	if g.kind == elb.TargetTypeEnumInstance {
		return c.checkInstance(g, key, zone)
	}
	addr, err := netip.ParseAddr(key.id)
	if err != nil || addr.Zone() != "" {
		return invalid("The IP address '%s' is not a valid IPv4 or IPv6 address", key.id)
	}
	if v6 := g.ipType == elb.TargetGroupIpAddressTypeEnumIpv6; v6 != addr.Is6() {
		return invalid("The IP address '%s' does not match the IP address type '%s' of the target group", key.id, g.ipType)
	}
	v := c.vpcs[g.vpc]
	switch {
	case v.contains(addr):
		if zone != "" && zone != "all" && zone != c.zoneOfAddress(g.vpc, addr) {
			return refuse("InvalidTarget", "The Availability Zone '%s' is not that of the IP address '%s'", zone, key.id)
		}
	case addr.Is6() || !within(private, addr):
		return refuse("InvalidTarget", "The IP address '%s' is not within the VPC '%s' and is not a private address (RFC 1918 or RFC 6598)", key.id, g.vpc)
	case zone == "":
		return refuse("InvalidTarget", "The IP address '%s' is outside of the VPC '%s': an Availability Zone, or 'all', must be specified", key.id, g.vpc)
	}
	return nil
}

func (c *Cloud) checkInstance(g *targetGroup, key targetKey, zone string) error {
	i, ok := c.instances[key.id]
	switch {
	case !strings.HasPrefix(key.id, "i-"):
		return invalid("Instance ID '%s' is not valid", key.id)
	case zone != "":
		return invalid("You cannot specify an Availability Zone for a target of type 'instance'")
	case !ok:
		return refuse("InvalidTarget", "The following targets are not registered instances: '%s' does not exist", key.id)
	case i.state != ec2.InstanceStateNameRunning:
		return refuse("InvalidTarget", "The following targets are not in a running state and cannot be registered: '%s'", key.id)
	}
	if s := c.subnets[c.primary(i.id).subnet]; s.vpc != g.vpc {
		return refuse("InvalidTarget", "The following targets are not in the target group VPC '%s': '%s'", g.vpc, key.id)
	}
	return nil
}

// checkRoom refuses more targets than a group, or a zone of its load balancer,
// may have.
func (c *Cloud) checkRoom(g *targetGroup, added map[targetKey]*target) error {
	c.drain(g)
	total := len(added)
	for key := range g.targets {
		if added[key] == nil {
			total++
		}
	}
	if total > c.options.Limits.Targets {
		return refuse("TooManyTargets", "The maximum number of targets in target group '%s' has been reached: %d", g.arn, c.options.Limits.Targets)
	}
	lb := c.loadBalancerOf(g)
	if lb == "" {
		return nil
	}
	perZone := c.targetsPerZone(lb)
	for key, t := range added {
		zone := c.zoneOf(g, key, t)
		if perZone[zone]++; perZone[zone] > c.options.Limits.TargetsPerZone {
			return refuse("TooManyTargets", "The maximum number of targets for load balancer '%s' in zone '%s' has been reached: %d", lb, zone, c.options.Limits.TargetsPerZone)
		}
	}
	return nil
}

// targetsPerZone counts the targets of a load balancer, once for each group.
func (c *Cloud) targetsPerZone(lb string) map[string]int {
	perZone := map[string]int{}
	counted := map[string]bool{}
	for _, l := range c.listenersOf(lb) {
		if counted[l.group] {
			continue
		}
		counted[l.group] = true
		g := c.targetGroups[l.group]
		c.drain(g)
		for key, t := range g.targets {
			perZone[c.zoneOf(g, key, t)]++
		}
	}
	return perZone
}

// zoneOf is where a target is, "all" where that is anywhere.
func (c *Cloud) zoneOf(g *targetGroup, key targetKey, t *target) string {
	if g.kind == elb.TargetTypeEnumInstance {
		if ni := c.primary(key.id); ni != nil {
			return c.subnets[ni.subnet].zone
		}
		return "all"
	}
	if t.zone != "" {
		return t.zone
	}
	addr, _ := netip.ParseAddr(key.id) // it was parsed when it came
	return c.zoneOfAddress(g.vpc, addr)
}

func (c *Cloud) zoneOfAddress(vpc string, addr netip.Addr) string {
	for _, s := range c.subnets {
		if s.vpc == vpc && (s.cidr.Contains(addr) || s.ipv6.Contains(addr)) {
			return s.zone
		}
	}
	return "all"
}

// deregisterTargets has targets drain where they had traffic, and is not
// surprised by those that are not there.
func (c *Cloud) deregisterTargets(in *elbv2.DeregisterTargetsInput) (*elbv2.DeregisterTargetsOutput, error) {
	g, err := c.targetGroup(*in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	if n := len(in.Targets); n > targetsAtOnce {
		return nil, invalid("You cannot deregister more than '%d' targets at a time", targetsAtOnce)
	}
	for _, d := range in.Targets {
		key, err := g.key(d)
		if err != nil {
			return nil, err
		}
		c.deregister(g, key)
	}
	return &elbv2.DeregisterTargetsOutput{}, nil
}

func (c *Cloud) deregister(g *targetGroup, key targetKey) {
	t, ok := g.targets[key]
	switch {
	case !ok || t.leaving:
	case g.usedSince.IsZero():
		delete(g.targets, key)
	default:
		delay, _ := strconv.Atoi(g.attributes["deregistration_delay.timeout_seconds"]) // checked when it was set
		t.leaving, t.gone = true, c.now().Add(time.Duration(delay)*time.Second)
	}
}

// drain drops the targets that are done draining.
func (c *Cloud) drain(g *targetGroup) {
	for key, t := range g.targets {
		if t.leaving && !c.now().Before(t.gone) {
			delete(g.targets, key)
		}
	}
}

func (c *Cloud) describeTargetHealth(in *elbv2.DescribeTargetHealthInput) (*elbv2.DescribeTargetHealthOutput, error) {
	g, err := c.targetGroup(*in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	c.drain(g)
	out := &elbv2.DescribeTargetHealthOutput{TargetHealthDescriptions: []elb.TargetHealthDescription{}}
	if len(in.Targets) == 0 {
		for _, key := range g.sorted() {
			out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, c.showTarget(g, key))
		}
	}
	for _, d := range in.Targets {
		key, err := g.key(d)
		if err != nil {
			return nil, err
		}
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, c.showTarget(g, key))
	}
	return out, nil
}

func (g *targetGroup) sorted() []targetKey {
	keys := make([]targetKey, 0, len(g.targets))
	for key := range g.targets {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b targetKey) int {
		return strings.Compare(fmt.Sprintf("%s:%05d", a.id, a.port), fmt.Sprintf("%s:%05d", b.id, b.port))
	})
	return keys
}

func (c *Cloud) showTarget(g *targetGroup, key targetKey) elb.TargetHealthDescription {
	shown := elb.TargetHealthDescription{
		HealthCheckPort: ptr(strconv.Itoa(int(key.port))),
		Target:          &elb.TargetDescription{Id: ptr(key.id), Port: ptr(key.port)},
	}
	if g.check.port != "traffic-port" {
		shown.HealthCheckPort = ptr(g.check.port)
	}
	t, ok := g.targets[key]
	if !ok {
		shown.TargetHealth = &elb.TargetHealth{State: elb.TargetHealthStateEnumUnused, Reason: elb.TargetHealthReasonEnumNotRegistered, Description: ptr("Target is not registered to the target group")}
		return shown
	}
	if g.kind == elb.TargetTypeEnumIp {
		shown.Target.AvailabilityZone = ptr(c.zoneOf(g, key, t))
	}
	health := c.stateOf(g, key, t)
	shown.TargetHealth = &health
	return shown
}

// stateOf is where a target is between being registered and being gone.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/target-group-health-checks.html
func (c *Cloud) stateOf(g *targetGroup, key targetKey, t *target) elb.TargetHealth {
	state := func(s elb.TargetHealthStateEnum, reason elb.TargetHealthReasonEnum, description string) elb.TargetHealth {
		return elb.TargetHealth{State: s, Reason: reason, Description: text(description)}
	}
	i := c.instances[key.id]
	switch {
	case t.leaving:
		return state(elb.TargetHealthStateEnumDraining, elb.TargetHealthReasonEnumDeregistrationInProgress, "Target deregistration is in progress")
	case g.usedSince.IsZero():
		return state(elb.TargetHealthStateEnumUnused, elb.TargetHealthReasonEnumNotInUse, "Target group is not configured to receive traffic from the load balancer")
	case i != nil && i.state != ec2.InstanceStateNameRunning:
		return state(elb.TargetHealthStateEnumUnused, elb.TargetHealthReasonEnumInvalidState, "Target is in the "+string(i.state)+" state")
	case !c.reached(g, c.zoneOf(g, key, t)):
		return state(elb.TargetHealthStateEnumUnused, elb.TargetHealthReasonEnumNotInUse, "Target is in an Availability Zone that is not enabled for the load balancer")
	}
	found := c.health(Target{Group: g.arn, ID: key.id, Port: key.port})
	switch since := latest(t.since, g.usedSince); {
	case c.now().Before(since.Add(c.options.Delays.Healthy)):
		return state(elb.TargetHealthStateEnumInitial, elb.TargetHealthReasonEnumRegistrationInProgress, "Target registration is in progress")
	case found == Initial:
		return state(elb.TargetHealthStateEnumInitial, elb.TargetHealthReasonEnumInitialHealthChecking, "Initial health checks in progress")
	case found == Unhealthy:
		return state(elb.TargetHealthStateEnumUnhealthy, elb.TargetHealthReasonEnumFailedHealthChecks, "Health checks failed")
	}
	return state(elb.TargetHealthStateEnumHealthy, "", "")
}

// reached says whether traffic gets to a zone.
func (c *Cloud) reached(g *targetGroup, zone string) bool {
	lb := c.loadBalancers[c.loadBalancerOf(g)]
	crossZone := g.attributes["load_balancing.cross_zone.enabled"]
	if crossZone == "use_load_balancer_configuration" {
		crossZone = lb.attributes["load_balancing.cross_zone.enabled"]
	}
	return zone == "all" || crossZone == "true" || slices.ContainsFunc(lb.mappings, func(m mapping) bool { return c.subnets[m.subnet].zone == zone })
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// SetTargetHealth has health checks find what f says; healthy where it says
// nothing. It is called with the Cloud locked.
func (c *Cloud) SetTargetHealth(f func(Target) Health) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.health = f
}

// Serving are the targets that a connection to a port of a load balancer, by
// name, may be sent to at this moment: the healthy ones or, where there are none
// but unhealthy ones, these. It is empty where the connection fails.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html
func (c *Cloud) Serving(name string, port int32) []Target {
	c.mu.Lock()
	defer c.mu.Unlock()
	lb := c.loadBalancerNamed(name)
	if lb == nil || lb.failed || c.now().Before(lb.created.Add(c.options.Delays.Provisioning)) {
		return nil
	}
	by := map[elb.TargetHealthStateEnum][]Target{}
	for _, l := range c.listenersOf(lb.arn) {
		if l.port != port {
			continue
		}
		g := c.targetGroups[l.group]
		c.drain(g)
		for _, key := range g.sorted() {
			state := c.stateOf(g, key, g.targets[key]).State
			by[state] = append(by[state], Target{Group: g.arn, ID: key.id, Port: key.port})
		}
	}
	if healthy := by[elb.TargetHealthStateEnumHealthy]; len(healthy) > 0 {
		return healthy
	}
	return by[elb.TargetHealthStateEnumUnhealthy]
}
