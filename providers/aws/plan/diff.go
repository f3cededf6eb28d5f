package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Most that AWS takes in one call.
const (
	maxTargets   = 200
	maxRules     = 50
	maxResources = 20
)

// Diff returns the calls by which what was observed becomes what is wanted, in
// the order in which they have to be made; none if it is so already. A desired
// Stack that is empty has everything deleted.
//
// Only what is wanted is compared: tags and attributes that nobody asks for are
// left alone. What was not looked at, as nil attributes and targets, is taken to
// be different. What is immutable is replaced, new before old; a load balancer
// that is protected from deletion stays, with all that it uses.
func Diff(observed, desired Stack) []Change {
	d := diff{observed: observed, desired: desired, match: matchOf(observed, desired)}
	return slices.Concat(
		d.registerKept(),
		d.createGroup(),
		d.createTargetGroups(),
		d.createLoadBalancer(),
		d.modifyLoadBalancer(),
		d.modifyTargetGroups(),
		d.registerNew(),
		d.clearWay(),
		d.moveLoadBalancer(),
		d.createListeners(),
		d.modifyListeners(),
		d.addTags(),
		d.deregisterTargets(),
		d.deleteListeners(),
		d.deleteLoadBalancers(),
		d.deleteTargetGroups(),
		d.revokeIngress(),
		d.deleteGroups(),
	)
}

type diff struct {
	observed, desired Stack
	match
}

// wantedLB returns the load balancer that is wanted, and whether one is.
func (d diff) wantedLB() (LoadBalancer, bool) {
	if len(d.desired.LoadBalancers) == 0 {
		return LoadBalancer{}, false
	}
	return d.desired.LoadBalancers[0], true
}

// arn is that of the load balancer that is kept, empty for a new one.
func (d diff) arn() string {
	if d.loadBalancer == nil {
		return ""
	}
	return d.loadBalancer.ARN
}

// targetGroupRef is the ARN of one that is kept, or the Key of one that is made.
func (d diff) targetGroupRef(key string) string {
	if g := d.targetGroups[key]; g != nil {
		return g.ARN
	}
	return key
}

// resolved returns IDs for those that are known, sorted.
func (d diff) resolved(groups []string) []string {
	out := slices.Clone(groups)
	for i, g := range out {
		if g == ManagedGroup && d.group != nil {
			out[i] = d.group.ID
		}
	}
	slices.Sort(out)
	return out
}

func (d diff) createGroup() []Change {
	if len(d.desired.Groups) == 0 {
		return nil
	}
	want := d.desired.Groups[0]
	if d.group == nil {
		bare := want
		bare.Ingress = nil
		return append([]Change{CreateSecurityGroup{bare}}, authorize(ManagedGroup, want.Ingress)...)
	}
	return authorize(d.group.ID, d.missingRules())
}

// missingRules are those to authorize, and too many those to revoke: none as
// long as both let in the same.
func (d diff) missingRules() []Rule {
	if d.sameRules() {
		return nil
	}
	return without(d.desired.Groups[0].Ingress, d.group.Ingress)
}

func (d diff) sameRules() bool {
	return slices.Equal(normal(d.desired.Groups[0].Ingress), normal(d.group.Ingress))
}

func authorize(group string, rules []Rule) (changes []Change) {
	for batch := range slices.Chunk(rules, maxRules) {
		changes = append(changes, AuthorizeIngress{Group: group, Rules: batch})
	}
	return changes
}

func (d diff) revokeIngress() (changes []Change) {
	if d.group == nil || d.sameRules() {
		return nil
	}
	for batch := range slices.Chunk(without(d.group.Ingress, d.desired.Groups[0].Ingress), maxRules) {
		changes = append(changes, RevokeIngress{Group: d.group.ID, Rules: batch})
	}
	return changes
}

func (d diff) createTargetGroups() (changes []Change) {
	for _, want := range d.desired.TargetGroups {
		if d.targetGroups[want.Key] == nil {
			want.Targets, want.Attributes = nil, nil
			changes = append(changes, CreateTargetGroup{want})
		}
	}
	return changes
}

func (d diff) createLoadBalancer() []Change {
	want, ok := d.wantedLB()
	if !ok || d.loadBalancer != nil {
		return nil
	}
	want.SecurityGroups = d.resolved(want.SecurityGroups)
	want.Listeners, want.Attributes = nil, nil
	return []Change{CreateLoadBalancer{want}}
}

func (d diff) modifyLoadBalancer() (changes []Change) {
	if want, ok := d.wantedLB(); ok {
		has := loadBalancerDefaults
		if d.loadBalancer != nil {
			has = d.loadBalancer.Attributes
		}
		if attributes := different(want.Attributes, has); len(attributes) > 0 {
			changes = append(changes, ModifyLoadBalancerAttributes{ARN: d.arn(), Attributes: attributes})
		}
	}
	for _, old := range d.replaced() {
		if protected(old) {
			changes = append(changes, ModifyLoadBalancerAttributes{ARN: old.ARN, Attributes: map[string]string{deletionProtection: "false"}})
		}
	}
	return changes
}

func (d diff) modifyTargetGroups() (changes []Change) {
	for _, want := range d.desired.TargetGroups {
		has := targetGroupDefaults
		if g := d.targetGroups[want.Key]; g != nil {
			has = g.Attributes
			if g.HealthCheck != want.HealthCheck {
				changes = append(changes, ModifyTargetGroup{TargetGroup: g.ARN, HealthCheck: want.HealthCheck})
			}
		}
		if attributes := different(want.Attributes, has); len(attributes) > 0 {
			changes = append(changes, ModifyTargetGroupAttributes{TargetGroup: d.targetGroupRef(want.Key), Attributes: attributes})
		}
	}
	return changes
}

// clearWay changes or deletes the listeners that are in the way of the addresses
// that the load balancer is to have.
func (d diff) clearWay() (changes []Change) {
	for _, p := range d.listenerPairs() {
		if p.has != nil && d.inTheWay(*p.has) {
			changes = append(changes, d.modify(p)...)
		}
	}
	for _, l := range d.unwantedListeners() {
		if d.inTheWay(l) {
			changes = append(changes, DeleteListener{l})
		}
	}
	return changes
}

// inTheWay says whether AWS would not give the load balancer the addresses that it
// is to have while l is as it is: UDP needs source NAT by prefix where there is
// IPv6, and targets with IPv6 need a load balancer that has it.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-listeners.html
func (d diff) inTheWay(l Listener) bool {
	has, want := d.loadBalancer, d.desired.LoadBalancers[0]
	switch {
	case has.IPAddressType == want.IPAddressType && has.PrefixForSourceNAT == want.PrefixForSourceNAT:
		return false
	case want.IPAddressType == annotation.DualStack:
		return !want.PrefixForSourceNAT && (l.Protocol == udp || l.Protocol == tcpUDP)
	}
	return slices.ContainsFunc(d.observed.TargetGroups, func(g TargetGroup) bool {
		return g.IPAddressType == ipv6 && serves(d.observed, LoadBalancer{Listeners: []Listener{l}}, g)
	})
}

// moveLoadBalancer changes what else a load balancer can change.
func (d diff) moveLoadBalancer() (changes []Change) {
	want, ok := d.wantedLB()
	if !ok {
		return nil
	}
	groups := d.resolved(want.SecurityGroups)
	if has := d.loadBalancer; has != nil {
		if has.IPAddressType != want.IPAddressType && has.PrefixForSourceNAT == want.PrefixForSourceNAT {
			changes = append(changes, SetIPAddressType{ARN: has.ARN, Type: want.IPAddressType})
		}
		changes = append(changes, setSubnets(*has, want)...)
		if !sameSet(has.SecurityGroups, groups) || want.PrivateLinkRules != "" && want.PrivateLinkRules != has.PrivateLinkRules {
			changes = append(changes, SetSecurityGroups{ARN: has.ARN, Groups: groups, PrivateLinkRules: want.PrivateLinkRules})
		}
	} else if want.PrivateLinkRules == "off" { // "on" is AWS's default
		changes = append(changes, SetSecurityGroups{Groups: groups, PrivateLinkRules: want.PrivateLinkRules})
	}
	var reserved int32
	if d.loadBalancer != nil {
		reserved = d.loadBalancer.MinimumCapacity
	}
	if want.ManagesCapacity && want.MinimumCapacity != reserved {
		changes = append(changes, SetCapacity{ARN: d.arn(), Minimum: want.MinimumCapacity})
	}
	return changes
}

// registerKept comes before all that may fail: whatever else is wrong, targets
// follow nodes and pods.
func (d diff) registerKept() (changes []Change) {
	for _, want := range d.desired.TargetGroups {
		if g := d.targetGroups[want.Key]; g != nil {
			changes = append(changes, register(g.ARN, want.Targets, g.Targets)...)
		}
	}
	return changes
}

func (d diff) registerNew() (changes []Change) {
	for _, want := range d.desired.TargetGroups {
		if d.targetGroups[want.Key] == nil {
			changes = append(changes, register(want.Key, want.Targets, nil)...)
		}
	}
	return changes
}

func register(group string, want, has []Target) (changes []Change) {
	for batch := range slices.Chunk(minus(want, has), maxTargets) {
		changes = append(changes, RegisterTargets{TargetGroup: group, Targets: batch})
	}
	return changes
}

func (d diff) deregisterTargets() (changes []Change) {
	for _, want := range d.desired.TargetGroups {
		if g := d.targetGroups[want.Key]; g != nil {
			changes = append(changes, deregister(*g, want)...)
		}
	}
	return changes
}

func deregister(has, want TargetGroup) (changes []Change) {
	targets := has.Targets
	if want.MultiCluster {
		targets = has.Ours
	}
	for batch := range slices.Chunk(minus(targets, want.Targets), maxTargets) {
		changes = append(changes, DeregisterTargets{TargetGroup: has.ARN, Targets: batch})
	}
	return changes
}

// minus returns those of all that are not among others. Groups have thousands.
func minus(all, others []Target) []Target {
	in := map[Target]bool{}
	for _, t := range others {
		in[t] = true
	}
	return filter(all, func(t Target) bool { return !in[t] })
}

// missingTags are those of want that has lacks or has otherwise.
func missingTags(want, has map[string]string) map[string]string {
	missing := maps.Clone(want)
	maps.DeleteFunc(missing, func(key, value string) bool {
		old, ok := has[key]
		return ok && old == value
	})
	return missing
}

// addTags puts resources that lack the same tags into one call.
func (d diff) addTags() []Change {
	var all []AddTags
	add := func(id string, want, has map[string]string) {
		missing := missingTags(want, has)
		if len(missing) == 0 {
			return
		}
		i := slices.IndexFunc(all, func(a AddTags) bool {
			return len(a.Resources) < maxResources && maps.Equal(a.Tags, missing) && isARN(a.Resources[0]) == isARN(id)
		})
		if i < 0 {
			i = len(all)
			all = append(all, AddTags{Tags: missing})
		}
		all[i].Resources = append(all[i].Resources, id)
	}
	if want, ok := d.wantedLB(); ok && d.loadBalancer != nil {
		add(d.loadBalancer.ARN, want.Tags, d.loadBalancer.Tags)
	}
	for _, want := range d.desired.TargetGroups {
		if g := d.targetGroups[want.Key]; g != nil {
			add(g.ARN, want.Tags, g.Tags)
		}
	}
	for _, p := range d.listenerPairs() {
		if p.has != nil {
			add(p.has.ARN, p.want.Tags, p.has.Tags)
		}
	}
	if d.group != nil {
		add(d.group.ID, d.desired.Groups[0].Tags, d.group.Tags)
	}
	var changes []Change
	for _, a := range all {
		changes = append(changes, a)
	}
	return changes
}

func isARN(id string) bool { return strings.HasPrefix(id, "arn:") }

// replaced are the load balancers to delete. Those that are protected are among
// them only where the Service says itself that its load balancer is not to be.
func (d diff) replaced() []LoadBalancer {
	want, ok := d.wantedLB()
	return filter(d.observed.LoadBalancers, func(lb LoadBalancer) bool {
		return lb.ARN != d.arn() && (!protected(lb) || ok && want.Attributes[deletionProtection] == "false")
	})
}

// stays says whether lb is there afterwards.
func (d diff) stays(lb LoadBalancer) bool {
	return !slices.ContainsFunc(d.replaced(), func(old LoadBalancer) bool { return old.ARN == lb.ARN })
}

// unwantedListeners are those of the load balancer that is kept.
func (d diff) unwantedListeners() []Listener {
	if d.loadBalancer == nil {
		return nil
	}
	want := d.desired.LoadBalancers[0]
	return filter(d.loadBalancer.Listeners, func(l Listener) bool {
		return !slices.ContainsFunc(want.Listeners, func(w Listener) bool { return w.Port == l.Port })
	})
}

func (d diff) deleteListeners() (changes []Change) {
	for _, l := range d.unwantedListeners() {
		if !d.inTheWay(l) { // else it is gone
			changes = append(changes, DeleteListener{l})
		}
	}
	for _, lb := range d.replaced() {
		// Without its attributes nobody knows that lb can be deleted: then it goes
		// first, or not at all.
		for _, l := range lb.Listeners {
			if lb.Attributes != nil {
				changes = append(changes, DeleteListener{l})
			}
		}
	}
	return changes
}

func (d diff) deleteLoadBalancers() (changes []Change) {
	for _, old := range d.replaced() {
		changes = append(changes, DeleteLoadBalancer{ARN: old.ARN, Name: old.Name})
	}
	return changes
}

func (d diff) deleteTargetGroups() (changes []Change) {
	for _, g := range d.observed.TargetGroups {
		if d.targetGroups[g.Key] != nil && d.targetGroups[g.Key].ARN == g.ARN || d.heldBy(func(lb LoadBalancer) bool { return serves(d.observed, lb, g) }) {
			continue
		}
		changes = append(changes, DeleteTargetGroup{ARN: g.ARN, Name: g.Name})
	}
	return changes
}

func (d diff) deleteGroups() (changes []Change) {
	for _, g := range d.observed.Groups {
		if d.group != nil && d.group.ID == g.ID || d.heldBy(func(lb LoadBalancer) bool { return slices.Contains(lb.SecurityGroups, g.ID) }) {
			continue
		}
		changes = append(changes, DeleteSecurityGroup{ID: g.ID, Name: g.Name})
	}
	return changes
}

// heldBy says whether a load balancer that stays, though it is not wanted, uses
// something.
func (d diff) heldBy(uses func(LoadBalancer) bool) bool {
	return slices.ContainsFunc(d.observed.LoadBalancers, func(lb LoadBalancer) bool {
		return lb.ARN != d.arn() && d.stays(lb) && uses(lb)
	})
}

// different returns the attributes of want that has lacks or has otherwise.
func different(want, has map[string]string) map[string]string {
	out := maps.Clone(want)
	maps.DeleteFunc(out, func(key, value string) bool {
		old, ok := has[key]
		return ok && strings.EqualFold(old, value)
	})
	return out
}

// AWS's defaults, by which something new needs no call for its attributes.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetGroupAttribute.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ListenerAttribute.html
var (
	loadBalancerDefaults = map[string]string{
		deletionProtection:                  "false",
		"load_balancing.cross_zone.enabled": "false",
		"access_logs.s3.enabled":            "false",
		"access_logs.s3.bucket":             "",
		"access_logs.s3.prefix":             "",
		"ipv6.deny_all_igw_traffic":         "false",
		"zonal_shift.config.enabled":        "false",
		"dns_record.client_routing_policy":  "any_availability_zone",
	}
	targetGroupDefaults = map[string]string{
		proxyProtocol:                          "false",
		stickiness:                             "false",
		"deregistration_delay.timeout_seconds": "300",
		"load_balancing.cross_zone.enabled":    "use_load_balancer_configuration",
	}
	listenerDefaults = map[string]string{"tcp.idle_timeout.seconds": "350"}
)

// setSubnets changes zones and addresses. A zone gets another subnet or other
// addresses by two calls, out and in again, and one zone after the other, so
// that the load balancer is never without one.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/availability-zones.html
func setSubnets(has, want LoadBalancer) (changes []Change) {
	var addresses annotation.IPAddressType
	if has.PrefixForSourceNAT != want.PrefixForSourceNAT && has.IPAddressType != want.IPAddressType {
		addresses = want.IPAddressType // AWS takes neither without the other
	}
	call := func(mappings []SubnetMapping) {
		slices.SortFunc(mappings, func(a, b SubnetMapping) int { return cmp.Compare(a.SubnetID, b.SubnetID) })
		if len(mappings) > 0 {
			changes = append(changes, SetSubnets{ARN: has.ARN, Subnets: possible(mappings, want), PrefixForSourceNAT: want.PrefixForSourceNAT, IPAddressType: addresses})
		}
	}
	var now, moving []SubnetMapping
	for _, w := range want.Subnets {
		i := slices.IndexFunc(has.Subnets, func(h SubnetMapping) bool { return h.SubnetID == w.SubnetID || moves(h, w) })
		switch {
		case i < 0:
			now = append(now, w)
		case moves(has.Subnets[i], w):
			now = append(now, has.Subnets[i])
			moving = append(moving, w)
		default:
			now = append(now, completed(w, has.Subnets[i]))
		}
	}
	if has.PrefixForSourceNAT != want.PrefixForSourceNAT || !sameMappings(now, has.Subnets) {
		call(now)
	}
	for _, w := range moving {
		now = slices.DeleteFunc(now, func(m SubnetMapping) bool { return moves(m, w) })
		call(now)
		now = append(now, w)
		call(now)
	}
	return changes
}

// moves says whether a zone has to be left and entered again for want.
func moves(has, want SubnetMapping) bool {
	switch {
	case has.SubnetID != want.SubnetID:
		return has.Zone != "" && has.Zone == want.Zone
	case want.AllocationID != "" && want.AllocationID != has.AllocationID,
		want.PrivateIPv4.IsValid() && want.PrivateIPv4 != has.PrivateIPv4,
		want.IPv6.IsValid() && has.IPv6.IsValid() && want.IPv6 != has.IPv6:
		return true
	}
	return false
}

// completed keeps the addresses that a zone has where others are not wanted.
func completed(want, has SubnetMapping) SubnetMapping {
	want.AllocationID = cmp.Or(want.AllocationID, has.AllocationID)
	want.PrivateIPv4 = cmp.Or(want.PrivateIPv4, has.PrivateIPv4)
	want.IPv6 = cmp.Or(want.IPv6, has.IPv6)
	want.SourceNATPrefix = cmp.Or(want.SourceNATPrefix, has.SourceNATPrefix)
	want.Zone = has.Zone
	return want
}

// possible leaves out what a zone has and the load balancer can't have any more.
func possible(mappings []SubnetMapping, want LoadBalancer) []SubnetMapping {
	out := slices.Clone(mappings)
	for i := range out {
		if want.IPAddressType != annotation.DualStack {
			out[i].IPv6 = netip.Addr{}
		}
		if !want.PrefixForSourceNAT {
			out[i].SourceNATPrefix = netip.Prefix{}
		}
	}
	return out
}

func sameMappings(a, b []SubnetMapping) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(m SubnetMapping) bool { return !slices.Contains(b, m) })
}
