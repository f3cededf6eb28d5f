package aws

import (
	"context"
	"regexp"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers/aws/plan"
)

// hostname is what AWS calls Network Load Balancers by: their name, a hyphen and
// an ID.
var hostname = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?)-[0-9a-f]+\.elb\.`)

// recognize puts what a Service has into the inventory if its status names a load
// balancer that no listing has shown: one that was made a moment before the
// process began, perhaps by the AWS Load Balancer Controller, under a name that is
// not ours. It would be made a second time.
func (p *Provider) recognize(ctx context.Context, stack string, svc *corev1.Service) error {
	ingress := svc.Status.LoadBalancer.Ingress
	if len(ingress) == 0 || p.lists(stack) {
		return nil
	}
	name := hostname.FindStringSubmatch(ingress[0].Hostname)
	if name == nil {
		return nil
	}
	// A listing that lacks it may be old; a new one serves all who ask.
	if err := p.inventory.wait(ctx, retryAge); err != nil || p.lists(stack) {
		return err
	}
	found, err := p.observer.named.get(ctx, name[1])
	if err != nil {
		return explain("describe the load balancer "+ingress[0].Hostname+" of "+stack, err)
	}
	lb, there := found[name[1]]
	if !there || sdk.ToString(lb.DNSName) != ingress[0].Hostname {
		return nil
	}
	return explain("look at the load balancer "+name[1]+" of "+stack, p.recognizeAll(ctx, stack, lb))
}

// lists says whether a load balancer of a stack is known.
func (p *Provider) lists(stack string) bool { return len(p.inventory.of(stack).of(aLoadBalancer)) > 0 }

// recognizeAll puts a load balancer and what it uses into the inventory, as far
// as that has the tags of the stack.
func (p *Provider) recognizeAll(ctx context.Context, stack string, lb elbtypes.LoadBalancer) error {
	arns := []string{sdk.ToString(lb.LoadBalancerArn)}
	pages := elb.NewDescribeTargetGroupsPaginator(p.options.Clients.Balancing, &elb.DescribeTargetGroupsInput{LoadBalancerArn: lb.LoadBalancerArn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return staleIfGone(err)
		}
		for _, g := range page.TargetGroups {
			arns = append(arns, sdk.ToString(g.TargetGroupArn))
		}
	}
	tags, err := p.observer.tags.get(ctx, arns...)
	if err != nil {
		return err
	}
	if !p.ours(stack, tags[arns[0]]) {
		return nil // its listeners' target groups are none of our business either
	}
	groups, err := p.observer.groups.get(ctx, lb.SecurityGroups...)
	if err != nil {
		return err
	}
	for id, g := range groups {
		tags[id] = g.Tags
	}
	for name, has := range tags {
		if p.ours(stack, has) {
			p.inventory.add(stack, name)
		}
	}
	return nil
}

// ours says whether tags are those of a stack of this cluster.
func (p *Provider) ours(stack string, tags map[string]string) bool {
	return tags[plan.TagCluster] == p.options.Cluster.Name && tags[plan.TagStack] == stack
}
