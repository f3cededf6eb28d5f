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
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/berth-lb/berth/providers/aws/annotation"
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

func (e *execution) createSecurityGroup(ctx context.Context, g plan.SecurityGroup) error {
	out, err := e.calls.NetworkChange.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{
		GroupName:         &g.Name,
		Description:       &g.Description,
		VpcId:             &e.vpc,
		TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSecurityGroup, Tags: ec2Tags(g.Tags)}},
	})
	if codeOf(err) == "InvalidGroup.Duplicate" {
		return e.findSecurityGroup(ctx, g.Name)
	}
	if err != nil {
		return err
	}
	g.ID, g.Ingress = sdk.ToString(out.GroupId), nil
	e.inventory.add(e.stack, g.ID)
	e.note(func(s *plan.Stack) {
		e.made[plan.ManagedGroup] = g.ID
		s.Groups = append(s.Groups, g)
	})
	return nil
}

// findSecurityGroup looks up the one that has the name which was to be made: if
// it is ours, AWS is observed again, with it.
func (e *execution) findSecurityGroup(ctx context.Context, name string) error {
	filters := append(filter("group-name", name), filter("vpc-id", e.vpc)...)
	found, err := listGroups(ctx, e.calls.Network, filters)
	if err != nil {
		return err
	}
	for id, g := range found {
		if err := e.ours(id, g.Tags); err != nil {
			return err
		}
		e.inventory.add(e.stack, id)
	}
	return errStale
}

// authorizeIngress adds the rules that are not there yet.
func (e *execution) authorizeIngress(ctx context.Context, c plan.AuthorizeIngress) error {
	id := e.name(c.Group)
	has := e.rulesOf(id)
	err := e.authorize(ctx, id, slices.DeleteFunc(slices.Clone(c.Rules), func(r plan.Rule) bool { return slices.Contains(has, r) }))
	if codeOf(err) == "RulesPerSecurityGroupLimitExceeded" {
		return e.exchangeRules(ctx, id, err)
	}
	return err
}

// exchangeRules removes rules of a group that is full before it adds others. Where
// there is no room for these either, the group gets back what it had.
func (e *execution) exchangeRules(ctx context.Context, id string, full error) error {
	has := e.rulesOf(id)
	add, remove, fits := plan.Exchange(has, e.desired.Groups[0].Ingress)
	if !fits {
		return full
	}
	if err := e.revoke(ctx, id, remove); err != nil {
		return err
	}
	err := e.authorize(ctx, id, add)
	if err == nil {
		return nil
	}
	lacks, added, _ := plan.Exchange(e.rulesOf(id), has)
	if undo := cmp.Or(e.revoke(ctx, id, added), e.authorize(ctx, id, lacks)); undo != nil {
		return undo
	}
	return err
}

// revokeIngress removes the rules that are still there.
func (e *execution) revokeIngress(ctx context.Context, c plan.RevokeIngress) error {
	id := e.name(c.Group)
	has := e.rulesOf(id)
	return e.revoke(ctx, id, slices.DeleteFunc(slices.Clone(c.Rules), func(r plan.Rule) bool { return !slices.Contains(has, r) }))
}

func (e *execution) authorize(ctx context.Context, id string, add []plan.Rule) error {
	for rules := range slices.Chunk(add, maxOwnedRules) {
		_, err := e.calls.NetworkChange.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: permissionsTo(rules)})
		if err != nil {
			return err
		}
		e.ingress(id, func(has []plan.Rule) []plan.Rule { return append(slices.Clone(has), rules...) })
	}
	return nil
}

func (e *execution) revoke(ctx context.Context, id string, remove []plan.Rule) error {
	for rules := range slices.Chunk(remove, maxOwnedRules) {
		_, err := e.calls.NetworkChange.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &id, IpPermissions: permissionsTo(rules)})
		if err != nil {
			return err
		}
		e.ingress(id, func(has []plan.Rule) []plan.Rule {
			return slices.DeleteFunc(slices.Clone(has), func(r plan.Rule) bool { return slices.Contains(rules, r) })
		})
	}
	return nil
}

// ingress changes what AWS holds of the rules of a group.
func (e *execution) ingress(id string, change func([]plan.Rule) []plan.Rule) {
	e.note(func(s *plan.Stack) {
		for i := range s.Groups {
			if g := &s.Groups[i]; g.ID == id {
				g.Ingress = change(g.Ingress)
			}
		}
	})
}

func (e *execution) rulesOf(id string) (rules []plan.Rule) {
	e.ingress(id, func(has []plan.Rule) []plan.Rule { rules = has; return has })
	return rules
}

func (e *execution) deleteSecurityGroup(ctx context.Context, c plan.DeleteSecurityGroup) error {
	_, err := e.calls.NetworkChange.DeleteSecurityGroup(ctx, &ec2.DeleteSecurityGroupInput{GroupId: &c.ID})
	if err != nil && !isNotFound(err) {
		return err
	}
	e.inventory.drop(e.stack, c.ID)
	e.note(func(s *plan.Stack) {
		s.Groups = slices.DeleteFunc(slices.Clone(s.Groups), func(g plan.SecurityGroup) bool { return g.ID == c.ID })
	})
	return nil
}

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

func (e *execution) createListener(ctx context.Context, c plan.CreateListener) error {
	l := c.Listener
	lb, group := e.name(c.LoadBalancer), e.name(l.TargetGroup)
	out, err := e.calls.BalancingChange.CreateListener(ctx, &elb.CreateListenerInput{
		LoadBalancerArn: &lb,
		Protocol:        elbtypes.ProtocolEnum(l.Protocol),
		Port:            &l.Port,
		DefaultActions:  forwardTo(group),
		Certificates:    certificatesTo(l.Certificates),
		SslPolicy:       str(l.SSLPolicy),
		AlpnPolicy:      alpnTo(l),
		Tags:            elbTags(l.Tags),
	})
	if err != nil {
		return err
	}
	if len(out.Listeners) != 1 {
		return errors.New("AWS made a listener and does not say which")
	}
	l.ARN, l.TargetGroup, l.Attributes = sdk.ToString(out.Listeners[0].ListenerArn), group, nil
	e.inventory.add(e.stack, l.ARN)
	e.loadBalancer(lb, func(b *plan.LoadBalancer) { b.Listeners = append(b.Listeners, l) })
	return nil
}

// alpnTo is for listeners that speak TLS alone.
func alpnTo(l plan.Listener) []string {
	if l.Protocol != string(elbtypes.ProtocolEnumTls) {
		return nil
	}
	return list(l.ALPN)
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

// listener changes what AWS holds of one, wherever it is.
func (e *execution) listener(arn string, change func(*plan.Listener)) {
	e.note(func(s *plan.Stack) {
		for i := range s.LoadBalancers {
			for j := range s.LoadBalancers[i].Listeners {
				if l := &s.LoadBalancers[i].Listeners[j]; l.ARN == arn {
					change(l)
				}
			}
		}
	})
}

// listenerAt returns the ARN of one that a change names, or that was made on a
// port.
func (e *execution) listenerAt(arn string, port int32) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, l := range successor(e.now, e.desired).Listeners {
		if arn == "" && l.Port == port {
			return l.ARN
		}
	}
	return arn
}

func (e *execution) modifyListener(ctx context.Context, l plan.Listener) error {
	group := e.name(l.TargetGroup)
	_, err := e.calls.BalancingChange.ModifyListener(ctx, &elb.ModifyListenerInput{
		ListenerArn:    &l.ARN,
		Protocol:       elbtypes.ProtocolEnum(l.Protocol),
		Port:           &l.Port,
		DefaultActions: forwardTo(group),
		Certificates:   certificatesTo(l.Certificates),
		SslPolicy:      str(l.SSLPolicy),
		AlpnPolicy:     alpnTo(l),
	})
	if err != nil {
		return err
	}
	e.listener(l.ARN, func(has *plan.Listener) {
		has.Protocol, has.TargetGroup, has.SSLPolicy, has.ALPN = l.Protocol, group, l.SSLPolicy, l.ALPN
		more := has.Certificates[min(1, len(has.Certificates)):]
		has.Certificates = slices.Concat(l.Certificates, more)
	})
	return nil
}

func (e *execution) modifyListenerCertificates(ctx context.Context, c plan.ModifyListenerCertificates) error {
	arn := e.listenerAt(c.Listener, c.Port)
	for _, certificate := range c.Add { // AWS takes one a call
		if _, err := e.calls.BalancingChange.AddListenerCertificates(ctx, &elb.AddListenerCertificatesInput{ListenerArn: &arn, Certificates: certificatesTo(list(certificate))}); err != nil {
			return err
		}
	}
	for _, certificate := range c.Remove {
		if _, err := e.calls.BalancingChange.RemoveListenerCertificates(ctx, &elb.RemoveListenerCertificatesInput{ListenerArn: &arn, Certificates: certificatesTo(list(certificate))}); err != nil {
			return err
		}
	}
	e.listener(arn, func(l *plan.Listener) {
		kept := slices.DeleteFunc(slices.Clone(l.Certificates), func(arn string) bool { return slices.Contains(c.Remove, arn) })
		l.Certificates = append(kept, c.Add...)
	})
	return nil
}

func (e *execution) modifyListenerAttributes(ctx context.Context, c plan.ModifyListenerAttributes) error {
	arn := e.listenerAt(c.Listener, c.Port)
	var attributes []elbtypes.ListenerAttribute
	for _, key := range slices.Sorted(maps.Keys(c.Attributes)) {
		attributes = append(attributes, elbtypes.ListenerAttribute{Key: &key, Value: new(c.Attributes[key])})
	}
	_, err := e.calls.BalancingChange.ModifyListenerAttributes(ctx, &elb.ModifyListenerAttributesInput{ListenerArn: &arn, Attributes: attributes})
	if err != nil {
		return err
	}
	e.listener(arn, func(l *plan.Listener) { l.Attributes = with(l.Attributes, c.Attributes) })
	return nil
}

func (e *execution) deleteListener(ctx context.Context, l plan.Listener) error {
	_, err := e.calls.BalancingChange.DeleteListener(ctx, &elb.DeleteListenerInput{ListenerArn: &l.ARN})
	if err != nil && !isNotFound(err) {
		return err
	}
	e.inventory.drop(e.stack, l.ARN)
	e.note(func(s *plan.Stack) {
		for i := range s.LoadBalancers {
			lb := &s.LoadBalancers[i]
			lb.Listeners = slices.DeleteFunc(slices.Clone(lb.Listeners), func(has plan.Listener) bool { return has.ARN == l.ARN })
		}
	})
	return nil
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
