package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// model is an AWS that has one Stack, and refuses what AWS refuses.
type model struct {
	state Stack
	made  int
}

func newModel() *model { return &model{} }

// observe returns a copy, since a Stack that was observed must not change.
func (m *model) observe() Stack {
	return Stack{
		LoadBalancers: slices.Clone(m.state.LoadBalancers),
		TargetGroups:  slices.Clone(m.state.TargetGroups),
		Groups:        slices.Clone(m.state.Groups),
	}
}

// reach has AWS hold what req wants.
func (m *model) reach(req Request) error {
	changes, err := m.plan(req)
	if err != nil {
		return err
	}
	return m.apply(changes)
}

// plan returns what is to be done for req, as AWS is now.
func (m *model) plan(req Request) ([]Change, error) {
	req.Existing = m.observe()
	desired, _, err := Desired(req)
	if err != nil {
		return nil, err
	}
	return Diff(req.Existing, desired), nil
}

func (m *model) apply(changes []Change) error {
	for _, c := range changes {
		if err := m.call(c); err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
	}
	return nil
}

func (m *model) arn(kind, name string) string {
	m.made++
	return fmt.Sprintf("arn:aws:elasticloadbalancing:eu-1:1:%s/%s/%06d", kind, name, m.made)
}

func (m *model) loadBalancer(arn string) *LoadBalancer {
	all := m.state.LoadBalancers
	if arn == "" && len(all) > 0 {
		return &all[len(all)-1] // the one just made
	}
	if i := slices.IndexFunc(all, func(lb LoadBalancer) bool { return lb.ARN == arn }); i >= 0 {
		return &all[i]
	}
	return nil
}

// targetGroup finds the last of a Key, which is the one just made.
func (m *model) targetGroup(ref string) *TargetGroup {
	for i := len(m.state.TargetGroups) - 1; i >= 0; i-- {
		if g := &m.state.TargetGroups[i]; g.ARN == ref || g.Key == ref {
			return g
		}
	}
	return nil
}

func (m *model) group(ref string) *SecurityGroup {
	for i := len(m.state.Groups) - 1; i >= 0; i-- {
		if g := &m.state.Groups[i]; g.ID == ref || ref == ManagedGroup {
			return g
		}
	}
	return nil
}

func (m *model) listener(arn string, port int32) (*LoadBalancer, *Listener) {
	for i := range m.state.LoadBalancers {
		lb := &m.state.LoadBalancers[i]
		for j := range lb.Listeners {
			if l := &lb.Listeners[j]; l.ARN == arn || arn == "" && l.Port == port && i == len(m.state.LoadBalancers)-1 {
				return lb, l
			}
		}
	}
	return nil, nil
}

// forward returns the ARN of a target group that lb may send to.
func (m *model) forward(lb LoadBalancer, ref, protocol string) (string, error) {
	g := m.targetGroup(ref)
	if g == nil {
		return "", fmt.Errorf("no target group %s", ref)
	}
	for _, other := range m.state.LoadBalancers {
		if other.ARN != lb.ARN && slices.ContainsFunc(other.Listeners, func(l Listener) bool { return l.TargetGroup == g.ARN }) {
			return "", fmt.Errorf("target group %s serves another load balancer", g.Name)
		}
	}
	if g.Protocol != protocol && protocol != "TLS" {
		return "", fmt.Errorf("a %s listener can't send to %s", protocol, g.Protocol)
	}
	return g.ARN, carries(lb, *g)
}

// carries refuses what a load balancer with such addresses can't send to g.
func carries(lb LoadBalancer, g TargetGroup) error {
	switch dual := lb.IPAddressType == annotation.DualStack; {
	case !dual && g.IPAddressType == ipv6:
		return fmt.Errorf("target group %s is of IPv6", g.Name)
	case dual && !lb.PrefixForSourceNAT && strings.Contains(g.Protocol, "UDP"):
		return fmt.Errorf("target group %s is of UDP, and there is no source NAT", g.Name)
	}
	return nil
}

// setAddresses has all listeners go along.
func (m *model) setAddresses(lb *LoadBalancer, addresses annotation.IPAddressType, prefix bool) error {
	changed := *lb
	changed.IPAddressType, changed.PrefixForSourceNAT = addresses, prefix
	if prefix && addresses != annotation.DualStack {
		return fmt.Errorf("source NAT by prefix is for IPv6")
	}
	for _, l := range lb.Listeners {
		if err := carries(changed, *m.targetGroup(l.TargetGroup)); err != nil {
			return err
		}
	}
	*lb = changed
	return nil
}

func (m *model) call(c Change) error {
	switch c := c.(type) {
	case CreateSecurityGroup:
		m.made++
		c.Group.ID = fmt.Sprintf("sg-%d", m.made)
		m.state.Groups = append(m.state.Groups, c.Group)
	case AuthorizeIngress:
		g := m.group(c.Group)
		if len(c.Rules) > maxRules || len(without(c.Rules, g.Ingress)) != len(c.Rules) {
			return fmt.Errorf("InvalidPermission.Duplicate")
		}
		g.Ingress = slices.Concat(g.Ingress, c.Rules)
	case RevokeIngress:
		g := m.group(c.Group)
		g.Ingress = without(g.Ingress, c.Rules)
	case DeleteSecurityGroup:
		for _, lb := range m.state.LoadBalancers {
			if slices.Contains(lb.SecurityGroups, c.ID) {
				return fmt.Errorf("DependencyViolation")
			}
		}
		m.state.Groups = filter(m.state.Groups, func(g SecurityGroup) bool { return g.ID != c.ID })
	case CreateTargetGroup:
		return m.createTargetGroup(c.TargetGroup)
	case CreateLoadBalancer:
		return m.createLoadBalancer(c.LoadBalancer)
	case CreateListener:
		return m.createListener(c)
	case ModifyListener:
		return m.modifyListener(c.Listener)
	case RegisterTargets:
		g := m.targetGroup(c.TargetGroup)
		if len(c.Targets) > maxTargets {
			return fmt.Errorf("TooManyTargets")
		}
		g.Targets = slices.Concat(g.Targets, minus(c.Targets, g.Targets))
		g.Ours = slices.Clone(g.Targets)
	case DeregisterTargets:
		g := m.targetGroup(c.TargetGroup)
		g.Targets = minus(g.Targets, c.Targets)
		g.Ours = slices.Clone(g.Targets)
	case DeleteListener:
		lb, l := m.listener(c.Listener.ARN, 0)
		lb.Listeners = filter(lb.Listeners, func(other Listener) bool { return other.ARN != l.ARN })
	case DeleteLoadBalancer:
		if protected(*m.loadBalancer(c.ARN)) {
			return fmt.Errorf("OperationNotPermitted")
		}
		m.state.LoadBalancers = filter(m.state.LoadBalancers, func(lb LoadBalancer) bool { return lb.ARN != c.ARN })
	case DeleteTargetGroup:
		for _, lb := range m.state.LoadBalancers {
			if slices.ContainsFunc(lb.Listeners, func(l Listener) bool { return l.TargetGroup == c.ARN }) {
				return fmt.Errorf("ResourceInUse")
			}
		}
		m.state.TargetGroups = filter(m.state.TargetGroups, func(g TargetGroup) bool { return g.ARN != c.ARN })
	default:
		return m.set(c)
	}
	return nil
}

func (m *model) createTargetGroup(g TargetGroup) error {
	if slices.ContainsFunc(m.state.TargetGroups, func(other TargetGroup) bool { return other.Name == g.Name }) {
		return fmt.Errorf("DuplicateTargetGroupName")
	}
	g.ARN, g.Attributes, g.Targets = m.arn("targetgroup", g.Name), maps.Clone(targetGroupDefaults), []Target{}
	m.state.TargetGroups = append(m.state.TargetGroups, g)
	return nil
}

func (m *model) createLoadBalancer(lb LoadBalancer) error {
	if slices.ContainsFunc(m.state.LoadBalancers, func(other LoadBalancer) bool { return other.Name == lb.Name }) {
		return fmt.Errorf("DuplicateLoadBalancerName")
	}
	lb.ARN, lb.Attributes = m.arn("loadbalancer/net", lb.Name), maps.Clone(loadBalancerDefaults)
	lb.SecurityGroups = m.ids(lb.SecurityGroups)
	lb.PrivateLinkRules = ""
	if len(lb.SecurityGroups) > 0 {
		lb.PrivateLinkRules = "on"
	}
	lb.MinimumCapacity, lb.ManagesCapacity = 0, false
	m.state.LoadBalancers = append(m.state.LoadBalancers, lb)
	return nil
}

func (m *model) ids(groups []string) []string {
	out := slices.Clone(groups)
	for i, g := range out {
		if g == ManagedGroup {
			out[i] = m.group(g).ID
		}
	}
	return out
}

func (m *model) createListener(c CreateListener) error {
	lb, l := m.loadBalancer(c.LoadBalancer), c.Listener
	if slices.ContainsFunc(lb.Listeners, func(other Listener) bool { return other.Port == l.Port }) {
		return fmt.Errorf("DuplicateListener")
	}
	if len(l.Certificates) > 1 {
		return fmt.Errorf("TooManyCertificates")
	}
	var err error
	if l.TargetGroup, err = m.forward(*lb, l.TargetGroup, l.Protocol); err != nil {
		return err
	}
	l.ARN, l.Attributes = m.arn("listener/net/"+lb.Name, "1"), maps.Clone(listenerDefaults)
	lb.Listeners = slices.Concat(lb.Listeners, []Listener{l})
	return nil
}

func (m *model) modifyListener(want Listener) error {
	lb, _ := m.listener(want.ARN, 0)
	lb.Listeners = slices.Clone(lb.Listeners)
	_, l := m.listener(want.ARN, 0)
	target, err := m.forward(*lb, want.TargetGroup, want.Protocol)
	if err != nil || len(want.Certificates) > 1 {
		return fmt.Errorf("%v, certificates %v", err, want.Certificates)
	}
	l.Protocol, l.TargetGroup = want.Protocol, target
	l.ALPN = want.ALPN
	if want.SSLPolicy != "" || want.Protocol != "TLS" {
		l.SSLPolicy = want.SSLPolicy
	}
	l.Certificates = append(want.Certificates, filter(rest(l.Certificates), func(string) bool { return want.Protocol == "TLS" })...)
	return nil
}

// set makes the changes that only replace what is there.
func (m *model) set(c Change) error {
	switch c := c.(type) {
	case ModifyLoadBalancerAttributes:
		lb := m.loadBalancer(c.ARN)
		lb.Attributes = merged(lb.Attributes, c.Attributes)
	case ModifyTargetGroup:
		m.targetGroup(c.TargetGroup).HealthCheck = c.HealthCheck
	case ModifyTargetGroupAttributes:
		g := m.targetGroup(c.TargetGroup)
		g.Attributes = merged(g.Attributes, c.Attributes)
	case ModifyListenerAttributes:
		lb, _ := m.listener(c.Listener, c.Port)
		lb.Listeners = slices.Clone(lb.Listeners)
		_, l := m.listener(c.Listener, c.Port)
		l.Attributes = merged(l.Attributes, c.Attributes)
	case ModifyListenerCertificates:
		lb, _ := m.listener(c.Listener, c.Port)
		lb.Listeners = slices.Clone(lb.Listeners)
		_, l := m.listener(c.Listener, c.Port)
		left := filter(rest(l.Certificates), func(arn string) bool { return !slices.Contains(c.Remove, arn) })
		l.Certificates = slices.Concat([]string{l.Certificates[0]}, left, c.Add)
	case SetIPAddressType:
		lb := m.loadBalancer(c.ARN)
		return m.setAddresses(lb, c.Type, lb.PrefixForSourceNAT)
	case SetSubnets:
		return m.setSubnets(m.loadBalancer(c.ARN), c)
	case SetSecurityGroups:
		lb := m.loadBalancer(c.ARN)
		if len(lb.SecurityGroups) == 0 || len(c.Groups) == 0 {
			return fmt.Errorf("InvalidConfigurationRequest")
		}
		lb.SecurityGroups = m.ids(c.Groups)
		if c.PrivateLinkRules != "" {
			lb.PrivateLinkRules = c.PrivateLinkRules
		}
	case SetCapacity:
		m.loadBalancer(c.ARN).MinimumCapacity = c.Minimum
	case AddTags:
		if len(c.Resources) > maxResources {
			return fmt.Errorf("TooManyResources")
		}
		for _, id := range c.Resources {
			m.tag(id, c.Tags)
		}
	default:
		return fmt.Errorf("%T is not known", c)
	}
	return nil
}

func (m *model) setSubnets(lb *LoadBalancer, c SetSubnets) error {
	if len(c.Subnets) == 0 {
		return fmt.Errorf("no subnet")
	}
	for _, now := range c.Subnets {
		for _, before := range lb.Subnets {
			if before.Zone == now.Zone && (before.SubnetID != now.SubnetID || before.AllocationID != now.AllocationID || before.PrivateIPv4 != now.PrivateIPv4) {
				return fmt.Errorf("zone %s is in use", now.Zone)
			}
		}
	}
	lb.Subnets = slices.Clone(c.Subnets)
	return m.setAddresses(lb, cmp.Or(c.IPAddressType, lb.IPAddressType), c.PrefixForSourceNAT)
}

func (m *model) tag(id string, tags map[string]string) {
	if lb := m.loadBalancer(id); lb != nil {
		lb.Tags = merged(lb.Tags, tags)
	}
	if g := m.targetGroup(id); g != nil {
		g.Tags = merged(g.Tags, tags)
	}
	if strings.HasPrefix(id, "sg-") {
		g := m.group(id)
		g.Tags = merged(g.Tags, tags)
	}
	if lb, _ := m.listener(id, 0); lb != nil {
		lb.Listeners = slices.Clone(lb.Listeners)
		_, l := m.listener(id, 0)
		l.Tags = merged(l.Tags, tags)
	}
}

func merged(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, b)
	return out
}
