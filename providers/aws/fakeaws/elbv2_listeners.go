package fakeaws

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// forwards says which protocols of a target group go with that of a listener.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html
var forwards = map[elb.ProtocolEnum][]elb.ProtocolEnum{
	elb.ProtocolEnumTcp:    {elb.ProtocolEnumTcp, elb.ProtocolEnumTcpUdp},
	elb.ProtocolEnumUdp:    {elb.ProtocolEnumUdp, elb.ProtocolEnumTcpUdp},
	elb.ProtocolEnumTcpUdp: {elb.ProtocolEnumTcpUdp},
	elb.ProtocolEnumTls:    {elb.ProtocolEnumTls, elb.ProtocolEnumTcp},
}

const defaultPolicy = "ELBSecurityPolicy-2016-08"

// policies are the security policies that TLS listeners may have.
//
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/describe-ssl-policies.html
var policies = []string{
	defaultPolicy,
	"ELBSecurityPolicy-TLS13-1-0-2021-06", "ELBSecurityPolicy-TLS13-1-1-2021-06", "ELBSecurityPolicy-TLS13-1-2-2021-06",
	"ELBSecurityPolicy-TLS13-1-2-Res-2021-06", "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", "ELBSecurityPolicy-TLS13-1-3-2021-06",
	"ELBSecurityPolicy-TLS-1-2-Ext-2018-06", "ELBSecurityPolicy-TLS-1-2-2017-01", "ELBSecurityPolicy-TLS-1-1-2017-01", "ELBSecurityPolicy-2015-05",
	"ELBSecurityPolicy-FS-1-2-Res-2020-10", "ELBSecurityPolicy-FS-1-2-Res-2019-08", "ELBSecurityPolicy-FS-1-2-2019-08", "ELBSecurityPolicy-FS-1-1-2019-08", "ELBSecurityPolicy-FS-2018-06",
}

var alpnPolicies = []string{"HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred", "None"}

func (c *Cloud) createListener(in *elbv2.CreateListenerInput) (*elbv2.CreateListenerOutput, error) {
	lb, err := c.loadBalancer(*in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	tags, err := c.newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if in.Port == nil || in.Protocol == "" {
		return nil, invalid("A port and a protocol must be specified")
	}
	l, err := c.changedListener(lb, &listener{loadBalancer: lb.arn}, listenerChange{
		protocol: in.Protocol, port: in.Port, actions: in.DefaultActions, certificates: in.Certificates,
		policy: in.SslPolicy, alpn: in.AlpnPolicy, mutual: in.MutualAuthentication,
	})
	if err != nil {
		return nil, err
	}
	others := c.listenersOf(lb.arn)
	for _, other := range others {
		if other.port != l.port {
			continue
		}
		if !other.alike(l) {
			return nil, refuse("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", lb.arn)
		}
		return &elbv2.CreateListenerOutput{Listeners: []elb.Listener{showListener(other)}}, nil
	}
	if len(others) >= c.options.Limits.Listeners {
		return nil, refuse("TooManyListeners", "The maximum number of listeners on load balancer '%s' has been reached", lb.arn)
	}
	if err := c.checkAttached(lb, l.group); err != nil {
		return nil, err
	}
	l.id = c.number("listener", 16)
	l.arn = c.arn(elbv2Service, fmt.Sprintf("listener/net/%s/%s/%s", lb.name, lb.id, l.id))
	l.tags = tags
	l.attributes = defaultListenerAttributes(l)
	c.listeners[l.arn] = l
	c.attach(l.group)
	c.setTags(l.arn, tags)
	return &elbv2.CreateListenerOutput{Listeners: []elb.Listener{showListener(l)}}, nil
}

// listenerChange is what a call says about a listener.
type listenerChange struct {
	protocol     elb.ProtocolEnum
	port         *int32
	actions      []elb.Action
	certificates []elb.Certificate
	policy       *string
	alpn         []string
	mutual       *elb.MutualAuthenticationAttributes
}

// changedListener returns a copy of l with the changes.
func (c *Cloud) changedListener(lb *loadBalancer, l *listener, by listenerChange) (*listener, error) {
	changed := *l
	changed.protocol = cmp.Or(by.protocol, l.protocol)
	if by.port != nil {
		changed.port = *by.port
	}
	switch {
	case changed.port < 1 || changed.port > 65535:
		return nil, outOfRange("port", changed.port, 1, 65535)
	case forwards[changed.protocol] == nil:
		return nil, invalid("Listeners of protocol '%s' are not made here", changed.protocol)
	case by.mutual != nil:
		return nil, misconfigured("Mutual authentication is not supported for listeners with the %s protocol", changed.protocol)
	}
	if by.actions != nil {
		arn, err := forwardTo(by.actions)
		if err != nil {
			return nil, err
		}
		changed.group = arn
	}
	if err := c.secure(&changed, by); err != nil {
		return nil, err
	}
	return &changed, c.checkForward(lb, &changed)
}

// forwardTo is the target group of the one action that a listener has here.
func forwardTo(actions []elb.Action) (string, error) {
	if len(actions) != 1 {
		return "", refuse("TooManyActions", "A listener of a Network Load Balancer has exactly one action")
	}
	a := actions[0]
	if a.Type != elb.ActionTypeEnumForward {
		return "", refuse("InvalidLoadBalancerAction", "The action type '%s' is not valid with a Network Load Balancer", a.Type)
	}
	arn := str(a.TargetGroupArn)
	if f := a.ForwardConfig; f != nil {
		if len(f.TargetGroups) != 1 {
			return "", invalid("Forwarding to %d target groups is not done here", len(f.TargetGroups))
		}
		configured := str(f.TargetGroups[0].TargetGroupArn)
		if arn != "" && arn != configured {
			return "", invalid("If both ForwardConfig and TargetGroupArn are specified, they must name the same target group")
		}
		arn = configured
	}
	if arn == "" {
		return "", invalid("A target group ARN must be specified")
	}
	return arn, nil
}

// secure sets what TLS listeners have, and others can't.
func (c *Cloud) secure(l *listener, by listenerChange) error {
	if l.protocol != elb.ProtocolEnumTls {
		if len(by.certificates) > 0 || by.policy != nil || len(by.alpn) > 0 {
			return misconfigured("Certificates, security policies and ALPN policies can only be specified for TLS listeners, not for %s", l.protocol)
		}
		l.certificates, l.policy, l.alpn = nil, "", nil
		return nil
	}
	l.policy = cmp.Or(str(by.policy), l.policy, defaultPolicy)
	if !slices.Contains(policies, l.policy) {
		return refuse("SSLPolicyNotFound", "SSL policy '%s' not found", l.policy)
	}
	if by.alpn != nil {
		if len(by.alpn) > 1 || len(by.alpn) == 1 && !slices.Contains(alpnPolicies, by.alpn[0]) {
			return refuse("ALPNPolicyNotFound", "The ALPN policy %q is not one of %s", by.alpn, strings.Join(alpnPolicies, ", "))
		}
		l.alpn = slices.Clone(by.alpn)
	}
	if by.certificates != nil {
		if len(by.certificates) != 1 {
			return refuse("TooManyCertificates", "A listener has exactly one default certificate")
		}
		arn, err := c.certificate(by.certificates[0])
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(slices.Clone(l.certificates), func(s string) bool { return s == arn })
		if len(l.certificates) > 0 && len(others) == len(l.certificates) {
			others = others[1:] // the default one until now
		}
		l.certificates = append([]string{arn}, others...)
	}
	if len(l.certificates) == 0 {
		return refuse("CertificateNotFound", "A certificate must be specified for TLS listeners")
	}
	return nil
}

func (c *Cloud) certificate(cert elb.Certificate) (string, error) {
	arn := str(cert.CertificateArn)
	switch {
	case cert.IsDefault != nil:
		return "", invalid("IsDefault cannot be specified")
	case !c.certificates[arn]:
		return "", refuse("CertificateNotFound", "Certificate ARN '%s' is not valid", arn)
	}
	return arn, nil
}

// checkForward refuses listeners that can't send to their target group.
func (c *Cloud) checkForward(lb *loadBalancer, l *listener) error {
	g, err := c.targetGroup(l.group)
	switch {
	case err != nil:
		return err
	case !slices.Contains(forwards[l.protocol], g.protocol):
		return refuse("IncompatibleProtocols", "Listener protocol '%s' is not supported with a target group with the protocol '%s'", l.protocol, g.protocol)
	case g.vpc != lb.vpc:
		return misconfigured("The target group '%s' and the load balancer '%s' are not in the same VPC", g.arn, lb.arn)
	case g.ipType == elb.TargetGroupIpAddressTypeEnumIpv6 && lb.ipType != elb.IpAddressTypeDualstack:
		return misconfigured("An IPv6 target group needs a load balancer of the IP address type 'dualstack'")
	case carriesUDP(l.protocol) && lb.ipType == elb.IpAddressTypeDualstack && lb.sourceNAT != elb.EnablePrefixForIpv6SourceNatEnumOn:
		return misconfigured("A %s listener on a load balancer of the IP address type 'dualstack' needs EnablePrefixForIpv6SourceNat to be 'on'", l.protocol)
	}
	return nil
}

func carriesUDP(p elb.ProtocolEnum) bool {
	return p == elb.ProtocolEnumUdp || p == elb.ProtocolEnumTcpUdp
}

// checkAttached refuses a target group that another load balancer uses, and more
// targets than the load balancer may have.
func (c *Cloud) checkAttached(lb *loadBalancer, arn string) error {
	g := c.targetGroups[arn]
	switch user := c.loadBalancerOf(g); user {
	case lb.arn:
		return nil
	case "":
	default:
		return refuse("TargetGroupAssociationLimit", "The following target groups cannot be associated with more than one load balancer: %s", arn)
	}
	perZone := c.targetsPerZone(lb.arn)
	for key, t := range g.targets {
		zone := c.zoneOf(g, key, t)
		if perZone[zone]++; perZone[zone] > c.options.Limits.TargetsPerZone {
			return refuse("TooManyTargets", "The maximum number of targets for load balancer '%s' in zone '%s' has been reached: %d", lb.arn, zone, c.options.Limits.TargetsPerZone)
		}
	}
	return nil
}

// alike says whether creating the other again is the same call.
func (l *listener) alike(other *listener) bool {
	return l.protocol == other.protocol && l.group == other.group && l.policy == other.policy && slices.Equal(l.alpn, other.alpn) &&
		slices.Equal(l.certificates[:min(1, len(l.certificates))], other.certificates)
}

// attach and detach keep in mind since when a group has been in use.
func (c *Cloud) attach(group string) {
	if g := c.targetGroups[group]; g.usedSince.IsZero() {
		g.usedSince = c.now()
	}
}

func (c *Cloud) detach(group string) {
	g := c.targetGroups[group]
	if len(c.listenersTo(group)) > 0 {
		return
	}
	g.usedSince = time.Time{}
	for key, t := range g.targets {
		if t.leaving {
			delete(g.targets, key)
		}
	}
}

func (c *Cloud) listener(arn string) (*listener, error) {
	if err := checkARN(arn, "listener/net/", "listener"); err != nil {
		return nil, err
	}
	l, ok := c.listeners[arn]
	if !ok {
		return nil, refuse("ListenerNotFound", "Listener '%s' not found", arn)
	}
	return l, nil
}

// listenersOf are those of a load balancer, by port; listenersTo those that send
// to a target group.
func (c *Cloud) listenersOf(loadBalancer string) []*listener {
	return c.listenersThat(func(l *listener) bool { return l.loadBalancer == loadBalancer })
}

func (c *Cloud) listenersTo(group string) []*listener {
	return c.listenersThat(func(l *listener) bool { return l.group == group })
}

func (c *Cloud) listenersThat(match func(*listener) bool) []*listener {
	var found []*listener
	for _, l := range c.listeners {
		if match(l) {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b *listener) int { return cmp.Or(cmp.Compare(a.port, b.port), strings.Compare(a.arn, b.arn)) })
	return found
}

func (c *Cloud) deleteListener(in *elbv2.DeleteListenerInput) (*elbv2.DeleteListenerOutput, error) {
	l, err := c.listener(*in.ListenerArn)
	if err != nil {
		return nil, err
	}
	c.removeListener(l)
	return &elbv2.DeleteListenerOutput{}, nil
}

func (c *Cloud) removeListener(l *listener) {
	delete(c.listeners, l.arn)
	c.setTags(l.arn, nil)
	c.detach(l.group)
}

func (c *Cloud) describeListeners(in *elbv2.DescribeListenersInput) (*elbv2.DescribeListenersOutput, error) {
	if (in.LoadBalancerArn != nil) == (len(in.ListenerArns) > 0) {
		return nil, invalid("You must specify either listener ARNs or a load balancer ARN")
	}
	if len(in.ListenerArns) > describedAtOnce {
		return nil, invalid("You cannot describe more than '%d' listeners at a time", describedAtOnce)
	}
	var found []*listener
	for _, arn := range in.ListenerArns {
		l, err := c.listener(arn)
		if err != nil {
			return nil, err
		}
		found = append(found, l)
	}
	if in.LoadBalancerArn != nil {
		if _, err := c.loadBalancer(*in.LoadBalancerArn); err != nil {
			return nil, err
		}
		found = c.listenersOf(*in.LoadBalancerArn)
	}
	page, next, err := elbPageOf(c, found, func(l *listener) string { return l.arn }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeListenersOutput{Listeners: []elb.Listener{}, NextMarker: next}
	for _, l := range page {
		out.Listeners = append(out.Listeners, showListener(l))
	}
	return out, nil
}

func showListener(l *listener) elb.Listener {
	shown := elb.Listener{
		ListenerArn: ptr(l.arn), LoadBalancerArn: ptr(l.loadBalancer), Port: ptr(l.port), Protocol: l.protocol,
		SslPolicy: text(l.policy), AlpnPolicy: slices.Clone(l.alpn),
		DefaultActions: []elb.Action{{
			Type: elb.ActionTypeEnumForward, TargetGroupArn: ptr(l.group), Order: ptr(int32(1)),
			ForwardConfig: &elb.ForwardActionConfig{TargetGroups: []elb.TargetGroupTuple{{TargetGroupArn: ptr(l.group), Weight: ptr(int32(1))}}},
		}},
	}
	if len(l.certificates) > 0 {
		shown.Certificates = []elb.Certificate{{CertificateArn: ptr(l.certificates[0])}}
	}
	return shown
}

func (c *Cloud) modifyListener(in *elbv2.ModifyListenerInput) (*elbv2.ModifyListenerOutput, error) {
	l, err := c.listener(*in.ListenerArn)
	if err != nil {
		return nil, err
	}
	lb := c.loadBalancers[l.loadBalancer]
	changed, err := c.changedListener(lb, l, listenerChange{
		protocol: in.Protocol, port: in.Port, actions: in.DefaultActions, certificates: in.Certificates,
		policy: in.SslPolicy, alpn: in.AlpnPolicy, mutual: in.MutualAuthentication,
	})
	if err != nil {
		return nil, err
	}
	for _, other := range c.listenersOf(lb.arn) {
		if other != l && other.port == changed.port {
			return nil, refuse("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", lb.arn)
		}
	}
	if err := c.checkAttached(lb, changed.group); err != nil {
		return nil, err
	}
	old := l.group
	if changed.protocol != l.protocol {
		changed.attributes = defaultListenerAttributes(changed)
	}
	*l = *changed
	if old != l.group {
		c.detach(old)
		c.attach(l.group)
	}
	return &elbv2.ModifyListenerOutput{Listeners: []elb.Listener{showListener(l)}}, nil
}

func (c *Cloud) addListenerCertificates(in *elbv2.AddListenerCertificatesInput) (*elbv2.AddListenerCertificatesOutput, error) {
	l, err := c.tlsListener(*in.ListenerArn)
	if err != nil {
		return nil, err
	}
	certificates := slices.Clone(l.certificates)
	for _, cert := range in.Certificates {
		arn, err := c.certificate(cert)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(certificates, arn) {
			certificates = append(certificates, arn)
		}
	}
	if most := c.options.Limits.Certificates; len(certificates)-1 > most {
		return nil, refuse("TooManyCertificates", "The maximum number of certificates of a listener is %d besides the default one", most)
	}
	l.certificates = certificates
	return &elbv2.AddListenerCertificatesOutput{Certificates: in.Certificates}, nil
}

func (c *Cloud) tlsListener(arn string) (*listener, error) {
	l, err := c.listener(arn)
	if err == nil && l.protocol != elb.ProtocolEnumTls {
		err = misconfigured("Listener '%s' is not a TLS listener and has no certificates", arn)
	}
	return l, err
}

func (c *Cloud) removeListenerCertificates(in *elbv2.RemoveListenerCertificatesInput) (*elbv2.RemoveListenerCertificatesOutput, error) {
	l, err := c.tlsListener(*in.ListenerArn)
	if err != nil {
		return nil, err
	}
	certificates := slices.Clone(l.certificates)
	for _, cert := range in.Certificates {
		arn := str(cert.CertificateArn)
		if arn == l.certificates[0] {
			return nil, refuse("OperationNotPermitted", "Default certificate '%s' cannot be removed", arn)
		}
		certificates = slices.DeleteFunc(certificates, func(s string) bool { return s == arn })
	}
	l.certificates = certificates
	return &elbv2.RemoveListenerCertificatesOutput{}, nil
}

func (c *Cloud) describeListenerCertificates(in *elbv2.DescribeListenerCertificatesInput) (*elbv2.DescribeListenerCertificatesOutput, error) {
	l, err := c.listener(*in.ListenerArn)
	if err != nil {
		return nil, err
	}
	var all []elb.Certificate
	for i, arn := range l.certificates {
		all = append(all, elb.Certificate{CertificateArn: ptr(arn), IsDefault: ptr(i == 0)})
	}
	page, next, err := elbPageOf(c, all, func(cert elb.Certificate) string { return *cert.CertificateArn }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	return &elbv2.DescribeListenerCertificatesOutput{Certificates: page, NextMarker: next}, nil
}
