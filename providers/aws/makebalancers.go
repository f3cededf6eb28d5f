package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// makeLoadBalancer is make for what is done to a load balancer itself.
func (e *execution) makeLoadBalancer(ctx context.Context, c plan.Change) error {
	switch c := c.(type) {
	case plan.CreateLoadBalancer:
		return e.createLoadBalancer(ctx, c.LoadBalancer)
	case plan.ModifyLoadBalancerAttributes:
		return e.modifyLoadBalancerAttributes(ctx, c)
	case plan.SetIPAddressType:
		return e.setIPAddressType(ctx, c)
	case plan.SetSubnets:
		return e.setSubnets(ctx, c)
	case plan.SetSecurityGroups:
		return e.setSecurityGroups(ctx, c)
	case plan.SetCapacity:
		return e.setCapacity(ctx, c)
	case plan.DeleteLoadBalancer:
		return e.deleteLoadBalancer(ctx, c)
	}
	return fmt.Errorf("no call is known for the change %T", c)
}

// loadBalancer changes what AWS holds of one; an empty ARN is the one just made.
func (e *execution) loadBalancer(arn string, change func(*plan.LoadBalancer)) {
	e.note(func(s *plan.Stack) {
		for i := range s.LoadBalancers {
			if s.LoadBalancers[i].ARN == arn {
				change(&s.LoadBalancers[i])
			}
		}
	})
}

// anotherTime is how old a load balancer is that this call did not make, however
// often it was tried.
const anotherTime = 5 * time.Minute

func (e *execution) createLoadBalancer(ctx context.Context, lb plan.LoadBalancer) error {
	out, err := e.calls.BalancingChange.CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{
		Name:                         &lb.Name,
		Type:                         elbtypes.LoadBalancerTypeEnumNetwork,
		Scheme:                       elbtypes.LoadBalancerSchemeEnum(lb.Scheme),
		IpAddressType:                elbtypes.IpAddressType(lb.IPAddressType),
		SubnetMappings:               mappingsTo(lb.Subnets),
		SecurityGroups:               e.groups(lb.SecurityGroups),
		EnablePrefixForIpv6SourceNat: sourceNAT(lb.PrefixForSourceNAT),
		Tags:                         elbTags(lb.Tags),
	})
	if codeOf(err) == "DuplicateLoadBalancerName" {
		return e.findLoadBalancer(ctx, lb.Name)
	}
	if err != nil {
		return err
	}
	if len(out.LoadBalancers) != 1 {
		return errors.New("AWS made a load balancer and does not say which")
	}
	made := loadBalancerOf(out.LoadBalancers[0])
	made.Tags = lb.Tags
	at := sdk.ToTime(out.LoadBalancers[0].CreatedTime)
	e.note(func(s *plan.Stack) {
		e.found = e.found || !at.IsZero() && time.Since(at) > anotherTime
		e.made[""] = made.ARN
		e.unverified = append(e.unverified, made.ARN)
		s.LoadBalancers = append(s.LoadBalancers, made)
	})
	return nil
}

// findLoadBalancer looks up the one that has the name which was to be made, with
// other settings.
func (e *execution) findLoadBalancer(ctx context.Context, name string) error {
	out, err := e.calls.Balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{name}})
	if err != nil {
		return err
	}
	for _, lb := range out.LoadBalancers {
		if err := e.take(ctx, list(sdk.ToString(lb.LoadBalancerArn))); err != nil {
			return err
		}
	}
	return errStale
}

// groups resolves the managed one, sorted.
func (e *execution) groups(refs []string) []string {
	var ids []string
	for _, ref := range refs {
		ids = append(ids, e.name(ref))
	}
	slices.Sort(ids)
	return ids
}

func (e *execution) modifyLoadBalancerAttributes(ctx context.Context, c plan.ModifyLoadBalancerAttributes) error {
	arn := e.name(c.ARN)
	var attributes []elbtypes.LoadBalancerAttribute
	for _, key := range slices.Sorted(maps.Keys(c.Attributes)) {
		attributes = append(attributes, elbtypes.LoadBalancerAttribute{Key: &key, Value: new(c.Attributes[key])})
	}
	_, err := e.calls.BalancingChange.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{LoadBalancerArn: &arn, Attributes: attributes})
	if err != nil {
		return err
	}
	e.loadBalancer(arn, func(lb *plan.LoadBalancer) { lb.Attributes = with(lb.Attributes, c.Attributes) })
	return nil
}

func (e *execution) setIPAddressType(ctx context.Context, c plan.SetIPAddressType) error {
	arn := e.name(c.ARN)
	_, err := e.calls.BalancingChange.SetIpAddressType(ctx, &elb.SetIpAddressTypeInput{LoadBalancerArn: &arn, IpAddressType: elbtypes.IpAddressType(c.Type)})
	if err != nil {
		return err
	}
	e.loadBalancer(arn, func(lb *plan.LoadBalancer) { lb.IPAddressType = c.Type })
	return nil
}

func (e *execution) setSubnets(ctx context.Context, c plan.SetSubnets) error {
	arn := e.name(c.ARN)
	in := &elb.SetSubnetsInput{LoadBalancerArn: &arn, SubnetMappings: mappingsTo(c.Subnets), IpAddressType: elbtypes.IpAddressType(c.IPAddressType)}
	if c.IPAddressType != "" || e.addressType(arn) == annotation.DualStack {
		in.EnablePrefixForIpv6SourceNat = elbtypes.EnablePrefixForIpv6SourceNatEnumOff
		if c.PrefixForSourceNAT {
			in.EnablePrefixForIpv6SourceNat = elbtypes.EnablePrefixForIpv6SourceNatEnumOn
		}
	}
	out, err := e.calls.BalancingChange.SetSubnets(ctx, in)
	if err != nil {
		return err
	}
	var subnets []plan.SubnetMapping
	for _, zone := range out.AvailabilityZones {
		subnets = append(subnets, mappingOf(zone))
	}
	slices.SortFunc(subnets, func(a, b plan.SubnetMapping) int { return strings.Compare(a.SubnetID, b.SubnetID) })
	e.loadBalancer(arn, func(lb *plan.LoadBalancer) {
		lb.Subnets, lb.PrefixForSourceNAT = subnets, c.PrefixForSourceNAT
		lb.IPAddressType = cmp.Or(c.IPAddressType, lb.IPAddressType)
	})
	return nil
}

func (e *execution) addressType(arn string) (t annotation.IPAddressType) {
	e.loadBalancer(arn, func(lb *plan.LoadBalancer) { t = lb.IPAddressType })
	return t
}

func (e *execution) setSecurityGroups(ctx context.Context, c plan.SetSecurityGroups) error {
	arn, groups := e.name(c.ARN), e.groups(c.Groups)
	_, err := e.calls.BalancingChange.SetSecurityGroups(ctx, &elb.SetSecurityGroupsInput{
		LoadBalancerArn: &arn,
		SecurityGroups:  groups,
		EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: elbtypes.EnforceSecurityGroupInboundRulesOnPrivateLinkTrafficEnum(c.PrivateLinkRules),
	})
	if err != nil {
		return err
	}
	e.loadBalancer(arn, func(lb *plan.LoadBalancer) {
		lb.SecurityGroups = groups
		if c.PrivateLinkRules != "" {
			lb.PrivateLinkRules = c.PrivateLinkRules
		}
	})
	return nil
}

func (e *execution) setCapacity(ctx context.Context, c plan.SetCapacity) error {
	arn := e.name(c.ARN)
	in := &elb.ModifyCapacityReservationInput{LoadBalancerArn: &arn}
	if c.Minimum == 0 {
		in.ResetCapacityReservation = new(true)
	} else {
		in.MinimumLoadBalancerCapacity = &elbtypes.MinimumLoadBalancerCapacity{CapacityUnits: &c.Minimum}
	}
	if _, err := e.calls.BalancingChange.ModifyCapacityReservation(ctx, in); err != nil {
		return err
	}
	e.loadBalancer(arn, func(lb *plan.LoadBalancer) { lb.MinimumCapacity = c.Minimum })
	return nil
}

func (e *execution) deleteLoadBalancer(ctx context.Context, c plan.DeleteLoadBalancer) error {
	_, err := e.calls.BalancingChange.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: &c.ARN})
	if err != nil && !isNotFound(err) {
		return err
	}
	e.inventory.drop(e.stack, append(e.listenersIn(c.ARN), c.ARN)...)
	e.note(func(s *plan.Stack) {
		s.LoadBalancers = slices.DeleteFunc(slices.Clone(s.LoadBalancers), func(lb plan.LoadBalancer) bool { return lb.ARN == c.ARN })
	})
	return nil
}

func (e *execution) listenersIn(loadBalancer string) (arns []string) {
	e.loadBalancer(loadBalancer, func(lb *plan.LoadBalancer) {
		for _, l := range lb.Listeners {
			arns = append(arns, l.ARN)
		}
	})
	return arns
}
