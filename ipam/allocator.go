package ipam

import (
	"errors"
	"net/netip"
	"slices"
)

// Allocator holds the addresses of all pools. It is not safe for concurrent
// use: the caller locks.
//
// At start the caller tells it the pools, then what the status of each Service
// shows, oldest first, by Adopt; then calls Ensure for each. After every Ensure,
// once the status is written or needs no writing, it calls Confirm.
//
// Every method that can give an address to a Service other than the one that it
// is called for returns the IDs of those, oldest first: they hold it already,
// and find it with their next Ensure. Among them are those who wait for another
// reason than before.
type Allocator struct {
	pools   map[string]*pool
	auto    []*pool    // those that give automatically, by preference
	spans   []*segment // all that is in a pool, by address
	limbo   slotList   // addresses in no pool that statuses show
	clients map[ID]*client
	slots   map[netip.Addr]*slot
	shared  map[group][]*slot // by address
	waiters waiters
	untold  []*client // of whose fortune the caller has not been told

	order        []*pool // scratch of decide
	spareSlots   []*slot
	spareClients []*client
}

// group is the addresses of one pool and family that are held under one key.
type group struct {
	key    string
	pool   *pool
	family Family
}

// New returns an Allocator without pools.
func New() *Allocator {
	return &Allocator{
		pools:   make(map[string]*pool),
		clients: make(map[ID]*client),
		slots:   make(map[netip.Addr]*slot),
		shared:  make(map[group][]*slot),
		waiters: newWaiters(),
	}
}

// Adopt takes for req the addresses that its status shows, after a restart and
// before the first Ensure. Those that no longer fit are reserved like those that
// Ensure takes away, and the error, of one *Refusal each, says why; where two
// statuses show one address that they can't share, who is adopted first has it.
// A Service that the Allocator knows is left as it is.
func (a *Allocator) Adopt(req Request, addrs []netip.Addr) error {
	if a.clients[req.ID] != nil {
		return nil
	}
	c := a.client(req)
	var errs []error
	for _, x := range addrs {
		if err := a.adopt(c, x); err != nil {
			errs = append(errs, err)
		}
	}
	a.forget(c)
	a.settle()
	return errors.Join(errs...)
}

func (a *Allocator) adopt(c *client, x netip.Addr) error {
	if s := a.slots[x]; s != nil && c.lease(s) != nil {
		return nil
	}
	if err := plain(x); err != nil {
		return &Refusal{Rule: RuleMalformed, Detail: err.Error()}
	}
	why := a.inadoptable(c, x)
	a.occupy(c, x, why != nil)
	if why != nil {
		return why
	}
	return nil
}

func (a *Allocator) inadoptable(c *client, x netip.Addr) *Refusal {
	if why := malformed(&c.req); why != nil {
		return why
	}
	f := FamilyOf(x)
	if !slices.Contains(c.req.Families, f) {
		return &Refusal{Rule: RuleAddressFamily, Family: f, Address: x}
	}
	if s := c.holds(f); s != nil {
		return &Refusal{Rule: RuleOnePerFamily, Family: f, Address: x, Other: s.addr}
	}
	return a.misfit(c, x)
}

// Ensure gives req what it asks for and returns what it holds then. Repeating it
// changes nothing. Addresses that no longer fit are taken away, and stay
// reserved until Confirm.
//
// The error, a *Refusal, says why it holds nothing; it waits then, as it does for
// a preferred family that is missing, until an Ensure has all, or Release.
func (a *Allocator) Ensure(req Request) (Allocation, []ID, error) {
	c := a.client(req)
	a.apply(c)
	a.settle()
	woken := a.woken(c)
	if c.why != nil && c.holding() == 0 {
		why := c.why
		return Allocation{}, woken, why
	}
	return c.allocation(), woken, nil
}

// Confirm says which addresses the status of id shows now. Those that were taken
// from it and are not shown come free.
func (a *Allocator) Confirm(id ID, shown []netip.Addr) []ID {
	c := a.clients[id]
	if c == nil {
		return nil
	}
	for i := len(c.leases) - 1; i >= 0; i-- {
		if l := c.leases[i]; l.retiring && !slices.Contains(shown, l.slot.addr) {
			a.vacate(c, i)
		}
	}
	a.settle()
	a.forget(c)
	return a.woken(nil)
}

// Release forgets id, and frees all that it holds or held.
func (a *Allocator) Release(id ID) []ID {
	c := a.clients[id]
	if c == nil {
		return nil
	}
	a.waiters.leave(c)
	for i := len(c.leases) - 1; i >= 0; i-- {
		a.vacate(c, i)
	}
	a.forget(c)
	a.settle()
	return a.woken(nil)
}

// Suspend is Ensure for a request that is not to be followed, as a part of it can't
// be read: nothing is given for it, and it waits for nothing. What is held stays, as
// far as the families and the terms of sharing allow that.
func (a *Allocator) Suspend(req Request) (Allocation, []ID) {
	c := a.client(req)
	c.why = nil
	for i := range c.leases {
		if l := &c.leases[i]; !slices.Contains(req.Families, FamilyOf(l.slot.addr)) {
			a.retire(l)
		}
	}
	a.settle()
	return c.allocation(), a.woken(c)
}

// SharingKey returns the key of the last request of id.
func (a *Allocator) SharingKey(id ID) string {
	if c := a.clients[id]; c != nil {
		return c.req.SharingKey
	}
	return ""
}

// Owned returns who holds an address, or may still show one, sorted.
func (a *Allocator) Owned() []ID {
	var ids []ID
	for id, c := range a.clients {
		if len(c.leases) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, ID.compare)
	return ids
}

// Usage is how many addresses of a pool are in use, and how many are free: at
// most math.MaxInt64.
type Usage struct {
	Assigned4, Assigned6, Available4, Available6 int64
}

// Usage returns the usage of the named pool; zero if there is none. An address
// that is shared counts once, one that is reserved counts as in use.
func (a *Allocator) Usage(name string) Usage {
	p := a.pools[name]
	if p == nil {
		return Usage{}
	}
	v4, v6 := p.stock(IPv4), p.stock(IPv6)
	return Usage{v4.held, v6.held, v4.available(), v6.available()}
}

// client returns the record of req, with the request that it is from now on.
func (a *Allocator) client(req Request) *client {
	c := a.clients[req.ID]
	if c == nil {
		c = a.newClient()
		a.clients[req.ID] = c
		c.req = req
		return c
	}
	a.waiters.leave(c)
	reshared := c.req.SharingKey != req.SharingKey || c.req.Backend != req.Backend || !slices.Equal(c.req.Ports, req.Ports)
	c.req = req
	if reshared {
		a.reshare(c)
	}
	return c
}

// reshare takes from c the addresses that it can no longer share: who changes
// gives way.
func (a *Allocator) reshare(c *client) {
	for i := range c.leases {
		l := &c.leases[i]
		if l.retiring {
			continue
		}
		if rule, _, _ := l.slot.clash(c); rule != RuleNone {
			l.retiring = true
		}
		a.changed(l.slot)
	}
}

// retire takes the address of l away and keeps it reserved.
func (a *Allocator) retire(l *lease) {
	if !l.retiring {
		l.retiring = true
		a.changed(l.slot)
	}
}

// forget drops the record of c once nothing depends on it.
func (a *Allocator) forget(c *client) {
	if len(c.leases) > 0 || c.waiting {
		return
	}
	delete(a.clients, c.req.ID)
	a.untold = slices.DeleteFunc(a.untold, func(g *client) bool { return g == c })
	*c = client{leases: c.leases[:0], tickets: c.tickets[:0]}
	a.spareClients = append(a.spareClients, c)
}

func (a *Allocator) newClient() *client {
	if n := len(a.spareClients); n > 0 {
		c := a.spareClients[n-1]
		a.spareClients = a.spareClients[:n-1]
		return c
	}
	return &client{}
}

// apply gives c what it is to have as things are, or has it wait.
func (a *Allocator) apply(c *client) {
	a.waiters.leave(c)
	v := a.decide(c)
	for i := range c.leases {
		if l := &c.leases[i]; !slices.Contains(v.picks[:], l.slot.addr) {
			a.retire(l)
		}
	}
	for _, x := range v.picks {
		if x.IsValid() {
			a.hold(c, x)
		}
	}
	if c.why = v.why; c.why != nil {
		a.waiters.wait(c, &v)
	}
}

// settle asks those whom an address may have come free for, oldest first, until
// nobody who waits could use a free one.
func (a *Allocator) settle() {
	for c := a.waiters.next(); c != nil; c = a.waiters.next() {
		had, why := c.holding(), c.why
		if a.apply(c); c.holding() > had || differ(why, c.why) {
			a.untold = append(a.untold, c)
		}
	}
}

// differ says whether one who waits is to be told of another reason for it. That an
// address is still shown by who has lost it passes.
func differ(before, now *Refusal) bool {
	return before != nil && now != nil && now.Rule != RuleInUseRetiring && before.Error() != now.Error()
}

// woken returns for whom settle changed something, without the caller's own.
func (a *Allocator) woken(self *client) []ID {
	if len(a.untold) == 0 {
		return nil
	}
	slices.SortFunc(a.untold, func(c, d *client) int { return Older(&c.req, &d.req) })
	var ids []ID
	for _, c := range slices.Compact(a.untold) {
		if c != self {
			ids = append(ids, c.req.ID)
		}
	}
	clear(a.untold)
	a.untold = a.untold[:0]
	return ids
}

// hold makes x held by c.
func (a *Allocator) hold(c *client, x netip.Addr) {
	s := a.slots[x]
	if s == nil || c.lease(s) == nil {
		a.occupy(c, x, false)
		return
	}
	if l := c.lease(s); l.retiring {
		l.retiring = false
		a.changed(s)
	}
}

// occupy puts c on x, which it is not on.
func (a *Allocator) occupy(c *client, x netip.Addr, retiring bool) {
	s := a.slots[x]
	if s == nil {
		s = a.newSlot()
		s.addr = x
		a.slots[x] = s
		a.place(s)
	}
	s.holders = append(s.holders, c)
	c.leases = append(c.leases, lease{s, retiring})
	a.changed(s)
}

// vacate takes c off the slot of its lease i.
func (a *Allocator) vacate(c *client, i int) {
	s := c.leases[i].slot
	c.leases = slices.Delete(c.leases, i, i+1)
	at := slices.Index(s.holders, c)
	s.holders = slices.Delete(s.holders, at, at+1)
	a.changed(s)
	if len(s.holders) > 0 {
		return
	}
	a.displace(s)
	delete(a.slots, s.addr)
	a.waiters.freed(s)
	*s = slot{holders: s.holders}
	a.spareSlots = append(a.spareSlots, s)
}

func (a *Allocator) newSlot() *slot {
	if n := len(a.spareSlots); n > 0 {
		s := a.spareSlots[n-1]
		a.spareSlots = a.spareSlots[:n-1]
		return s
	}
	return &slot{}
}

// changed keeps the index of shared addresses, and tells the waiters.
func (a *Allocator) changed(s *slot) {
	if key := s.currentKey(); key != s.key {
		a.unindex(s)
		s.key = key
		a.index(s)
	}
	a.waiters.changed(s)
}

// place enters s into the pool that its address is in.
func (a *Allocator) place(s *slot) {
	seg := a.find(s.addr)
	if seg == nil || !seg.gives(s.addr) {
		s.segment = nil
		a.limbo.add(s)
		return
	}
	s.segment = seg
	seg.pool.slots.add(s)
	seg.pool.stock(FamilyOf(s.addr)).take(seg, s.addr)
	a.index(s)
}

// displace undoes place.
func (a *Allocator) displace(s *slot) {
	p := s.pool()
	if p == nil {
		a.limbo.remove(s)
		return
	}
	a.unindex(s)
	p.slots.remove(s)
	p.stock(FamilyOf(s.addr)).release(s.segment, s.addr)
}

func (a *Allocator) index(s *slot) {
	if s.key == "" || s.segment == nil {
		return
	}
	g := group{s.key, s.pool(), FamilyOf(s.addr)}
	slots := a.shared[g]
	i, _ := slices.BinarySearchFunc(slots, s, bySlotAddr)
	a.shared[g] = slices.Insert(slots, i, s)
}

func (a *Allocator) unindex(s *slot) {
	if s.key == "" || s.segment == nil {
		return
	}
	g := group{s.key, s.pool(), FamilyOf(s.addr)}
	slots := a.shared[g]
	i, _ := slices.BinarySearchFunc(slots, s, bySlotAddr)
	if slots = slices.Delete(slots, i, i+1); len(slots) == 0 {
		delete(a.shared, g)
		return
	}
	a.shared[g] = slots
}

func bySlotAddr(s, t *slot) int { return s.addr.Compare(t.addr) }
