package l2

import (
	"slices"
	"time"
)

// evaluate does what follows from all that is known about an address.
func (m *protocol) evaluate(now time.Time, a *address) {
	if !m.started {
		return
	}
	owner := m.owner(a)
	switch {
	case a.holding && owner == m.self:
		a.nextCall, a.giveUp = time.Time{}, time.Time{}
	case a.holding && len(a.claim.Order) == 0:
		m.drop(a)
	case a.holding:
		m.yield(now, a, owner)
	case owner == m.self:
		m.hold(now, a)
	default:
		m.await(now, a, owner)
	}
	m.standFor(a, m.nameGiver(a, owner))
	m.watchOnly(now, a, m.toWatch(a, owner))
	m.timers.update(a)
}

// hold begins to announce an address.
func (m *protocol) hold(now time.Time, a *address) {
	a.holding, a.wait = true, time.Time{}
	m.standFor(a, nil)
	m.do(effect{kind: hold, address: a.addr})
	// It did so before the process started, and nobody else has since.
	a.resumed = a.claim.Recorded == m.self && !a.contested && a.took.IsZero()
	a.unheard()
	a.pause = m.timing.greeting
	m.checkLater(now, a)
	a.took, a.from = now, m.failed(a, m.self)
	if !a.resumed {
		// What did not change hands is not worth a frame.
		m.announce(now, a)
	}
}

// failed returns the first node before the one named that can't announce the
// address; empty if there is none.
func (m *protocol) failed(a *address, before string) string {
	for _, n := range a.claim.Order {
		switch {
		case n == before:
			return ""
		case n != m.self && !m.usable(a, n):
			return n
		}
	}
	return ""
}

// drop ceases to announce an address.
func (m *protocol) drop(a *address) {
	if !a.holding {
		return
	}
	a.holding, a.from = false, ""
	a.nextCall, a.giveUp, a.nextTell, a.nextDefence = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	m.timers.update(a)
	m.do(effect{kind: drop, address: a.addr})
}

// yield goes on answering until the new owner is heard. One that this node
// would take over from has to be seen alive first: each half of a segment that
// broke in two is served.
func (m *protocol) yield(now time.Time, a *address, owner string) {
	if a.nextCall.IsZero() {
		a.nextCall = now
	}
	switch standsBy := slices.Contains(a.claim.Order, m.self); {
	case standsBy && m.stateOf(owner) != alive:
		a.giveUp = time.Time{}
	case a.giveUp.IsZero():
		a.giveUp = now.Add(m.timing.yield)
	}
}

// giveUp ends the wait for a new owner that is not heard. A node that stands by
// keeps the address, one that may not announce it falls silent.
func (m *protocol) giveUp(now time.Time, a *address) {
	if slices.Contains(a.claim.Order, m.self) {
		a.skipped = append(a.skipped, m.owner(a))
	} else {
		m.drop(a)
	}
	m.evaluate(now, a)
}

const (
	// standbys is how many nodes watch the owner of an address in any case.
	standbys = 2
	// enough is how many sessions a node keeps before further standbys, which
	// matter only when several nodes fail at once, watch nobody.
	enough = 32
)

// nameGiver returns the peer in whose name this node answers for an address, or
// nil.
func (m *protocol) nameGiver(a *address, owner string) *peer {
	p := m.peers[owner]
	if a.holding || p == nil || p.state != away || p.mac == (mac{}) || m.timing.away == 0 {
		return nil
	}
	if r := m.rank(a, owner); r < 0 || r >= standbys {
		return nil
	}
	return p
}

// standFor has this node answer for an address in the name of p, or in nobody's.
func (m *protocol) standFor(a *address, p *peer) {
	var want standing
	if p != nil {
		want = standing{p.mac, p.port}
	}
	switch {
	case want == a.standing:
		return
	case p == nil:
		m.do(effect{kind: standBack, address: a.addr})
	default:
		m.do(effect{kind: standIn, address: a.addr, peer: p.name, mac: p.mac, port: p.port})
	}
	a.standing = want
}

// toWatch returns the nodes to which sessions matter for an address: the owner,
// and those that failed and would go before this one if they came back.
func (m *protocol) toWatch(a *address, owner string) []string {
	var names []string
	if owner != m.self && owner != "" {
		spare := m.sessions < enough || slices.Contains(a.watching, owner)
		if r := m.rank(a, owner); r >= 0 && (r < standbys || spare) {
			names = append(names, owner)
		}
	}
	mine := slices.Index(a.claim.Order, m.self)
	for i, n := range a.claim.Order {
		ahead := i < mine && (a.holding || !m.usable(a, n) && m.peers[n].watched > 0)
		if n != owner && n != m.self && (ahead || n == a.from) {
			names = append(names, n)
		}
	}
	return names
}

// watchOnly keeps sessions to these nodes on behalf of an address, and no
// others.
func (m *protocol) watchOnly(now time.Time, a *address, names []string) {
	before := a.watching
	a.watching = names
	for _, n := range names {
		if slices.Contains(before, n) {
			continue
		}
		p := m.peer(n)
		if p.watched++; p.watched == 1 {
			m.sessions++
			m.turned = true
			p.miss(now, m.timing)
			p.nextRound = now.Add(m.timing.greeting)
			m.timers.update(p)
			m.do(effect{kind: watch, peer: n})
		}
	}
	for _, n := range before {
		if slices.Contains(names, n) {
			continue
		}
		p := m.peers[n]
		if p.watched--; p.watched == 0 {
			m.sessions--
			m.turned = true
			m.do(effect{kind: unwatch, peer: n})
			p.reset()
			m.timers.update(p)
			m.forget(p)
		}
	}
}
