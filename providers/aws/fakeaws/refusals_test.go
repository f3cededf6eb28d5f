package fakeaws

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/smithy-go"
)

// codeOf is the error code that the SDK understood, empty for success.
func codeOf(t *testing.T, err error) string {
	t.Helper()
	var api smithy.APIError
	if err == nil {
		return ""
	}
	if !errors.As(err, &api) {
		t.Fatalf("not an error of an API: %v", err)
	}
	return api.ErrorCode()
}

// world is a cloud with a Service in it, and another load balancer beside it.
type world struct {
	*Cloud
	clock *clock
	site  Site
	stack LBCStack
	other LBCStack
}

func newWorld(o Options) world {
	w := world{clock: newClock()}
	o.Now = w.clock.time
	w.Cloud, w.site = site(o)
	w.stack = w.AddLBCService(w.service("web"))
	other := w.service("old")
	other.WithoutGroups = true
	w.other = w.AddLBCService(other)
	return w
}

func (w world) service(name string) LBCService {
	s := LBCService{
		Cluster: "demo", Namespace: "default", Name: name, VPC: w.site.VPC, Subnets: w.site.Private[:2], NodeGroup: w.site.NodeGroup,
		Ports: []LBCPort{{Port: 80, TargetPort: 30080}, {Port: 443, TargetPort: 30443, Protocol: elb.ProtocolEnumTls, Certificates: []string{certificate}}},
	}
	for _, n := range w.site.Nodes {
		s.Targets = append(s.Targets, n.Instance)
	}
	return s
}

func balancer(change func(*elbv2.CreateLoadBalancerInput)) func(world) any {
	return func(w world) any {
		in := &elbv2.CreateLoadBalancerInput{Name: ptr("new"), Type: elb.LoadBalancerTypeEnumNetwork, Scheme: elb.LoadBalancerSchemeEnumInternal, Subnets: w.site.Private[:1]}
		change(in)
		return in
	}
}

func group(change func(*elbv2.CreateTargetGroupInput)) func(world) any {
	return func(w world) any {
		in := &elbv2.CreateTargetGroupInput{Name: ptr("new"), Protocol: elb.ProtocolEnumTcp, Port: ptr(int32(80)), VpcId: &w.site.VPC}
		change(in)
		return in
	}
}

func forward(arn string) []elb.Action {
	return []elb.Action{{Type: elb.ActionTypeEnumForward, TargetGroupArn: &arn}}
}

func listen(change func(world, *elbv2.CreateListenerInput)) func(world) any {
	return func(w world) any {
		in := &elbv2.CreateListenerInput{LoadBalancerArn: &w.stack.LoadBalancer, Port: ptr(int32(8080)), Protocol: elb.ProtocolEnumTcp, DefaultActions: forward(w.stack.TargetGroups[0])}
		change(w, in)
		return in
	}
}

func permission(change func(*ec2types.IpPermission)) func(world) any {
	return func(w world) any {
		p := ec2types.IpPermission{IpProtocol: ptr("tcp"), FromPort: ptr(int32(8080)), ToPort: ptr(int32(8080)), IpRanges: []ec2types.IpRange{{CidrIp: ptr("10.0.0.0/8")}}}
		change(&p)
		return &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &w.stack.Group, IpPermissions: []ec2types.IpPermission{p}}
	}
}

func subnetsAre(ids func(Site) []string) func(world) any {
	return func(w world) any {
		return &elbv2.SetSubnetsInput{LoadBalancerArn: &w.stack.LoadBalancer, Subnets: ids(w.site)}
	}
}

func register(ids ...string) func(world) any {
	return func(w world) any {
		in := &elbv2.RegisterTargetsInput{TargetGroupArn: &w.stack.TargetGroups[0]}
		for _, id := range ids {
			in.Targets = append(in.Targets, elb.TargetDescription{Id: ptr(id)})
		}
		return in
	}
}

func attributeOf(key, value string) func(world) any {
	return func(w world) any {
		return &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: &w.stack.TargetGroups[0], Attributes: []elb.TargetGroupAttribute{{Key: &key, Value: &value}}}
	}
}

func balancerAttribute(key, value string) func(world) any {
	return func(w world) any {
		return &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: &w.stack.LoadBalancer, Attributes: []elb.LoadBalancerAttribute{{Key: &key, Value: &value}}}
	}
}

func manyTags(n int) []elb.Tag {
	var tags []elb.Tag
	for i := range n {
		tags = append(tags, elb.Tag{Key: ptr(fmt.Sprint("key", i)), Value: ptr("")})
	}
	return tags
}

func TestRefusals(t *testing.T) {
	type table map[string]struct {
		in   func(world) any
		code string
	}
	const gone = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
	for service, rows := range map[string]table{
		"load balancer": {
			"another type, which is the default": {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Type = "" }), "ValidationError"},
			"a name that is too long":            {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Name = ptr(strings.Repeat("a", 33)) }), "ValidationError"},
			"a name with a dot":                  {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Name = ptr("a.b") }), "ValidationError"},
			"a name with a hyphen at its end":    {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Name = ptr("a-") }), "ValidationError"},
			"a name that is kept":                {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Name = ptr("internal-a") }), "ValidationError"},
			"a scheme that there is not":         {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Scheme = "public" }), "ValidationError"},
			"no subnet":                          {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Subnets = nil }), "ValidationError"},
			"a subnet that does not exist":       {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Subnets = []string{"subnet-none"} }), "SubnetNotFound"},
			"two subnets of a zone":              {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Subnets = append(in.Subnets, "subnet-public-demo-1") }), "InvalidConfigurationRequest"},
			"a subnet without room":              {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Subnets = []string{"subnet-full"} }), "InvalidSubnet"},
			"subnets and mappings": {balancer(func(in *elbv2.CreateLoadBalancerInput) {
				in.SubnetMappings = []elb.SubnetMapping{{SubnetId: &in.Subnets[0]}}
			}), "ValidationError"},
			"internet-facing without a gateway": {balancer(func(in *elbv2.CreateLoadBalancerInput) {
				in.Scheme, in.Subnets = "internet-facing", []string{"subnet-closed"}
			}), "InvalidSubnet"},
			"dualstack without IPv6": {balancer(func(in *elbv2.CreateLoadBalancerInput) {
				in.IpAddressType, in.Subnets = "dualstack", []string{"subnet-closed"}
			}), "InvalidSubnet"},
			"a group that does not exist": {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.SecurityGroups = []string{"sg-none"} }), "InvalidSecurityGroup"},
			"six groups":                  {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.SecurityGroups = slicesOf("sg-nodes-demo", 6) }), "InvalidConfigurationRequest"},
			"an address of an internal one": {balancer(func(in *elbv2.CreateLoadBalancerInput) {
				mapped(in, elb.SubnetMapping{AllocationId: ptr("eipalloc-1")})
			}), "InvalidConfigurationRequest"},
			"an address that does not exist": {balancer(func(in *elbv2.CreateLoadBalancerInput) {
				in.Scheme = "internet-facing"
				mapped(in, elb.SubnetMapping{AllocationId: ptr("eipalloc-2")})
			}), "AllocationIdNotFound"},
			"a private address outside of the subnet": {balancer(func(in *elbv2.CreateLoadBalancerInput) {
				mapped(in, elb.SubnetMapping{PrivateIPv4Address: ptr("10.0.0.9")})
			}), "InvalidConfigurationRequest"},
			"a private address, internet-facing": {balancer(func(in *elbv2.CreateLoadBalancerInput) {
				in.Scheme = "internet-facing"
				mapped(in, elb.SubnetMapping{PrivateIPv4Address: ptr("10.0.96.9")})
			}), "InvalidConfigurationRequest"},
			"an IPv6 address, ipv4": {balancer(func(in *elbv2.CreateLoadBalancerInput) {
				mapped(in, elb.SubnetMapping{IPv6Address: ptr("2001:db8:0:1a10::9")})
			}), "InvalidConfigurationRequest"},
			"source NAT, ipv4": {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.EnablePrefixForIpv6SourceNat = "on" }), "InvalidConfigurationRequest"},
			"a name that another one has": {func(w world) any {
				return balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Name = &w.stack.LoadBalancerName })(w)
			}, "DuplicateLoadBalancerName"},
			"51 tags":                {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Tags = manyTags(51) }), "TooManyTags"},
			"a tag twice":            {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Tags = append(manyTags(1), manyTags(1)...) }), "DuplicateTagKeys"},
			"a tag of AWS's":         {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Tags = []elb.Tag{{Key: ptr("aws:x")}} }), "ValidationError"},
			"a tag with a semicolon": {balancer(func(in *elbv2.CreateLoadBalancerInput) { in.Tags = []elb.Tag{{Key: ptr("a;b")}} }), "ValidationError"},
			"described by ARN that is gone": {func(world) any {
				return &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{gone + "loadbalancer/net/a/b"}}
			}, "LoadBalancerNotFound"},
			"described by something else": {func(world) any { return &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{"web"}} }, "ValidationError"},
			"described by 21 names":       {func(world) any { return &elbv2.DescribeLoadBalancersInput{Names: make([]string, 21)} }, "ValidationError"},
			"a marker of somebody else's": {func(world) any { return &elbv2.DescribeLoadBalancersInput{Marker: ptr("?")} }, "ValidationError"},
			"a page that is too long":     {func(world) any { return &elbv2.DescribeLoadBalancersInput{PageSize: ptr(int32(401))} }, "ValidationError"},
			"groups for one that was made without": {func(w world) any {
				return &elbv2.SetSecurityGroupsInput{LoadBalancerArn: &w.other.LoadBalancer, SecurityGroups: []string{w.stack.Group}}
			}, "InvalidConfigurationRequest"},
			"no groups for one that was made with": {func(w world) any {
				return &elbv2.SetSecurityGroupsInput{LoadBalancerArn: &w.stack.LoadBalancer, SecurityGroups: []string{}}
			}, "ValidationError"},
			"another subnet of a zone":     {subnetsAre(func(s Site) []string { return []string{s.Public[0], s.Private[1]} }), "InvalidConfigurationRequest"},
			"an attribute of another type": {balancerAttribute("idle_timeout.timeout_seconds", "60"), "ValidationError"},
			"an attribute that is neither": {balancerAttribute("deletion_protection.enabled", "yes"), "ValidationError"},
			"logs without a bucket":        {balancerAttribute("access_logs.s3.enabled", "true"), "InvalidConfigurationRequest"},
			"dualstack for subnets without IPv6": {func(w world) any {
				return &elbv2.SetIpAddressTypeInput{LoadBalancerArn: closedBalancer(w), IpAddressType: "dualstack"}
			}, "InvalidSubnet"},
			"capacity and its end": {func(w world) any {
				return &elbv2.ModifyCapacityReservationInput{LoadBalancerArn: &w.stack.LoadBalancer}
			}, "ValidationError"},
			"deletion of another kind of thing": {func(w world) any { return &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: &w.stack.TargetGroups[0]} }, "ValidationError"},
			"deletion of one that is gone, as success": {func(world) any {
				return &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: ptr(gone + "loadbalancer/net/a/b")}
			}, ""},
		},
		"target group": {
			"no protocol":                        {group(func(in *elbv2.CreateTargetGroupInput) { in.Protocol = "" }), "ValidationError"},
			"a protocol of another type":         {group(func(in *elbv2.CreateTargetGroupInput) { in.Protocol = "HTTP" }), "ValidationError"},
			"no port":                            {group(func(in *elbv2.CreateTargetGroupInput) { in.Port = nil }), "ValidationError"},
			"port 0":                             {group(func(in *elbv2.CreateTargetGroupInput) { in.Port = ptr(int32(0)) }), "ValidationError"},
			"no VPC":                             {group(func(in *elbv2.CreateTargetGroupInput) { in.VpcId = nil }), "ValidationError"},
			"a VPC that does not exist":          {group(func(in *elbv2.CreateTargetGroupInput) { in.VpcId = ptr("vpc-none") }), "ValidationError"},
			"an interval of 4 s":                 {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckIntervalSeconds = ptr(int32(4)) }), "ValidationError"},
			"an interval of 301 s":               {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckIntervalSeconds = ptr(int32(301)) }), "ValidationError"},
			"a timeout of 1 s":                   {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckTimeoutSeconds = ptr(int32(1)) }), "ValidationError"},
			"a timeout longer than the interval": {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckTimeoutSeconds = ptr(int32(31)) }), "ValidationError"},
			"a threshold of 1":                   {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthyThresholdCount = ptr(int32(1)) }), "ValidationError"},
			"a threshold of 11":                  {group(func(in *elbv2.CreateTargetGroupInput) { in.UnhealthyThresholdCount = ptr(int32(11)) }), "ValidationError"},
			"a check by UDP":                     {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckProtocol = "UDP" }), "ValidationError"},
			"a check of a port by name":          {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckPort = ptr("http") }), "ValidationError"},
			"a path, by TCP":                     {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckPath = ptr("/") }), "InvalidConfigurationRequest"},
			"a path without a slash":             {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckProtocol, in.HealthCheckPath = "HTTP", ptr("ok") }), "ValidationError"},
			"codes, by TCP":                      {group(func(in *elbv2.CreateTargetGroupInput) { in.Matcher = &elb.Matcher{HttpCode: ptr("200")} }), "InvalidConfigurationRequest"},
			"codes that there are not": {group(func(in *elbv2.CreateTargetGroupInput) {
				in.HealthCheckProtocol, in.Matcher = "HTTP", &elb.Matcher{HttpCode: ptr("100-200")}
			}), "ValidationError"},
			"no check":                     {group(func(in *elbv2.CreateTargetGroupInput) { in.HealthCheckEnabled = ptr(false) }), "InvalidConfigurationRequest"},
			"of a function":                {group(func(in *elbv2.CreateTargetGroupInput) { in.TargetType = "lambda" }), "ValidationError"},
			"one that a listener uses":     {func(w world) any { return &elbv2.DeleteTargetGroupInput{TargetGroupArn: &w.stack.TargetGroups[0]} }, "ResourceInUse"},
			"one that is gone, as success": {func(world) any { return &elbv2.DeleteTargetGroupInput{TargetGroupArn: ptr(gone + "targetgroup/a/b")} }, ""},
			"one that is gone, changed":    {func(world) any { return &elbv2.ModifyTargetGroupInput{TargetGroupArn: ptr(gone + "targetgroup/a/b")} }, "TargetGroupNotFound"},
			"described in two ways": {func(w world) any {
				return &elbv2.DescribeTargetGroupsInput{Names: []string{"a"}, LoadBalancerArn: &w.stack.LoadBalancer}
			}, "ValidationError"},
			"a name that another one has": {func(w world) any {
				return group(func(in *elbv2.CreateTargetGroupInput) { in.Name = nameOf(w.stack.TargetGroups[0]) })(w)
			}, "DuplicateTargetGroupName"},
			"an attribute that there is not":     {attributeOf("slow_start.duration_seconds", "30"), "ValidationError"},
			"a delay of more than an hour":       {attributeOf("deregistration_delay.timeout_seconds", "3601"), "ValidationError"},
			"a delay with a leading zero":        {attributeOf("deregistration_delay.timeout_seconds", "030"), "ValidationError"},
			"stickiness by cookie":               {attributeOf("stickiness.type", "lb_cookie"), "ValidationError"},
			"draining where connections are cut": {attributeOf("target_health_state.unhealthy.draining_interval_seconds", "10"), "InvalidConfigurationRequest"},
			"an instance that does not exist":    {register("i-none"), "InvalidTarget"},
			"an instance that is stopped":        {register("i-stopped"), "InvalidTarget"},
			"an instance of another VPC":         {register("i-closed"), "InvalidTarget"},
			"an address as an instance":          {register("10.0.96.10"), "ValidationError"},
			"201 targets":                        {register(make([]string, 201)...), "ValidationError"},
			"one bad target among good ones":     {register("i-00000000000000001", "i-none"), "InvalidTarget"},
			"an address, IPv6 where it is IPv4":  {address("2001:db8::1", ""), "ValidationError"},
			"an address that is none":            {address("ten", ""), "ValidationError"},
			"a public address":                   {address("203.0.113.1", "all"), "InvalidTarget"},
			"an address outside of the VPC":      {address("192.168.1.1", ""), "InvalidTarget"},
			"an address outside, with zone all":  {address("192.168.1.1", "all"), ""},
			"an address of a pod":                {address("10.0.97.1", ""), ""},
			"deregistration of what is not there": {func(w world) any {
				return &elbv2.DeregisterTargetsInput{TargetGroupArn: &w.stack.TargetGroups[0], Targets: []elb.TargetDescription{{Id: ptr("i-none")}}}
			}, ""},
			"health of a group that is gone": {func(world) any {
				return &elbv2.DescribeTargetHealthInput{TargetGroupArn: ptr(gone + "targetgroup/a/b")}
			}, "TargetGroupNotFound"},
		},
		"listener": {
			"a port that is taken": {listen(func(_ world, in *elbv2.CreateListenerInput) { in.Port = ptr(int32(443)) }), "DuplicateListener"},
			"UDP on a port that TCP has": {listen(func(w world, in *elbv2.CreateListenerInput) {
				in.Port, in.Protocol, in.DefaultActions = ptr(int32(80)), "UDP", forward(newGroup(w, "UDP"))
			}), "DuplicateListener"},
			"the same once more":     {listen(func(_ world, in *elbv2.CreateListenerInput) { in.Port = ptr(int32(80)) }), ""},
			"UDP to a group of TCP":  {listen(func(_ world, in *elbv2.CreateListenerInput) { in.Protocol = "UDP" }), "IncompatibleProtocols"},
			"TCP to a group of both": {listen(func(w world, in *elbv2.CreateListenerInput) { in.DefaultActions = forward(newGroup(w, "TCP_UDP")) }), ""},
			"both to a group of both, dualstack": {listen(func(w world, in *elbv2.CreateListenerInput) {
				in.LoadBalancerArn, in.Protocol, in.DefaultActions = dualBalancer(w), "TCP_UDP", forward(newGroup(w, "TCP_UDP"))
			}), "InvalidConfigurationRequest"},
			"a group of another load balancer": {listen(func(w world, in *elbv2.CreateListenerInput) { in.DefaultActions = forward(w.other.TargetGroups[0]) }), "TargetGroupAssociationLimit"},
			"a group of another VPC": {listen(func(w world, in *elbv2.CreateListenerInput) {
				w.site.VPC = "vpc-closed"
				in.DefaultActions = forward(newGroup(w, "TCP"))
			}), "InvalidConfigurationRequest"},
			"a group that does not exist": {listen(func(_ world, in *elbv2.CreateListenerInput) { in.DefaultActions = forward(gone + "targetgroup/a/b") }), "TargetGroupNotFound"},
			"a redirection":               {listen(func(_ world, in *elbv2.CreateListenerInput) { in.DefaultActions[0].Type = "redirect" }), "InvalidLoadBalancerAction"},
			"two actions": {listen(func(_ world, in *elbv2.CreateListenerInput) {
				in.DefaultActions = append(in.DefaultActions, in.DefaultActions...)
			}), "TooManyActions"},
			"TLS without a certificate":            {listen(func(_ world, in *elbv2.CreateListenerInput) { in.Protocol = "TLS" }), "CertificateNotFound"},
			"TLS with a certificate that is none":  {listen(func(_ world, in *elbv2.CreateListenerInput) { secured(in, "arn:aws:acm:eu-west-1:1:certificate/0") }), "CertificateNotFound"},
			"TLS with a policy that there is not":  {listen(func(_ world, in *elbv2.CreateListenerInput) { secured(in, certificate); in.SslPolicy = ptr("Good") }), "SSLPolicyNotFound"},
			"TLS with two certificates":            {listen(func(_ world, in *elbv2.CreateListenerInput) { secured(in, certificate, otherCertificate) }), "TooManyCertificates"},
			"TLS with an ALPN policy that is none": {listen(func(_ world, in *elbv2.CreateListenerInput) { secured(in, certificate); in.AlpnPolicy = []string{"h2"} }), "ALPNPolicyNotFound"},
			"TCP with a certificate":               {listen(func(_ world, in *elbv2.CreateListenerInput) { secured(in, certificate); in.Protocol = "TCP" }), "InvalidConfigurationRequest"},
			"port 70000":                           {listen(func(_ world, in *elbv2.CreateListenerInput) { in.Port = ptr(int32(70000)) }), "ValidationError"},
			"a load balancer that is gone":         {listen(func(_ world, in *elbv2.CreateListenerInput) { in.LoadBalancerArn = ptr(gone + "loadbalancer/net/a/b") }), "LoadBalancerNotFound"},
			"moved to a port that is taken": {func(w world) any {
				return &elbv2.ModifyListenerInput{ListenerArn: &w.stack.Listeners[0], Port: ptr(int32(443))}
			}, "DuplicateListener"},
			"changed to TLS without a certificate": {func(w world) any {
				return &elbv2.ModifyListenerInput{ListenerArn: &w.stack.Listeners[0], Protocol: "TLS"}
			}, "CertificateNotFound"},
			"deleted twice":         {func(world) any { return &elbv2.DeleteListenerInput{ListenerArn: ptr(gone + "listener/net/a/b/c")} }, "ListenerNotFound"},
			"described neither way": {func(world) any { return &elbv2.DescribeListenersInput{} }, "ValidationError"},
			"the default certificate removed": {func(w world) any {
				return &elbv2.RemoveListenerCertificatesInput{ListenerArn: &w.stack.Listeners[1], Certificates: []elb.Certificate{{CertificateArn: ptr(certificate)}}}
			}, "OperationNotPermitted"},
			"a certificate added that is none": {func(w world) any {
				return &elbv2.AddListenerCertificatesInput{ListenerArn: &w.stack.Listeners[1], Certificates: []elb.Certificate{{CertificateArn: ptr("x")}}}
			}, "CertificateNotFound"},
			"a certificate added to TCP": {func(w world) any {
				return &elbv2.AddListenerCertificatesInput{ListenerArn: &w.stack.Listeners[0], Certificates: []elb.Certificate{{CertificateArn: ptr(certificate)}}}
			}, "InvalidConfigurationRequest"},
			"an idle timeout of TLS": {func(w world) any {
				return &elbv2.ModifyListenerAttributesInput{ListenerArn: &w.stack.Listeners[1], Attributes: []elb.ListenerAttribute{{Key: ptr("tcp.idle_timeout.seconds"), Value: ptr("60")}}}
			}, "ValidationError"},
			"tags of one that is gone, with others": {func(w world) any {
				return &elbv2.DescribeTagsInput{ResourceArns: []string{w.stack.LoadBalancer, gone + "listener/net/a/b/c"}}
			}, "ListenerNotFound"},
			"tags of 21":                   {func(world) any { return &elbv2.DescribeTagsInput{ResourceArns: make([]string, 21)} }, "ValidationError"},
			"more than 50 tags, after all": {func(w world) any { return &elbv2.AddTagsInput{ResourceArns: w.stack.Listeners, Tags: manyTags(48)} }, "TooManyTags"},
		},
		"security group": {
			"a name that another one has": {func(w world) any {
				return &ec2.CreateSecurityGroupInput{GroupName: ptr("eks-cluster-sg-demo"), Description: ptr("x"), VpcId: &w.site.VPC}
			}, "InvalidGroup.Duplicate"},
			"a name that looks like an ID": {func(w world) any {
				return &ec2.CreateSecurityGroupInput{GroupName: ptr("sg-x"), Description: ptr("x"), VpcId: &w.site.VPC}
			}, "InvalidParameterValue"},
			"a description with a quote": {func(w world) any {
				return &ec2.CreateSecurityGroupInput{GroupName: ptr("x"), Description: ptr("it's"), VpcId: &w.site.VPC}
			}, "InvalidParameterValue"},
			"a VPC that does not exist": {func(world) any {
				return &ec2.CreateSecurityGroupInput{GroupName: ptr("x"), Description: ptr("x"), VpcId: ptr("vpc-none")}
			}, "InvalidVpcID.NotFound"},
			"tags of something else": {func(w world) any {
				return &ec2.CreateSecurityGroupInput{GroupName: ptr("x"), Description: ptr("x"), VpcId: &w.site.VPC, TagSpecifications: []ec2types.TagSpecification{{ResourceType: "instance"}}}
			}, "InvalidParameterValue"},
			"one that is attached":  {func(w world) any { return &ec2.DeleteSecurityGroupInput{GroupId: &w.stack.Group} }, "DependencyViolation"},
			"one that a rule names": {func(w world) any { return &ec2.DeleteSecurityGroupInput{GroupId: &w.stack.BackendGroup} }, "DependencyViolation"},
			"one that is gone":      {func(world) any { return &ec2.DeleteSecurityGroupInput{GroupId: ptr("sg-none")} }, "InvalidGroup.NotFound"},
			"one by its name":       {func(world) any { return &ec2.DeleteSecurityGroupInput{GroupId: ptr("none")} }, "InvalidGroupId.Malformed"},
			"a rule that there is": {permission(func(p *ec2types.IpPermission) {
				p.FromPort, p.ToPort, p.IpRanges[0].CidrIp = ptr(int32(80)), ptr(int32(80)), ptr("0.0.0.0/0")
			}), "InvalidPermission.Duplicate"},
			"a rule that there is, not canonical": {permission(func(p *ec2types.IpPermission) {
				p.FromPort, p.ToPort, p.IpRanges[0].CidrIp = ptr(int32(80)), ptr(int32(80)), ptr("1.2.3.4/0")
			}), "InvalidPermission.Duplicate"},
			"a rule twice in a call": {permission(func(p *ec2types.IpPermission) { p.IpRanges = append(p.IpRanges, p.IpRanges...) }), "InvalidPermission.Duplicate"},
			"61 rules":               {permission(func(p *ec2types.IpPermission) { p.IpRanges = hosts(61) }), "RulesPerSecurityGroupLimitExceeded"},
			"prefix lists count by their entries": {permission(func(p *ec2types.IpPermission) {
				p.IpRanges = hosts(50)
				p.PrefixListIds = []ec2types.PrefixListId{{PrefixListId: ptr("pl-1")}}
			}), "RulesPerSecurityGroupLimitExceeded"},
			"a range that is none":         {permission(func(p *ec2types.IpPermission) { p.IpRanges[0].CidrIp = ptr("10.0.0.0") }), "InvalidParameterValue"},
			"IPv6 among IPv4":              {permission(func(p *ec2types.IpPermission) { p.IpRanges[0].CidrIp = ptr("::/0") }), "InvalidParameterValue"},
			"ports the wrong way round":    {permission(func(p *ec2types.IpPermission) { p.FromPort = ptr(int32(9000)) }), "InvalidParameterValue"},
			"no ports":                     {permission(func(p *ec2types.IpPermission) { p.FromPort, p.ToPort = nil, nil }), "MissingParameter"},
			"a protocol that there is not": {permission(func(p *ec2types.IpPermission) { p.IpProtocol = ptr("sctp") }), "InvalidParameterValue"},
			"no source":                    {permission(func(p *ec2types.IpPermission) { p.IpRanges = nil }), "MissingParameter"},
			"a group that does not exist": {permission(func(p *ec2types.IpPermission) {
				p.UserIdGroupPairs = []ec2types.UserIdGroupPair{{GroupId: ptr("sg-none")}}
			}), "InvalidGroup.NotFound"},
			"a group of another VPC": {permission(func(p *ec2types.IpPermission) {
				p.UserIdGroupPairs = []ec2types.UserIdGroupPair{{GroupId: ptr("sg-closed")}}
			}), "InvalidGroup.NotFound"},
			"a prefix list that does not exist": {permission(func(p *ec2types.IpPermission) {
				p.PrefixListIds = []ec2types.PrefixListId{{PrefixListId: ptr("pl-none")}}
			}), "InvalidPrefixListID.NotFound"},
			"a description with a question": {permission(func(p *ec2types.IpPermission) { p.IpRanges[0].Description = ptr("why?") }), "InvalidParameterValue"},
			"a rule revoked that is not there": {func(w world) any {
				in := permission(func(*ec2types.IpPermission) {})(w).(*ec2.AuthorizeSecurityGroupIngressInput)
				return &ec2.RevokeSecurityGroupIngressInput{GroupId: in.GroupId, IpPermissions: in.IpPermissions}
			}, "InvalidPermission.NotFound"},
			"a tag on something that does not exist": {func(world) any {
				return &ec2.CreateTagsInput{Resources: []string{"sg-none"}, Tags: []ec2types.Tag{{Key: ptr("a")}}}
			}, "InvalidGroup.NotFound"},
		},
		"lists of EC2": {
			"a filter that there is not": {func(world) any {
				return &ec2.DescribeSubnetsInput{Filters: []ec2types.Filter{{Name: ptr("vpc"), Values: []string{"x"}}}}
			}, "InvalidParameterValue"},
			"a filter for nothing": {func(world) any { return &ec2.DescribeSubnetsInput{Filters: []ec2types.Filter{{Name: ptr("vpc-id")}}} }, "InvalidParameterValue"},
			"4 results":            {func(world) any { return &ec2.DescribeSubnetsInput{MaxResults: ptr(int32(4))} }, "InvalidParameterValue"},
			"IDs and a number of results": {func(world) any {
				return &ec2.DescribeInstancesInput{InstanceIds: []string{"i-x"}, MaxResults: ptr(int32(5))}
			}, "InvalidParameterCombination"},
			"an instance that is gone": {func(world) any { return &ec2.DescribeInstancesInput{InstanceIds: []string{"i-none"}} }, "InvalidInstanceID.NotFound"},
			"a subnet that is gone":    {func(world) any { return &ec2.DescribeSubnetsInput{SubnetIds: []string{"subnet-none"}} }, "InvalidSubnetID.NotFound"},
			"a dry run":                {func(world) any { return &ec2.DescribeVpcsInput{DryRun: ptr(true)} }, "DryRunOperation"},
		},
		"tagging": {
			"ARNs and pages": {func(w world) any {
				return &tagging.GetResourcesInput{ResourceARNList: w.stack.Listeners, ResourcesPerPage: ptr(int32(5))}
			}, "InvalidParameterException"},
			"101 resources":              {func(world) any { return &tagging.GetResourcesInput{ResourcesPerPage: ptr(int32(101))} }, "InvalidParameterException"},
			"a token of somebody else's": {func(world) any { return &tagging.GetResourcesInput{PaginationToken: ptr("?")} }, "PaginationTokenExpiredException"},
		},
	} {
		for why, row := range rows {
			t.Run(service+"/"+why, func(t *testing.T) {
				w := newWorld(Options{})
				w.AddVPC(VPC{ID: "vpc-closed", CIDRs: []string{"10.9.0.0/16"}, Closed: true})
				w.AddSubnet(Subnet{ID: "subnet-closed", VPC: "vpc-closed", Zone: "eu-west-1a", CIDR: "10.9.0.0/24"})
				w.AddSubnet(Subnet{ID: "subnet-full", VPC: w.site.VPC, Zone: "eu-west-1a", CIDR: "10.0.200.0/24", Used: 244})
				w.AddSecurityGroup(SecurityGroup{ID: "sg-closed", VPC: "vpc-closed", Name: "closed"})
				w.AddInstance(Instance{ID: "i-closed", Subnet: "subnet-closed", PrivateIP: "10.9.0.9"})
				w.AddInstance(Instance{ID: "i-stopped", Subnet: w.site.Private[0], PrivateIP: "10.0.96.99"})
				w.SetInstanceState("i-stopped", ec2types.InstanceStateNameStopped)
				in := row.in(w)
				before := w.Dump()
				_, err := clientsOf(config(w.Cloud)).call(t, in)
				if code := codeOf(t, err); code != row.code {
					t.Errorf("got %q, want %q: %v", code, row.code, err)
				}
				if err != nil && w.Dump() != before {
					t.Errorf("refused, and yet it has changed from\n%s\nto\n%s", before, w.Dump())
				}
			})
		}
	}
}

func slicesOf(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func hosts(n int) []ec2types.IpRange {
	var all []ec2types.IpRange
	for i := range n {
		all = append(all, ec2types.IpRange{CidrIp: ptr(fmt.Sprintf("10.1.1.%d/32", i))})
	}
	return all
}

func mapped(in *elbv2.CreateLoadBalancerInput, m elb.SubnetMapping) {
	m.SubnetId = &in.Subnets[0]
	in.Subnets, in.SubnetMappings = nil, []elb.SubnetMapping{m}
}

func secured(in *elbv2.CreateListenerInput, certificates ...string) {
	in.Protocol = elb.ProtocolEnumTls
	for _, arn := range certificates {
		in.Certificates = append(in.Certificates, elb.Certificate{CertificateArn: ptr(arn)})
	}
}

func nameOf(targetGroup string) *string { return ptr(strings.Split(targetGroup, "/")[1]) }

func newGroup(w world, protocol elb.ProtocolEnum) string {
	out, err := Do[elbv2.CreateTargetGroupOutput](w.Cloud, &elbv2.CreateTargetGroupInput{Name: ptr("another"), Protocol: protocol, Port: ptr(int32(80)), VpcId: &w.site.VPC})
	must(err == nil, "%v", err)
	return *out.TargetGroups[0].TargetGroupArn
}

func address(ip, zone string) func(world) any {
	return func(w world) any {
		out, err := Do[elbv2.CreateTargetGroupOutput](w.Cloud, &elbv2.CreateTargetGroupInput{Name: ptr("pods"), Protocol: "TCP", Port: ptr(int32(80)), VpcId: &w.site.VPC, TargetType: "ip"})
		must(err == nil, "%v", err)
		return &elbv2.RegisterTargetsInput{TargetGroupArn: out.TargetGroups[0].TargetGroupArn, Targets: []elb.TargetDescription{{Id: &ip, AvailabilityZone: text(zone)}}}
	}
}

func newBalancer(w world, in *elbv2.CreateLoadBalancerInput) *string {
	in.Name, in.Type, in.Scheme = ptr("another"), elb.LoadBalancerTypeEnumNetwork, elb.LoadBalancerSchemeEnumInternal
	out, err := Do[elbv2.CreateLoadBalancerOutput](w.Cloud, in)
	must(err == nil, "%v", err)
	return out.LoadBalancers[0].LoadBalancerArn
}

func closedBalancer(w world) *string {
	return newBalancer(w, &elbv2.CreateLoadBalancerInput{Subnets: []string{"subnet-closed"}})
}

func dualBalancer(w world) *string {
	return newBalancer(w, &elbv2.CreateLoadBalancerInput{Subnets: w.site.Private, IpAddressType: "dualstack"})
}

// TestRaw sends what no SDK would.
func TestRaw(t *testing.T) {
	const signed = "AWS4-HMAC-SHA256 Credential=AKIA/20260102/eu-west-1/%s/aws4_request, SignedHeaders=host, Signature=0"
	for why, tt := range map[string]struct {
		form, scope string
		status      int
		code        string
	}{
		"a parameter that the action does not have":      {"Action=DescribeLoadBalancers&Version=2015-12-01&Arns.member.1=x", elbv2Service, 400, "ValidationError"},
		"a parameter of a structure that it has not":     {"Action=CreateTargetGroup&Version=2015-12-01&Name=x&Matcher.Codes=200", elbv2Service, 400, "ValidationError"},
		"a list without members":                         {"Action=DescribeLoadBalancers&Version=2015-12-01&Names.1=x", elbv2Service, 400, "ValidationError"},
		"a list with a gap":                              {"Action=DescribeLoadBalancers&Version=2015-12-01&Names.member.2=x", elbv2Service, 400, "ValidationError"},
		"a number that is none":                          {"Action=DescribeLoadBalancers&Version=2015-12-01&PageSize=ten", elbv2Service, 400, "ValidationError"},
		"a value and parts of it":                        {"Action=DeleteListener&Version=2015-12-01&ListenerArn=x&ListenerArn.y=z", elbv2Service, 400, "ValidationError"},
		"a parameter twice":                              {"Action=DeleteListener&Version=2015-12-01&ListenerArn=x&ListenerArn=y", elbv2Service, 400, "ValidationError"},
		"a parameter that is missing":                    {"Action=DeleteListener&Version=2015-12-01", elbv2Service, 400, "ValidationError"},
		"an action that there is not":                    {"Action=CreateRule&Version=2015-12-01", elbv2Service, 400, "InvalidAction"},
		"an action of another service":                   {"Action=DescribeVpcs&Version=2015-12-01", elbv2Service, 400, "InvalidAction"},
		"a version that there is not":                    {"Action=DescribeVpcs&Version=2012-06-01", ec2Service, 400, "InvalidAction"},
		"EC2: a parameter that the action does not have": {"Action=DescribeVpcs&Version=2016-11-15&VpcIds.1=x", ec2Service, 400, "UnknownParameter"},
		"EC2: a parameter that is missing":               {"Action=DeleteSecurityGroup&Version=2016-11-15", ec2Service, 400, "MissingParameter"},
		"EC2: members, which it does not have":           {"Action=DescribeVpcs&Version=2016-11-15&VpcId.member.1=x", ec2Service, 400, "InvalidParameterValue"},
		"no signature":                                   {"Action=DescribeVpcs&Version=2016-11-15", "", 403, "MissingAuthenticationToken"},
		"a signature for another service":                {"Action=DescribeVpcs&Version=2016-11-15", elbv2Service, 403, "SignatureDoesNotMatch"},
	} {
		t.Run(why, func(t *testing.T) {
			c, _ := site(Options{})
			r := httptest.NewRequest(http.MethodPost, "http://aws.test/", strings.NewReader(tt.form))
			if tt.scope != "" {
				r.Header.Set("Authorization", fmt.Sprintf(signed, tt.scope))
			}
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			if body := w.Body.String(); w.Code != tt.status || !strings.Contains(body, "<Code>"+tt.code+"</Code>") {
				t.Errorf("got %d %s, want %d %s", w.Code, body, tt.status, tt.code)
			}
		})
	}
}

// TestTaggingRaw sends the tagging API what it does not know.
func TestTaggingRaw(t *testing.T) {
	c, _ := site(Options{})
	r := httptest.NewRequest(http.MethodPost, "http://aws.test/", strings.NewReader(`{"TagFilter": []}`))
	r.Header.Set("X-Amz-Target", "ResourceGroupsTaggingAPI_20170126.GetResources")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA/20260102/eu-west-1/tagging/aws4_request, SignedHeaders=host, Signature=0")
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "SerializationException") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// FuzzDecode wants no parameters to be more than refused.
func FuzzDecode(f *testing.F) {
	f.Add("Action=CreateTargetGroup&Version=2015-12-01&Name=x&Tags.member.1.Key=a&Port=80")
	f.Add("Action=AuthorizeSecurityGroupIngress&Version=2016-11-15&GroupId=sg-1&IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8")
	f.Add("Action=RegisterTargets&Version=2015-12-01&TargetGroupArn=x&Targets.member.1.Id=a&Targets.member.1.Port=&.=&..=")
	f.Fuzz(func(t *testing.T, form string) {
		c, _ := site(Options{Now: func() time.Time { return time.Unix(0, 0) }})
		values, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		for version, service := range versions {
			values.Set("Version", version)
			r := httptest.NewRequest(http.MethodPost, "http://aws.test/", strings.NewReader(values.Encode()))
			r.Header.Set("Authorization", "Credential=a/b/eu-west-1/"+scopes[service]+"/aws4_request, Signature=0")
			w := httptest.NewRecorder()
			c.ServeHTTP(w, r)
			if body, _ := io.ReadAll(w.Body); w.Code >= http.StatusInternalServerError {
				t.Errorf("%s: %d %s", form, w.Code, body)
			}
		}
	})
}
