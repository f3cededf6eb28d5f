package aws

import (
	"cmp"
	"context"
	"errors"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// keepServing has the targets of a Service that is refused follow nodes and pods:
// whatever is wrong with what it asks for now, what it has goes on working. It
// returns err, and with it what is in the way of that.
func (p *Provider) keepServing(ctx context.Context, a *ask, err error) error {
	refused, ok := errors.AsType[*providers.Refusal](err)
	if !ok || refused.Reason == providers.ReasonThrottled || refused.Reason == providers.ReasonProvisioning {
		return err
	}
	var failed error
	for range rounds {
		if failed = p.retarget(ctx, a); !errors.Is(failed, errStale) {
			break
		}
		p.memory.update(a.stack, func(r *record) { r.stack = nil })
	}
	also, ok := errors.AsType[*providers.Refusal](explain("change the targets of "+a.stack, failed))
	if !ok || also.Message == refused.Message {
		return err
	}
	both := *refused
	both.Message += "; nor can its targets follow meanwhile: " + also.Message
	both.RetryAfter = min(cmp.Or(refused.RetryAfter, also.RetryAfter), also.RetryAfter)
	return &both
}

// retarget gives the target groups that a Service has the targets that they ought
// to have.
func (p *Provider) retarget(ctx context.Context, a *ask) error {
	settings, known := p.whoIsTarget(a)
	observed, err := p.served(ctx, a)
	if err != nil || !known || len(observed.LoadBalancers) == 0 {
		return err
	}
	network, err := p.topology.network.get(ctx, ever)
	if err != nil {
		return err
	}
	request := a.request
	request.Settings, request.Existing = settings, observed
	request.Cloud = plan.Cloud{VPC: network.vpc, Subnets: network.subnets}
	groups, changes := plan.Retarget(request)
	r, _ := p.memory.get(a.stack)
	lb := currentOf(observed, r.name)
	lb.Listeners = nil // none is changed
	wanted := plan.Stack{LoadBalancers: []plan.LoadBalancer{lb}, TargetGroups: groups}
	if err := p.follows(ctx, a, observed, wanted, changes); err != nil {
		return err
	}
	return p.reopen(ctx, a, request, wanted)
}

// whoIsTarget returns the settings that the Service asked for last in words that
// can be read, or at least those that say who is a target, if they are known.
func (p *Provider) whoIsTarget(a *ask) (annotation.Settings, bool) {
	if a.request.Settings.TargetType != "" {
		return a.request.Settings, true
	}
	if r, _ := p.memory.get(a.stack); r.request.Service != nil {
		return r.request.Settings, true
	}
	return annotation.Targets(a.Service)
}

// served is what AWS holds for a Service that has a load balancer, with all
// targets. What an earlier life left is not its own before it is accepted.
func (p *Provider) served(ctx context.Context, a *ask) (plan.Stack, error) {
	r, _ := p.memory.get(a.stack)
	if r.key.Name != "" && r.key != a.key || len(a.Service.Status.LoadBalancer.Ingress) == 0 {
		return plan.Stack{}, nil
	}
	var observed plan.Stack
	err := p.inventory.wait(ctx, ever)
	switch {
	case err != nil:
	case r.stack != nil:
		observed = copyOf(*r.stack)
	default:
		observed, err = p.observer.stack(ctx, a.stack)
	}
	for i := range observed.TargetGroups {
		if err == nil {
			err = p.observer.closerTargetGroup(ctx, &observed.TargetGroups[i], false, p.seen)
		}
	}
	return observed, err
}

// follows changes targets, and remembers what AWS holds then. What was applied
// before is not what AWS holds any more.
func (p *Provider) follows(ctx context.Context, a *ask, observed, wanted plan.Stack, changes []plan.Change) error {
	p.memory.update(a.stack, func(r *record) { r.key, r.outdated = a.key, r.request.Service != a.Service })
	if len(changes) > 0 {
		a.hash = ""
		return p.apply(ctx, a, observed, wanted, changes)
	}
	p.memory.update(a.stack, func(r *record) {
		r.stack, r.held = &observed, nil
		r.name, r.wanted, r.gated = wanted.LoadBalancers[0].Name, targetsByKey(wanted), a.request.Gated
	})
	p.follow(a.stack, false, false)
	return nil
}

// reopen has the security groups of nodes let in what there is, where nobody knows
// what there is to be. What a load balancer without groups needs depends on who its
// clients may be: where that can't be read, it waits.
func (p *Provider) reopen(ctx context.Context, a *ask, request plan.Request, has plan.Stack) error {
	lb, unread := has.LoadBalancers[0], request.Settings.TargetType == ""
	if a.decided || len(lb.SecurityGroups) == 0 && unread || lb.State == stateProvisioning || p.options.LeaveNodeGroups {
		return nil
	}
	groups, err := p.topology.groups.get(ctx, ever)
	if err != nil {
		return err
	}
	request.Cloud.BackendGroup = p.backend.find(groups.byID)
	return p.backend.open(ctx, a.stack, request, has)
}
