package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

const (
	// joining is how many nodes join, and joinPace the time between two of them.
	joining  = 100
	joinPace = 30 * time.Millisecond
)

// wave is what nodes that join together cost.
type wave struct {
	// took is the time from the last node to the last register.
	took time.Duration
	// groups had nodes registered, one of them in most calls; repeated targets
	// were so more than once.
	groups, most, repeated int
	throttled              int
	// later are the calls for events afterwards.
	later int
}

// nodesJoin has nodes join in waves, while events go on.
func (c *caller) nodesJoin(ctx context.Context, waves int) ([]figure, error) {
	var all wave
	var took []time.Duration
	for range waves {
		if err := c.quiet(ctx, 5*awsPoll); err != nil {
			return nil, err
		}
		w, err := c.wave(ctx)
		if err != nil {
			return nil, err
		}
		took = append(took, w.took)
		all = wave{
			groups: w.groups, most: max(all.most, w.most), repeated: all.repeated + w.repeated,
			throttled: all.throttled + w.throttled, later: all.later + w.later,
		}
	}
	return all.figures(took), nil
}

func (c *caller) wave(ctx context.Context) (w wave, err error) {
	before := map[string]string{}
	for _, svc := range c.all() {
		before[svc.Name] = svc.Annotations[annotation.KeyApplied]
	}
	c.cloud.Reset()
	progress("  aws: %d nodes join", joining)
	for range joining {
		c.join()
		c.touch()
		if err := pause(ctx, joinPace); err != nil {
			return w, err
		}
	}
	joined := time.Now()
	event := joined
	err = await(ctx, "all nodes to be registered", 10*time.Minute, func() bool {
		if time.Since(event) > time.Second {
			event = time.Now()
			c.touch()
		}
		for _, svc := range c.all() {
			if applied := svc.Annotations[annotation.KeyApplied]; applied == "" || applied == before[svc.Name] {
				return false
			}
		}
		return true
	})
	if err != nil {
		return w, err
	}
	calls := c.cloud.Calls()
	t := tallyOf(calls)
	progress("  aws: %d nodes joined: %s", joining, t)
	w.took, w.throttled = lastOf(calls, "RegisterTargets").Sub(joined), t.throttled
	w.groups, w.most, w.repeated = registrations(calls)
	w.later, err = c.laterEvents(ctx)
	return w, err
}

// laterEvents counts the calls after a node changed in a way that matters to
// nobody, and all Services were looked at some more.
func (c *caller) laterEvents(ctx context.Context) (int, error) {
	if err := c.quiet(ctx, 5*awsPoll); err != nil {
		return 0, err
	}
	c.cloud.Reset()
	c.relabel()
	for range 3 {
		if err := c.rested(ctx, awsCrowd); err != nil {
			return 0, err
		}
		if err := pause(ctx, time.Second); err != nil {
			return 0, err
		}
	}
	return len(c.cloud.Calls()), nil
}

func (w wave) figures(took []time.Duration) []figure {
	bound := soonest(map[string]int{"elasticloadbalancing:RegisterTargets": awsCrowd})
	const rest = time.Second // without a node that joins
	ratio := func(took time.Duration) float64 { return took.Seconds() / (bound + rest).Seconds() }
	middle, worst := median(took), slices.Max(took)
	return []figure{{
		What:     fmt.Sprintf("aws: %d nodes join within %.0f s, %d Services with instance targets: registers per group", joining, (joining * joinPace).Seconds(), awsCrowd),
		Measured: fmt.Sprintf("%d, in %d groups; %d targets registered twice", w.most, w.groups, w.repeated),
		Limit:    "a call takes 200 targets",
		Target:   "at most 1 per 200 targets",
		Met:      w.most == 1 && w.groups == awsCrowd && w.repeated == 0,
	}, {
		What:     fmt.Sprintf("aws: the same: last node to last register, %d times", len(took)),
		Measured: fmt.Sprintf("%.1f s, %.2f x, at most %.2f x; %d calls throttled", middle.Seconds(), ratio(middle), ratio(worst), w.throttled),
		Limit:    fmt.Sprintf("the buckets let %d through in %.1f s, after %.0f s of rest", awsCrowd, bound.Seconds(), rest.Seconds()),
		Target:   "the buckets' pace: within 1.2 x",
		Met:      ratio(middle) <= 1.2,
	}, {
		What:     "aws: the same: calls that later events repeat",
		Measured: fmt.Sprint(w.later),
		Target:   "0",
		Met:      w.later == 0,
	}}
}

var (
	groupIn   = regexp.MustCompile(`TargetGroupArn=(\S+)`)
	targetsIn = regexp.MustCompile(`Targets\.member\.\d+\.Id=(\S+)`)
)

// registrations counts target groups, the most calls for one of them, and the
// targets that were registered more than once.
func registrations(calls []fakeaws.Call) (groups, most, repeated int) {
	byGroup, byTarget := map[string]int{}, map[string]int{}
	for _, c := range calls {
		if c.Action != "RegisterTargets" || c.Code != "" {
			continue
		}
		group := groupIn.FindStringSubmatch(c.Parameters)[1]
		byGroup[group]++
		most = max(most, byGroup[group])
		for _, target := range targetsIn.FindAllStringSubmatch(c.Parameters, -1) {
			byTarget[group+" "+target[1]]++
		}
	}
	for _, n := range byTarget {
		repeated += n - 1
	}
	return len(byGroup), most, repeated
}
