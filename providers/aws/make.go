package aws

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/berth-lb/berth/providers/aws/plan"
)

// make is one change: the call, and what AWS holds after it.
func (e *execution) make(ctx context.Context, c plan.Change) error {
	switch c := c.(type) {
	case plan.CreateSecurityGroup:
		return e.createSecurityGroup(ctx, c.Group)
	case plan.AuthorizeIngress:
		return e.authorizeIngress(ctx, c)
	case plan.RevokeIngress:
		return e.revokeIngress(ctx, c)
	case plan.DeleteSecurityGroup:
		return e.deleteSecurityGroup(ctx, c)
	case plan.CreateTargetGroup:
		return e.createTargetGroup(ctx, c.TargetGroup)
	case plan.ModifyTargetGroup:
		return e.modifyTargetGroup(ctx, c)
	case plan.ModifyTargetGroupAttributes:
		return e.modifyTargetGroupAttributes(ctx, c)
	case plan.RegisterTargets:
		return e.registerTargets(ctx, c)
	case plan.DeregisterTargets:
		return e.deregisterTargets(ctx, c)
	case plan.DeleteTargetGroup:
		return e.deleteTargetGroup(ctx, c)
	case plan.CreateListener:
		return e.createListener(ctx, c)
	case plan.ModifyListener:
		return e.modifyListener(ctx, c.Listener)
	case plan.ModifyListenerCertificates:
		return e.modifyListenerCertificates(ctx, c)
	case plan.ModifyListenerAttributes:
		return e.modifyListenerAttributes(ctx, c)
	case plan.DeleteListener:
		return e.deleteListener(ctx, c.Listener)
	case plan.AddTags:
		return e.addTags(ctx, c)
	}
	return e.makeLoadBalancer(ctx, c)
}

// name resolves what a change calls something that was just made.
func (e *execution) name(ref string) string {
	if strings.HasPrefix(ref, "arn:") || strings.HasPrefix(ref, "sg-") {
		return ref
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.made[ref]
}

// note changes what AWS holds.
func (e *execution) note(change func(*plan.Stack)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	change(&e.now)
}

func (e *execution) addTags(ctx context.Context, c plan.AddTags) error {
	var err error
	if strings.HasPrefix(c.Resources[0], "arn:") {
		_, err = e.calls.BalancingChange.AddTags(ctx, &elb.AddTagsInput{ResourceArns: c.Resources, Tags: elbTags(c.Tags)})
	} else {
		_, err = e.calls.NetworkChange.CreateTags(ctx, &ec2.CreateTagsInput{Resources: c.Resources, Tags: ec2Tags(c.Tags)})
	}
	if err == nil {
		e.retag(c.Resources, func(tags map[string]string) map[string]string { return with(tags, c.Tags) })
	}
	return err
}

// retag changes the tags of what has one of the names.
func (e *execution) retag(names []string, change func(map[string]string) map[string]string) {
	set := func(name string, tags *map[string]string) {
		if slices.Contains(names, name) {
			*tags = change(*tags)
		}
	}
	e.note(func(s *plan.Stack) {
		for i := range s.LoadBalancers {
			lb := &s.LoadBalancers[i]
			set(lb.ARN, &lb.Tags)
			for j := range lb.Listeners {
				set(lb.Listeners[j].ARN, &lb.Listeners[j].Tags)
			}
		}
		for i := range s.TargetGroups {
			set(s.TargetGroups[i].ARN, &s.TargetGroups[i].Tags)
		}
		for i := range s.Groups {
			set(s.Groups[i].ID, &s.Groups[i].Tags)
		}
	})
}
