package aws

import (
	"context"
	"errors"
	"maps"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/berth-lb/berth/providers/aws/plan"
)

func (e *execution) createTargetGroup(ctx context.Context, g plan.TargetGroup) error {
	check := g.HealthCheck
	out, err := e.calls.BalancingChange.CreateTargetGroup(ctx, &elb.CreateTargetGroupInput{
		Name:                       &g.Name,
		Protocol:                   elbtypes.ProtocolEnum(g.Protocol),
		Port:                       &g.Port,
		VpcId:                      &e.vpc,
		TargetType:                 elbtypes.TargetTypeEnum(g.TargetType),
		IpAddressType:              elbtypes.TargetGroupIpAddressTypeEnum(g.IPAddressType),
		HealthCheckEnabled:         new(true),
		HealthCheckProtocol:        elbtypes.ProtocolEnum(check.Protocol),
		HealthCheckPort:            str(check.Port),
		HealthCheckPath:            str(check.Path),
		HealthCheckIntervalSeconds: seconds(check.Interval),
		HealthCheckTimeoutSeconds:  seconds(check.Timeout),
		HealthyThresholdCount:      threshold(check.Healthy),
		UnhealthyThresholdCount:    threshold(check.Unhealthy),
		Matcher:                    matcherTo(check.Matcher),
		Tags:                       elbTags(g.Tags),
	})
	if codeOf(err) == "DuplicateTargetGroupName" {
		return e.findTargetGroup(ctx, g.Name)
	}
	if err != nil {
		return err
	}
	if len(out.TargetGroups) != 1 {
		return errors.New("AWS made a target group and does not say which")
	}
	g.ARN, g.Targets = sdk.ToString(out.TargetGroups[0].TargetGroupArn), []plan.Target{}
	g.Attributes = nil
	e.note(func(s *plan.Stack) {
		e.made[g.Key] = g.ARN
		e.found = e.found || len(out.TargetGroups[0].LoadBalancerArns) > 0
		e.unverified = append(e.unverified, g.ARN)
		s.TargetGroups = append(s.TargetGroups, g)
	})
	return nil
}

// findTargetGroup looks up the one that has the name which was to be made, with
// other settings.
func (e *execution) findTargetGroup(ctx context.Context, name string) error {
	out, err := e.calls.Balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{name}})
	if err != nil {
		return err
	}
	for _, g := range out.TargetGroups {
		if err := e.take(ctx, list(sdk.ToString(g.TargetGroupArn))); err != nil {
			return err
		}
	}
	return errStale
}

func (e *execution) targetGroup(arn string, change func(*plan.TargetGroup)) {
	e.note(func(s *plan.Stack) {
		for i := range s.TargetGroups {
			if s.TargetGroups[i].ARN == arn {
				change(&s.TargetGroups[i])
			}
		}
	})
}

func (e *execution) modifyTargetGroup(ctx context.Context, c plan.ModifyTargetGroup) error {
	arn, check := e.name(c.TargetGroup), c.HealthCheck
	_, err := e.calls.BalancingChange.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{
		TargetGroupArn:             &arn,
		HealthCheckProtocol:        elbtypes.ProtocolEnum(check.Protocol),
		HealthCheckPort:            str(check.Port),
		HealthCheckPath:            str(check.Path),
		HealthCheckIntervalSeconds: seconds(check.Interval),
		HealthCheckTimeoutSeconds:  seconds(check.Timeout),
		HealthyThresholdCount:      threshold(check.Healthy),
		UnhealthyThresholdCount:    threshold(check.Unhealthy),
		Matcher:                    matcherTo(check.Matcher),
	})
	if err != nil {
		return err
	}
	e.targetGroup(arn, func(g *plan.TargetGroup) { g.HealthCheck = check })
	return nil
}

func (e *execution) modifyTargetGroupAttributes(ctx context.Context, c plan.ModifyTargetGroupAttributes) error {
	arn := e.name(c.TargetGroup)
	var attributes []elbtypes.TargetGroupAttribute
	for _, key := range slices.Sorted(maps.Keys(c.Attributes)) {
		attributes = append(attributes, elbtypes.TargetGroupAttribute{Key: &key, Value: new(c.Attributes[key])})
	}
	_, err := e.calls.BalancingChange.ModifyTargetGroupAttributes(ctx, &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: &arn, Attributes: attributes})
	if err != nil {
		return err
	}
	e.targetGroup(arn, func(g *plan.TargetGroup) { g.Attributes = with(g.Attributes, c.Attributes) })
	return nil
}

// with returns a copy of m with more in it.
func with(m, more map[string]string) map[string]string {
	out := make(map[string]string, len(m)+len(more))
	maps.Copy(out, m)
	maps.Copy(out, more)
	return out
}

// registerTargets leaves out what AWS does not take, so that the others get in.
func (e *execution) registerTargets(ctx context.Context, c plan.RegisterTargets) error {
	if len(c.Targets) == 0 {
		return nil
	}
	arn := e.name(c.TargetGroup)
	_, err := e.calls.BalancingChange.RegisterTargets(ctx, &elb.RegisterTargetsInput{TargetGroupArn: &arn, Targets: targetsTo(c.Targets)})
	if codeOf(err) == invalidTarget {
		return e.registerOthers(ctx, c, err)
	}
	if err != nil {
		return err
	}
	e.targetGroup(arn, func(g *plan.TargetGroup) { g.Targets = union(g.Targets, c.Targets) })
	return nil
}

// registerOthers registers those that err is not about; where that does not say,
// one half and then the other.
func (e *execution) registerOthers(ctx context.Context, c plan.RegisterTargets, err error) error {
	refused, others := refusedBy(c.Targets, err)
	e.leaveOut(refused, err)
	first := others
	if len(refused) == 0 {
		first = others[:len(others)/2]
	}
	if err := e.registerTargets(ctx, plan.RegisterTargets{TargetGroup: c.TargetGroup, Targets: first}); err != nil {
		return err
	}
	return e.registerTargets(ctx, plan.RegisterTargets{TargetGroup: c.TargetGroup, Targets: others[len(first):]})
}

func (e *execution) deregisterTargets(ctx context.Context, c plan.DeregisterTargets) error {
	_, err := e.calls.BalancingChange.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: &c.TargetGroup, Targets: targetsTo(c.Targets)})
	if err != nil {
		return err
	}
	gone := func(t plan.Target) bool { return slices.Contains(c.Targets, t) }
	e.targetGroup(c.TargetGroup, func(g *plan.TargetGroup) {
		g.Targets = slices.DeleteFunc(slices.Clone(g.Targets), gone)
		g.Ours = slices.DeleteFunc(slices.Clone(g.Ours), gone)
	})
	return nil
}

func (e *execution) deleteTargetGroup(ctx context.Context, c plan.DeleteTargetGroup) error {
	_, err := e.calls.BalancingChange.DeleteTargetGroup(ctx, &elb.DeleteTargetGroupInput{TargetGroupArn: &c.ARN})
	if err != nil && !isNotFound(err) {
		return err
	}
	e.inventory.drop(e.stack, c.ARN)
	e.note(func(s *plan.Stack) {
		s.TargetGroups = slices.DeleteFunc(slices.Clone(s.TargetGroups), func(g plan.TargetGroup) bool { return g.ARN == c.ARN })
	})
	return nil
}
