package aws

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/berth-lb/berth/providers/aws/fakeaws"
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

// handOver gives all that default/web has to another owner, by a tag.
func (s *site) handOver(key, value string) {
	inventory := s.provider.inventory.of("default/web")
	var arns []string
	for _, kind := range []string{aLoadBalancer, aListener, aTargetGroup} {
		arns = append(arns, inventory.of(kind)...)
	}
	tags := map[string]string{key: value}
	_, err := fakeaws.Do[elb.AddTagsOutput](s.cloud, &elb.AddTagsInput{ResourceArns: arns, Tags: elbTags(tags)})
	if err == nil {
		_, err = fakeaws.Do[ec2.CreateTagsOutput](s.cloud, &ec2.CreateTagsInput{Resources: inventory.of(aSecurityGroup), Tags: ec2Tags(tags)})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// unprotect has all load balancers be deletable.
func (s *site) unprotect() {
	for _, arn := range s.provider.inventory.of("default/web").of(aLoadBalancer) {
		_, err := fakeaws.Do[elb.ModifyLoadBalancerAttributesOutput](s.cloud, &elb.ModifyLoadBalancerAttributesInput{
			LoadBalancerArn: &arn, Attributes: []elbtypes.LoadBalancerAttribute{{Key: new("deletion_protection.enabled"), Value: new("false")}},
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
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
		_, err = elb.NewFromConfig(configOf(s.cloud)).RemoveTags(ctx, &elb.RemoveTagsInput{ResourceArns: []string{group.ARN}, TagKeys: []string{plan.TagStack}})
	case "target":
		_, err = c.BalancingChange.DeregisterTargets(ctx, &elb.DeregisterTargetsInput{TargetGroupArn: &group.ARN, Targets: targetsTo(group.Targets[:1])})
	}
	if err != nil {
		s.t.Fatal(strings.TrimSpace(err.Error()))
	}
}
