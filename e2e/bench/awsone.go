package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

// awsOne counts the calls for one Service: to make it in a process that has made
// another before, to look at it again, and to look at it in a new process.
func awsOne(ctx context.Context, b *bench) ([]figure, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	a := openAccount(ctx)
	a.put(balanced("first", 30080))
	first := a.call(ctx, b.workers)
	defer func() { first.stop() }()
	if err := a.awaitActive(ctx, 1); err != nil {
		return nil, err
	}
	created, err := first.create(ctx, "second")
	if err != nil {
		return nil, err
	}
	again, err := first.unchanged(ctx)
	if err != nil {
		return nil, err
	}
	first.stop()
	a.cloud.Reset()
	second := a.call(ctx, b.workers)
	defer second.stop()
	if err := second.rested(ctx, 2); err != nil {
		return nil, err
	}
	started := a.cloud.Calls()
	afterStart, err := second.unchanged(ctx)
	if err != nil {
		return nil, err
	}
	once := len(tallyOf(started).by) == len(started) && tallyOf(started).changes == 0
	return []figure{created, {
		What:     "aws: calls for a Service when nothing changed, looked at 100 times",
		Measured: fmt.Sprint(again),
		Limit:    "12 each time by the AWS Load Balancer Controller, from its code",
		Target:   "0",
		Met:      again == 0,
	}, {
		What:     "aws: the same in a new process, 2 Services",
		Measured: fmt.Sprintf("%d; at the start %d for all Services: %s", afterStart, len(started), sequence(started)),
		Target:   "0 but one listing",
		Met:      afterStart == 0 && once,
	}}, nil
}

// awaitActive waits until so many Services have active load balancers and nobody
// looks any more.
func (a *account) awaitActive(ctx context.Context, n int) error {
	if err := await(ctx, fmt.Sprintf("%d load balancers to be active", n), 10*time.Minute, func() bool { return a.active() >= n }); err != nil {
		return err
	}
	return a.quiet(ctx, 3*awsPoll)
}

// create makes a Service whose node port nothing has opened yet.
func (c *caller) create(ctx context.Context, name string) (figure, error) {
	c.cloud.Reset()
	svc := balanced(name, 31080)
	c.put(svc)
	c.queue.Add(providers.KeyOf(svc))
	err := await(ctx, "a hostname", time.Minute, func() bool {
		svc, _ := c.get(name)
		return len(svc.Status.LoadBalancer.Ingress) > 0
	})
	if err != nil {
		return figure{}, err
	}
	made := len(c.cloud.Calls())
	if err := c.awaitActive(ctx, 2); err != nil {
		return figure{}, err
	}
	calls := c.cloud.Calls()
	making := slices.Clone(calls[:made])
	var looks []fakeaws.Call
	for _, call := range calls[made:] {
		if call.Changes() {
			making = append(making, call)
		} else {
			looks = append(looks, call)
		}
	}
	return figure{
		What:     "aws: calls to create one Service with one port (warm)",
		Measured: fmt.Sprintf("%d: %s; beside, until a target is healthy: %s", len(making), sequence(making), tallyOf(looks)),
		Limit:    "26 by the AWS Load Balancer Controller, from its code",
		Target:   "10 or fewer",
		Met:      len(making) <= 10,
	}, nil
}

// unchanged counts the calls for a hundred events without consequence.
func (c *caller) unchanged(ctx context.Context) (int, error) {
	c.cloud.Reset()
	for range 100 {
		if err := c.rested(ctx, int64(len(c.all()))); err != nil {
			return 0, err
		}
	}
	return len(c.cloud.Calls()), nil
}

// rested touches all and waits until so many calls of Ensure have come back.
func (c *caller) rested(ctx context.Context, n int64) error {
	target := c.ensured.Load() + n
	c.touch()
	return await(ctx, "Ensure to return", time.Minute, func() bool { return c.ensured.Load() >= target && c.queue.Len() == 0 })
}
