package aws

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/berth-lb/berth/providers/aws/plan"
)

const (
	// firstScan is when the first scan comes, or one after one that failed, in
	// parts of the time between two: soon, since changes that were made while
	// nobody looked are found by it.
	firstScan = 12
	// healthTurns and attributeTurns are in how many scans every target group and
	// every managed attribute is looked at once: each takes a call.
	healthTurns    = 12
	attributeTurns = 24
	// scanTogether is how many stacks are looked at at a time; it fills calls of
	// 20.
	scanTogether = 2 * elbBatch
	// scanPause is the pause after that many: the account has other users.
	scanPause = time.Second
)

// scanner is where the search for drift is.
type scanner struct {
	mu    sync.Mutex
	turns int
}

// runScans searches again and again.
func (p *Provider) runScans(ctx context.Context) {
	wait := p.options.Scan / firstScan
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		// Several installations in an account should not scan in step.
		wait = p.options.Scan - time.Duration(rand.Int64N(int64(p.options.Scan/20)+1))
		if err := p.scan(ctx); err != nil && ctx.Err() == nil {
			p.log.Error(err, "looking for what changed at AWS: this is tried again soon")
			wait = p.options.Scan / firstScan
		}
	}
}

// scan compares what AWS holds for all Services with what they want, and wakes
// those for which that differs.
func (p *Provider) scan(ctx context.Context) error {
	if err := p.inventory.wait(ctx, 0); err != nil {
		return err
	}
	groups, err := p.topology.groups.get(ctx, 0)
	if err != nil {
		return err
	}
	p.backend.refresh(groups)
	for _, d := range []*directory{p.topology.instances, p.topology.addresses} {
		if err := d.renew(ctx); err != nil && ctx.Err() == nil {
			p.log.Error(err, "looking for what changed at AWS: nodes and pods are taken to have the security groups that they had")
		}
	}
	p.scans.mu.Lock()
	turn := p.scans.turns
	p.scans.turns++
	p.scans.mu.Unlock()

	all := p.memory.all()
	stacks := sortedKeys(all)
	for some := range slices.Chunk(stacks, scanTogether) {
		var wg sync.WaitGroup
		for _, stack := range some {
			wg.Go(func() { p.compare(ctx, stack, all[stack], groups.byID, turn) })
		}
		wg.Wait()
		if !pause(ctx, scanPause) {
			return ctx.Err()
		}
	}
	p.health.keep(p.targetGroups())
	return p.backend.tidy(ctx)
}

// targetGroups are all that the inventory knows.
func (p *Provider) targetGroups() map[string]bool {
	arns := map[string]bool{}
	for _, stack := range p.inventory.all() {
		for _, arn := range p.inventory.of(stack).of(aTargetGroup) {
			arns[arn] = true
		}
	}
	return arns
}

// compare looks at one stack, and wakes its Service if it is not as wanted. What
// was not applied yet is left to Ensure.
func (p *Provider) compare(ctx context.Context, stack string, r record, groups securityGroups, turn int) {
	if r.outdated {
		p.disagree(stack, r) // that it has what it is to have, only Ensure can tell
		return
	}
	if r.hash == "" && r.stack == nil || r.request.Service == nil {
		return
	}
	observed, err := p.observer.glance(ctx, stack, groups)
	if err != nil {
		p.notSeen(ctx, stack, r, err)
		return
	}
	request := r.request
	request.Existing = observed
	desired, _, err := plan.Desired(request)
	if err != nil {
		p.disagree(stack, r)
		return
	}
	if err := p.inTurn(ctx, stack, r, &observed, desired, turn); err != nil {
		p.notSeen(ctx, stack, r, err)
		return
	}
	assume(&observed, desired)
	if open := p.isOpen(ctx, stack, request, desired); !open || len(plan.Diff(observed, desired)) > 0 {
		p.disagree(stack, r)
		return
	}
	if r.stack == nil {
		p.learn(stack, r, observed, desired)
	}
}

// notSeen is for a stack that a scan could not look at. Only what vanished
// meanwhile is a reason to look closely: an account that is short of calls would
// be even more so.
func (p *Provider) notSeen(ctx context.Context, stack string, r record, err error) {
	switch {
	case errors.Is(err, errStale):
		p.disagree(stack, r)
	case ctx.Err() == nil:
		p.log.Error(explain("look at what it has", err), "looking for what changed at AWS", "service", stack)
	}
}

// isOpen says whether the groups of nodes let in what a stack needs.
func (p *Provider) isOpen(ctx context.Context, stack string, request plan.Request, desired plan.Stack) bool {
	if p.options.LeaveNodeGroups {
		return true
	}
	closed, err := p.backend.closed(ctx, stack, request, desired)
	return err != nil || len(closed) == 0 // an error: not known to be otherwise
}

// disagree has a Service be looked at closely, unless that has happened since.
func (p *Provider) disagree(stack string, r record) {
	if key, forgotten := p.memory.forget(stack, r.version); forgotten {
		p.options.Wake(key)
	}
}

// learn keeps what a scan saw of a Service that this process never had to look
// at.
func (p *Provider) learn(stack string, r record, observed, desired plan.Stack) {
	p.memory.update(stack, func(now *record) {
		if now.version == r.version && now.stack == nil && now.hash == r.hash && r.hash != "" {
			now.stack, now.name, now.wanted = &observed, desired.LoadBalancers[0].Name, targetsByKey(desired)
			now.gated = r.request.Gated
		}
	})
}

// inTurn looks closer at some stacks in each scan, so that each has its turn.
func (p *Provider) inTurn(ctx context.Context, stack string, r record, observed *plan.Stack, desired plan.Stack, turn int) error {
	if turn == 0 {
		return nil // a start has cost enough
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(stack)) // does not fail
	place := int(sum.Sum32())
	if place%healthTurns == turn%healthTurns {
		if err := p.inTurnTargets(ctx, stack, r, observed, desired); err != nil {
			return err
		}
	}
	if place%attributeTurns == turn%attributeTurns {
		known := *observed
		assumeTargets(&known, desired)
		return p.observer.closer(ctx, &known, desired, func(plan.TargetGroup, []targetHealth) {})
	}
	return nil
}

// inTurnTargets looks at the targets of a stack: which they are and, since their
// health comes with that, whether its verdict has changed.
func (p *Provider) inTurnTargets(ctx context.Context, stack string, r record, observed *plan.Stack, desired plan.Stack) error {
	believed := *observed
	believed.TargetGroups = slices.Clone(observed.TargetGroups)
	assumeTargets(&believed, desired)
	before, _ := p.health.verdict(believed)
	for i := range observed.TargetGroups {
		g := &observed.TargetGroups[i]
		targets, err := p.observer.health(ctx, g.ARN)
		if err != nil {
			return err
		}
		g.Targets = registered(targets)
		p.seen(*g, targets)
	}
	p.tellGates(stack)
	if after, _ := p.health.verdict(believed); after != before {
		p.options.Wake(r.key)
		p.lookLater(stack, 0)
	}
	return nil
}

// assume takes what was not looked at to be as it is wanted.
func assume(observed *plan.Stack, desired plan.Stack) {
	assumeTargets(observed, desired)
	for i := range observed.TargetGroups {
		g := &observed.TargetGroups[i]
		for _, want := range desired.TargetGroups {
			if want.Key == g.Key && g.Attributes == nil {
				g.Attributes = want.Attributes
			}
		}
	}
	for i := range observed.LoadBalancers {
		assumeLoadBalancer(&observed.LoadBalancers[i], desired.LoadBalancers[0])
	}
}

func assumeTargets(observed *plan.Stack, desired plan.Stack) {
	for i := range observed.TargetGroups {
		g := &observed.TargetGroups[i]
		for _, want := range desired.TargetGroups {
			if want.Key == g.Key && g.Targets == nil {
				g.Targets, g.Ours = want.Targets, want.Targets
			}
		}
	}
}

func assumeLoadBalancer(lb *plan.LoadBalancer, want plan.LoadBalancer) {
	if lb.Attributes == nil {
		lb.Attributes = want.Attributes
	}
	if want.ManagesCapacity && lb.MinimumCapacity == 0 {
		lb.MinimumCapacity = want.MinimumCapacity
	}
	for i := range lb.Listeners {
		l := &lb.Listeners[i]
		for _, w := range want.Listeners {
			if w.Port != l.Port {
				continue
			}
			if l.Attributes == nil {
				l.Attributes = w.Attributes
			}
			if len(l.Certificates) == 1 && len(w.Certificates) > 0 && l.Certificates[0] == w.Certificates[0] {
				l.Certificates = w.Certificates
			}
		}
	}
}

// pause waits, and says whether ctx is still there.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
