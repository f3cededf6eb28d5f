package ipam

import (
	"fmt"
	"net/netip"
	"slices"
)

// verdict is what a Service is to have, as things are.
type verdict struct {
	picks [2]netip.Addr // by place among the families; the zero Addr for none
	pools [2]*pool      // that picks are from
	open  [2]bool       // which families are to be filled from any address
	// The first family without a pick: why, and what would help. Either address
	// comes free, or sources get an address, or the pools change.
	why     *Refusal
	address netip.Addr
	sources []*pool
}

// decide chooses the addresses of c: those that it has while they fit, then the
// requested ones, then those that are next in the pools. It changes nothing but
// scratch space, which verdict.sources uses until the next call.
func (a *Allocator) decide(c *client) verdict {
	var v verdict
	if v.why = malformed(&c.req); v.why != nil {
		return v
	}
	var refused [2]*Refusal
	for i, f := range c.req.Families {
		if a.keep(c, i, f, &v) {
			continue
		}
		if x := c.req.requested(f); x.IsValid() {
			refused[i] = a.claim(c, i, x, &v)
		} else {
			v.open[i] = true
		}
	}
	a.fill(c, &v)
	i := slices.Index(v.picks[:len(c.req.Families)], netip.Addr{})
	if i < 0 {
		return v
	}
	if v.why = refused[i]; v.why == nil {
		a.exhausted(c, c.req.Families[i], &v)
	} else if v.why.Rule.InUse() {
		v.address = v.why.Address
	}
	if i < c.req.required() {
		v.picks = [2]netip.Addr{}
	}
	return v
}

// exhausted has the verdict tell why nothing gives c an address of family f.
func (a *Allocator) exhausted(c *client, f Family, v *verdict) {
	v.why = a.explain(c, f)
	v.sources = slices.DeleteFunc(a.order, func(p *pool) bool { return p.stock(f).size == 0 })
}

// malformed tells what in r is wrong whatever the pools.
func malformed(r *Request) *Refusal {
	if n := len(r.Families); n == 0 || n > 2 || n == 2 && r.Families[0] == r.Families[1] {
		return &Refusal{Rule: RuleMalformed, Detail: fmt.Sprintf("the IP families are %v: want one, or two that differ", r.Families)}
	}
	for _, f := range r.Families {
		if f != IPv4 && f != IPv6 {
			return &Refusal{Rule: RuleMalformed, Detail: fmt.Sprintf("the IP family %d is unknown", f)}
		}
	}
	for i, x := range r.Addresses {
		f := FamilyOf(x)
		if err := plain(x); err != nil {
			return &Refusal{Rule: RuleMalformed, Detail: err.Error()}
		}
		if !slices.Contains(r.Families, f) {
			return &Refusal{Rule: RuleAddressFamily, Family: f, Address: x}
		}
		for _, other := range r.Addresses[:i] {
			if FamilyOf(other) == f {
				return &Refusal{Rule: RuleTwoAddresses, Family: f, Address: x, Other: other}
			}
		}
	}
	return nil
}

// keep picks the address of family f that c has, if it still fits: one that it
// holds before one that it only might still show.
func (a *Allocator) keep(c *client, i int, f Family, v *verdict) bool {
	for _, retiring := range [...]bool{false, true} {
		for _, l := range c.leases {
			if l.retiring == retiring && FamilyOf(l.slot.addr) == f && a.misfit(c, l.slot.addr) == nil {
				v.picks[i], v.pools[i] = l.slot.addr, l.slot.pool()
				return true
			}
		}
	}
	return false
}

// misfit tells why c can't keep x, which its status shows; nil if it can.
func (a *Allocator) misfit(c *client, x netip.Addr) *Refusal {
	f := FamilyOf(x)
	if want := c.req.requested(f); want.IsValid() && want != x {
		return &Refusal{Rule: RuleOtherRequested, Family: f, Address: x, Other: want}
	}
	return a.unfit(c, x, true)
}

// claim picks the requested address x, or tells why c can't have it.
func (a *Allocator) claim(c *client, i int, x netip.Addr, v *verdict) *Refusal {
	if why := a.unfit(c, x, false); why != nil {
		return why
	}
	p := a.find(x).pool
	if i > 0 {
		other := c.req.requested(c.req.Families[0])
		if seg := a.find(other); seg != nil && seg.pool != p {
			return &Refusal{Rule: RuleDifferentPools, Family: FamilyOf(x), Address: x, Other: other, Pool: p.Name, OtherPool: seg.pool.Name}
		}
	}
	v.picks[i], v.pools[i] = x, p
	return nil
}

// unfit tells which pool or holder keeps x from c; nil if none does. What is
// shown already may stay where no longer given.
func (a *Allocator) unfit(c *client, x netip.Addr, shown bool) *Refusal {
	f := FamilyOf(x)
	if c.req.Pool != "" && a.pools[c.req.Pool] == nil {
		return &Refusal{Rule: RuleUnknownPool, Family: f, Pool: c.req.Pool}
	}
	seg := a.find(x)
	if seg == nil {
		return &Refusal{Rule: RuleAddressInNoPool, Family: f, Address: x}
	}
	p := seg.pool
	refuse := func(rule Rule) *Refusal {
		return &Refusal{Rule: rule, Family: f, Address: x, Pool: p.Name}
	}
	if !seg.gives(x) {
		return refuse(RuleAddressExcluded)
	}
	if c.req.Pool != "" && p.Name != c.req.Pool {
		why := refuse(RuleOutsidePool)
		why.OtherPool = c.req.Pool
		return why
	}
	if keeps := shown && p.Frozen; !keeps {
		if rule := p.forbids(&c.req); rule != RuleNone {
			return refuse(rule)
		}
		if p.Frozen {
			return refuse(RuleFrozen)
		}
	}
	if s := a.slots[x]; s != nil {
		if rule, holder, port := s.clash(c); rule != RuleNone && !(shown && rule == RuleInUseRetiring) {
			why := refuse(rule)
			why.Holder, why.Port = holder.req.ID, port
			return why
		}
	}
	return nil
}

// fill picks addresses for the open families: first those that c can share,
// then free ones.
func (a *Allocator) fill(c *client, v *verdict) {
	a.order = a.order[:0]
	if !v.open[0] && !v.open[1] {
		return
	}
	a.ask(c, v)
	if c.req.SharingKey != "" {
		a.draw(c, v, true)
	}
	a.draw(c, v, false)
}

// ask puts into a.order the pools that c may get an address from: that of a
// requested address, or the requested one, or those that give automatically.
func (a *Allocator) ask(c *client, v *verdict) {
	r := &c.req
	if r.Pool != "" {
		if p := a.pools[r.Pool]; p != nil && p.gives(r) {
			a.order = append(a.order, p)
		}
		return
	}
	anchor := a.anchor(r)
	if anchor != nil && anchor.gives(r) {
		a.order = append(a.order, anchor)
	}
	for _, p := range a.auto {
		if p != anchor && p.gives(r) {
			a.order = append(a.order, p)
		}
	}
}

// anchor returns the pool of the first requested address that is in one.
func (a *Allocator) anchor(r *Request) *pool {
	for _, f := range r.Families {
		if seg := a.find(r.requested(f)); seg != nil {
			return seg.pool
		}
	}
	return nil
}

// draw picks for each open family; for two the first pool that has both, if one
// does.
func (a *Allocator) draw(c *client, v *verdict, shared bool) {
	families := c.req.Families
	if v.open[0] && v.open[1] && !v.picks[0].IsValid() && !v.picks[1].IsValid() {
		for _, p := range a.order {
			first, ok := a.supply(c, p, families[0], shared)
			second, both := a.supply(c, p, families[1], shared)
			if ok && both {
				v.picks = [2]netip.Addr{first, second}
				v.pools = [2]*pool{p, p}
				return
			}
		}
	}
	for i, f := range families {
		if v.open[i] && !v.picks[i].IsValid() {
			v.picks[i], v.pools[i] = a.first(c, f, v.pools[1-i], shared)
		}
	}
}

// first returns an address of the first pool that has one, with that of the
// other family coming before all others.
func (a *Allocator) first(c *client, f Family, beside *pool, shared bool) (netip.Addr, *pool) {
	if beside != nil && slices.Contains(a.order, beside) {
		if x, ok := a.supply(c, beside, f, shared); ok {
			return x, beside
		}
	}
	for _, p := range a.order {
		if x, ok := a.supply(c, p, f, shared); ok {
			return x, p
		}
	}
	return netip.Addr{}, nil
}

// supply returns the address of p that c would get: one in use that it can
// share, or a free one.
func (a *Allocator) supply(c *client, p *pool, f Family, shared bool) (netip.Addr, bool) {
	if !shared {
		return p.stock(f).lowest()
	}
	for _, s := range a.shared[group{c.req.SharingKey, p, f}] {
		if rule, _, _ := s.clash(c); rule == RuleNone {
			return s.addr, true
		}
	}
	return netip.Addr{}, false
}

// explain tells why no pool has an address of family f for c.
func (a *Allocator) explain(c *client, f Family) *Refusal {
	r := &c.req
	why := &Refusal{Rule: RuleNoPoolMatches, Family: f}
	switch {
	case r.Pool != "":
		why.Pool = r.Pool
		why.Rule = RuleUnknownPool
		if p := a.pools[r.Pool]; p != nil {
			why.Rule = p.withholds(r, f)
		}
		return why
	case len(a.pools) == 0:
		why.Rule = RuleNoPools
		return why
	case len(a.auto) == 0 && len(a.order) == 0:
		why.Rule = RuleNoAutoAssign
		return why
	}
	anchor := a.anchor(r)
	if anchor != nil {
		why.add(anchor, anchor.withholds(r, f))
	}
	for _, p := range a.auto {
		if p != anchor {
			why.add(p, p.withholds(r, f))
		}
	}
	return why
}

// withholds returns the rule by which r gets no address of family f from p,
// which has none that is free.
func (p *pool) withholds(r *Request, f Family) Rule {
	switch rule := p.forbids(r); {
	case rule != RuleNone:
		return rule
	case p.Frozen:
		return RuleFrozen
	case p.stock(f).size == 0:
		return RuleNoFamily
	}
	return RuleExhausted
}

// add notes what p does. Of several pools the one that comes closest to giving
// an address sets the rule.
func (r *Refusal) add(p *pool, rule Rule) {
	if closeness(rule) > closeness(r.Rule) {
		r.Rule = rule
	}
	if len(r.Pools) == maxReasons {
		r.More++
		return
	}
	r.Pools = append(r.Pools, PoolReason{p.Name, rule})
}

func closeness(rule Rule) int {
	switch rule {
	case RuleExhausted:
		return 3
	case RuleFrozen:
		return 2
	case RuleNoFamily:
		return 1
	}
	return 0
}
