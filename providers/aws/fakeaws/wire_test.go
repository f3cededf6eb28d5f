package fakeaws

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	taggingtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// clients are those of the SDK, unmodified and without retries.
type clients struct {
	elb     *elbv2.Client
	ec2     *ec2.Client
	tagging *tagging.Client
	sts     *sts.Client
}

func config(c *Cloud) aws.Config {
	return aws.Config{
		Region:       c.options.Region,
		BaseEndpoint: aws.String("http://aws.test"),
		HTTPClient:   &http.Client{Transport: c.Transport()},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	}
}

func clientsOf(cfg aws.Config) clients {
	return clients{elb: elbv2.NewFromConfig(cfg), ec2: ec2.NewFromConfig(cfg), tagging: tagging.NewFromConfig(cfg), sts: sts.NewFromConfig(cfg)}
}

// call sends in by the client that has a method for it.
func (cl clients) call(t *testing.T, in any) (any, error) {
	t.Helper()
	method := strings.TrimSuffix(reflect.TypeOf(in).Elem().Name(), "Input")
	for _, client := range []any{cl.elb, cl.ec2, cl.tagging, cl.sts} {
		m := reflect.ValueOf(client).MethodByName(method)
		if !m.IsValid() || m.Type().In(1) != reflect.TypeOf(in) {
			continue
		}
		results := m.Call([]reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(in)})
		err, _ := results[1].Interface().(error)
		return results[0].Interface(), err
	}
	t.Fatalf("no client has %s", method)
	return nil, nil
}

// clock is one that tests set.
type clock struct{ now time.Time }

func (c *clock) time() time.Time      { return c.now }
func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }
func newClock() *clock                { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

const (
	certificate      = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
	otherCertificate = "arn:aws:acm:eu-west-1:123456789012:certificate/2"
)

// site returns a cloud with a cluster of three nodes in it.
func site(o Options) (*Cloud, Site) {
	c := New(o)
	s := c.AddEKS(EKS{Cluster: "demo", Nodes: 3, DualStack: true})
	c.AddCertificate(certificate)
	c.AddCertificate(otherCertificate)
	c.AddAddress("eipalloc-1")
	c.AddPrefixList("pl-1", 10)
	return c, s
}

// TestWire has the unmodified SDK and Do tell two equal clouds the same, and
// wants the same answers: nothing gets lost or garbled on the wire, either way.
func TestWire(t *testing.T) {
	clock := newClock()
	c, s := site(Options{Now: clock.time, ClusterTag: "cluster"})
	twin, _ := site(Options{Now: clock.time, ClusterTag: "cluster"})
	sdk := clientsOf(config(c))
	used := map[string]bool{}

	do := func(in any) any {
		t.Helper()
		got, err := sdk.call(t, in)
		if err != nil {
			t.Fatalf("%T: %v", in, err)
		}
		name := strings.TrimSuffix(reflect.TypeOf(in).Elem().Name(), "Input")
		used[name] = true
		want, err := perform(twin, in)
		if err != nil {
			t.Fatalf("%T at the twin: %v", in, err)
		}
		v := reflect.ValueOf(got).Elem().FieldByName("ResultMetadata")
		v.SetZero()
		if w := reflect.TypeOf(want); w != reflect.TypeOf(got) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: over the wire\n%s\nbut it is\n%s", name, inJSON(got), inJSON(want))
		}
		return got
	}
	tags := []elb.Tag{{Key: ptr("cluster"), Value: ptr("demo")}, {Key: ptr("text"), Value: ptr(`a + b = ü/@`)}}

	do(&ec2.DescribeVpcsInput{VpcIds: []string{s.VPC}})
	do(&ec2.DescribeSubnetsInput{Filters: []ec2types.Filter{{Name: ptr("vpc-id"), Values: []string{s.VPC}}, {Name: ptr("tag:kubernetes.io/role/elb"), Values: []string{"", "1"}}}})
	do(&ec2.DescribeSubnetsInput{MaxResults: ptr(int32(5))})
	do(&ec2.DescribeAvailabilityZonesInput{ZoneNames: s.Zones})
	do(&ec2.DescribeRouteTablesInput{Filters: []ec2types.Filter{{Name: ptr("vpc-id"), Values: []string{s.VPC}}}})
	do(&ec2.DescribeInstancesInput{InstanceIds: []string{s.Nodes[0].Instance, s.Nodes[1].Instance}})
	do(&ec2.DescribeSecurityGroupsInput{GroupIds: []string{s.NodeGroup}})

	group := do(&ec2.CreateSecurityGroupInput{GroupName: ptr("front"), Description: ptr("[k8s] front"), VpcId: &s.VPC, TagSpecifications: []ec2types.TagSpecification{
		{ResourceType: ec2types.ResourceTypeSecurityGroup, Tags: []ec2types.Tag{{Key: ptr("cluster"), Value: ptr("demo")}}},
	}}).(*ec2.CreateSecurityGroupOutput)
	do(&ec2.CreateSecurityGroupInput{GroupName: ptr("spare"), Description: ptr("spare"), VpcId: &s.VPC})
	from, to := ptr(int32(80)), ptr(int32(443))
	permissions := []ec2types.IpPermission{
		{IpProtocol: ptr("tcp"), FromPort: from, ToPort: to, IpRanges: []ec2types.IpRange{{CidrIp: ptr("10.1.2.3/8"), Description: ptr("all of ten")}}, Ipv6Ranges: []ec2types.Ipv6Range{{CidrIpv6: ptr("::/0")}}},
		{IpProtocol: ptr("udp"), FromPort: from, ToPort: from, UserIdGroupPairs: []ec2types.UserIdGroupPair{{GroupId: &s.NodeGroup}}, PrefixListIds: []ec2types.PrefixListId{{PrefixListId: ptr("pl-1")}}},
		{IpProtocol: ptr("icmp"), FromPort: ptr(int32(3)), ToPort: ptr(int32(4)), IpRanges: []ec2types.IpRange{{CidrIp: ptr("0.0.0.0/0")}}},
	}
	do(&ec2.AuthorizeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: permissions})
	do(&ec2.RevokeSecurityGroupIngressInput{GroupId: group.GroupId, IpPermissions: permissions[1:2]})
	do(&ec2.CreateTagsInput{Resources: []string{*group.GroupId}, Tags: []ec2types.Tag{{Key: ptr("a"), Value: ptr("1")}, {Key: ptr("b"), Value: ptr("2")}}})
	do(&ec2.DeleteTagsInput{Resources: []string{*group.GroupId}, Tags: []ec2types.Tag{{Key: ptr("a")}}})
	do(&ec2.DescribeSecurityGroupsInput{Filters: []ec2types.Filter{{Name: ptr("group-name"), Values: []string{"fr*"}}}})

	lb := do(&elbv2.CreateLoadBalancerInput{
		Name: ptr("web"), Type: elb.LoadBalancerTypeEnumNetwork, Scheme: elb.LoadBalancerSchemeEnumInternetFacing, IpAddressType: elb.IpAddressTypeIpv4,
		SubnetMappings: []elb.SubnetMapping{{SubnetId: &s.Public[0], AllocationId: ptr("eipalloc-1")}, {SubnetId: &s.Public[1]}}, SecurityGroups: []string{*group.GroupId}, Tags: tags,
	}).(*elbv2.CreateLoadBalancerOutput).LoadBalancers[0].LoadBalancerArn
	do(&elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{*lb}})
	do(&elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: lb, Attributes: []elb.LoadBalancerAttribute{{Key: ptr("load_balancing.cross_zone.enabled"), Value: ptr("true")}}})
	do(&elbv2.DescribeLoadBalancerAttributesInput{LoadBalancerArn: lb})
	do(&elbv2.SetSecurityGroupsInput{LoadBalancerArn: lb, SecurityGroups: []string{*group.GroupId, s.NodeGroup}, EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: elb.EnforceSecurityGroupInboundRulesOnPrivateLinkTrafficEnumOff})
	do(&elbv2.SetIpAddressTypeInput{LoadBalancerArn: lb, IpAddressType: elb.IpAddressTypeDualstack})
	do(&elbv2.SetSubnetsInput{LoadBalancerArn: lb, SubnetMappings: []elb.SubnetMapping{{SubnetId: &s.Public[0], AllocationId: ptr("eipalloc-1")}, {SubnetId: &s.Public[2]}}, EnablePrefixForIpv6SourceNat: elb.EnablePrefixForIpv6SourceNatEnumOn})
	do(&elbv2.ModifyCapacityReservationInput{LoadBalancerArn: lb, MinimumLoadBalancerCapacity: &elb.MinimumLoadBalancerCapacity{CapacityUnits: ptr(int32(5000))}})
	do(&elbv2.DescribeCapacityReservationInput{LoadBalancerArn: lb})
	do(&ec2.DescribeNetworkInterfacesInput{Filters: []ec2types.Filter{{Name: ptr("description"), Values: []string{"ELB net/web/*"}}}})

	target := do(&elbv2.CreateTargetGroupInput{
		Name: ptr("web"), Protocol: elb.ProtocolEnumTcp, Port: ptr(int32(30080)), VpcId: &s.VPC, TargetType: elb.TargetTypeEnumInstance, IpAddressType: elb.TargetGroupIpAddressTypeEnumIpv4,
		HealthCheckEnabled: ptr(true), HealthCheckProtocol: elb.ProtocolEnumHttp, HealthCheckPort: ptr("10256"), HealthCheckPath: ptr("/healthz?a=b&c"), Matcher: &elb.Matcher{HttpCode: ptr("200-299,301")},
		HealthCheckIntervalSeconds: ptr(int32(10)), HealthCheckTimeoutSeconds: ptr(int32(6)), HealthyThresholdCount: ptr(int32(2)), UnhealthyThresholdCount: ptr(int32(2)), Tags: tags,
	}).(*elbv2.CreateTargetGroupOutput).TargetGroups[0].TargetGroupArn
	do(&elbv2.ModifyTargetGroupInput{TargetGroupArn: target, HealthCheckProtocol: elb.ProtocolEnumTcp, HealthCheckPort: ptr("traffic-port")})
	do(&elbv2.DescribeTargetGroupsInput{Names: []string{"web"}})
	do(&elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: target, Attributes: []elb.TargetGroupAttribute{{Key: ptr("deregistration_delay.timeout_seconds"), Value: ptr("30")}}})
	do(&elbv2.DescribeTargetGroupAttributesInput{TargetGroupArn: target})
	do(&elbv2.RegisterTargetsInput{TargetGroupArn: target, Targets: []elb.TargetDescription{{Id: &s.Nodes[0].Instance}, {Id: &s.Nodes[2].Instance, Port: ptr(int32(30081))}}})

	listener := do(&elbv2.CreateListenerInput{
		LoadBalancerArn: lb, Port: ptr(int32(443)), Protocol: elb.ProtocolEnumTls, SslPolicy: ptr("ELBSecurityPolicy-TLS13-1-2-2021-06"), AlpnPolicy: []string{"HTTP2Preferred"},
		Certificates: []elb.Certificate{{CertificateArn: ptr(certificate)}}, Tags: tags,
		DefaultActions: []elb.Action{{Type: elb.ActionTypeEnumForward, ForwardConfig: &elb.ForwardActionConfig{TargetGroups: []elb.TargetGroupTuple{{TargetGroupArn: target}}}}},
	}).(*elbv2.CreateListenerOutput).Listeners[0].ListenerArn
	do(&elbv2.DescribeTargetHealthInput{TargetGroupArn: target})
	do(&elbv2.AddListenerCertificatesInput{ListenerArn: listener, Certificates: []elb.Certificate{{CertificateArn: ptr(otherCertificate)}}})
	do(&elbv2.DescribeListenerCertificatesInput{ListenerArn: listener})
	do(&elbv2.RemoveListenerCertificatesInput{ListenerArn: listener, Certificates: []elb.Certificate{{CertificateArn: ptr(otherCertificate)}}})
	do(&elbv2.ModifyListenerInput{ListenerArn: listener, Protocol: elb.ProtocolEnumTcp, Port: ptr(int32(80)), DefaultActions: []elb.Action{{Type: elb.ActionTypeEnumForward, TargetGroupArn: target}}})
	do(&elbv2.ModifyListenerAttributesInput{ListenerArn: listener, Attributes: []elb.ListenerAttribute{{Key: ptr("tcp.idle_timeout.seconds"), Value: ptr("60")}}})
	do(&elbv2.DescribeListenerAttributesInput{ListenerArn: listener})
	do(&elbv2.DescribeListenersInput{LoadBalancerArn: lb})
	do(&elbv2.DeregisterTargetsInput{TargetGroupArn: target, Targets: []elb.TargetDescription{{Id: &s.Nodes[0].Instance}}})
	do(&elbv2.DescribeTargetHealthInput{TargetGroupArn: target})

	all := []string{*lb, *target, *listener}
	do(&elbv2.AddTagsInput{ResourceArns: all, Tags: []elb.Tag{{Key: ptr("more"), Value: ptr("")}}})
	do(&elbv2.RemoveTagsInput{ResourceArns: all, TagKeys: []string{"text"}})
	do(&elbv2.DescribeTagsInput{ResourceArns: all})
	do(&tagging.GetResourcesInput{ResourcesPerPage: ptr(int32(2)), ResourceTypeFilters: []string{"elasticloadbalancing:loadbalancer", "elasticloadbalancing:targetgroup", "ec2:security-group"},
		TagFilters: []taggingtypes.TagFilter{{Key: ptr("cluster"), Values: []string{"demo"}}}})

	do(&elbv2.DeleteListenerInput{ListenerArn: listener})
	do(&elbv2.DeleteLoadBalancerInput{LoadBalancerArn: lb})
	do(&elbv2.DeleteTargetGroupInput{TargetGroupArn: target})
	do(&ec2.DeleteSecurityGroupInput{GroupId: group.GroupId})
	do(&elbv2.DescribeLoadBalancersInput{})
	if c.Dump() != twin.Dump() || strings.Contains(c.Dump(), "web") {
		t.Errorf("in the end there is\n%s", c.Dump())
	}

	identity, err := sdk.sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *identity.Account != "123456789012" || !strings.Contains(*identity.Arn, "assumed-role") {
		t.Errorf("GetCallerIdentity: %+v, %v", identity, err)
	}
	used["GetCallerIdentity"] = true
	for service, of := range actions {
		for name := range of {
			if !used[name] {
				t.Errorf("%s:%s was not tried", service, name)
			}
		}
	}
}

// perform is Do for outputs of any type.
func perform(c *Cloud, in any) (any, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range actions {
		if a, ok := of[strings.TrimSuffix(reflect.TypeOf(in).Elem().Name(), "Input")]; ok && a.takes == reflect.TypeOf(in).Elem() {
			return a.run(c, in)
		}
	}
	return nil, http.ErrNotSupported
}

func inJSON(v any) string {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(b)
}
