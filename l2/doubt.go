package l2

import (
	"net/netip"
	"slices"
	"time"
)

// heard says that a gratuitous frame told that the address is at another node;
// from is empty for a device that is none of them.
func (m *protocol) heard(now time.Time, addr netip.Addr, from string) {
	if p := m.peers[from]; p != nil {
		p.spoke(now, m)
	}
	a := m.addresses[addr]
	if a == nil || from == m.self || !m.started {
		return
	}
	switch {
	case a.holding && from == "":
		m.resist(now, a)
	case a.holding && !m.givesWay(now, a, from):
		m.defend(now, a)
	case from != "" && (a.holding || slices.Contains(a.claim.Order, from)):
		m.drop(a)
		m.leaveTo(now, a, from)
	}
}

// givesWay says whether this node, which holds a, leaves it to another one that
// claims it: the record decides, else the order.
func (m *protocol) givesWay(now time.Time, a *address, to string) bool {
	mine, its := slices.Index(a.claim.Order, m.self), slices.Index(a.claim.Order, to)
	return m.cutOff(now) || mine < 0 || its >= 0 && its < mine || m.tired(now, a, to)
}

// tired ends a dispute between nodes that know different orders, because one of
// them has lost the API: who is not on record gives way first, then the name
// decides.
func (m *protocol) tired(now time.Time, a *address, to string) bool {
	if now.Sub(a.disputed) > m.timing.yield {
		a.disputes = 0
	}
	a.disputed = now
	a.disputes++
	patience := 3
	if m.self < to {
		patience = 6
	}
	if a.claim.Recorded == m.self {
		patience = 9
		if m.self < to {
			return false
		}
	}
	return a.disputes > patience
}

// leaveTo leaves an address to a node that was heard.
func (m *protocol) leaveTo(now time.Time, a *address, to string) {
	if a.heard != to {
		a.heard, a.pause, a.contested = to, m.timing.greeting, true
	}
	a.skipped = slices.DeleteFunc(a.skipped, func(n string) bool { return n == to })
	a.verify, a.unanswered = time.Time{}, 0
	if a.claim.Recorded != to {
		m.checkLater(now, a)
	}
	m.evaluate(now, a)
}

// called says that another node, from, asks who has the address, since it
// should not be itself.
func (m *protocol) called(now time.Time, addr netip.Addr, from string) {
	a := m.addresses[addr]
	switch {
	case a == nil:
	case a.holding && m.owner(a) == m.self:
		m.defend(now, a)
	case !a.holding && a.heard == from && from != "":
		a.unheard()
		m.evaluate(now, a)
	}
}

// cutOff says whether this node may have been the one that the others did not
// see.
func (m *protocol) cutOff(now time.Time) bool {
	return m.lost || !m.rejoined.IsZero() && now.Sub(m.rejoined) < m.timing.rejoin
}

// check has what the API does not confirm confirmed by the segment: who was
// heard is called, and forgotten if it does not answer; who announces inquires
// whether somebody else does.
func (m *protocol) check(now time.Time, a *address) {
	switch {
	case a.holding && a.claim.Recorded == m.self:
		a.verify = time.Time{}
	case a.holding:
		m.do(effect{kind: inquire, address: a.addr})
		m.checkLater(now, a)
	case a.unanswered == maxUnanswered:
		a.unheard()
		m.evaluate(now, a)
	default:
		a.unanswered++
		a.verify = now.Add(m.timing.reply)
		m.do(effect{kind: call, address: a.addr})
	}
}

// checkLater has the segment asked after a pause that grows, and is another one
// on each node: two that gave way to each other must not do so again.
func (m *protocol) checkLater(now time.Time, a *address) {
	a.verify, a.unanswered = now.Add(a.pause+m.skew), 0
	a.pause = min(2*a.pause, m.timing.away+m.timing.yield)
}

// unheard forgets who was heard.
func (a *address) unheard() { a.heard, a.verify, a.unanswered = "", time.Time{}, 0 }

// maxUnanswered is how many calls in a row a node may miss that was heard.
const maxUnanswered = 2

// met is what a peer that is back has to hear: which addresses this node took
// while it was not there. It may have taken the same ones, and, where it was
// there all the time on the other side of a break, any other.
func (m *protocol) met(now time.Time, p *peer) {
	for a := range p.addresses {
		switch {
		case !a.holding || p.missed.IsZero() || m.owner(a) != m.self:
		case !a.resumed && !a.took.Before(p.missed):
			m.announce(now, a)
		case p.cut:
			m.do(effect{kind: inquire, address: a.addr})
		}
	}
	p.met = now
}

// hurry is when the time of those before this node is over: they are called
// once, and passed over if none of them answers.
func (m *protocol) hurry(now time.Time, a *address) {
	if !a.hurried {
		a.hurried, a.wait = true, now.Add(m.timing.verdict)
		m.do(effect{kind: call, address: a.addr})
		return
	}
	a.hurried, a.wait = false, time.Time{}
	a.skipped = append(a.skipped, m.owner(a))
	m.evaluate(now, a)
}

// await gives the first standby its time to take an address, and those after it
// theirs, until it is this node's turn.
func (m *protocol) await(now time.Time, a *address, owner string) {
	r := m.rank(a, owner)
	if r < 0 || owner == "" || a.heard == owner || a.claim.Recorded == owner || m.failed(a, owner) == "" {
		a.wait, a.hurried = time.Time{}, false
		return
	}
	if a.wait.IsZero() {
		a.wait = now.Add(time.Duration(r+1) * m.timing.second)
	}
}
