package l2

import "time"

// peerState is what is known of another node.
type peerState uint8

const (
	// unknown: nothing yet, which counts as being there.
	unknown peerState = iota
	// alive: its session is up.
	alive
	// away: its kernel answers and its speaker does not, so that traffic still
	// flows to whoever knows its MAC.
	away
	// unasked: its session is down, and no interface leads to its kernel, so that
	// nothing tells the one from the other.
	unasked
	// vouched: this node reaches neither, and another one says that the kernel
	// is there. So this node is the one that is cut off.
	vouched
	// dead: nothing answers.
	dead
	// gone: away, or unasked, for too long.
	gone
	peerStates // how many there are
)

var peerStateNames = [peerStates]string{"unknown", "alive", "away", "unasked", "vouched", "dead", "gone"}

// String names the state as metrics do.
func (s peerState) String() string { return peerStateNames[s] }

// peer is another node, seen from this one.
type peer struct {
	slot
	name      string
	addresses map[*address]struct{} // those that it may announce
	watched   int                   // addresses for which a session is kept
	state     peerState
	up        bool      // the session to it
	joined    bool      // the session from it
	missed    time.Time // since when there was neither, before met
	met       time.Time
	cut       bool // its kernel did not answer since then

	mac  mac // as its kernel answered last, on port
	port int

	// A round of questions to its kernel.
	nextAsk, verdict time.Time
	vouch            bool
	// mute is how many rounds in a row nobody answered while it was vouched for.
	mute int
	// last is what the last round showed, and when, for a session that goes
	// down right after.
	last      peerState
	lastAt    time.Time
	nextRound time.Time
	// judge is when a peer that is away is judged, after it was called once.
	judge  time.Time
	called bool
}

func (p *peer) due() time.Time { return earliest(p.nextAsk, p.verdict, p.nextRound, p.judge) }

func (p *peer) asking() bool { return !p.verdict.IsZero() }

func (p *peer) beginRound(now time.Time, m *protocol) {
	p.nextRound, p.vouch = time.Time{}, false
	p.nextAsk, p.verdict = now.Add(m.timing.ask), now.Add(m.timing.verdict)
	m.do(effect{kind: ask, peer: p.name})
}

func (p *peer) endRound() { p.nextAsk, p.verdict, p.nextRound = time.Time{}, time.Time{}, time.Time{} }

// miss notes that a session went down. One that comes and goes does not make
// the peer hear all that it missed before.
func (p *peer) miss(now time.Time, t timing) {
	heard := p.missed.IsZero() || !p.met.IsZero() && now.Sub(p.met) > t.repeats[len(t.repeats)-1]
	if !p.up && !p.joined && heard {
		p.missed, p.met, p.cut = now, time.Time{}, false
	}
}

// reset forgets what a session told that is no longer kept.
func (p *peer) reset() {
	p.endRound()
	p.state, p.up, p.judge = unknown, false, time.Time{}
	p.lastAt = time.Time{}
}

// suspect is what a session that went down leads to: its kernel is asked,
// unless that was done just before, as a precaution.
func (p *peer) suspect(now time.Time, m *protocol) {
	switch {
	case p.asking():
	case !p.lastAt.IsZero() && now.Sub(p.lastAt) < m.timing.verdict:
		m.setState(now, p, p.last)
	default:
		p.beginRound(now, m)
		m.timers.update(p)
	}
}

// enter makes s the state and sets its timers.
func (p *peer) enter(now time.Time, s peerState, t timing) {
	before := p.state
	p.state, p.mute = s, 0
	p.endRound()
	switch s {
	case away:
		p.nextRound = now.Add(t.recheck)
	case vouched, unasked:
		p.nextRound = now.Add(t.vouched)
	}
	switch {
	case s != away && s != unasked:
		p.judge = time.Time{}
	case s != before && (p.judge.IsZero() || t.away == 0):
		p.respite(now, t)
	}
}

// respite puts off the judgement of a peer that is away or unasked.
func (p *peer) respite(now time.Time, t timing) {
	if p.state == unasked {
		p.judge, p.called = now.Add(max(t.away, t.unasked)), false
		return
	}
	p.judge, p.called = now.Add(t.away), t.away == 0
}

// conclude ends a round: s is what it showed. As long as the session is up that
// is only remembered.
func (p *peer) conclude(now time.Time, m *protocol, s peerState) {
	p.endRound()
	p.last, p.lastAt = s, now
	p.cut = p.cut || s == dead || s == vouched
	if p.watched > 0 && !p.up {
		m.setState(now, p, s)
	}
	m.timers.update(p)
	m.forget(p)
}

// spoke is a frame of the peer's speaker: a sign of life that outweighs a
// session that is down.
func (p *peer) spoke(now time.Time, m *protocol) {
	switch p.state {
	case away, unasked:
		p.respite(now, m.timing)
		m.timers.update(p)
	case vouched, dead, gone:
		m.setState(now, p, unknown)
		p.nextRound = now.Add(m.timing.greeting)
		m.timers.update(p)
	}
}

// judgeRound ends a round in which the peer's kernel did not answer this node. It
// takes more than one to make a peer dead that others just reached: a witness may
// be busy for longer than a round.
func (p *peer) judgeRound(now time.Time, m *protocol) {
	switch {
	case p.vouch:
		p.conclude(now, m, vouched)
	case p.state == vouched && p.mute < m.timing.patience:
		p.mute++
		p.beginRound(now, m)
	default:
		p.conclude(now, m, dead)
	}
}

func (p *peer) tick(now time.Time, m *protocol) {
	if reached(p.nextAsk, now) {
		p.nextAsk = time.Time{}
		m.do(effect{kind: ask, peer: p.name})
	}
	if reached(p.verdict, now) {
		p.judgeRound(now, m)
	}
	if reached(p.nextRound, now) {
		p.beginRound(now, m)
	}
	if reached(p.judge, now) {
		p.decide(now, m)
	}
}

// decide gives up a peer that is away, or unasked, for too long, unless it makes
// itself heard when it is called: its speaker may be there, and only the sessions
// not come through.
func (p *peer) decide(now time.Time, m *protocol) {
	if p.called {
		m.setState(now, p, gone)
		return
	}
	p.called, p.judge = true, now.Add(m.timing.reply)
	for a := range p.addresses {
		if m.owner(a) == p.name {
			m.do(effect{kind: call, address: a.addr})
			return
		}
	}
}
