package aws

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/berth-lb/berth/providers/aws/plan"
)

func targetGroupIn(changes []plan.Change) plan.TargetGroup {
	for _, c := range changes {
		if made, ok := c.(plan.CreateTargetGroup); ok {
			return made.TargetGroup
		}
	}
	return plan.TargetGroup{}
}

// loadBalancer returns the name of that of a Service.
func (s *site) loadBalancer(name string) string {
	r, _ := s.provider.memory.get(name)
	return r.name
}

// harm does what somebody with a console might do to default/web.
func (s *site) harm(what string) {
	r, _ := s.provider.memory.get("default/web")
	stack, ctx, c := *r.stack, s.t.Context(), NewClients(configOf(s.cloud))
	lb, group := stack.LoadBalancers[0], stack.TargetGroups[0]
	var err error
	switch what {
	case "listener":
		_, err = c.BalancingChange.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: &lb.Listeners[0].ARN})
	case "load balancer":
		_, err = c.BalancingChange.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: &lb.ARN})
	case "target group port":
		_, err = c.BalancingChange.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{TargetGroupArn: &group.ARN, HealthCheckPort: new("1")})
	case "security group rule":
		_, err = c.NetworkChange.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &stack.Groups[0].ID, IpPermissions: permissionsTo(stack.Groups[0].Ingress)})
	case "nodes' rule":
		all, _ := listGroups(ctx, c.Network, filter("group-id", s.eks.NodeGroup))
		_, err = c.NetworkChange.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &s.eks.NodeGroup, IpPermissions: permissionsTo(all[s.eks.NodeGroup].Ingress)})
	case "tag":
		_, err = c.BalancingChange.RemoveTags(ctx, &elb.RemoveTagsInput{ResourceArns: []string{group.ARN}, TagKeys: []string{plan.TagStack}})
	case "target":
		_, err = c.BalancingChange.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: &group.ARN, Targets: targetsTo(group.Targets[:1])})
	}
	if err != nil {
		s.t.Fatal(strings.TrimSpace(err.Error()))
	}
}
