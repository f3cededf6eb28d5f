package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// awsMany creates many Services at once in an empty account, and then has nodes
// join.
func awsMany(ctx context.Context, b *bench) ([]figure, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	a := openAccount(ctx)
	for i := range awsCrowd {
		a.put(balanced(name(i), nodePortOf(i)))
	}
	progress("  aws: %d Services are created", awsCrowd)
	began := time.Now()
	c := a.call(ctx, b.workers)
	defer c.stop()
	if err := await(ctx, "all to be active", 15*time.Minute, func() bool { return a.active() >= awsCrowd }); err != nil {
		return nil, err
	}
	created := crowdFigure(time.Since(began), began, a.cloud.Calls())
	joined, err := c.nodesJoin(ctx, b.rounds)
	return append([]figure{created}, joined...), err
}

// needed are the calls without which many Services of one port can't be.
func needed() map[string]int {
	calls := map[string]int{}
	for _, action := range []string{
		"ec2:CreateSecurityGroup", "ec2:AuthorizeSecurityGroupIngress",
		"elasticloadbalancing:CreateTargetGroup", "elasticloadbalancing:CreateLoadBalancer",
		"elasticloadbalancing:RegisterTargets", "elasticloadbalancing:CreateListener",
	} {
		calls[action] = awsCrowd
	}
	return calls
}

// crowdFigure compares with what the buckets allow. A load balancer that is made
// when they have let everything through is provisioned after that.
func crowdFigure(took time.Duration, began time.Time, calls []fakeaws.Call) figure {
	t := tallyOf(calls)
	progress("  aws: created %d Services: %s", awsCrowd, t)
	twice := 0
	for action, n := range needed() {
		if action, ok := strings.CutPrefix(action, "elasticloadbalancing:"); ok {
			twice += max(t.by[action]-n, 0)
		}
	}
	bound, provisioning := soonest(needed()), fakeaws.AWSDelays().Provisioning/awsPace
	made := lastOf(calls, "CreateListener").Sub(began)
	whole, making := took.Seconds()/(bound+provisioning).Seconds(), made.Seconds()/bound.Seconds()
	return figure{
		What: fmt.Sprintf("aws: %d Services created at once, throttled, buckets refilled %d times as fast as AWS's", awsCrowd, awsPace),
		Measured: fmt.Sprintf("all made after %.1f s, %.2f x; all active after %.1f s, %.2f x; %d calls throttled, %d made twice",
			made.Seconds(), making, took.Seconds(), whole, t.throttled, twice),
		Limit:  fmt.Sprintf("the buckets let 4 changes for each through in %.1f s; provisioning takes %.0f s", bound.Seconds(), provisioning.Seconds()),
		Target: "within 1.2 x",
		Met:    making <= 1.2 && whole <= 1.2 && twice == 0,
	}
}

// lastOf is when an action succeeded last.
func lastOf(calls []fakeaws.Call, action string) (at time.Time) {
	for _, c := range calls {
		if c.Action == action && c.Code == "" && c.Time.After(at) {
			at = c.Time
		}
	}
	return at
}
