package fakeaws

import (
	"fmt"
	"reflect"
	"strings"
)

// action is one that a service has.
type action struct {
	input func() any
	run   func(*Cloud, any) (any, error)
	takes reflect.Type
}

// does makes an action of a method. The fields of the input that are required
// are named.
func does[I, O any](service, required string, f func(*Cloud, *I) (*O, error)) action {
	return action{
		takes: reflect.TypeFor[I](),
		input: func() any { return new(I) },
		run: func(c *Cloud, in any) (any, error) {
			if field := absent(in, strings.Fields(required)); field != "" {
				return nil, missing(service, field)
			}
			out, err := f(c, in.(*I))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

func missing(service, field string) error {
	code := dialects[service].missing
	if service == ec2Service {
		return refuse(code, "The request must contain the parameter %s", field)
	}
	return refuse(code, "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", strings.ToLower(field[:1])+field[1:])
}

// actions are all that are understood, by service and name: those that a
// controller of Network Load Balancers needs.
var actions = map[string]map[string]action{
	elbv2Service: {
		"CreateLoadBalancer":             does(elbv2Service, "Name", (*Cloud).createLoadBalancer),
		"DeleteLoadBalancer":             does(elbv2Service, "LoadBalancerArn", (*Cloud).deleteLoadBalancer),
		"DescribeLoadBalancers":          does(elbv2Service, "", (*Cloud).describeLoadBalancers),
		"DescribeLoadBalancerAttributes": does(elbv2Service, "LoadBalancerArn", (*Cloud).describeLoadBalancerAttributes),
		"ModifyLoadBalancerAttributes":   does(elbv2Service, "LoadBalancerArn Attributes", (*Cloud).modifyLoadBalancerAttributes),
		"SetIpAddressType":               does(elbv2Service, "LoadBalancerArn IpAddressType", (*Cloud).setIPAddressType),
		"SetSecurityGroups":              does(elbv2Service, "LoadBalancerArn", (*Cloud).setSecurityGroups),
		"SetSubnets":                     does(elbv2Service, "LoadBalancerArn", (*Cloud).setSubnets),
		"DescribeCapacityReservation":    does(elbv2Service, "LoadBalancerArn", (*Cloud).describeCapacityReservation),
		"ModifyCapacityReservation":      does(elbv2Service, "LoadBalancerArn", (*Cloud).modifyCapacityReservation),

		"CreateTargetGroup":             does(elbv2Service, "Name", (*Cloud).createTargetGroup),
		"DeleteTargetGroup":             does(elbv2Service, "TargetGroupArn", (*Cloud).deleteTargetGroup),
		"DescribeTargetGroups":          does(elbv2Service, "", (*Cloud).describeTargetGroups),
		"ModifyTargetGroup":             does(elbv2Service, "TargetGroupArn", (*Cloud).modifyTargetGroup),
		"DescribeTargetGroupAttributes": does(elbv2Service, "TargetGroupArn", (*Cloud).describeTargetGroupAttributes),
		"ModifyTargetGroupAttributes":   does(elbv2Service, "TargetGroupArn Attributes", (*Cloud).modifyTargetGroupAttributes),
		"RegisterTargets":               does(elbv2Service, "TargetGroupArn Targets", (*Cloud).registerTargets),
		"DeregisterTargets":             does(elbv2Service, "TargetGroupArn Targets", (*Cloud).deregisterTargets),
		"DescribeTargetHealth":          does(elbv2Service, "TargetGroupArn", (*Cloud).describeTargetHealth),

		"CreateListener":               does(elbv2Service, "LoadBalancerArn DefaultActions", (*Cloud).createListener),
		"DeleteListener":               does(elbv2Service, "ListenerArn", (*Cloud).deleteListener),
		"DescribeListeners":            does(elbv2Service, "", (*Cloud).describeListeners),
		"ModifyListener":               does(elbv2Service, "ListenerArn", (*Cloud).modifyListener),
		"DescribeListenerAttributes":   does(elbv2Service, "ListenerArn", (*Cloud).describeListenerAttributes),
		"ModifyListenerAttributes":     does(elbv2Service, "ListenerArn Attributes", (*Cloud).modifyListenerAttributes),
		"AddListenerCertificates":      does(elbv2Service, "ListenerArn Certificates", (*Cloud).addListenerCertificates),
		"RemoveListenerCertificates":   does(elbv2Service, "ListenerArn Certificates", (*Cloud).removeListenerCertificates),
		"DescribeListenerCertificates": does(elbv2Service, "ListenerArn", (*Cloud).describeListenerCertificates),

		"AddTags":      does(elbv2Service, "ResourceArns Tags", (*Cloud).addTags),
		"RemoveTags":   does(elbv2Service, "ResourceArns TagKeys", (*Cloud).removeTags),
		"DescribeTags": does(elbv2Service, "ResourceArns", (*Cloud).describeTags),
	},
	ec2Service: {
		"DescribeAvailabilityZones":     does(ec2Service, "", (*Cloud).describeAvailabilityZones),
		"DescribeVpcs":                  does(ec2Service, "", (*Cloud).describeVPCs),
		"DescribeSubnets":               does(ec2Service, "", (*Cloud).describeSubnets),
		"DescribeRouteTables":           does(ec2Service, "", (*Cloud).describeRouteTables),
		"DescribeInstances":             does(ec2Service, "", (*Cloud).describeInstances),
		"DescribeNetworkInterfaces":     does(ec2Service, "", (*Cloud).describeNetworkInterfaces),
		"DescribeSecurityGroups":        does(ec2Service, "", (*Cloud).describeSecurityGroups),
		"CreateSecurityGroup":           does(ec2Service, "GroupName Description", (*Cloud).createSecurityGroup),
		"DeleteSecurityGroup":           does(ec2Service, "GroupId", (*Cloud).deleteSecurityGroup),
		"AuthorizeSecurityGroupIngress": does(ec2Service, "GroupId IpPermissions", (*Cloud).authorizeSecurityGroupIngress),
		"RevokeSecurityGroupIngress":    does(ec2Service, "GroupId IpPermissions", (*Cloud).revokeSecurityGroupIngress),
		"CreateTags":                    does(ec2Service, "Resources Tags", (*Cloud).createTags),
		"DeleteTags":                    does(ec2Service, "Resources", (*Cloud).deleteTags),
	},
	taggingService: {
		"GetResources": does(taggingService, "", (*Cloud).getResources),
	},
	stsService: {
		"GetCallerIdentity": does(stsService, "", (*Cloud).getCallerIdentity),
	},
}

// Do performs an action behind everybody's back: it takes an input of the SDK,
// such as *elasticloadbalancingv2.DeleteListenerInput, and returns the output.
// It is neither signed, throttled, denied nor logged, and no fault hits it.
func Do[O any](c *Cloud, in any) (*O, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.root = true
	defer func() { c.root = false }()
	return act[O](c, in)
}

// act is Do for those that hold the lock.
func act[O any](c *Cloud, in any) (*O, error) {
	takes := reflect.TypeOf(in)
	for _, of := range actions {
		a, ok := of[strings.TrimSuffix(takes.Elem().Name(), "Input")]
		if !ok || a.takes != takes.Elem() {
			continue
		}
		out, err := a.run(c, in)
		if err != nil {
			return nil, err
		}
		return out.(*O), nil
	}
	return nil, fmt.Errorf("no action takes %s", takes)
}

// getCallerIdentityInput and getCallerIdentityOutput are those of STS, which is
// asked for nothing else.
type (
	getCallerIdentityInput  struct{}
	getCallerIdentityOutput struct{ Account, Arn, UserId *string }
)

func (c *Cloud) getCallerIdentity(*getCallerIdentityInput) (*getCallerIdentityOutput, error) {
	user := "AROAEXAMPLE:controller"
	arn := c.principal()
	return &getCallerIdentityOutput{Account: &c.options.Account, Arn: &arn, UserId: &user}, nil
}
