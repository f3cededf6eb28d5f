package fakeaws

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	taggingtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// must1 is the output of an action that has to succeed.
func must1[O any](t *testing.T, c *Cloud, in any) *O {
	t.Helper()
	out, err := Do[O](c, in)
	if err != nil {
		t.Fatalf("%T: %v", in, err)
	}
	return out
}

func (w world) states(t *testing.T) map[string]elb.TargetHealthStateEnum {
	t.Helper()
	states := map[string]elb.TargetHealthStateEnum{}
	for _, d := range must1[elbv2.DescribeTargetHealthOutput](t, w.Cloud, &elbv2.DescribeTargetHealthInput{TargetGroupArn: &w.stack.TargetGroups[0]}).TargetHealthDescriptions {
		states[*d.Target.Id] = d.TargetHealth.State
	}
	return states
}

func TestLoadBalancerTakesTime(t *testing.T) {
	w := newWorld(Options{Delays: Delays{Provisioning: time.Minute}})
	state := func() elb.LoadBalancerStateEnum {
		return must1[elbv2.DescribeLoadBalancersOutput](t, w.Cloud, &elbv2.DescribeLoadBalancersInput{LoadBalancerArns: []string{w.stack.LoadBalancer}}).LoadBalancers[0].State.Code
	}
	w.clock.pass(time.Minute - 1)
	if got := state(); got != elb.LoadBalancerStateEnumProvisioning {
		t.Errorf("just before a minute it is %s", got)
	}
	if got := w.Serving(w.stack.LoadBalancerName, 80); got != nil {
		t.Errorf("it serves %v while it is provisioned", got)
	}
	w.clock.pass(1)
	if got := state(); got != elb.LoadBalancerStateEnumActive {
		t.Errorf("after a minute it is %s", got)
	}
}

func TestTargetStates(t *testing.T) {
	w := newWorld(Options{Delays: Delays{Healthy: 30 * time.Second}})
	node := w.site.Nodes
	first, second, third := node[0].Instance, node[1].Instance, node[2].Instance
	expect := func(when string, want map[string]elb.TargetHealthStateEnum, serving ...string) {
		t.Helper()
		if got := w.states(t); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		var got []string
		for _, target := range w.Serving(w.stack.LoadBalancerName, 80) {
			got = append(got, target.ID)
		}
		if !slices.Equal(got, serving) {
			t.Errorf("%s: %v serve, want %v", when, got, serving)
		}
	}
	const initial, healthy, unhealthy, draining, unused = elb.TargetHealthStateEnumInitial, elb.TargetHealthStateEnumHealthy, elb.TargetHealthStateEnumUnhealthy, elb.TargetHealthStateEnumDraining, elb.TargetHealthStateEnumUnused
	expect("at once", map[string]elb.TargetHealthStateEnum{first: initial, second: initial, third: unused})
	w.clock.pass(30 * time.Second)
	expect("after the checks; the third zone has no subnet", map[string]elb.TargetHealthStateEnum{first: healthy, second: healthy, third: unused}, first, second)
	w.SetTargetHealth(func(target Target) Health {
		if target.ID == first {
			return Unhealthy
		}
		return Healthy
	})
	expect("one fails", map[string]elb.TargetHealthStateEnum{first: unhealthy, second: healthy, third: unused}, second)
	deregister := &elbv2.DeregisterTargetsInput{TargetGroupArn: &w.stack.TargetGroups[0], Targets: []elb.TargetDescription{{Id: &second}}}
	must1[elbv2.DeregisterTargetsOutput](t, w.Cloud, deregister)
	expect("the other one leaves; what fails is better than nothing", map[string]elb.TargetHealthStateEnum{first: unhealthy, second: draining, third: unused}, first)
	must1[elbv2.RegisterTargetsOutput](t, w.Cloud, &elbv2.RegisterTargetsInput{TargetGroupArn: deregister.TargetGroupArn, Targets: deregister.Targets})
	expect("it is back, and new", map[string]elb.TargetHealthStateEnum{first: unhealthy, second: initial, third: unused}, first)
	must1[elbv2.DeregisterTargetsOutput](t, w.Cloud, deregister)
	w.clock.pass(300 * time.Second)
	expect("it has drained", map[string]elb.TargetHealthStateEnum{first: unhealthy, third: unused}, first)
	w.SetInstanceState(first, ec2types.InstanceStateNameStopped)
	expect("stopped", map[string]elb.TargetHealthStateEnum{first: unused, third: unused})
	w.SetInstanceState(first, ec2types.InstanceStateNameTerminated)
	expect("terminated", map[string]elb.TargetHealthStateEnum{first: draining, third: unused})
	must1[elbv2.DeleteListenerOutput](t, w.Cloud, &elbv2.DeleteListenerInput{ListenerArn: &w.stack.Listeners[0]})
	expect("no listener", map[string]elb.TargetHealthStateEnum{third: unused})
	must1[elbv2.DeregisterTargetsOutput](t, w.Cloud, &elbv2.DeregisterTargetsInput{TargetGroupArn: &w.stack.TargetGroups[0], Targets: []elb.TargetDescription{{Id: &third}}})
	expect("nothing to drain", map[string]elb.TargetHealthStateEnum{})
}

func TestDeletionTakesTime(t *testing.T) {
	w := newWorld(Options{Delays: Delays{Detach: time.Minute, Release: 5 * time.Second}})
	attempt := func(in any, want string) {
		t.Helper()
		_, err := perform(w.Cloud, in)
		var refused *apiError
		if errors.As(err, &refused); err == nil && want != "" || err != nil && refused.code != want {
			t.Errorf("%T: %v, want %q", in, err, want)
		}
	}
	deleteLB := &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: &w.stack.LoadBalancer}
	protect := func(value string) {
		must1[elbv2.ModifyLoadBalancerAttributesOutput](t, w.Cloud, balancerAttribute("deletion_protection.enabled", value)(w))
	}
	group := &elbv2.DeleteTargetGroupInput{TargetGroupArn: &w.stack.TargetGroups[0]}
	front := &ec2.DeleteSecurityGroupInput{GroupId: &w.stack.Group}
	protect("true")
	attempt(deleteLB, "OperationNotPermitted")
	protect("false")
	attempt(group, "ResourceInUse")
	attempt(deleteLB, "")
	attempt(deleteLB, "")
	attempt(&elbv2.DescribeListenersInput{ListenerArns: w.stack.Listeners[:1]}, "ListenerNotFound")
	attempt(group, "ResourceInUse")
	w.clock.pass(5 * time.Second)
	attempt(group, "")
	attempt(front, "DependencyViolation")
	w.clock.pass(time.Minute)
	attempt(front, "")
	attempt(front, "InvalidGroup.NotFound")
}

func TestAddressesAreTakenForAWhile(t *testing.T) {
	w := newWorld(Options{Delays: Delays{Detach: time.Minute}})
	create := &elbv2.CreateLoadBalancerInput{Name: ptr("one"), Type: elb.LoadBalancerTypeEnumNetwork, SubnetMappings: []elb.SubnetMapping{{SubnetId: &w.site.Public[0], AllocationId: ptr("eipalloc-1")}}}
	arn := must1[elbv2.CreateLoadBalancerOutput](t, w.Cloud, create).LoadBalancers[0].LoadBalancerArn
	if again := must1[elbv2.CreateLoadBalancerOutput](t, w.Cloud, create).LoadBalancers[0].LoadBalancerArn; *again != *arn {
		t.Errorf("created twice: %s and %s", *arn, *again)
	}
	create.Name = ptr("two")
	must1[elbv2.DeleteLoadBalancerOutput](t, w.Cloud, &elbv2.DeleteLoadBalancerInput{LoadBalancerArn: arn})
	if _, err := Do[elbv2.CreateLoadBalancerOutput](w.Cloud, create); err == nil || err.(*apiError).code != "ResourceInUse" {
		t.Errorf("the address of one that was just deleted: %v", err)
	}
	w.clock.pass(time.Minute)
	must1[elbv2.CreateLoadBalancerOutput](t, w.Cloud, create)
}

func TestTaggingIsBehind(t *testing.T) {
	w := newWorld(Options{Delays: Delays{Tagging: 20 * time.Second}})
	count := func() int {
		return len(must1[tagging.GetResourcesOutput](t, w.Cloud, &tagging.GetResourcesInput{TagFilters: []taggingtypes.TagFilter{{Key: ptr(lbcStack), Values: []string{"default/web"}}}}).ResourceTagMappingList)
	}
	expect := func(when string, want int) {
		t.Helper()
		if got := count(); got != want {
			t.Errorf("%s: %d resources, want %d", when, got, want)
		}
	}
	expect("just made", 0)
	w.clock.pass(20 * time.Second)
	expect("20 s later: a load balancer, its security group, two listeners and two target groups", 6)
	must1[elbv2.DeleteListenerOutput](t, w.Cloud, &elbv2.DeleteListenerInput{ListenerArn: &w.stack.Listeners[0]})
	must1[elbv2.RemoveTagsOutput](t, w.Cloud, &elbv2.RemoveTagsInput{ResourceArns: w.stack.TargetGroups, TagKeys: []string{lbcStack}})
	expect("just deleted", 6)
	w.clock.pass(20 * time.Second)
	expect("20 s later", 3)
}

func TestLimits(t *testing.T) {
	w := newWorld(Options{Limits: Limits{LoadBalancers: 2, Listeners: 2, TargetGroups: 5, Targets: 4, TargetsPerZone: 3, SecurityGroups: 3}})
	spare := newGroup(w, "TCP")
	for i := range 3 {
		w.AddInstance(Instance{ID: fmt.Sprintf("i-more%d", i), Subnet: w.site.Private[0], PrivateIP: fmt.Sprintf("10.0.97.%d", i)})
	}
	for why, tt := range map[string]struct {
		in   any
		code string
	}{
		"load balancers":           {balancer(func(*elbv2.CreateLoadBalancerInput) {})(w), "TooManyLoadBalancers"},
		"listeners":                {listen(func(world, *elbv2.CreateListenerInput) {})(w), "TooManyListeners"},
		"target groups":            {group(func(in *elbv2.CreateTargetGroupInput) {})(w), "TooManyTargetGroups"},
		"targets of a group":       {register("i-more0", "i-more1")(w), "TooManyTargets"},
		"targets in a zone":        {register("i-more0")(w), "TooManyTargets"}, // there are two groups, and one node in each
		"security groups":          {&ec2.CreateSecurityGroupInput{GroupName: ptr("x"), Description: ptr("x"), VpcId: &w.site.VPC}, "SecurityGroupLimitExceeded"},
		"what was there once more": {register(w.site.Nodes[0].Instance)(w), ""},
	} {
		if why == "targets in a zone" {
			must1[elbv2.RegisterTargetsOutput](t, w.Cloud, &elbv2.RegisterTargetsInput{TargetGroupArn: &w.stack.TargetGroups[1], Targets: []elb.TargetDescription{{Id: ptr("i-more1")}}})
		}
		_, err := perform(w.Cloud, tt.in)
		if got, _ := err.(*apiError); err == nil && tt.code != "" || err != nil && got.code != tt.code {
			t.Errorf("%s: %v, want %q", why, err, tt.code)
		}
	}
	must1[elbv2.RegisterTargetsOutput](t, w.Cloud, &elbv2.RegisterTargetsInput{TargetGroupArn: &spare, Targets: []elb.TargetDescription{{Id: ptr("i-more0")}, {Id: ptr("i-more1")}}})
	change := &elbv2.ModifyListenerInput{ListenerArn: &w.stack.Listeners[0], DefaultActions: forward(spare)}
	if _, err := Do[elbv2.ModifyListenerOutput](w.Cloud, change); err == nil {
		t.Error("a listener took a group with more targets than the zone has room for")
	}
}

func TestPages(t *testing.T) {
	w := newWorld(Options{PageSize: 2})
	sdk := clientsOf(config(w.Cloud))
	count := map[string]int{}
	for p := elbv2.NewDescribeTargetGroupsPaginator(sdk.elb, &elbv2.DescribeTargetGroupsInput{}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count["target groups"] += len(page.TargetGroups)
	}
	for p := ec2.NewDescribeSubnetsPaginator(sdk.ec2, &ec2.DescribeSubnetsInput{}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count["subnets"] += len(page.Subnets)
	}
	for p := tagging.NewGetResourcesPaginator(sdk.tagging, &tagging.GetResourcesInput{TagFilters: []taggingtypes.TagFilter{{Key: ptr(lbcStack)}}}); p.HasMorePages(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		count["resources"] += len(page.ResourceTagMappingList)
	}
	if want := fmt.Sprint(map[string]int{"target groups": 4, "subnets": 6, "resources": 11}); fmt.Sprint(count) != want {
		t.Errorf("%v, want %v", count, want)
	}
	if calls := w.Counts(); calls["DescribeTargetGroups"] != 2 || calls["DescribeSubnets"] != 3 || calls["GetResources"] != 6 {
		t.Errorf("calls: %v", calls)
	}
}

func TestBuckets(t *testing.T) {
	clock := newClock()
	c, _ := site(Options{Now: clock.time, Buckets: AWSBuckets()})
	sdk := clientsOf(config(c))
	describe := func() string {
		_, err := sdk.call(t, &elbv2.DescribeLoadBalancersInput{})
		return codeOf(t, err)
	}
	for i := range 40 {
		if code := describe(); code != "" {
			t.Fatalf("call %d: %s", i, code)
		}
	}
	if code := describe(); code != "Throttling" {
		t.Errorf("call 41: %q", code)
	}
	if _, err := sdk.call(t, &elbv2.DescribeTargetGroupsInput{}); codeOf(t, err) != "Throttling" {
		t.Errorf("another action of the same bucket: %v", err)
	}
	clock.pass(100 * time.Millisecond)
	if first, second := describe(), describe(); first != "" || second != "Throttling" {
		t.Errorf("a tenth of a second later: %q, then %q", first, second)
	}
	for range 100 {
		if _, err := sdk.call(t, &ec2.DescribeVpcsInput{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := sdk.call(t, &ec2.DescribeVpcsInput{}); codeOf(t, err) != "RequestLimitExceeded" {
		t.Errorf("EC2: %v", err)
	}
	if _, err := sdk.call(t, &ec2.DescribeSubnetsInput{}); err != nil {
		t.Errorf("EC2 has a bucket for each action: %v", err)
	}
	throttled := 0
	for _, call := range c.Calls() {
		if call.Throttled {
			throttled++
		}
	}
	if throttled != 4 {
		t.Errorf("%d calls are throttled by the log", throttled)
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		kind  FaultKind
		code  string // empty: the SDK hears nothing
		made  bool
		fault Fault
	}{
		{Err500, "InternalFailure", false, Fault{}},
		{Timeout, "", false, Fault{}},
		{LostAnswer, "", true, Fault{}},
		{Throttle, "Throttling", false, Fault{}},
		{Storm, "Throttling", false, Fault{Duration: time.Second}},
		{Refuse, "ExpiredToken", false, Fault{Code: "ExpiredToken", Status: 403}},
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			w := newWorld(Options{})
			sdk := clientsOf(config(w.Cloud))
			tt.fault.Kind, tt.fault.Action, tt.fault.Nth = tt.kind, "Create*", 2
			w.Inject(tt.fault)
			create := func(name string) error {
				_, err := sdk.call(t, group(func(in *elbv2.CreateTargetGroupInput) { in.Name = &name })(w))
				return err
			}
			if err := create("first"); err != nil {
				t.Fatalf("the call before: %v", err)
			}
			err := create("second")
			switch {
			case err == nil:
				t.Fatal("the call succeeded")
			case tt.code != "" && codeOf(t, err) != tt.code:
				t.Errorf("got %v, want %s", err, tt.code)
			}
			_, lost := Do[elbv2.DescribeTargetGroupsOutput](w.Cloud, &elbv2.DescribeTargetGroupsInput{Names: []string{"second"}})
			if made := lost == nil; made != tt.made {
				t.Errorf("made: %v", made)
			}
			last := w.Calls()[len(w.Calls())-1]
			if last.Fault != tt.kind || last.Cut != (tt.code == "") {
				t.Errorf("the log has %+v", last)
			}
			err = create("third")
			if storm := tt.kind == Storm; (err != nil) != storm {
				t.Errorf("the call after: %v", err)
			}
			w.clock.pass(time.Second)
			if err := create("fourth"); err != nil || len(w.Waiting()) > 0 {
				t.Errorf("a second later: %v, %v", err, w.Waiting())
			}
		})
	}
}

func TestFaultsInTurn(t *testing.T) {
	w := newWorld(Options{})
	sdk := clientsOf(config(w.Cloud))
	w.Inject(Fault{Action: "ec2:Describe*", Every: 2, Kind: Err500}, Fault{Kind: Throttle, Nth: 2}, Fault{Action: "Create*", Kind: Err500})
	var got []string
	for range 5 {
		_, err := sdk.call(t, &ec2.DescribeVpcsInput{})
		got = append(got, codeOf(t, err))
	}
	if want := []string{"", "InternalError", "RequestLimitExceeded", "InternalError", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	w.ClearFaults()
	if _, err := sdk.call(t, &ec2.DescribeVpcsInput{}); err != nil || len(w.Waiting()) > 0 {
		t.Errorf("cleared: %v", err)
	}
}

func TestDenied(t *testing.T) {
	w := newWorld(Options{})
	sdk := clientsOf(config(w.Cloud))
	w.Deny("elasticloadbalancing:Create*", "ec2:CreateSecurityGroup", "tag:GetResources")
	for want, in := range map[string]any{
		"AccessDenied":          group(func(*elbv2.CreateTargetGroupInput) {})(w),
		"UnauthorizedOperation": &ec2.CreateSecurityGroupInput{GroupName: ptr("x"), Description: ptr("x"), VpcId: &w.site.VPC},
		"AccessDeniedException": &tagging.GetResourcesInput{},
	} {
		if _, err := sdk.call(t, in); codeOf(t, err) != want {
			t.Errorf("%T: %v, want %s", in, err, want)
		}
	}
	w.Allow("elasticloadbalancing:Create*")
	if _, err := sdk.call(t, group(func(*elbv2.CreateTargetGroupInput) {})(w)); err != nil {
		t.Errorf("allowed again: %v", err)
	}
}

// TestClusterTag holds callers to the IAM policy that clusters have.
func TestClusterTag(t *testing.T) {
	w := newWorld(Options{ClusterTag: lbcCluster})
	sdk := clientsOf(config(w.Cloud))
	mine := []elb.Tag{{Key: ptr(lbcCluster), Value: ptr("demo")}}
	foreign := newGroup(w, "TCP")
	for why, tt := range map[string]struct {
		in   any
		code string
	}{
		"made without the tag":      {group(func(*elbv2.CreateTargetGroupInput) {})(w), "AccessDenied"},
		"made with it":              {group(func(in *elbv2.CreateTargetGroupInput) { in.Tags = mine })(w), ""},
		"changed, without the tag":  {&elbv2.ModifyTargetGroupInput{TargetGroupArn: &foreign}, "AccessDenied"},
		"changed, with it":          {&elbv2.ModifyTargetGroupInput{TargetGroupArn: &w.stack.TargetGroups[0]}, ""},
		"deleted, without the tag":  {&elbv2.DeleteTargetGroupInput{TargetGroupArn: &foreign}, "AccessDenied"},
		"made one's own":            {&elbv2.AddTagsInput{ResourceArns: []string{foreign}, Tags: mine}, "AccessDenied"},
		"tagged":                    {&elbv2.AddTagsInput{ResourceArns: w.stack.TargetGroups, Tags: manyTags(1)}, ""},
		"the tag taken off":         {&elbv2.RemoveTagsInput{ResourceArns: w.stack.TargetGroups, TagKeys: []string{lbcCluster}}, "AccessDenied"},
		"a group of others deleted": {&ec2.DeleteSecurityGroupInput{GroupId: &w.site.NodeGroup}, "UnauthorizedOperation"},
		"a group of others tagged":  {&ec2.CreateTagsInput{Resources: []string{w.site.NodeGroup}, Tags: []ec2types.Tag{{Key: ptr("a")}}}, "UnauthorizedOperation"},
	} {
		if _, err := sdk.call(t, tt.in); codeOf(t, err) != tt.code {
			t.Errorf("%s: %v, want %q", why, err, tt.code)
		}
	}
}

// TestRetries has the SDK's own retries see a change through whose answer was
// lost, in time that passes at once.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := site(Options{Latency: 50 * time.Millisecond, Delays: AWSDelays(), Buckets: AWSBuckets()})
		cfg := config(c)
		// Not the adaptive mode: what it waits for may be less than a nanosecond, which
		// never passes here.
		cfg.Retryer = func() aws.Retryer { return retry.NewStandard() }
		sdk := clientsOf(cfg)
		c.Inject(Fault{Action: "CreateTargetGroup", Kind: LostAnswer}, Fault{Action: "CreateTargetGroup", Nth: 2, Kind: Throttle})
		out, err := sdk.elb.CreateTargetGroup(t.Context(), &elbv2.CreateTargetGroupInput{Name: ptr("web"), Protocol: "TCP", Port: ptr(int32(80)), VpcId: &s.VPC})
		if err != nil || *out.TargetGroups[0].TargetGroupName != "web" {
			t.Fatalf("%v", err)
		}
		if got := c.Counts()["CreateTargetGroup"]; got != 3 {
			t.Errorf("%d calls", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := sdk.elb.DescribeLoadBalancers(ctx, &elbv2.DescribeLoadBalancersInput{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that does not wait: %v", err)
		}
	})
}

// TestNetwork goes through a socket, where cut connections are cut.
func TestNetwork(t *testing.T) {
	c, _ := site(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg := config(c)
	cfg.BaseEndpoint, cfg.HTTPClient = aws.String(c.Start(ctx)), nil
	sdk := clientsOf(cfg)
	var seen []string
	c.OnCall(func(call Call) { seen = append(seen, call.Action) })
	if _, err := sdk.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{}); err != nil {
		t.Fatal(err)
	}
	c.Inject(Fault{Kind: LostAnswer})
	if _, err := sdk.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{}); err == nil {
		t.Error("the connection was not cut")
	}
	if _, err := sdk.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{}); err != nil {
		t.Errorf("the next connection: %v", err)
	}
	if len(seen) != 3 || len(c.Calls()) != 3 {
		t.Errorf("seen %v, logged %v", seen, c.Calls())
	}
	c.Reset()
	if len(c.Calls()) != 0 {
		t.Error("the log is not empty")
	}
}

func TestLBC(t *testing.T) {
	w := newWorld(Options{})
	local := w.service("local")
	local.HealthCheckNodePort = 32000
	local.SourceRanges = []string{"10.0.0.0/8", "192.0.2.0/24"}
	local.Ports = []LBCPort{{Port: 53, TargetPort: 30053, Protocol: elb.ProtocolEnumTcpUdp}}
	local.Attributes = map[string]string{"deletion_protection.enabled": "true"}
	local.TargetGroupAttributes = map[string]string{"proxy_protocol_v2.enabled": "true"}
	local.Tags = map[string]string{"team": "dns"}
	w.AddLBCService(local)
	compareGolden(t, "testdata/lbc.txt", w.Dump())
}

func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not\n%s", file, got)
	}
}

// TestConcurrent is for the race detector: what is answered belongs to the
// caller, whatever others do meanwhile.
func TestConcurrent(t *testing.T) {
	w := newWorld(Options{Delays: Delays{Healthy: time.Second}})
	sdk := clientsOf(config(w.Cloud))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for _, in := range []any{
				attributeOf("deregistration_delay.timeout_seconds", fmt.Sprint(i))(w),
				&elbv2.SetSecurityGroupsInput{LoadBalancerArn: &w.stack.LoadBalancer, SecurityGroups: []string{w.stack.Group}},
				&elbv2.ModifyListenerInput{ListenerArn: &w.stack.Listeners[0], DefaultActions: forward(w.stack.TargetGroups[i%2])},
				&elbv2.ModifyTargetGroupInput{TargetGroupArn: &w.stack.TargetGroups[0], HealthyThresholdCount: ptr(int32(2 + i))},
				&elbv2.AddTagsInput{ResourceArns: w.stack.TargetGroups, Tags: []elb.Tag{{Key: ptr("a"), Value: ptr(fmt.Sprint(i))}}},
				&elbv2.DescribeLoadBalancersInput{}, &elbv2.DescribeTargetGroupsInput{}, &elbv2.DescribeListenersInput{LoadBalancerArn: &w.stack.LoadBalancer},
				&elbv2.DescribeTargetHealthInput{TargetGroupArn: &w.stack.TargetGroups[0]}, &elbv2.DescribeTagsInput{ResourceArns: w.stack.TargetGroups},
				&ec2.DescribeSecurityGroupsInput{}, &ec2.DescribeNetworkInterfacesInput{}, &ec2.DescribeInstancesInput{}, &tagging.GetResourcesInput{},
			} {
				if _, err := sdk.call(t, in); err != nil {
					t.Errorf("%T: %v", in, err)
				}
			}
		})
	}
	group.Wait()
}
