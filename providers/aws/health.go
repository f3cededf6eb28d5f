package aws

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

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
	// trouble is AWS's word on the first target that is not healthy, and words those
	// on all that are not.
	trouble string
	words   map[plan.Target]string
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

// anew notes that targets were just registered: how an earlier pod with such an
// address was says nothing of them.
func (h *health) anew(group string, targets []plan.Target) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g, known := h.groups[group]
	if !known {
		return
	}
	g.checked, g.healthy = false, maps.Clone(g.healthy)
	for _, t := range targets {
		delete(g.healthy, t)
	}
	h.groups[group] = g
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
	g := groupHealth{healthy: map[plan.Target]bool{}, checked: true, words: map[plan.Target]string{}}
	for _, t := range targets {
		state, why := elbtypes.TargetHealthStateEnum(""), ""
		if h := t.TargetHealth; h != nil {
			state = h.State
			if why = string(h.Reason); h.Description != nil {
				why = fmt.Sprintf("%s (%s)", *h.Description, h.Reason)
			}
		}
		target := targetOf(t.Target)
		switch state {
		case elbtypes.TargetHealthStateEnumHealthy, elbtypes.TargetHealthStateEnumUnavailable:
			g.healthy[target] = true
			continue
		case elbtypes.TargetHealthStateEnumInitial, elbtypes.TargetHealthStateEnumUnused:
			g.checked = false
		case elbtypes.TargetHealthStateEnumUnhealthy:
			if g.trouble == "" || why < g.trouble {
				g.trouble = why
			}
		}
		g.words[target] = why
	}
	return g
}

// seen keeps what a look at targets showed.
func (p *Provider) seen(g plan.TargetGroup, targets []targetHealth) {
	p.health.put(g.ARN, healthOf(targets))
}

// tellGates tells the readiness gates of pods how their targets are.
func (p *Provider) tellGates(stack string) {
	r, _ := p.memory.get(stack)
	if p.options.Gates == nil || r.stack == nil || len(r.gated) == 0 {
		return
	}
	var names []string
	for _, g := range r.stack.TargetGroups {
		names = append(names, g.Name)
	}
	p.options.Gates.Looked(r.key, names, p.health.gated(r))
}

// gated says of each address that waits for a readiness gate what is in the way.
func (h *health) gated(r record) map[string]string {
	trouble := map[string]string{}
	for address := range r.gated {
		trouble[address] = ""
	}
	for _, key := range sortedKeys(r.wanted) {
		for _, t := range r.wanted[key] {
			if has, waits := trouble[t.ID]; waits && has == "" {
				trouble[t.ID] = h.troubleOf(r.stack.TargetGroups, key, t)
			}
		}
	}
	return trouble
}

// waited says whether a pod still waits to be found healthy.
func (h *health) waited(r record) bool {
	for _, trouble := range h.gated(r) {
		if trouble != "" {
			return true
		}
	}
	return false
}

// troubleOf says why a target is healthy in none of the groups of that Key. There
// are two while one takes the place of the other.
func (h *health) troubleOf(groups []plan.TargetGroup, key string, t plan.Target) string {
	trouble := "not a target yet"
	for _, g := range groups {
		if g.Key != key || !slices.Contains(g.Targets, t) {
			continue
		}
		state, _ := h.get(g.ARN)
		if state.healthy[t] {
			return ""
		}
		trouble = fmt.Sprintf("target group %s: %s", g.Name, cmp.Or(state.words[t], "registered just now"))
	}
	return trouble
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
// group has a healthy target, every pod in it was checked, and none waits to be
// found healthy.
func (h *health) settled(r record) bool {
	if h.waited(r) {
		return false
	}
	for _, g := range r.stack.TargetGroups {
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
