package main

import (
	"context"
	"fmt"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
)

const (
	// rollouts is how often each deployment is rolled.
	rollouts = 3
	// graceful is how long a pod is given to end by default, preStopped how long
	// one takes that stays until load balancers know its successor.
	graceful   = 30 * time.Second / awsPace
	preStopped = 150 * time.Second / awsPace
)

// awsRolling rolls pods that are targets, with a request every 5 ms to each load
// balancer. It goes to one of the targets that AWS would choose from then.
func awsRolling(ctx context.Context, b *bench) ([]figure, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	all := []*deployment{
		{name: "one-gated", what: "1 pod with the readiness gate", replicas: 1, gated: true, lingers: graceful},
		{name: "four-gated", what: "4 pods with it", replicas: 4, gated: true, lingers: graceful},
		{name: "one-stays", what: "1 pod without it that answers for 150 s more when it ends", replicas: 1, lingers: preStopped},
		{name: "four-stay", what: "4 pods of that kind", replicas: 4, lingers: preStopped},
	}
	a := openAccount(ctx)
	for i, d := range all {
		d.network = i
		svc := balanced(d.name, nodePortOf(i))
		svc.Annotations[annotation.KeyTargetType] = string(annotation.IP)
		svc.Annotations[annotation.KeyName] = svc.Name
		a.put(svc)
		a.pods[svc.Name] = d
	}
	a.cloud.SetTargetHealth(checked(all))
	c := a.call(ctx, b.workers, func(o *aws.Options) { o.Gates = gates{a} })
	defer c.stop()
	c.done.Go(func() { c.live(c.ctx, all) })
	if err := await(ctx, "pods to serve", 5*time.Minute, func() bool { return a.serve(all) }); err != nil {
		return nil, err
	}
	progress("  aws: pods are rolled")
	c.done.Go(func() { a.load(c.ctx, all) })
	for range rollouts {
		for _, d := range all {
			d.roll()
		}
		if err := await(ctx, "pods to be rolled", 10*time.Minute, func() bool { return a.serve(all) }); err != nil {
			return nil, err
		}
	}
	var figures []figure
	for _, d := range all {
		figures = append(figures, d.figure())
	}
	return figures, nil
}

// live has time pass for pods, and tells the caller what EndpointSlices would.
func (c *caller) live(ctx context.Context, all []*deployment) {
	for pause(ctx, 10*time.Millisecond) == nil {
		for _, d := range all {
			if d.step(time.Now()) {
				svc, _ := c.get(d.name)
				c.queue.Add(providers.KeyOf(svc))
			}
		}
	}
}

// serve says whether all pods are those that are wanted, and targets that are
// healthy.
func (a *account) serve(all []*deployment) bool {
	for _, d := range all {
		if d.moving() || len(a.cloud.Serving(d.name, 80)) != d.replicas {
			return false
		}
	}
	return true
}

// load makes requests until ctx ends.
func (a *account) load(ctx context.Context, all []*deployment) {
	for pause(ctx, probePace) == nil {
		for _, d := range all {
			d.request(a.cloud.Serving(d.name, 80))
		}
	}
}

// checked is what health checks find.
func checked(all []*deployment) func(fakeaws.Target) fakeaws.Health {
	return func(t fakeaws.Target) fakeaws.Health {
		for _, d := range all {
			if d.passes(t.ID, time.Now()) {
				return fakeaws.Healthy
			}
		}
		return fakeaws.Unhealthy
	}
}

// gates are the readiness gates of an account's pods.
type gates struct{ *account }

// Waiting implements aws.Gates.
func (g gates) Waiting(_ context.Context, key providers.Key, _ []*discoveryv1.EndpointSlice) map[string]bool {
	return g.of(key.Name).waiting()
}

// Looked implements aws.Gates.
func (g gates) Looked(key providers.Key, _ []string, trouble map[string]string) {
	g.of(key.Name).open(trouble)
}

func (a *account) of(name string) *deployment {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pods[name]
}

func (d *deployment) figure() figure {
	d.mu.Lock()
	defer d.mu.Unlock()
	return figure{
		What:     fmt.Sprintf("aws: rolling update of %s, ip targets, %d times: requests that had no healthy target", d.what, rollouts),
		Measured: fmt.Sprintf("%d of %d; %d more reached a pod that had ended; %d pods replaced", d.homeless, d.requests, d.late, d.replaced),
		Limit:    "a request each 5 ms, by target state",
		Target:   "0",
		Met:      d.homeless == 0 && d.late == 0 && d.replaced == rollouts*d.replicas,
	}
}
