package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Need is a port that has to be open on nodes, or on pods with addresses of
// nodes.
type Need struct {
	Protocol string // tcp or udp
	Port     int32
	// CIDR is who comes in; the zero value is whoever has the cluster's shared
	// group.
	CIDR netip.Prefix
}

// maxBackendRules is how many rules of one protocol this cluster has in a group
// of nodes: of the 60 that AWS allows by default, others need some. Where there
// would be more, they are merged until fewBackendRules are left, so that not
// every need that follows makes for another merge.
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const (
	maxBackendRules = 20
	fewBackendRules = maxBackendRules / 2
)

// BackendNeeds returns what s needs of the groups of the nodes, sorted: the
// ports of targets and of their health checks. A load balancer with security
// groups comes in by the shared one, or by none if the user wants no rules; one
// without comes with the addresses of its clients and its own.
//
// s has to be decided with Existing: only what there is says whether a load
// balancer has security groups. One that s has another in the place of needs what it
// did until it is gone.
func BackendNeeds(req Request, s Stack) []Need {
	set := map[Need]bool{}
	add := func(lb LoadBalancer, groups []TargetGroup) {
		for _, g := range groups {
			for _, n := range needsOf(req, lb, g) {
				set[n] = true
			}
		}
	}
	for _, lb := range s.LoadBalancers {
		add(lb, s.TargetGroups)
	}
	lookedAt := filter(req.Existing.TargetGroups, func(g TargetGroup) bool { return g.Attributes != nil })
	for _, old := range Predecessors(req.Existing, s) {
		add(old, slices.Concat(s.TargetGroups, lookedAt))
	}
	return slices.SortedFunc(maps.Keys(set), func(a, b Need) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), compareCIDRs(a.CIDR, b.CIDR))
	})
}

// Predecessors are the load balancers that are there and not wanted.
func Predecessors(observed, desired Stack) []LoadBalancer {
	return filter(observed.LoadBalancers, func(old LoadBalancer) bool {
		return !slices.ContainsFunc(desired.LoadBalancers, func(lb LoadBalancer) bool { return lb.Name == old.Name })
	})
}

func needsOf(req Request, lb LoadBalancer, g TargetGroup) (needs []Need) {
	shared := req.Cloud.BackendGroup
	own, clients := []netip.Prefix{{}}, []netip.Prefix{{}}
	switch {
	case shared == "":
		return nil
	case len(lb.SecurityGroups) == 0 && (req.Settings.ManageBackendRules == nil || *req.Settings.ManageBackendRules):
		own, clients = addressesOf(req, lb, g), clientsOf(req, lb, g)
	case !slices.Contains(lb.SecurityGroups, shared):
		return nil
	}
	for _, t := range targetPorts(g) {
		for _, protocol := range strings.Split(strings.ToLower(g.Protocol), "_") {
			if protocol == "tls" {
				protocol = "tcp"
			}
			for _, from := range clients {
				needs = append(needs, Need{Protocol: protocol, Port: t, CIDR: from})
			}
		}
		for _, from := range own {
			needs = append(needs, Need{Protocol: "tcp", Port: checkedPort(g, t), CIDR: from})
		}
	}
	return needs
}

// targetPorts are those of the targets; where there are none yet, those of the
// nodes to come.
func targetPorts(g TargetGroup) []int32 {
	set := map[int32]bool{}
	for _, t := range g.Targets {
		set[t.Port] = true
	}
	if g.TargetType == annotation.Instance {
		set[g.Port] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func checkedPort(g TargetGroup, traffic int32) int32 {
	if n, err := strconv.ParseInt(g.HealthCheck.Port, 10, 32); err == nil {
		return int32(n)
	}
	return traffic
}

// clientsOf are the addresses that packets to targets have: those of clients
// where they are preserved, which for nodes and UDP is the default.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
func clientsOf(req Request, lb LoadBalancer, g TargetGroup) []netip.Prefix {
	preserved := g.TargetType == annotation.Instance || g.Protocol == udp || g.Protocol == tcpUDP
	if value, ok := g.Attributes[preserveClientIP]; ok {
		preserved = strings.EqualFold(value, "true")
	}
	if !preserved {
		return addressesOf(req, lb, g)
	}
	if len(req.Settings.SourceRanges) > 0 {
		// Clients of the other family come with the addresses of the load balancer.
		return append(ofFamily(req.Settings.SourceRanges, g), addressesOf(req, lb, g)...)
	}
	if g.IPAddressType == ipv6 {
		return []netip.Prefix{netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	}
	return []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
}

// addressesOf are those that the load balancer may have itself.
func addressesOf(req Request, lb LoadBalancer, g TargetGroup) []netip.Prefix {
	var ranges []netip.Prefix
	for _, s := range req.Cloud.Subnets {
		if slices.ContainsFunc(lb.Subnets, func(m SubnetMapping) bool { return m.SubnetID == s.ID }) {
			ranges = append(ranges, ofFamily(append([]netip.Prefix{s.CIDR}, s.IPv6...), g)...)
		}
	}
	return ranges
}

func ofFamily(ranges []netip.Prefix, g TargetGroup) []netip.Prefix {
	return filter(ranges, func(p netip.Prefix) bool { return p.IsValid() && p.Addr().Is6() == (g.IPAddressType == ipv6) })
}

// BackendRules decides which rules a group of nodes gets and then loses, so that
// all that is needed gets in. group is the ID of the cluster's shared group. As
// long as needs are not complete, what our rules let in is taken to be needed, so
// that such a rule only goes where another one takes its place.
//
// Exact ports are let in as long as there are few; above maxBackendRules of a
// protocol, those that are nearest to each other become ranges. A rule stays
// while something needs it, and what any rule lets in already needs none.
// Rules of others are never removed. That includes the AWS Load Balancer
// Controller, which goes on needing its own where it serves Ingresses.
func BackendRules(needs []Need, complete bool, existing []Rule, group string) (add, remove []Rule) {
	if group == "" {
		return nil, nil
	}
	var own []Rule
	for _, r := range existing {
		if r.Description == backendDescription(group) {
			own = append(own, r)
		}
	}
	wanted := exactRules(needs, group)
	var rules []Rule
	for _, r := range own {
		if !complete || slices.ContainsFunc(wanted, func(w Rule) bool { return covers(r, w) }) {
			rules = append(rules, r)
		}
	}
	for _, w := range wanted {
		if !slices.ContainsFunc(existing, func(r Rule) bool { return covers(r, w) }) {
			rules = append(rules, w)
		}
	}
	rules = withoutCovered(rules)
	for _, protocol := range protocolsOf(rules) {
		rules = fewer(rules, protocol)
	}
	slices.SortFunc(rules, compareRules)
	return without(rules, existing), without(own, rules)
}

// Replaced splits rules that are to be removed into those that a rule in add takes
// the place of, which have to stay until that is there, and the others.
func Replaced(remove, add []Rule) (replaced, needless []Rule) {
	for _, r := range remove {
		if slices.ContainsFunc(add, func(a Rule) bool { return covers(a, r) }) {
			replaced = append(replaced, r)
		} else {
			needless = append(needless, r)
		}
	}
	return replaced, needless
}

// backendDescription marks the rules of this cluster, which its shared group
// stands for.
func backendDescription(group string) string { return "berth-lb.dev/backend=" + group }

// exactRules returns the rules for exactly what is needed, sorted.
func exactRules(needs []Need, group string) []Rule {
	set := map[Rule]bool{}
	for _, n := range needs {
		r := Rule{Protocol: n.Protocol, From: n.Port, To: n.Port, CIDR: n.CIDR, Description: backendDescription(group)}
		if !n.CIDR.IsValid() {
			r.Group = group
		}
		set[r] = true
	}
	return slices.SortedFunc(maps.Keys(set), compareRules)
}

// covers says whether what b lets in gets in by a.
func covers(a, b Rule) bool {
	source := sameSource(a, b) ||
		a.CIDR.IsValid() && b.CIDR.IsValid() && a.CIDR.Bits() <= b.CIDR.Bits() && a.CIDR.Contains(b.CIDR.Addr())
	return source && (a.Protocol == "-1" || a.Protocol == b.Protocol && a.From <= b.From && b.To <= a.To)
}

// withoutCovered leaves out rules that another one makes needless.
func withoutCovered(rules []Rule) []Rule {
	var out []Rule
	for i, r := range rules {
		needless := false
		for j, other := range rules {
			// Of two that are alike the first stays.
			needless = needless || i != j && covers(other, r) && (!covers(r, other) || j < i)
		}
		if !needless {
			out = append(out, r)
		}
	}
	return out
}

// fewer joins neighbours of one source, those with the smallest gaps first, where
// there are too many rules of protocol. No rule may be within another.
func fewer(rules []Rule, protocol string) []Rule {
	type pair struct{ lower, upper, gap int }
	slices.SortFunc(rules, compareRules)
	count := 0
	var pairs []pair
	last := map[Rule]int{} // by source
	for i, r := range rules {
		if r.Protocol != protocol {
			continue
		}
		count++
		source := Rule{CIDR: r.CIDR, Group: r.Group}
		if lower, ok := last[source]; ok {
			pairs = append(pairs, pair{lower, i, int(r.From - rules[lower].To)})
		}
		last[source] = i
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.gap, b.gap) })
	if count <= maxBackendRules {
		return rules
	}
	pairs = pairs[:min(len(pairs), count-fewBackendRules)]

	// From the highest down, so that what a rule takes over is complete.
	slices.SortFunc(pairs, func(a, b pair) int { return cmp.Compare(b.upper, a.upper) })
	joined := map[int]bool{}
	for _, p := range pairs {
		rules[p.lower].To = rules[p.upper].To
		joined[p.upper] = true
	}
	var out []Rule
	for i, r := range rules {
		if !joined[i] {
			out = append(out, r)
		}
	}
	return out
}
