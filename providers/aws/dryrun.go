package aws

import (
	"context"
	"slices"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// Plan returns what Ensure would change for req, and changes nothing. Rules of
// the groups of nodes that other Services need are not taken for needless.
func (p *Provider) Plan(ctx context.Context, req providers.Request) ([]plan.Change, error) {
	a, err := p.read(ctx, req)
	if err != nil {
		return nil, explain("plan "+a.stack, err)
	}
	if err := p.recognize(ctx, a.stack, req.Service); err != nil {
		return nil, explain("plan "+a.stack, err)
	}
	observed, err := p.observer.stack(ctx, a.stack)
	if err != nil {
		return nil, explain("plan "+a.stack, err)
	}
	desired, err := p.desire(ctx, a, &observed)
	if err != nil {
		return nil, explain("plan "+a.stack, err)
	}
	changes := plan.Diff(observed, desired)
	behind, err := p.backend.plan(ctx, a.stack, a.request, desired)
	return slices.Concat(changes, behind), explain("plan "+a.stack, err)
}

// PlanRelease returns what Release would delete, and changes nothing. Rules of the
// groups of nodes are not among it.
func (p *Provider) PlanRelease(ctx context.Context, key providers.Key) ([]plan.Change, error) {
	stack := key.String()
	if err := p.inventory.wait(ctx, ever); err != nil {
		return nil, explain("plan the release of "+stack, err)
	}
	s, err := p.deletable(ctx, stack)
	return plan.Diff(s, plan.Stack{}), explain("plan the release of "+stack, err)
}
