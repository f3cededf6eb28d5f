package ipam

import (
	"cmp"
	"math"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// Selector picks objects by their labels.
type Selector interface {
	Matches(labels map[string]string) bool
	// String returns the selector as users write it. Two that return the same
	// match the same.
	String() string
}

// Pool is a set of addresses, and who may have them.
type Pool struct {
	Name string
	// Ranges are the entries in their order; each is of one family.
	Ranges []netipx.IPRange
	// Exclude is never given out.
	Exclude []netipx.IPRange
	// AvoidBuggyIPs leaves out the IPv4 addresses that end in .0 and .255.
	AvoidBuggyIPs bool
	// AutoAssign gives addresses also to who asks for neither this pool nor an
	// address of it.
	AutoAssign bool
	// Allocation says which Services may have addresses; nil for all.
	Allocation *ServiceAllocation
	// Frozen marks a pool whose object is not valid: who holds an address keeps
	// it, nobody gets one.
	Frozen bool
}

// ServiceAllocation says which Services a pool is for: those whose namespace
// and whose labels both match. Within a list one match is enough, and an empty
// list matches everything; Namespaces and NamespaceSelectors are one list.
type ServiceAllocation struct {
	// Priority puts the lower first and 0 last.
	Priority           int
	Namespaces         []string
	NamespaceSelectors []Selector
	ServiceSelectors   []Selector
}

// forbids returns the rule by which r may not have an address of p, or RuleNone.
func (p *Pool) forbids(r *Request) Rule {
	switch s := p.Allocation; {
	case s == nil:
		return RuleNone
	case !s.matchesNamespace(r):
		return RuleNamespace
	case len(s.ServiceSelectors) > 0 && !matchesAny(s.ServiceSelectors, r.Labels):
		return RuleServiceSelector
	}
	return RuleNone
}

func (s *ServiceAllocation) matchesNamespace(r *Request) bool {
	if len(s.Namespaces) == 0 && len(s.NamespaceSelectors) == 0 {
		return true
	}
	return slices.Contains(s.Namespaces, r.ID.Namespace) || matchesAny(s.NamespaceSelectors, r.NamespaceLabels)
}

func matchesAny(selectors []Selector, labels map[string]string) bool {
	for _, s := range selectors {
		if s.Matches(labels) {
			return true
		}
	}
	return false
}

// byPreference orders pools as those who name none are served: pools for
// certain Services first, by priority.
func byPreference(a, b *pool) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), strings.Compare(a.Name, b.Name))
}

func (p *Pool) rank() int {
	switch {
	case p.Allocation == nil:
		return math.MaxInt
	case p.Allocation.Priority == 0:
		return math.MaxInt - 1
	}
	return p.Allocation.Priority
}

func (p *Pool) equal(q *Pool) bool {
	return p.Name == q.Name &&
		slices.Equal(p.Ranges, q.Ranges) &&
		slices.Equal(p.Exclude, q.Exclude) &&
		p.AvoidBuggyIPs == q.AvoidBuggyIPs &&
		p.AutoAssign == q.AutoAssign &&
		p.Frozen == q.Frozen &&
		p.Allocation.equal(q.Allocation)
}

func (s *ServiceAllocation) equal(t *ServiceAllocation) bool {
	if s == nil || t == nil {
		return s == t
	}
	same := func(a, b Selector) bool { return a.String() == b.String() }
	return s.Priority == t.Priority &&
		slices.Equal(s.Namespaces, t.Namespaces) &&
		slices.EqualFunc(s.NamespaceSelectors, t.NamespaceSelectors, same) &&
		slices.EqualFunc(s.ServiceSelectors, t.ServiceSelectors, same)
}

// pool is a Pool at work.
type pool struct {
	Pool
	lost   losses
	stocks [2]stock   // by family
	slots  slotList   // the addresses in use
	spans  []*segment // all of it, what is excluded too
}

// gives tells whether r may get an address of p that it does not hold.
func (p *pool) gives(r *Request) bool { return !p.Frozen && p.forbids(r) == RuleNone }

func (p *pool) stock(f Family) *stock { return &p.stocks[f.index()] }

func newPool(def Pool, lost losses) *pool {
	p := &pool{Pool: def, lost: lost}
	exclude := setOf(def.Exclude)
	if def.Frozen {
		exclude = &netipx.IPSet{} // what is held stays held
	}
	for i, entry := range def.Ranges {
		own, _ := carve(entry, setOf(lost[i]))
		for _, r := range own {
			left, out := carve(r, exclude)
			for _, r := range left {
				p.addSegment(r)
			}
			for _, r := range out {
				p.spans = append(p.spans, &segment{from: r.From(), to: r.To(), pool: p})
			}
		}
	}
	return p
}

func (p *pool) addSegment(r netipx.IPRange) {
	s := newSegment(p, r, p.AvoidBuggyIPs && !p.Frozen)
	p.spans = append(p.spans, s)
	if s.usable {
		p.stock(FamilyOf(r.From())).add(s)
	}
}

// stock is what a pool has of one family.
type stock struct {
	segments []*segment
	open     int   // no segment before it has a free address
	size     int64 // of all segments, saturating
	held     int64
	waiting  queue
	stirred  bool // an address came free, and who waits has not been asked
}

func (s *stock) add(seg *segment) {
	seg.place = len(s.segments)
	s.segments = append(s.segments, seg)
	if s.size += seg.size(); s.size < 0 {
		s.size = math.MaxInt64
	}
}

// lowest returns the next address to give: the lowest that is free in the first
// entry that has one.
func (s *stock) lowest() (netip.Addr, bool) {
	for ; s.open < len(s.segments); s.open++ {
		seg := s.segments[s.open]
		if n, ok := seg.taken.lowest(); ok {
			return seg.addr(n), true
		}
	}
	return netip.Addr{}, false
}

func (s *stock) take(seg *segment, x netip.Addr) {
	s.held++
	if n, ok := seg.offset(x); ok {
		seg.taken.take(n)
	}
}

func (s *stock) release(seg *segment, x netip.Addr) {
	s.held--
	if n, ok := seg.offset(x); ok {
		seg.taken.release(n)
		s.open = min(s.open, seg.place)
	}
}

// available returns how many addresses are free.
func (s *stock) available() int64 {
	if s.size == math.MaxInt64 {
		return s.size
	}
	return s.size - s.held
}
