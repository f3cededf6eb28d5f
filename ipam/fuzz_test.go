package ipam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go4.org/netipx"
)

// has is a Selector of one label.
type has string

func (h has) Matches(labels map[string]string) bool { return labels[string(h)] != "" }
func (h has) String() string                        { return string(h) }

// script draws decisions from the bytes of the fuzzer.
type script struct {
	bytes []byte
	done  bool
}

func (s *script) n(limit int) int {
	if len(s.bytes) == 0 {
		s.done = true
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return int(b) % limit
}

func (s *script) oneIn(n int) bool { return s.n(n) == n-1 }

// The world of the fuzzer: few addresses, so that they run out.
var (
	blocks    = parseRanges("10.0.0.254-10.0.1.1", "10.0.2.1-10.0.2.2", "10.0.3.255-10.0.4.0", "10.0.5.7/32", "fd00::1-fd00::2", "fd00::10/127", "fd00::ff/128")
	poolNames = []string{"a", "b", "c"}
	addresses = func() []netip.Addr {
		m := &model{}
		all := m.all(&Pool{Ranges: blocks})
		return append(all, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fd01::1"))
	}()
)

func parseRanges(entries ...string) []netipx.IPRange {
	var all []netipx.IPRange
	for _, e := range entries {
		r, err := ParseRange(e)
		if err != nil {
			panic(err)
		}
		all = append(all, r)
	}
	return all
}

func (s *script) pools() []Pool {
	pools := make([]Pool, 1+s.n(len(poolNames)))
	for i := range pools {
		p := &pools[i]
		p.Name = poolNames[i]
		p.AutoAssign = !s.oneIn(4)
		p.AvoidBuggyIPs = s.oneIn(3)
		p.Frozen = s.oneIn(6)
		if s.oneIn(4) {
			p.Exclude = parseRanges("10.0.2.2/32", "fd00::10/128")
		}
		if s.oneIn(3) {
			p.Allocation = s.allocation()
		}
	}
	for i := range blocks {
		if owner := s.n(len(pools) + 1); owner < len(pools) {
			pools[owner].Ranges = append(pools[owner].Ranges, blocks[i])
		}
	}
	if s.oneIn(12) {
		return nil
	}
	return pools
}

func (s *script) allocation() *ServiceAllocation {
	var alloc ServiceAllocation
	alloc.Priority = s.n(3)
	switch s.n(4) {
	case 1:
		alloc.Namespaces = []string{"x"}
	case 2:
		alloc.NamespaceSelectors = []Selector{has("prod")}
	case 3:
		alloc.ServiceSelectors = []Selector{has("web")}
	}
	return &alloc
}

func (s *script) id() ID {
	n := s.n(10)
	return ID{Namespace: string('x' + rune(n%2)), Name: fmt.Sprint(n), UID: fmt.Sprint(n)}
}

// created gives neighbours the same age and puts ages across names.
func created(id ID) time.Time {
	n := int(id.Name[0] - '0')
	return time.Unix(int64(n*7%10/2), 0)
}

func (s *script) request() Request {
	id := s.id()
	r := Request{ID: id, Created: created(id), Required: 1}
	switch s.n(6) {
	case 0, 1, 2:
		r.Families = []Family{IPv4}
	case 3:
		r.Families = []Family{IPv6}
	case 4:
		r.Families = []Family{IPv4, IPv6}
	case 5:
		r.Families = []Family{IPv6, IPv4}
	}
	if len(r.Families) == 2 {
		r.Required = 1 + s.n(2)
	}
	if s.oneIn(3) {
		r.Labels = map[string]string{"web": "yes"}
	}
	if s.oneIn(3) {
		r.NamespaceLabels = map[string]string{"prod": "yes"}
	}
	if s.oneIn(5) {
		r.Pool = []string{"a", "b", "c", "d"}[s.n(4)]
	}
	for s.oneIn(5) && !s.done {
		r.Addresses = append(r.Addresses, addresses[s.n(len(addresses))])
	}
	if s.oneIn(2) {
		r.SharingKey = []string{"k", "l"}[s.n(2)]
		r.Backend = []string{"", "pods"}[s.n(4)/3]
	}
	r.Ports = []Port{{"TCP", uint16(s.n(3))}}
	if s.oneIn(4) {
		r.Ports = append(r.Ports, Port{"UDP", uint16(s.n(2))})
	}
	return r
}

func (s *script) addrs() []netip.Addr {
	var addrs []netip.Addr
	for s.oneIn(2) && !s.done && len(addrs) < 3 {
		addrs = append(addrs, addresses[s.n(len(addresses))])
	}
	return addrs
}

// run drives the Allocator, its twin and the model with the same operations.
type run struct {
	t    *testing.T
	a, b *Allocator
	m    *model
	log  []string
}

func FuzzAllocator(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(randomBytes(seed, 400))
	}
	f.Fuzz(drive)
}

// TestAllocatorAgainstModel is FuzzAllocator with inputs that are always the
// same.
func TestAllocatorAgainstModel(t *testing.T) {
	scripts := uint64(200)
	if testing.Short() {
		scripts = 50
	}
	for seed := range scripts {
		drive(t, randomBytes(seed, 1500))
	}
}

func randomBytes(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	bytes := make([]byte, n)
	for i := range bytes {
		bytes[i] = byte(random.Uint32())
	}
	return bytes
}

func drive(t *testing.T, bytes []byte) {
	r := &run{t: t, a: New(), b: New(), m: newModel()}
	s := &script{bytes: bytes}
	r.setPools(s.pools())
	for steps := 0; !s.done && steps < 200; steps++ {
		r.step(s)
		r.check()
	}
}

func (r *run) step(s *script) {
	switch s.n(10) {
	case 0:
		r.setPools(s.pools())
	case 1, 2:
		r.confirm(s.id(), s.addrs())
	case 3:
		r.release(s.id())
	case 4:
		r.adopt(s.request(), s.addrs())
	case 5:
		if m := r.m.services[s.id()]; m != nil {
			r.ensure(m.req)
		}
	default:
		r.ensure(s.request())
	}
}

func (r *run) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *run) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(r.log, "\n"))
}

func (r *run) same(what string, got, twin, want any) {
	r.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.fail("%s: got %v, the model says %v", what, got, want)
	}
	if fmt.Sprint(got) != fmt.Sprint(twin) {
		r.fail("%s: got %v, and %v by the same operations", what, got, twin)
	}
}

func (r *run) setPools(pools []Pool) {
	r.note("SetPools %+v", pools)
	got, twin, want := r.a.SetPools(pools), r.b.SetPools(pools), r.m.setPools(pools)
	r.same("SetPools", r.told(got, want), r.told(twin, want), want)
}

// told is ids without those that wait, but for those of want: the rules of the model
// are coarser than an explanation.
func (r *run) told(ids, want []ID) []ID {
	return slices.DeleteFunc(slices.Clone(ids), func(id ID) bool {
		return !slices.Contains(want, id) && r.m.services[id].waits
	})
}

func (r *run) ensure(req Request) {
	r.note("Ensure %+v", req)
	why, want := r.m.ensure(req)
	got, woken, err := r.a.Ensure(req)
	again, _, _ := r.b.Ensure(req)
	r.same("woken by Ensure", r.told(woken, want), r.told(woken, want), want)
	r.same("result of Ensure", got.Addrs(), again.Addrs(), r.m.services[req.ID].addrs())
	if coarse(refusal(got.Missing, err)) != why {
		r.fail("Ensure: got %v, the model says %v", refusal(got.Missing, err), why)
	}
	if err == nil && len(got.Addrs()) < req.required() {
		r.fail("Ensure: served with %v", got)
	}
	repeated, none, _ := r.a.Ensure(req)
	r.b.Ensure(req)
	r.same("repeated Ensure", repeated.Addrs(), repeated.Addrs(), got.Addrs())
	r.same("woken by a repeated Ensure", len(none), 0, 0)
}

func refusal(missing *Refusal, err error) Rule {
	errors.As(err, &missing)
	if missing == nil {
		return RuleNone
	}
	if missing.Error() == "" {
		panic("no sentence")
	}
	return missing.Rule
}

func coarse(r Rule) Rule {
	if r.InUse() {
		return RuleInUse
	}
	return r
}

func (r *run) adopt(req Request, addrs []netip.Addr) {
	r.note("Adopt %+v %v", req, addrs)
	err, _ := r.a.Adopt(req, addrs), r.b.Adopt(req, addrs)
	misfits := 0
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		misfits = len(joined.Unwrap())
	}
	r.same("misfits of Adopt", misfits, misfits, r.m.adopt(req, addrs))
}

func (r *run) confirm(id ID, shown []netip.Addr) {
	r.note("Confirm %v %v", id, shown)
	got, twin, want := r.a.Confirm(id, shown), r.b.Confirm(id, shown), r.m.confirm(id, shown)
	r.same("Confirm", r.told(got, want), r.told(twin, want), want)
}

func (r *run) release(id ID) {
	r.note("Release %v", id)
	got, twin, want := r.a.Release(id), r.b.Release(id), r.m.release(id)
	r.same("Release", r.told(got, want), r.told(twin, want), want)
}

// check compares all state, and looks for what must never be.
func (r *run) check() {
	r.same("state", r.a.state(), r.b.state(), r.m.state())
	for _, p := range r.m.pools {
		got := r.a.Usage(p.Name)
		r.same("usage of "+p.Name, got, got, r.m.usage(&p))
	}
	r.noClash()
	r.noLostWakeUp()
	r.noLeftovers()
}

func (r *run) noClash() {
	for x, s := range r.a.slots {
		for i, c := range s.holders {
			if c.lease(s).retiring {
				continue
			}
			if s.pool() == nil {
				r.fail("%v is held by %v and in no pool", x, c.req.ID)
			}
			for _, d := range s.holders[:i] {
				if rule, _ := unshareable(&c.req, &d.req); rule != RuleNone && !d.lease(s).retiring {
					r.fail("%v is held by %v and %v: %v", x, c.req.ID, d.req.ID, rule)
				}
			}
		}
	}
}

func (r *run) noLostWakeUp() {
	for _, s := range r.m.services {
		if picks, _ := r.m.decide(s); s.waits && len(slices.DeleteFunc(picks, func(x netip.Addr) bool { return !x.IsValid() })) > len(s.held) {
			r.fail("%v waits and could have %v", s.req.ID, picks)
		}
	}
}

func (r *run) noLeftovers() {
	w := &r.a.waiters
	tickets, waiting := 0, 0
	for _, c := range r.a.clients {
		tickets += len(c.tickets)
		if c.waiting {
			waiting++
		}
	}
	queued := len(w.anyPool) + len(w.addressed)
	for _, queues := range []map[string]*queue{w.namedPool, w.key} {
		for name, q := range queues {
			if queued += len(*q); len(*q) == 0 {
				r.fail("an empty queue for %q", name)
			}
		}
	}
	for _, q := range w.address {
		if queued += len(*q); len(*q) == 0 {
			r.fail("an empty queue for an address")
		}
	}
	for _, p := range r.a.pools {
		queued += len(p.stocks[0].waiting) + len(p.stocks[1].waiting)
	}
	if queued != tickets || len(w.due) > 0 || len(w.stirred) > 0 {
		r.fail("%d places in queues, %d tickets of %d waiters, %d due, %d stirred", queued, tickets, waiting, len(w.due), len(w.stirred))
	}
}

func (s *modelService) addrs() []netip.Addr {
	addrs := []netip.Addr{}
	for _, f := range s.req.Families {
		for x := range s.held {
			if FamilyOf(x) == f {
				addrs = append(addrs, x)
			}
		}
	}
	return addrs
}

func (m *model) usage(p *Pool) Usage {
	var u [2][2]int64 // family, used
	for _, x := range m.all(p) {
		if m.givable(p, x) {
			u[FamilyOf(x).index()][b2i(m.used(x))]++
		}
	}
	return Usage{u[0][1], u[1][1], u[0][0], u[1][0]}
}

func line(id ID, held map[netip.Addr]string, retiring []netip.Addr, waits bool) string {
	slices.SortFunc(retiring, netip.Addr.Compare)
	return fmt.Sprintf("%s %v %v %v", id, held, retiring, waits)
}

func (m *model) state() string {
	var lines []string
	for id, s := range m.services {
		lines = append(lines, line(id, s.held, slices.Clone(s.retiring), s.waits))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (a *Allocator) state() string {
	var lines []string
	for id, c := range a.clients {
		held := map[netip.Addr]string{}
		var retiring []netip.Addr
		for _, l := range c.leases {
			if l.retiring {
				retiring = append(retiring, l.slot.addr)
			} else {
				held[l.slot.addr] = l.slot.pool().Name
			}
		}
		lines = append(lines, line(id, held, retiring, c.waiting))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
