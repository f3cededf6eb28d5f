package plan

import (
	"cmp"
	"slices"
)

// match says which of what was observed is what is wanted, whatever its name.
// Nil is what has to be made.
type match struct {
	loadBalancer *LoadBalancer
	group        *SecurityGroup
	targetGroups map[string]*TargetGroup // by the wanted Key
}

func matchOf(observed, desired Stack) match {
	m := match{targetGroups: map[string]*TargetGroup{}}
	if len(desired.LoadBalancers) > 0 {
		want := desired.LoadBalancers[0]
		m.loadBalancer = pickLoadBalancer(observed.LoadBalancers, want.Scheme, len(want.SecurityGroups) > 0, want.Name)
	}
	if len(desired.Groups) > 0 {
		m.group = pickGroup(observed.Groups, m.loadBalancer, desired.Groups[0].Name)
	}
	for _, want := range desired.TargetGroups {
		if g := pickTargetGroup(observed, m.loadBalancer, want); g != nil {
			m.targetGroups[want.Key] = g
		}
	}
	return m
}

// pickGroup returns the security group that is kept: one that the load
// balancer has, else that of this name, else the first by ID.
func pickGroup(all []SecurityGroup, lb *LoadBalancer, name string) *SecurityGroup {
	return best(all, func(g SecurityGroup) (int, string) {
		switch {
		case lb != nil && slices.Contains(lb.SecurityGroups, g.ID):
			return 0, g.ID
		case g.Name == name:
			return 1, g.ID
		}
		return 2, g.ID
	})
}

// pickTargetGroup returns the target group that is kept. Protocol, type and
// family are given for life, and while another load balancer has it no other
// can.
func pickTargetGroup(observed Stack, lb *LoadBalancer, want TargetGroup) *TargetGroup {
	return best(observed.TargetGroups, func(g TargetGroup) (int, string) {
		switch {
		case g.Key != want.Key || g.Protocol != want.Protocol || g.TargetType != want.TargetType || g.IPAddressType != want.IPAddressType:
			return -1, ""
		case lb != nil && serves(observed, *lb, g):
			return 0, g.ARN
		case slices.ContainsFunc(observed.LoadBalancers, func(other LoadBalancer) bool { return serves(observed, other, g) }):
			return -1, ""
		case g.Name == want.Name:
			return 1, g.ARN
		}
		return 2, g.ARN
	})
}

// serves says whether a listener of lb sends to g. A listener may name it by a
// Key that only one has.
func serves(observed Stack, lb LoadBalancer, g TargetGroup) bool {
	alone := len(filter(observed.TargetGroups, func(other TargetGroup) bool { return other.Key == g.Key })) == 1
	return slices.ContainsFunc(lb.Listeners, func(l Listener) bool {
		return l.TargetGroup == g.ARN || alone && l.TargetGroup == g.Key
	})
}

// best returns the element of the lowest rank, then of the lowest ID; one of a
// negative rank never.
func best[T any](all []T, rank func(T) (int, string)) *T {
	var chosen *T
	var chosenRank int
	var chosenID string
	for i := range all {
		r, id := rank(all[i])
		if r >= 0 && (chosen == nil || cmp.Or(cmp.Compare(r, chosenRank), cmp.Compare(id, chosenID)) < 0) {
			chosen, chosenRank, chosenID = &all[i], r, id
		}
	}
	return chosen
}
