package aws

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/berth-lb/berth/providers/aws/plan"
)

const (
	// steadyLooks is how many looks come at the first pace, slowerLooks after how
	// many more the pause doubles, and longestPauses how many first pauses it
	// grows to.
	steadyLooks   = 12
	slowerLooks   = 6
	longestPauses = 64
	// gateLooks is how many looks count at most while a pod waits to be found
	// healthy: the pause then stays four first pauses.
	gateLooks = steadyLooks + 2*slowerLooks
	// healthLooks is how many target groups are looked at at a time.
	healthLooks = 8
)

// follow has a stack be looked at as long as something is on its way there.
func (p *Provider) follow(stack string, changed, held bool) {
	r, known := p.memory.get(stack)
	if !known || r.stack == nil {
		return
	}
	lb := currentOf(*r.stack, r.name)
	if changed || held || lb.State == stateProvisioning || !p.health.settled(r) {
		p.lookLater(stack, r.looks)
	}
}

// lookLater looks again after a pause that grows with the number of looks. Looks
// are made at multiples of the first pause, so that many share their calls.
func (p *Provider) lookLater(stack string, looks int) {
	doublings := max(0, looks-steadyLooks) / slowerLooks
	pauses := longestPauses
	if doublings < 6 {
		pauses = 1 << doublings
	}
	p.looks.by(stack, time.Now().Truncate(p.options.Poll).Add(time.Duration(pauses)*p.options.Poll))
}

// runLooks looks at what takes time: load balancers together, and at the targets
// of those that are active. A look that takes long keeps no other one waiting.
func (p *Provider) runLooks(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, healthLooks)
	for due := p.looks.next(ctx); due != nil; due = p.looks.next(ctx) {
		for _, stack := range due {
			wg.Go(func() { p.look(ctx, stack, slots) })
		}
	}
}

// look finds out how one stack is, and wakes its Service if that matters. Targets
// matter as soon as a load balancer takes traffic, as one that is replaced does.
func (p *Provider) look(ctx context.Context, stack string, slots chan struct{}) {
	r, known := p.memory.get(stack)
	if !known || r.stack == nil {
		return // Ensure has to look first
	}
	p.memory.update(stack, func(r *record) { r.looks++ })
	if currentOf(*r.stack, r.name).State == stateProvisioning {
		if over := p.lookAtState(ctx, stack, r); over || len(r.stack.LoadBalancers) == 1 {
			return
		}
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return
	}
	p.lookAtTargets(ctx, stack, r)
}

// lookAtState looks whether a load balancer is still being provisioned, and says
// whether its Service has to look at it.
func (p *Provider) lookAtState(ctx context.Context, stack string, r record) (over bool) {
	arn := currentOf(*r.stack, r.name).ARN
	found, err := p.observer.loadBalancers.get(ctx, arn)
	if err != nil {
		p.lookFailed(stack, "describe a load balancer that is being provisioned", err)
		p.lookLater(stack, r.looks+1)
		return false
	}
	lb, there := found[arn]
	if !there {
		p.lost(stack, r, arn)
		return true
	}
	state := loadBalancerOf(lb).State
	if state == stateProvisioning || !p.setState(stack, r.version, arn, state) {
		p.lookLater(stack, r.looks+1)
		return false
	}
	p.options.Wake(r.key)
	p.memory.update(stack, func(r *record) { r.looks = 0 })
	p.lookLater(stack, 0)
	return true
}

// lookFailed logs why a look showed nothing. Throttled is what many are at once,
// and each looks again.
func (p *Provider) lookFailed(stack, doing string, err error) {
	const what = "looking at what takes time"
	if isThrottle(err) {
		p.log.V(1).Info(what, "service", stack, "err", explain(doing, err).Error())
		return
	}
	p.log.Error(explain(doing, err), what, "service", stack)
}

// lost has what is gone be made again.
func (p *Provider) lost(stack string, r record, name string) {
	p.inventory.drop(stack, name)
	if key, forgotten := p.memory.forget(stack, r.version); forgotten {
		p.options.Wake(key)
	}
}

// setState notes the state of a load balancer, unless something else has
// changed meanwhile.
func (p *Provider) setState(stack string, version int, arn, state string) (set bool) {
	p.memory.update(stack, func(r *record) {
		if r.version != version || r.stack == nil {
			return
		}
		next := copyOf(*r.stack)
		for i := range next.LoadBalancers {
			if next.LoadBalancers[i].ARN == arn {
				next.LoadBalancers[i].State = state
			}
		}
		r.stack, set = &next, true
	})
	return set
}

// lookAtTargets looks how the targets of a stack are.
func (p *Provider) lookAtTargets(ctx context.Context, stack string, r record) {
	before, wasKnown := p.health.verdict(*r.stack)
	for _, g := range r.stack.TargetGroups {
		if len(g.Targets) == 0 {
			continue
		}
		targets, err := p.observer.health(ctx, g.ARN)
		if err != nil && ctx.Err() == nil {
			p.lookFailed(stack, "describe the targets of "+g.Name, err)
		}
		if err == nil {
			p.seen(g, targets)
		}
	}
	after, known := p.health.verdict(*r.stack)
	if before != after || wasKnown != known || p.mayGo(r) {
		p.options.Wake(r.key)
	}
	p.tellGates(stack)
	looks := r.looks + 1
	if p.health.waited(r) {
		looks = min(looks, gateLooks)
	}
	if len(r.held) > 0 || !p.health.settled(r) {
		p.lookLater(stack, looks)
	}
}

// mayGo says whether targets that were kept may be taken out by now.
func (p *Provider) mayGo(r record) bool {
	for group, since := range r.held {
		if time.Since(since) >= longestHold {
			return true
		}
		i := slices.IndexFunc(r.stack.TargetGroups, func(g plan.TargetGroup) bool { return g.ARN == group })
		if i >= 0 && p.health.anyHealthy(group, stayingOf(r, r.stack.TargetGroups[i])) {
			return true
		}
	}
	return false
}

// stayingOf returns the targets of g that are still wanted.
func stayingOf(r record, g plan.TargetGroup) []plan.Target {
	return slices.DeleteFunc(slices.Clone(g.Targets), func(t plan.Target) bool { return !slices.Contains(r.wanted[g.Key], t) })
}

// currentOf returns the load balancer of that name, else the first.
func currentOf(s plan.Stack, name string) plan.LoadBalancer {
	for _, lb := range s.LoadBalancers {
		if lb.Name == name {
			return lb
		}
	}
	if len(s.LoadBalancers) > 0 {
		return s.LoadBalancers[0]
	}
	return plan.LoadBalancer{}
}
