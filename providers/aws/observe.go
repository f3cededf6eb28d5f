package aws

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/berth-lb/berth/providers/aws/plan"
)

const (
	// elbBatch is how many ARNs a call of Elastic Load Balancing takes.
	elbBatch = 20
	// ec2Batch is how many values a filter of EC2 takes.
	ec2Batch = 200
)

// observer describes stacks. What several Services ask at about the same time
// goes into one call.
type observer struct {
	elb       Balancing
	ec2       Network
	inventory *inventory

	loadBalancers batch[elbtypes.LoadBalancer]
	named         batch[elbtypes.LoadBalancer] // by name
	targetGroups  batch[elbtypes.TargetGroup]
	listeners     batch[elbtypes.Listener]
	tags          batch[map[string]string]
	groups        batch[plan.SecurityGroup]
}

func newObserver(calls Clients, inventory *inventory) *observer {
	o := &observer{elb: calls.Balancing, ec2: calls.Network, inventory: inventory}
	o.loadBalancers = batch[elbtypes.LoadBalancer]{size: elbBatch, fetch: o.fetchLoadBalancers}
	o.named = batch[elbtypes.LoadBalancer]{size: elbBatch, fetch: o.fetchNamed}
	o.targetGroups = batch[elbtypes.TargetGroup]{size: elbBatch, fetch: o.fetchTargetGroups}
	o.listeners = batch[elbtypes.Listener]{size: elbBatch, fetch: o.fetchListeners}
	o.tags = batch[map[string]string]{size: elbBatch, fetch: o.fetchTags}
	o.groups = batch[plan.SecurityGroup]{size: ec2Batch, fetch: o.fetchGroups}
	return o
}

// stack describes what there is of a stack, by the names in the inventory. What
// takes a call for each load balancer, target group or listener is left to
// closer, but for the listeners, of which the inventory may lack some.
func (o *observer) stack(ctx context.Context, stack string) (plan.Stack, error) {
	s, err := o.parts(ctx, stack, o.groups.get)
	if err != nil {
		return plan.Stack{}, err
	}
	var there []string
	for i := range s.LoadBalancers {
		lb := &s.LoadBalancers[i]
		if lb.Listeners, err = o.listenersOf(ctx, lb.ARN); err != nil {
			return plan.Stack{}, explain("describe the listeners of "+lb.Name, err)
		}
		for _, l := range lb.Listeners {
			there = append(there, l.ARN)
		}
	}
	o.inventory.add(stack, there...)
	o.miss(stack, o.inventory.of(stack).of(aListener), there)
	if err := o.addTags(ctx, &s); err != nil {
		return plan.Stack{}, explain("describe the tags of the load balancer of "+stack, err)
	}
	return tidy(o.own(stack, s)), nil
}

// reclaim looks at the tags of what is known of a stack once more, and says
// whether all of it is still the stack's. It returns what is.
func (o *observer) reclaim(ctx context.Context, stack string, s plan.Stack) (own plan.Stack, all bool, err error) {
	var ids []string
	for _, g := range s.Groups {
		ids = append(ids, g.ID)
	}
	groups, err := o.groups.get(ctx, ids...)
	if err == nil {
		err = o.addTags(ctx, &s)
	}
	if err != nil {
		return plan.Stack{}, false, explain("describe the tags of what "+stack+" has", err)
	}
	for i := range s.Groups {
		s.Groups[i].Tags = groups[s.Groups[i].ID].Tags
	}
	before := len(s.LoadBalancers) + len(s.TargetGroups) + len(s.Groups)
	own = o.own(stack, s)
	return own, len(own.LoadBalancers)+len(own.TargetGroups)+len(own.Groups) == before, nil
}

// tagsOf looks up the tags of ARNs and of IDs of security groups.
func (o *observer) tagsOf(ctx context.Context, all names) (map[string]map[string]string, error) {
	groups, err := o.groups.get(ctx, all.of(aSecurityGroup)...)
	if err != nil {
		return nil, err
	}
	tags, err := o.tags.get(ctx, slices.Concat(all.of(aLoadBalancer), all.of(aTargetGroup), all.of(aListener))...)
	if err != nil {
		return nil, err
	}
	for id, g := range groups {
		tags[id] = g.Tags
	}
	return tags, nil
}

// own leaves out what carries another owner's tags by now. Listeners are their
// load balancer's.
func (o *observer) own(stack string, s plan.Stack) plan.Stack {
	foreign := func(name string, tags map[string]string) bool {
		if !o.inventory.foreign(stack, tags) {
			return false
		}
		o.inventory.disown(stack, name)
		return true
	}
	s.LoadBalancers = slices.DeleteFunc(s.LoadBalancers, func(lb plan.LoadBalancer) bool {
		if !foreign(lb.ARN, lb.Tags) {
			return false
		}
		for _, l := range lb.Listeners {
			o.inventory.disown(stack, l.ARN)
		}
		return true
	})
	s.TargetGroups = slices.DeleteFunc(s.TargetGroups, func(g plan.TargetGroup) bool { return foreign(g.ARN, g.Tags) })
	s.Groups = slices.DeleteFunc(s.Groups, func(g plan.SecurityGroup) bool { return foreign(g.ID, g.Tags) })
	return s
}

// glance is stack for many at a time: it takes a listing's word for which
// listeners there are, and for all tags. groups are all of the VPC.
func (o *observer) glance(ctx context.Context, stack string, groups securityGroups) (plan.Stack, error) {
	known := o.inventory.of(stack)
	s, err := o.parts(ctx, stack, func(_ context.Context, ids ...string) (map[string]plan.SecurityGroup, error) {
		return groups.only(ids), nil
	})
	if err != nil {
		return plan.Stack{}, err
	}
	arns := known.of(aListener)
	found, err := o.listeners.get(ctx, arns...)
	if err != nil {
		return plan.Stack{}, explain("describe the listeners of "+stack, err)
	}
	o.miss(stack, arns, keys(found))
	for i := range s.LoadBalancers {
		lb := &s.LoadBalancers[i]
		lb.Tags = known[lb.ARN]
		for _, l := range found {
			if sdk.ToString(l.LoadBalancerArn) == lb.ARN {
				one := listenerOf(l)
				one.Tags = known[one.ARN]
				lb.Listeners = append(lb.Listeners, one)
			}
		}
	}
	for i := range s.TargetGroups {
		g := &s.TargetGroups[i]
		g.Tags = known[g.ARN]
		g.Key = g.Tags[plan.TagResource]
	}
	return tidy(s), nil
}

// parts describes load balancers, target groups and security groups as far as
// one call tells of many; groups looks up security groups.
func (o *observer) parts(ctx context.Context, stack string, groups func(context.Context, ...string) (map[string]plan.SecurityGroup, error)) (plan.Stack, error) {
	known := o.inventory.of(stack)
	var s plan.Stack
	var wg sync.WaitGroup
	var failures [3]error
	wg.Go(func() {
		arns := known.of(aLoadBalancer)
		found, err := o.loadBalancers.get(ctx, arns...)
		if failures[0] = explain("describe the load balancer of "+stack, err); err == nil {
			o.miss(stack, arns, keys(found))
		}
		for _, lb := range found {
			s.LoadBalancers = append(s.LoadBalancers, loadBalancerOf(lb))
		}
	})
	wg.Go(func() {
		arns := known.of(aTargetGroup)
		found, err := o.targetGroups.get(ctx, arns...)
		if failures[1] = explain("describe the target groups of "+stack, err); err == nil {
			o.miss(stack, arns, keys(found))
		}
		for _, g := range found {
			s.TargetGroups = append(s.TargetGroups, targetGroupOf(g))
		}
	})
	wg.Go(func() {
		ids := known.of(aSecurityGroup)
		found, err := groups(ctx, ids...)
		if failures[2] = explain("describe the security group of "+stack, err); err == nil {
			o.miss(stack, ids, keys(found))
		}
		s.Groups = slices.Collect(maps.Values(found))
	})
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return plan.Stack{}, err
		}
	}
	return s, nil
}

// miss notes what was asked for and not found.
func (o *observer) miss(stack string, asked []string, found []string) {
	for _, name := range asked {
		if !slices.Contains(found, name) {
			o.inventory.drop(stack, name)
		}
	}
}

func keys[V any](m map[string]V) []string { return slices.Collect(maps.Keys(m)) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// addTags looks up all tags but those of security groups, which come with them.
func (o *observer) addTags(ctx context.Context, s *plan.Stack) error {
	tags, err := o.tags.get(ctx, arnsOf(*s)...)
	if err != nil {
		return err
	}
	for i := range s.LoadBalancers {
		lb := &s.LoadBalancers[i]
		lb.Tags = tags[lb.ARN]
		for j := range lb.Listeners {
			lb.Listeners[j].Tags = tags[lb.Listeners[j].ARN]
		}
	}
	for i := range s.TargetGroups {
		g := &s.TargetGroups[i]
		g.Tags = tags[g.ARN]
		g.Key = g.Tags[plan.TagResource]
	}
	return nil
}

// arnsOf lists what of a stack has an ARN.
func arnsOf(s plan.Stack) []string {
	var arns []string
	for _, lb := range s.LoadBalancers {
		arns = append(arns, lb.ARN)
		for _, l := range lb.Listeners {
			arns = append(arns, l.ARN)
		}
	}
	for _, g := range s.TargetGroups {
		arns = append(arns, g.ARN)
	}
	return arns
}

// tidy sorts.
func tidy(s plan.Stack) plan.Stack {
	slices.SortFunc(s.LoadBalancers, func(a, b plan.LoadBalancer) int { return strings.Compare(a.ARN, b.ARN) })
	slices.SortFunc(s.TargetGroups, func(a, b plan.TargetGroup) int { return strings.Compare(a.Key+a.ARN, b.Key+b.ARN) })
	slices.SortFunc(s.Groups, func(a, b plan.SecurityGroup) int { return strings.Compare(a.ID, b.ID) })
	for i := range s.LoadBalancers {
		lb := &s.LoadBalancers[i]
		slices.SortFunc(lb.Listeners, func(a, b plan.Listener) int {
			if a.Port != b.Port {
				return int(a.Port - b.Port)
			}
			return strings.Compare(a.Protocol, b.Protocol)
		})
	}
	return s
}

// seen is told of every look at the targets of a target group.
type seen func(g plan.TargetGroup, targets []targetHealth)

// closer looks at what desired manages and takes a call for each: attributes,
// certificates, capacity, targets. What is there already is left.
func (o *observer) closer(ctx context.Context, observed *plan.Stack, desired plan.Stack, tell seen) error {
	if len(desired.LoadBalancers) == 0 {
		return nil
	}
	want := desired.LoadBalancers[0]
	for i := range observed.LoadBalancers {
		if err := o.closerLoadBalancer(ctx, &observed.LoadBalancers[i], want); err != nil {
			return err
		}
	}
	for i := range observed.TargetGroups {
		have := &observed.TargetGroups[i]
		for _, g := range desired.TargetGroups {
			if g.Key != have.Key {
				continue
			}
			if err := o.closerTargetGroup(ctx, have, len(g.Attributes) > 0, tell); err != nil {
				return explain("look at target group "+have.Name, err)
			}
		}
	}
	return nil
}

func (o *observer) closerLoadBalancer(ctx context.Context, have *plan.LoadBalancer, want plan.LoadBalancer) error {
	var err error
	if len(want.Attributes) > 0 && have.Attributes == nil {
		if have.Attributes, err = o.loadBalancerAttributes(ctx, have.ARN); err != nil {
			return explain("describe the attributes of "+have.Name, err)
		}
	}
	if want.ManagesCapacity && have.MinimumCapacity == 0 {
		if have.MinimumCapacity, err = o.capacity(ctx, have.ARN); err != nil {
			return explain("describe the capacity of "+have.Name, err)
		}
	}
	for i := range have.Listeners {
		l := &have.Listeners[i]
		for _, w := range want.Listeners {
			if w.Port != l.Port || w.Protocol != l.Protocol {
				continue
			}
			if err := o.closerListener(ctx, l, w); err != nil {
				return explain("look at a listener of "+have.Name, err)
			}
		}
	}
	return nil
}

// protection looks whether load balancers may be deleted.
func (o *observer) protection(ctx context.Context, s *plan.Stack) error {
	for i := range s.LoadBalancers {
		lb := &s.LoadBalancers[i]
		if lb.Attributes != nil {
			continue
		}
		var err error
		if lb.Attributes, err = o.loadBalancerAttributes(ctx, lb.ARN); err != nil {
			return explain("describe the attributes of "+lb.Name, err)
		}
	}
	return nil
}

func (o *observer) closerListener(ctx context.Context, have *plan.Listener, want plan.Listener) error {
	var err error
	if len(want.Attributes) > 0 && have.Attributes == nil {
		if have.Attributes, err = o.listenerAttributes(ctx, have.ARN); err != nil {
			return err
		}
	}
	if len(want.Certificates) > 0 && len(have.Certificates) == 1 {
		have.Certificates, err = o.certificates(ctx, have.ARN, have.Certificates)
	}
	return err
}

func (o *observer) closerTargetGroup(ctx context.Context, have *plan.TargetGroup, managed bool, tell seen) error {
	var err error
	if managed && have.Attributes == nil {
		if have.Attributes, err = o.targetGroupAttributes(ctx, have.ARN); err != nil {
			return err
		}
	}
	if have.Targets == nil {
		var health []targetHealth
		if health, err = o.health(ctx, have.ARN); err == nil {
			have.Targets = registered(health)
			tell(*have, health)
		}
	}
	return err
}

// registered are the targets that are not on their way out, sorted; not nil.
func registered(health []targetHealth) []plan.Target {
	out := []plan.Target{}
	for _, h := range health {
		if h.TargetHealth == nil || h.TargetHealth.State != elbtypes.TargetHealthStateEnumDraining {
			out = append(out, targetOf(h.Target))
		}
	}
	slices.SortFunc(out, compareTargets)
	return out
}

func compareTargets(a, b plan.Target) int {
	if a.ID != b.ID {
		return strings.Compare(a.ID, b.ID)
	}
	return int(a.Port - b.Port)
}

func (o *observer) health(ctx context.Context, targetGroup string) ([]targetHealth, error) {
	out, err := o.elb.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: &targetGroup})
	if err != nil {
		return nil, staleIfGone(err)
	}
	return out.TargetHealthDescriptions, nil
}

func (o *observer) fetchLoadBalancers(ctx context.Context, arns []string) (map[string]elbtypes.LoadBalancer, error) {
	out, err := o.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{LoadBalancerArns: arns})
	if err != nil {
		return nil, err
	}
	found := map[string]elbtypes.LoadBalancer{}
	for _, lb := range out.LoadBalancers {
		found[sdk.ToString(lb.LoadBalancerArn)] = lb
	}
	return found, nil
}

func (o *observer) fetchNamed(ctx context.Context, names []string) (map[string]elbtypes.LoadBalancer, error) {
	out, err := o.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: names})
	if err != nil {
		return nil, err
	}
	found := map[string]elbtypes.LoadBalancer{}
	for _, lb := range out.LoadBalancers {
		found[sdk.ToString(lb.LoadBalancerName)] = lb
	}
	return found, nil
}

func (o *observer) fetchTargetGroups(ctx context.Context, arns []string) (map[string]elbtypes.TargetGroup, error) {
	out, err := o.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: arns})
	if err != nil {
		return nil, err
	}
	found := map[string]elbtypes.TargetGroup{}
	for _, g := range out.TargetGroups {
		found[sdk.ToString(g.TargetGroupArn)] = g
	}
	return found, nil
}

func (o *observer) fetchListeners(ctx context.Context, arns []string) (map[string]elbtypes.Listener, error) {
	out, err := o.elb.DescribeListeners(ctx, &elb.DescribeListenersInput{ListenerArns: arns})
	if err != nil {
		return nil, err
	}
	found := map[string]elbtypes.Listener{}
	for _, l := range out.Listeners {
		found[sdk.ToString(l.ListenerArn)] = l
	}
	return found, nil
}

func (o *observer) fetchTags(ctx context.Context, arns []string) (map[string]map[string]string, error) {
	out, err := o.elb.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: arns})
	if err != nil {
		return nil, err
	}
	found := map[string]map[string]string{}
	for _, d := range out.TagDescriptions {
		found[sdk.ToString(d.ResourceArn)] = tagsOfELB(d.Tags)
	}
	return found, nil
}

func (o *observer) fetchGroups(ctx context.Context, ids []string) (map[string]plan.SecurityGroup, error) {
	return listGroups(ctx, o.ec2, filter("group-id", ids...))
}

// listenersOf lists all of a load balancer.
func (o *observer) listenersOf(ctx context.Context, loadBalancer string) ([]plan.Listener, error) {
	var out []plan.Listener
	pages := elb.NewDescribeListenersPaginator(o.elb, &elb.DescribeListenersInput{LoadBalancerArn: &loadBalancer})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isNotFound(err) {
			return nil, errStale
		}
		if err != nil {
			return nil, err
		}
		for _, l := range page.Listeners {
			out = append(out, listenerOf(l))
		}
	}
	return out, nil
}

func (o *observer) loadBalancerAttributes(ctx context.Context, arn string) (map[string]string, error) {
	out, err := o.elb.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: &arn})
	if err != nil {
		return nil, staleIfGone(err)
	}
	attributes := map[string]string{}
	for _, a := range out.Attributes {
		attributes[sdk.ToString(a.Key)] = sdk.ToString(a.Value)
	}
	return attributes, nil
}

func (o *observer) targetGroupAttributes(ctx context.Context, arn string) (map[string]string, error) {
	out, err := o.elb.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: &arn})
	if err != nil {
		return nil, staleIfGone(err)
	}
	attributes := map[string]string{}
	for _, a := range out.Attributes {
		attributes[sdk.ToString(a.Key)] = sdk.ToString(a.Value)
	}
	return attributes, nil
}

func (o *observer) listenerAttributes(ctx context.Context, arn string) (map[string]string, error) {
	out, err := o.elb.DescribeListenerAttributes(ctx, &elb.DescribeListenerAttributesInput{ListenerArn: &arn})
	if err != nil {
		return nil, staleIfGone(err)
	}
	attributes := map[string]string{}
	for _, a := range out.Attributes {
		attributes[sdk.ToString(a.Key)] = sdk.ToString(a.Value)
	}
	return attributes, nil
}

func (o *observer) capacity(ctx context.Context, arn string) (int32, error) {
	out, err := o.elb.DescribeCapacityReservation(ctx, &elb.DescribeCapacityReservationInput{LoadBalancerArn: &arn})
	if err != nil {
		return 0, staleIfGone(err)
	}
	if out.MinimumLoadBalancerCapacity == nil {
		return 0, nil
	}
	return sdk.ToInt32(out.MinimumLoadBalancerCapacity.CapacityUnits), nil
}

// certificates lists those of a listener, its default ones first.
func (o *observer) certificates(ctx context.Context, listener string, defaults []string) ([]string, error) {
	var more []string
	pages := elb.NewDescribeListenerCertificatesPaginator(o.elb, &elb.DescribeListenerCertificatesInput{ListenerArn: &listener})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, staleIfGone(err)
		}
		for _, c := range page.Certificates {
			if arn := sdk.ToString(c.CertificateArn); !sdk.ToBool(c.IsDefault) && !slices.Contains(defaults, arn) {
				more = append(more, arn)
			}
		}
	}
	slices.Sort(more)
	return append(slices.Clone(defaults), more...), nil
}

// staleIfGone has what vanished while it was looked at be looked for again.
func staleIfGone(err error) error {
	if isNotFound(err) {
		return errStale
	}
	return err
}
