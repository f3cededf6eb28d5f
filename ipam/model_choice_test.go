package ipam

import (
	"cmp"
	"net/netip"
	"slices"
)

// decide follows the order of choice of the package.
func (m *model) decide(s *modelService) ([]netip.Addr, Rule) {
	r := &s.req
	if rule := m.malformed(r); rule != RuleNone {
		return nil, rule
	}
	picks := make([]netip.Addr, len(r.Families))
	rules := make([]Rule, len(r.Families))
	var open []int
	for i, f := range r.Families {
		if picks[i] = m.kept(s, f); picks[i].IsValid() {
			continue
		}
		x := r.requested(f)
		if !x.IsValid() {
			open = append(open, i)
			continue
		}
		if rules[i] = m.mayClaim(s, i, x); rules[i] == RuleNone {
			picks[i] = x
		}
	}
	pools := m.admissible(r)
	for _, supply := range []func(*modelService, *Pool, Family) netip.Addr{m.joinable, m.lowest} {
		m.draw(s, pools, open, picks, supply)
	}
	for i, f := range r.Families {
		if picks[i].IsValid() {
			continue
		}
		if rules[i] == RuleNone {
			rules[i] = m.explain(r, f, pools)
		}
		if i < r.required() {
			return nil, rules[i]
		}
		return picks, rules[i]
	}
	return picks, RuleNone
}

func (m *model) draw(s *modelService, pools []*Pool, open []int, picks []netip.Addr, supply func(*modelService, *Pool, Family) netip.Addr) {
	families := s.req.Families
	if len(open) == 2 && !picks[0].IsValid() && !picks[1].IsValid() {
		for _, p := range pools {
			x, y := supply(s, p, families[0]), supply(s, p, families[1])
			if x.IsValid() && y.IsValid() {
				picks[0], picks[1] = x, y
				return
			}
		}
	}
	for _, i := range open {
		if picks[i].IsValid() {
			continue
		}
		order := slices.Clone(pools)
		if len(picks) == 2 && picks[1-i].IsValid() {
			beside := m.poolOf(picks[1-i])
			slices.SortStableFunc(order, func(p, q *Pool) int {
				return cmp.Compare(b2i(q == beside), b2i(p == beside))
			})
		}
		for _, p := range order {
			if picks[i] = supply(s, p, families[i]); picks[i].IsValid() {
				break
			}
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (m *model) malformed(r *Request) Rule {
	seen := map[Family]bool{}
	for _, x := range r.Addresses {
		switch f := FamilyOf(x); {
		case !slices.Contains(r.Families, f):
			return RuleAddressFamily
		case seen[f]:
			return RuleTwoAddresses
		default:
			seen[f] = true
		}
	}
	return RuleNone
}

func (m *model) kept(s *modelService, f Family) netip.Addr {
	for _, retiring := range []bool{false, true} {
		for _, x := range s.came {
			if slices.Contains(s.retiring, x) == retiring && FamilyOf(x) == f && m.fits(s, x) {
				return x
			}
		}
	}
	return netip.Addr{}
}

func (m *model) fits(s *modelService, x netip.Addr) bool {
	p, r := m.poolOf(x), &s.req
	want := r.requested(FamilyOf(x))
	return p != nil && m.givable(p, x) &&
		(!want.IsValid() || want == x) &&
		(r.Pool == "" || r.Pool == p.Name) &&
		(p.Frozen || m.admits(p, r) == RuleNone) &&
		!m.clashes(s, x)
}

func (m *model) mayClaim(s *modelService, i int, x netip.Addr) Rule {
	r := &s.req
	p := m.poolOf(x)
	switch {
	case r.Pool != "" && m.named(r.Pool) == nil:
		return RuleUnknownPool
	case p == nil:
		return RuleAddressInNoPool
	case !m.givable(p, x):
		return RuleAddressExcluded
	case r.Pool != "" && r.Pool != p.Name:
		return RuleOutsidePool
	case m.admits(p, r) != RuleNone:
		return m.admits(p, r)
	case p.Frozen:
		return RuleFrozen
	case m.clashes(s, x):
		return RuleInUse
	case m.shownByOthers(s, x):
		return RuleInUse
	}
	if i > 0 {
		if other := m.poolOf(r.requested(r.Families[0])); other != nil && other != p {
			return RuleDifferentPools
		}
	}
	return RuleNone
}

// admissible lists the pools that r may get an address from, in order.
func (m *model) admissible(r *Request) []*Pool {
	var pools []*Pool
	if r.Pool != "" {
		if p := m.named(r.Pool); p != nil {
			pools = append(pools, p)
		}
	} else {
		if p := m.anchor(r); p != nil {
			pools = append(pools, p)
		}
		tiers := []func(*Pool) bool{
			func(p *Pool) bool { return p.Allocation != nil && p.Allocation.Priority == 1 },
			func(p *Pool) bool { return p.Allocation != nil && p.Allocation.Priority == 2 },
			func(p *Pool) bool { return p.Allocation != nil && p.Allocation.Priority == 0 },
			func(p *Pool) bool { return p.Allocation == nil },
		}
		for _, tier := range tiers {
			for i := range m.pools {
				if p := &m.pools[i]; p.AutoAssign && tier(p) && !slices.Contains(pools, p) {
					pools = append(pools, p)
				}
			}
		}
	}
	return slices.DeleteFunc(pools, func(p *Pool) bool { return p.Frozen || m.admits(p, r) != RuleNone })
}

func (m *model) anchor(r *Request) *Pool {
	for _, f := range r.Families {
		if p := m.poolOf(r.requested(f)); p != nil {
			return p
		}
	}
	return nil
}

func (m *model) explain(r *Request, f Family, pools []*Pool) Rule {
	if r.Pool != "" {
		p := m.named(r.Pool)
		if p == nil {
			return RuleUnknownPool
		}
		return m.reason(p, r, f)
	}
	if len(m.pools) == 0 {
		return RuleNoPools
	}
	automatic := 0
	worst := map[Rule]bool{}
	for i := range m.pools {
		p := &m.pools[i]
		if p.AutoAssign {
			automatic++
		}
		if p.AutoAssign || p == m.anchor(r) {
			worst[m.reason(p, r, f)] = true
		}
	}
	if automatic == 0 && len(pools) == 0 {
		return RuleNoAutoAssign
	}
	for _, rule := range []Rule{RuleExhausted, RuleFrozen, RuleNoFamily} {
		if worst[rule] {
			return rule
		}
	}
	return RuleNoPoolMatches
}

func (m *model) reason(p *Pool, r *Request, f Family) Rule {
	switch {
	case m.admits(p, r) != RuleNone:
		return m.admits(p, r)
	case p.Frozen:
		return RuleFrozen
	case !slices.ContainsFunc(m.all(p), func(x netip.Addr) bool { return FamilyOf(x) == f && m.givable(p, x) }):
		return RuleNoFamily
	}
	return RuleExhausted
}

func (m *model) admits(p *Pool, r *Request) Rule {
	if p.Allocation == nil {
		return RuleNone
	}
	namespace := len(p.Allocation.Namespaces)+len(p.Allocation.NamespaceSelectors) == 0 || slices.Contains(p.Allocation.Namespaces, r.ID.Namespace)
	for _, s := range p.Allocation.NamespaceSelectors {
		namespace = namespace || s.Matches(r.NamespaceLabels)
	}
	service := len(p.Allocation.ServiceSelectors) == 0
	for _, s := range p.Allocation.ServiceSelectors {
		service = service || s.Matches(r.Labels)
	}
	switch {
	case !namespace:
		return RuleNamespace
	case !service:
		return RuleServiceSelector
	}
	return RuleNone
}

func (m *model) named(name string) *Pool {
	for i := range m.pools {
		if m.pools[i].Name == name {
			return &m.pools[i]
		}
	}
	return nil
}

func (m *model) poolOf(x netip.Addr) *Pool {
	for i := range m.pools {
		if slices.Contains(m.all(&m.pools[i]), x) {
			return &m.pools[i]
		}
	}
	return nil
}

// all lists the addresses of p in the order in which they are given.
func (m *model) all(p *Pool) []netip.Addr {
	var all []netip.Addr
	for _, r := range p.Ranges {
		for x := r.From(); r.Contains(x); x = x.Next() {
			all = append(all, x)
		}
	}
	return all
}

func (m *model) givable(p *Pool, x netip.Addr) bool {
	if p.Frozen {
		return true
	}
	for _, r := range p.Exclude {
		if r.Contains(x) {
			return false
		}
	}
	last := x.As16()[15]
	return !(p.AvoidBuggyIPs && x.Is4() && (last == 0 || last == 255))
}

func (m *model) lowest(s *modelService, p *Pool, f Family) netip.Addr {
	for _, x := range m.all(p) {
		if FamilyOf(x) == f && m.givable(p, x) && !m.used(x) {
			return x
		}
	}
	return netip.Addr{}
}

func (m *model) joinable(s *modelService, p *Pool, f Family) netip.Addr {
	all := slices.SortedFunc(slices.Values(m.all(p)), netip.Addr.Compare)
	for _, x := range all {
		if s.req.SharingKey != "" && FamilyOf(x) == f && m.givable(p, x) && m.heldByOthers(s, x) && !m.clashes(s, x) && !m.shownByOthers(s, x) {
			return x
		}
	}
	return netip.Addr{}
}

func (m *model) used(x netip.Addr) bool {
	for _, s := range m.services {
		if slices.Contains(s.came, x) {
			return true
		}
	}
	return false
}

func (m *model) heldByOthers(s *modelService, x netip.Addr) bool {
	for _, t := range m.services {
		if _, ok := t.held[x]; ok && t != s {
			return true
		}
	}
	return false
}

func (m *model) shownByOthers(s *modelService, x netip.Addr) bool {
	for _, t := range m.services {
		if t != s && slices.Contains(t.retiring, x) && !slices.Contains(s.came, x) {
			return true
		}
	}
	return false
}

func (m *model) clashes(s *modelService, x netip.Addr) bool {
	for _, t := range m.services {
		if _, ok := t.held[x]; ok && t != s && !m.shareable(&s.req, &t.req) {
			return true
		}
	}
	return false
}

func (m *model) shareable(r, q *Request) bool {
	for _, port := range r.Ports {
		if slices.Contains(q.Ports, port) {
			return false
		}
	}
	return r.SharingKey != "" && r.SharingKey == q.SharingKey && r.Backend == q.Backend
}
