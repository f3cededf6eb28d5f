package l2

import (
	"net/netip"
	"slices"
	"time"
)

// address is one that this node may announce, or does.
type address struct {
	slot
	addr    netip.Addr
	claim   Claim
	able    bool // an interface is there for it
	holding bool

	// heard is the node that told last that it has the address, as long as the
	// API says nothing newer. Until that agrees, the node is called now and
	// then, after growing pauses; it may have changed its mind.
	heard      string
	verify     time.Time
	pause      time.Duration
	unanswered int
	contested  bool // somebody was heard, ever

	// took is when this node began to announce the address, and from the node
	// that failed before.
	took time.Time
	from string
	// disputes counts the claims of another node that this one did not yield
	// to, the last one at disputed.
	disputes int
	disputed time.Time

	// skipped are nodes that let the time pass in which they should have taken
	// the address, and wait is when that of the next one is over.
	skipped []string
	wait    time.Time
	hurried bool

	// While it is answered for until another node takes it.
	nextCall, giveUp time.Time

	// Gratuitous frames: when the first of a series was due, how many were
	// sent, and when the last one was.
	series   time.Time
	sent     int
	nextTell time.Time
	told     time.Time
	// nextDefence is when another node is answered that claims the address.
	nextDefence time.Time

	standing standing
	watching []string
}

// standing is in whose name this node answers for an address of another.
type standing struct {
	mac  mac
	port int
}

func (a *address) due() time.Time {
	return earliest(a.wait, a.verify, a.nextCall, a.giveUp, a.nextTell, a.nextDefence)
}

// checkLater has the segment asked after a pause that grows, and is another one
// on each node: two that gave way to each other must not do so again.
func (m *protocol) checkLater(now time.Time, a *address) {
	a.verify, a.unanswered = now.Add(a.pause+m.skew), 0
	a.pause = min(2*a.pause, m.timing.away+m.timing.yield)
}

// unheard forgets who was heard.
func (a *address) unheard() { a.heard, a.verify, a.unanswered = "", time.Time{}, 0 }

// fresh says that nobody is known to have announced the address: no connection
// can break.
func (a *address) fresh() bool { return a.claim.Recorded == "" && a.heard == "" }

// usable says whether a node could announce the address, as far as is known.
func (m *protocol) usable(a *address, name string) bool {
	if name == m.self {
		return a.able
	}
	if slices.Contains(a.skipped, name) {
		return false
	}
	switch m.stateOf(name) {
	case dead, gone:
		return false
	case away:
		return !a.fresh()
	}
	return true
}

func (m *protocol) stateOf(name string) peerState {
	if p := m.peers[name]; p != nil {
		return p.state
	}
	return unknown
}

// owner returns the node that should announce the address now: the one heard
// last, else the first in order, of those that can. Empty is nobody.
func (m *protocol) owner(a *address) string {
	if a.heard != "" && slices.Contains(a.claim.Order, a.heard) && m.usable(a, a.heard) {
		return a.heard
	}
	for _, n := range a.claim.Order {
		if m.usable(a, n) {
			return n
		}
	}
	return ""
}

// rank returns how many nodes stand by before this one, were owner to fail; -1
// if it does not stand by. Those that would go before the owner do not count:
// they did not take the address.
func (m *protocol) rank(a *address, owner string) int {
	mine, its := slices.Index(a.claim.Order, m.self), slices.Index(a.claim.Order, owner)
	if mine < 0 || owner == m.self || !a.able {
		return -1
	}
	ahead := 0
	for i := its + 1; i < mine; i++ {
		if m.usable(a, a.claim.Order[i]) {
			ahead++
		}
	}
	return ahead
}

const (
	// standbys is how many nodes watch the owner of an address in any case.
	standbys = 2
	// enough is how many sessions a node keeps before further standbys, which
	// matter only when several nodes fail at once, watch nobody.
	enough = 32
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
	resumed := a.claim.Recorded == m.self && !a.contested && a.took.IsZero()
	a.unheard()
	a.pause = m.timing.greeting
	m.checkLater(now, a)
	a.took, a.from = now, m.failed(a, m.self)
	if !resumed {
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

// toWatch returns the nodes whose sessions matter for an address: that to the
// owner, and those of nodes that failed and would go before
// this one if they came back.
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
			m.do(effect{kind: unwatch, peer: n})
			p.reset()
			m.timers.update(p)
			m.forget(p)
		}
	}
}

// announce begins a series of gratuitous frames.
func (m *protocol) announce(now time.Time, a *address) {
	a.series, a.sent = now, 0
	m.tell(now, a)
	m.timers.update(a)
}

// tell sends the next gratuitous frame of a series.
func (m *protocol) tell(now time.Time, a *address) {
	m.do(effect{kind: tell, address: a.addr})
	a.told, a.nextTell = now, time.Time{}
	if a.sent++; a.sent < len(m.timing.repeats) {
		a.nextTell = a.series.Add(m.timing.repeats[a.sent])
	}
}

// defend tells once more that the address is here, soon if it was told just
// now.
func (m *protocol) defend(now time.Time, a *address) {
	if a.nextDefence.IsZero() {
		a.nextDefence = a.told.Add(m.timing.calm)
		if !a.nextDefence.After(now) {
			a.nextDefence = now
		}
		m.timers.update(a)
	}
}

// maxUnanswered is how many calls in a row a node may miss that was heard.
const maxUnanswered = 2

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

func (a *address) tick(now time.Time, m *protocol) {
	if reached(a.nextTell, now) {
		m.tell(now, a)
	}
	if reached(a.nextDefence, now) {
		a.nextDefence, a.told = time.Time{}, now
		m.do(effect{kind: tell, address: a.addr})
	}
	if reached(a.nextCall, now) {
		a.nextCall = now.Add(m.timing.insist)
		m.do(effect{kind: call, address: a.addr})
	}
	if reached(a.verify, now) {
		m.check(now, a)
	}
	if reached(a.giveUp, now) {
		m.giveUp(now, a)
	}
	if reached(a.wait, now) {
		m.hurry(now, a)
	}
}
