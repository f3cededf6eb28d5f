package l2

import (
	"hash/fnv"
	"net/netip"
	"slices"
	"time"
)

// protocol decides, for one node, which addresses it answers for and in whose
// name. It is told what happens by calls with the time of the event, and
// collects what is to be done in effects. It starts nothing and waits for
// nothing: whoever drives it calls tick when the time that next returns has
// come, after it has told all that happened before that.
type protocol struct {
	self      string
	timing    timing
	skew      time.Duration // which other nodes hardly share
	started   bool
	addresses map[netip.Addr]*address
	peers     map[string]*peer
	timers    timers
	effects   []effect
	sessions  int  // that are kept to peers
	turned    bool // something about these, since they were counted

	// watchers is how many nodes watch this one. When none is left, this node
	// may be the one that is cut off.
	watchers int
	lost     bool
	rejoined time.Time
}

func newProtocol(self string, t timing) *protocol {
	name := fnv.New32a()
	_, _ = name.Write([]byte(self))
	skew := t.greeting * time.Duration(name.Sum32()%64) / 128
	return &protocol{self: self, timing: t, skew: skew, addresses: map[netip.Addr]*address{}, peers: map[string]*peer{}}
}

// start says that everything on record has been claimed: from now on the node
// announces.
func (m *protocol) start(now time.Time) {
	m.started = true
	// Thousands at once: what append leaves behind while it grows would be most of
	// the garbage of a start.
	m.effects = slices.Grow(m.effects, 2*len(m.addresses))
	for _, a := range m.addresses {
		m.evaluate(now, a)
	}
}

// claim takes over what the API says about an address.
func (m *protocol) claim(now time.Time, addr netip.Addr, c Claim) {
	a := m.addresses[addr]
	if a == nil {
		a = &address{addr: addr}
		m.addresses[addr] = a
	}
	if a.claim.equal(c) {
		return
	}
	if a.claim.Recorded != c.Recorded || first(a.claim.Order) != first(c.Order) {
		// The record has caught up with what was heard, or overrules it.
		a.unheard()
		a.skipped, a.wait = nil, time.Time{}
	}
	m.involve(a, c.Order)
	a.claim = c
	if !slices.Contains(c.Order, a.from) {
		a.from = ""
	}
	m.evaluate(now, a)
}

// unclaim ends all that is done for an address.
func (m *protocol) unclaim(addr netip.Addr) {
	a := m.addresses[addr]
	if a == nil {
		return
	}
	m.drop(a)
	m.standFor(a, nil)
	m.watchOnly(time.Time{}, a, nil)
	m.involve(a, nil)
	m.timers.remove(a)
	delete(m.addresses, addr)
}

// able says whether the node has an interface on which it may announce the
// address.
func (m *protocol) able(now time.Time, addr netip.Addr, able bool) {
	a := m.addresses[addr]
	if a == nil || a.able == able {
		return
	}
	a.able = able
	if !able {
		m.drop(a)
	}
	m.evaluate(now, a)
}

// session says that the session to a watched peer came up or went down.
func (m *protocol) session(now time.Time, name string, up bool) {
	p := m.peers[name]
	if p == nil || p.watched == 0 || p.up == up {
		return
	}
	p.up = up
	if up {
		m.setState(now, p, alive)
		m.met(now, p)
		return
	}
	p.miss(now, m.timing)
	p.suspect(now, m)
}

// renewed says that the session to a peer is another one from now on. Of that
// nothing has been heard: if it does not come up, nothing tells that it is down.
func (m *protocol) renewed(now time.Time, name string) {
	p := m.peers[name]
	if p == nil || p.watched == 0 {
		return
	}
	p.lastAt = time.Time{}
	if p.up {
		p.up = false
		p.miss(now, m.timing)
		m.setState(now, p, unknown)
	}
	if p.watched > 0 {
		p.endRound()
		p.nextRound = now.Add(m.timing.greeting)
		m.timers.update(p)
	}
}

// late says that the session to a peer is about to go down.
func (m *protocol) late(now time.Time, name string) {
	if p := m.peers[name]; p != nil && p.up && !p.asking() {
		p.beginRound(now, m)
		m.timers.update(p)
	}
}

// watched says that a node began, or ceased, to watch this one.
func (m *protocol) watched(now time.Time, by string, up bool) {
	p := m.peer(by)
	if p.joined == up {
		return
	}
	p.joined = up
	if up {
		m.watchers++
		if m.lost {
			m.lost, m.rejoined = false, now
		}
		m.met(now, p)
		return
	}
	m.watchers--
	m.lost = m.watchers == 0
	p.miss(now, m.timing)
	if p.watched == 0 && !p.asking() {
		// Is it down, or is there a break between it and here?
		p.beginRound(now, m)
		m.timers.update(p)
	}
}

// left says that a node that watched this one is none any more, or has another
// address. That is no sign of being cut off.
func (m *protocol) left(now time.Time, by string) {
	if p := m.peers[by]; p != nil && p.joined {
		p.joined = false
		m.watchers--
		p.miss(now, m.timing)
		m.forget(p)
	}
}

// answered says that the kernel of a peer is there: it told its MAC itself, on
// port, or another node did.
func (m *protocol) answered(now time.Time, name string, hw mac, port int, direct bool) {
	p := m.peers[name]
	if p == nil || !p.asking() {
		return
	}
	if !direct {
		p.vouch = true
		return
	}
	p.mac, p.port = hw, port
	p.conclude(now, m, away)
}

// unasked says that the question to a peer could not be put where it is known to
// be. That proves nothing about the peer, so that it is given time. elsewhere
// says that it was put somewhere at least, or that there is no address to ask for:
// otherwise this node is the one that is cut off, and what it concludes from that
// would be wrong.
func (m *protocol) unasked(now time.Time, name string, elsewhere bool) {
	p := m.peers[name]
	if p == nil || !p.asking() {
		return
	}
	p.endRound()
	switch {
	case p.watched == 0 || p.up:
	case elsewhere:
		p.mac = mac{}
		m.setState(now, p, unasked)
	default:
		if p.state == unasked {
			m.setState(now, p, unknown)
		}
		if p.state == away {
			p.respite(now, m.timing)
		}
		p.nextRound = now.Add(m.timing.vouched)
	}
	m.timers.update(p)
	m.forget(p)
}

// next returns the time at which tick has something to do, zero for never.
func (m *protocol) next() time.Time { return m.timers.next() }

// tick does what is due.
func (m *protocol) tick(now time.Time) {
	for at := m.next(); reached(at, now); at = m.next() {
		switch t := m.timers[0].(type) {
		case *peer:
			t.tick(now, m)
			m.timers.update(t)
		case *address:
			t.tick(now, m)
			m.timers.update(t)
		}
	}
}

// take returns the effects since the last call, in order. They are the
// caller's until the next call.
func (m *protocol) take() []effect {
	done := m.effects
	m.effects = nil
	return done
}

func (m *protocol) do(e effect) { m.effects = append(m.effects, e) }

// setState takes over what is known of a peer, and what follows for the
// addresses that it has to do with.
func (m *protocol) setState(now time.Time, p *peer, s peerState) {
	changed := p.state != s
	m.turned = m.turned || changed
	p.enter(now, s, m.timing)
	m.timers.update(p)
	if !changed {
		return
	}
	for a := range p.addresses {
		m.evaluate(now, a)
	}
}

// involve notes which peers an address has to do with from now on.
func (m *protocol) involve(a *address, order []string) {
	for _, n := range a.claim.Order {
		if p := m.peers[n]; p != nil && !slices.Contains(order, n) {
			delete(p.addresses, a)
			m.forget(p)
		}
	}
	for _, n := range order {
		if n != m.self {
			m.peer(n).addresses[a] = struct{}{}
		}
	}
}

func (m *protocol) peer(name string) *peer {
	p := m.peers[name]
	if p == nil {
		p = &peer{name: name, addresses: map[*address]struct{}{}}
		m.peers[name] = p
	}
	return p
}

// forget drops a peer that nothing has to do with any more.
func (m *protocol) forget(p *peer) {
	if len(p.addresses) == 0 && p.watched == 0 && !p.joined && !p.asking() {
		m.timers.remove(p)
		delete(m.peers, p.name)
	}
}

func first(order []string) string {
	if len(order) == 0 {
		return ""
	}
	return order[0]
}

// census counts the peers that this node watches, by what is known of them.
func (m *protocol) census() (count [peerStates]int64) {
	m.turned = false
	for _, p := range m.peers {
		if p.watched > 0 {
			count[p.state]++
		}
	}
	return count
}

// watches says whether a session to a peer is wanted.
func (m *protocol) watches(name string) bool {
	p := m.peers[name]
	return p != nil && p.watched > 0
}
