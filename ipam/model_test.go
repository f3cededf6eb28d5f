package ipam

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// model does what Allocator does in the plainest way: it looks at every address
// of every pool and at every Service each time. Its pools must be small.
type model struct {
	pools    []Pool // by name
	services map[ID]*modelService
	granted  map[ID]bool // whom the caller has not been told of
}

type modelService struct {
	req      Request
	held     map[netip.Addr]string // address to pool
	retiring []netip.Addr          // in the order in which they came
	came     []netip.Addr          // all of the above in the order in which they came
	waits    bool
	why      Rule
}

func newModel() *model { return &model{services: map[ID]*modelService{}, granted: map[ID]bool{}} }

func (m *model) service(req Request) *modelService {
	s := m.services[req.ID]
	if s == nil {
		s = &modelService{held: map[netip.Addr]string{}}
		m.services[req.ID] = s
	}
	s.req = req
	return s
}

func (m *model) ensure(req Request) (why Rule, woken []ID) {
	s := m.service(req)
	m.giveWay(s)
	m.apply(s)
	m.settle()
	return s.why, slices.DeleteFunc(m.woken(), func(id ID) bool { return id == req.ID })
}

// giveWay takes from s what it can no longer share.
func (m *model) giveWay(s *modelService) {
	for _, x := range slices.Clone(s.came) {
		if _, ok := s.held[x]; ok && m.clashes(s, x) {
			m.retire(s, x)
		}
	}
}

func (m *model) adopt(req Request, addrs []netip.Addr) (misfits int) {
	if m.services[req.ID] != nil {
		return 0
	}
	s := m.service(req)
	for _, x := range addrs {
		if slices.Contains(s.came, x) {
			continue
		}
		if m.adoptable(s, x) {
			m.hold(s, x)
			continue
		}
		s.came = append(s.came, x)
		s.retiring = append(s.retiring, x)
		misfits++
	}
	m.forget(s)
	m.settle()
	return misfits
}

func (m *model) adoptable(s *modelService, x netip.Addr) bool {
	if m.malformed(&s.req) != RuleNone || !slices.Contains(s.req.Families, FamilyOf(x)) {
		return false
	}
	for held := range s.held {
		if FamilyOf(held) == FamilyOf(x) {
			return false
		}
	}
	return m.fits(s, x)
}

func (m *model) confirm(id ID, shown []netip.Addr) []ID {
	s := m.services[id]
	if s == nil {
		return nil
	}
	for _, x := range slices.Clone(s.retiring) {
		if !slices.Contains(shown, x) {
			s.drop(x)
		}
	}
	m.settle()
	m.forget(s)
	return m.woken()
}

func (m *model) release(id ID) []ID {
	delete(m.services, id)
	delete(m.granted, id)
	m.settle()
	return m.woken()
}

func (m *model) setPools(pools []Pool) []ID {
	before := map[ID]string{}
	for id, s := range m.services {
		before[id] = s.outcome()
	}
	m.pools = slices.SortedFunc(slices.Values(pools), func(a, b Pool) int { return strings.Compare(a.Name, b.Name) })
	for _, s := range m.byAge() {
		m.review(s)
	}
	m.settle()
	var changed []ID
	for _, s := range m.byAge() {
		if s.outcome() != before[s.req.ID] || m.granted[s.req.ID] {
			changed = append(changed, s.req.ID)
		}
	}
	clear(m.granted)
	return changed
}

func (m *model) review(s *modelService) {
	lost := false
	for x := range maps.Clone(s.held) {
		if m.fits(s, x) {
			s.held[x] = m.poolOf(x).Name
			continue
		}
		m.retire(s, x)
		lost = true
	}
	if !lost {
		return
	}
	s.waits = true
	for i := range s.req.required() {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(s.held)), func(x netip.Addr) bool { return FamilyOf(x) == s.req.Families[i] }) {
			for x := range maps.Clone(s.held) {
				m.retire(s, x)
			}
		}
	}
}

// settle serves the oldest waiter that can be served, until none can.
func (m *model) settle() {
again:
	for _, s := range m.byAge() {
		if !s.waits {
			continue
		}
		had := len(s.held)
		if m.apply(s); len(s.held) > had {
			m.granted[s.req.ID] = true
			goto again
		}
	}
}

func (m *model) woken() []ID {
	var ids []ID
	for _, s := range m.byAge() {
		if m.granted[s.req.ID] {
			ids = append(ids, s.req.ID)
		}
	}
	clear(m.granted)
	return ids
}

func (m *model) byAge() []*modelService {
	return slices.SortedFunc(maps.Values(m.services), func(s, t *modelService) int { return Older(&s.req, &t.req) })
}

func (m *model) apply(s *modelService) {
	picks, why := m.decide(s)
	for x := range maps.Clone(s.held) {
		if !slices.Contains(picks, x) {
			m.retire(s, x)
		}
	}
	for _, x := range picks {
		if x.IsValid() {
			m.hold(s, x)
		}
	}
	s.why, s.waits = why, why != RuleNone
}

func (m *model) hold(s *modelService, x netip.Addr) {
	if !slices.Contains(s.came, x) {
		s.came = append(s.came, x)
	}
	s.retiring = slices.DeleteFunc(s.retiring, func(y netip.Addr) bool { return x == y })
	s.held[x] = m.poolOf(x).Name
}

func (m *model) retire(s *modelService, x netip.Addr) {
	delete(s.held, x)
	s.retiring = append(s.retiring, x)
}

func (m *model) forget(s *modelService) {
	if len(s.came) == 0 && !s.waits {
		delete(m.services, s.req.ID)
		delete(m.granted, s.req.ID)
	}
}

func (s *modelService) drop(x netip.Addr) {
	same := func(y netip.Addr) bool { return x == y }
	s.retiring = slices.DeleteFunc(s.retiring, same)
	s.came = slices.DeleteFunc(s.came, same)
}

func (s *modelService) outcome() string {
	var b strings.Builder
	for _, f := range s.req.Families {
		for x, pool := range s.held {
			if FamilyOf(x) == f {
				b.WriteString(x.String() + "@" + pool + " ")
			}
		}
	}
	if s.req.required() == 2 {
		return b.String() // which of two reasons is told depends on when it was looked at
	}
	return b.String() + s.why.String()
}
