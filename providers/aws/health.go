package aws

import (
	"fmt"
	"slices"
	"sync"

	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// targetHealth is AWS's word on one target.
type targetHealth = elbtypes.TargetHealthDescription

// health is how targets were when they were looked at last, by ARN of their
// group.
type health struct {
	mu     sync.Mutex
	groups map[string]groupHealth
}

// groupHealth is of the targets of one group. It does not change.
type groupHealth struct {
	healthy map[plan.Target]bool
	// checked says that no target is still being checked for the first time.
	checked bool
	// trouble is AWS's word on the first target that is not healthy.
	trouble string
}

func newHealth() *health { return &health{groups: map[string]groupHealth{}} }

func (h *health) put(group string, g groupHealth) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.groups[group] = g
}

func (h *health) get(group string) (groupHealth, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g, ok := h.groups[group]
	return g, ok
}

// keep forgets all other groups.
func (h *health) keep(groups map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for group := range h.groups {
		if !groups[group] {
			delete(h.groups, group)
		}
	}
}

// anyHealthy says whether one of targets was seen healthy.
func (h *health) anyHealthy(group string, targets []plan.Target) bool {
	g, _ := h.get(group)
	return slices.ContainsFunc(targets, func(t plan.Target) bool { return g.healthy[t] })
}

// healthOf reads an answer of AWS. Targets that are on their way out don't
// count.
func healthOf(targets []targetHealth) groupHealth {
	g := groupHealth{healthy: map[plan.Target]bool{}, checked: true}
	for _, t := range targets {
		state, why := elbtypes.TargetHealthStateEnum(""), ""
		if h := t.TargetHealth; h != nil {
			state = h.State
			if why = string(h.Reason); h.Description != nil {
				why = fmt.Sprintf("%s (%s)", *h.Description, h.Reason)
			}
		}
		switch state {
		case elbtypes.TargetHealthStateEnumHealthy, elbtypes.TargetHealthStateEnumUnavailable:
			g.healthy[targetOf(t.Target)] = true
		case elbtypes.TargetHealthStateEnumInitial, elbtypes.TargetHealthStateEnumUnused:
			g.checked = false
		case elbtypes.TargetHealthStateEnumUnhealthy:
			if g.trouble == "" || why < g.trouble {
				g.trouble = why
			}
		}
	}
	return g
}

// seen keeps what a look at targets showed.
func (p *Provider) seen(key providers.Key) seen {
	return func(g plan.TargetGroup, targets []targetHealth) {
		state := healthOf(targets)
		p.health.put(g.ARN, state)
		if p.options.Gates == nil {
			return
		}
		byAddress := map[string]bool{}
		for _, t := range targets {
			target := targetOf(t.Target)
			byAddress[target.ID] = state.healthy[target]
		}
		p.options.Gates.Looked(key, g.Key, byAddress)
	}
}

// verdict says what is wrong with the targets of a stack as far as is known:
// nothing, or of which group none is healthy, and why. Where it is not known of
// all groups, known is false.
func (h *health) verdict(s plan.Stack) (trouble string, known bool) {
	known = true
	for _, g := range s.TargetGroups {
		if len(g.Targets) == 0 {
			continue
		}
		state, ok := h.get(g.ARN)
		switch {
		case !ok:
			known = false
		case h.anyHealthy(g.ARN, g.Targets):
		case trouble != "":
		case state.trouble == "":
			trouble = fmt.Sprintf("target group %s: no target is healthy yet: they are being checked", g.Name)
		default:
			trouble = fmt.Sprintf("target group %s: no target is healthy: %s: see whether pods answer the health check of the target group", g.Name, state.trouble)
		}
	}
	return trouble, known
}

// settled says whether looking again would show nothing that matters: each
// group has a healthy target, and every pod in it was checked.
func (h *health) settled(s plan.Stack) bool {
	for _, g := range s.TargetGroups {
		state, known := h.get(g.ARN)
		if len(g.Targets) == 0 {
			continue
		}
		if !known || !h.anyHealthy(g.ARN, g.Targets) || g.TargetType == "ip" && !state.checked {
			return false
		}
	}
	return true
}
