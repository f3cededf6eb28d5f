package aws

import (
	"context"
	"errors"
	"fmt"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// release deletes all that a stack has.
func (p *Provider) release(ctx context.Context, stack string) error {
	if err := p.inventory.wait(ctx, ever); err != nil {
		return err
	}
	var err error
	for range rounds {
		if err = p.releaseOnce(ctx, stack); !errors.Is(err, errStale) {
			break
		}
		p.memory.update(stack, func(r *record) { r.stack = nil })
	}
	if told, ok := errors.AsType[*providers.Refusal](explain("delete what "+stack+" has", err)); ok {
		return p.slower(stack, told)
	}
	if err != nil {
		return fmt.Errorf("delete what %s has: %w", stack, err)
	}
	p.memory.drop(stack)
	p.looks.drop(stack)
	return p.backend.forget(ctx, stack)
}

// releaseOnce is the four steps with nothing that is wanted.
func (p *Provider) releaseOnce(ctx context.Context, stack string) error {
	observed, err := p.deletable(ctx, stack)
	if err != nil {
		return err
	}
	e := p.execution(stack, observed, plan.Stack{})
	err = e.run(ctx, plan.Diff(observed, plan.Stack{}))
	after := e.after()
	p.memory.update(stack, func(r *record) {
		r.version++
		r.hash = ""
		if r.stack = nil; err == nil {
			r.stack = &after
		}
	})
	if err != nil {
		return err
	}
	if len(e.held) > 0 {
		return fmt.Errorf("%s: AWS still uses it: %w", e.held[0], providers.ErrPending)
	}
	return nil
}

// deletable is what AWS holds for a stack if that may be deleted.
func (p *Provider) deletable(ctx context.Context, stack string) (plan.Stack, error) {
	s, err := p.observed(ctx, stack)
	if err != nil {
		return plan.Stack{}, err
	}
	if err := p.observer.protection(ctx, &s); err != nil {
		return plan.Stack{}, err
	}
	if err := plan.Deletable(s); err != nil {
		return plan.Stack{}, err
	}
	return s, nil
}

// observed is what AWS holds, from memory where that is known. Whose it is and
// whether it is protected is always looked at anew.
func (p *Provider) observed(ctx context.Context, stack string) (plan.Stack, error) {
	r, _ := p.memory.get(stack)
	if r.stack == nil {
		return p.observer.stack(ctx, stack)
	}
	s, _, err := p.observer.reclaim(ctx, stack, copyOf(*r.stack))
	for i := range s.LoadBalancers {
		s.LoadBalancers[i].Attributes = nil
	}
	return s, err
}
