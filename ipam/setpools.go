package ipam

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// SetPools replaces the pools. It returns every Service for which the outcome
// changed, oldest first: those that got an address or lost one, whose address is
// in another pool now, and those that are refused for another reason.
//
// Names must be unique, of two pools of one name the first counts. Pools must
// not overlap: where they do, see Overlaps, the addresses count for the pool
// that is not frozen, or comes first by name. Nothing that pools refer to may be
// changed afterwards.
func (a *Allocator) SetPools(pools []Pool) []ID {
	next, gone := a.compile(pools)
	if len(gone) == 0 && len(next) == len(a.pools) {
		return nil
	}
	adrift := a.adrift(gone)
	concerned := a.concerned(next, gone, adrift)
	before := outcomes(concerned)

	for _, s := range adrift {
		a.displace(s)
	}
	a.install(next)
	for _, s := range adrift {
		a.place(s)
	}
	for _, c := range concerned {
		a.review(c)
	}
	a.settle()
	return a.affected(concerned, before)
}

// compile returns the pools that there are to be, those that do not change as
// they are, and those of now that are not among them.
func (a *Allocator) compile(defs []Pool) (next map[string]*pool, gone []*pool) {
	defs = unique(defs)
	lost := lostRanges(defs)
	next = make(map[string]*pool, len(defs))
	for _, def := range defs {
		p := a.pools[def.Name]
		if p == nil || !p.equal(&def) || !p.lost.equal(lost[def.Name]) {
			p = newPool(def, lost[def.Name])
		}
		next[def.Name] = p
	}
	for name, p := range a.pools {
		if next[name] != p {
			gone = append(gone, p)
		}
	}
	slices.SortFunc(gone, func(p, q *pool) int { return strings.Compare(p.Name, q.Name) })
	return next, gone
}

func unique(defs []Pool) []Pool {
	seen := make(map[string]bool, len(defs))
	return slices.DeleteFunc(slices.Clone(defs), func(p Pool) bool {
		again := seen[p.Name]
		seen[p.Name] = true
		return again
	})
}

// losses are, by place of an entry in its pool, the ranges of other entries that
// overlap it and come first.
type losses map[int][]netipx.IPRange

func (l losses) equal(m losses) bool { return maps.EqualFunc(l, m, slices.Equal) }

func lostRanges(defs []Pool) map[string]losses {
	frozen := make(map[string]int)
	for _, p := range defs {
		if p.Frozen {
			frozen[p.Name] = 1
		}
	}
	lost := make(map[string]losses)
	for _, o := range Overlaps(defs) {
		winner, loser := o.First, o.Second
		if frozen[loser.Pool] < frozen[winner.Pool] {
			winner, loser = loser, winner
		}
		if lost[loser.Pool] == nil {
			lost[loser.Pool] = make(losses)
		}
		lost[loser.Pool][loser.Index] = append(lost[loser.Pool][loser.Index], winner.Range)
	}
	return lost
}

// adrift returns what is in use that may be in another pool from now on: in one
// that is gone, or in none.
func (a *Allocator) adrift(gone []*pool) []*slot {
	var slots []*slot
	for s := a.limbo.first; s != nil; s = s.next {
		slots = append(slots, s)
	}
	for _, p := range gone {
		for s := p.slots.first; s != nil; s = s.next {
			slots = append(slots, s)
		}
	}
	return slots
}

// concerned returns, oldest first, those whose outcome the change can alter.
func (a *Allocator) concerned(next map[string]*pool, gone []*pool, adrift []*slot) []*client {
	found := make(map[*client]bool)
	collect := func(q queue) {
		for _, t := range q {
			found[t.client] = true
		}
	}
	for _, s := range adrift {
		for _, c := range s.holders {
			found[c] = true
		}
	}
	changed := gone
	for name, p := range next {
		if a.pools[name] != p {
			changed = append(changed, p)
		}
	}
	anyPool := len(a.pools) == 0 || len(next) == 0
	for _, p := range changed {
		anyPool = anyPool || p.AutoAssign
		if q := a.waiters.namedPool[p.Name]; q != nil {
			collect(*q)
		}
	}
	if anyPool {
		collect(a.waiters.anyPool)
	}
	collect(a.waiters.addressed)

	clients := make([]*client, 0, len(found))
	for c := range found {
		clients = append(clients, c)
	}
	slices.SortFunc(clients, func(c, d *client) int { return Older(&c.req, &d.req) })
	return clients
}

// install makes next the pools.
func (a *Allocator) install(next map[string]*pool) {
	a.pools = next
	a.auto, a.spans = nil, nil
	for _, p := range next {
		if p.AutoAssign {
			a.auto = append(a.auto, p)
		}
		a.spans = append(a.spans, p.spans...)
	}
	slices.SortFunc(a.auto, byPreference)
	slices.SortFunc(a.spans, func(s, t *segment) int { return s.from.Compare(t.from) })
}

// find returns the run of addresses of a pool that x lies in, or nil.
func (a *Allocator) find(x netip.Addr) *segment {
	if !x.IsValid() {
		return nil
	}
	i, exact := slices.BinarySearchFunc(a.spans, x, func(s *segment, x netip.Addr) int { return s.from.Compare(x) })
	if !exact {
		i--
	}
	if i < 0 || a.spans[i].to.Less(x) {
		return nil
	}
	return a.spans[i]
}

// review takes from c what no longer fits, or all where what is left is not
// enough, and has it asked again if anything is missing.
func (a *Allocator) review(c *client) {
	evicted := false
	for i := range c.leases {
		if l := &c.leases[i]; !l.retiring && a.misfit(c, l.slot.addr) != nil {
			a.retire(l)
			evicted = true
		}
	}
	if evicted && !c.satisfied() {
		for i := range c.leases {
			a.retire(&c.leases[i])
		}
	}
	if evicted || c.waiting {
		a.waiters.ask(c)
	}
}

// outcome is what the user sees of a decision.
type outcome struct {
	held [2]Assigned
	why  string
}

func outcomes(clients []*client) []outcome {
	all := make([]outcome, len(clients))
	for i, c := range clients {
		all[i].held = c.allocation().held
		if c.why != nil {
			all[i].why = c.why.Error()
		}
	}
	return all
}

// affected returns those of clients whose outcome is not what it was, and those
// for whom settle changed something besides.
func (a *Allocator) affected(clients []*client, before []outcome) []ID {
	for i, now := range outcomes(clients) {
		if now != before[i] {
			a.untold = append(a.untold, clients[i])
		}
	}
	return a.woken(nil)
}
