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
	// resumed is set while it goes on with what it did before the process began.
	resumed bool
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
	// stranger is when one that is no node claimed it last, and patience the
	// pause before it is answered next.
	stranger time.Time
	patience time.Duration

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
	case away, unasked:
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
