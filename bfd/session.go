package bfd

import (
	"math/rand/v2"
	"time"
)

const (
	// goodbyes is how often AdminDown is sent: packets get lost.
	goodbyes = 3
	// goodbyePause is between them. The slow pace of a session that is not Up
	// would keep a process from ending.
	goodbyePause = 30 * time.Millisecond
)

// session is the state machine of RFC 5880 section 6.8. It does no I/O and has
// no clock: whoever drives it calls receive for each packet, and advance at the
// latest when deadline says so, and carries out the actions that come back.
type session struct {
	cfg           Config
	discriminator uint32
	// linger, where more than 0, ends the session when it has been Down and
	// without packets for so long.
	linger time.Duration
	random *rand.Rand

	state  State
	diag   Diag
	since  time.Time
	remote remote

	heard time.Time // when the last packet came
	late  bool      // the present silence was told
	sent  time.Time // when the last packet left, replies to polls aside
	due   time.Time // when the next one shall
	timers

	farewells int
	over      bool // nothing is left to do
}

// remote is what the peer said of itself (RFC 5880 section 6.8.1).
type remote struct {
	discriminator uint32
	state         State
	diag          Diag
	minRx         time.Duration
	desiredTx     time.Duration
	multiplier    uint8
	demand        bool
}

// unheard is a peer that never said anything, or nothing for a detection time.
// With a RemoteMinRx of one microsecond it may be spoken to at our pace.
var unheard = remote{state: Down, minRx: time.Microsecond}

// action is what a session wants done.
type action struct {
	send   bool
	packet Packet
	tell   bool
	event  Event
}

func newSession(cfg Config, discriminator uint32, random *rand.Rand, now time.Time) *session {
	s := &session{cfg: cfg, discriminator: discriminator, random: random, state: Down, since: now, remote: unheard, due: now}
	s.timers.reset(cfg)
	s.interval = s.negotiated()
	return s
}

// receive takes a packet that is for this session.
func (s *session) receive(now time.Time, p Packet) (a action) {
	if s.state == AdminDown {
		return a
	}
	s.heard, s.late = now, false
	s.remote = remote{
		discriminator: p.MyDiscriminator, state: p.State, diag: p.Diag,
		minRx: p.RequiredMinRx, desiredTx: p.DesiredMinTx, multiplier: p.Multiplier, demand: p.Demand,
	}
	s.timers.answered(s.cfg, p.Final)
	if next := transition(s.state, p.State); next != s.state {
		s.move(&a, now, next, NeighborSignaledDown)
	}
	s.repace()
	if p.Poll {
		// A reply to a poll does not wait for its turn (RFC 5880 section 6.5), and
		// tells a change of state as well.
		a.send, a.packet = true, s.packet()
		a.packet.Poll, a.packet.Final = false, true
	}
	return a
}

// transition is the table of RFC 5880 section 6.8.6.
func transition(local, received State) State {
	switch {
	case received == AdminDown:
		return Down
	case local == Down && received == Down:
		return Init
	case local == Down && received == Init:
		return Up
	case local == Init && (received == Init || received == Up):
		return Up
	case local == Up && received == Down:
		return Down
	}
	return local
}

// advance does what time asks for.
func (s *session) advance(now time.Time) (a action) {
	if s.state == AdminDown {
		s.farewell(&a, now)
		return a
	}
	switch {
	case s.reached(now, s.expiry()):
		s.expire(&a, now)
	case s.reached(now, s.lateAt()):
		s.late = true
		s.tell(&a, now, s.state)
		a.event.Late = true
	}
	if !a.send {
		a.send, a.packet = s.sendDue(now)
	}
	s.over = s.over || s.reached(now, s.lingerEnd())
	return a
}

// sendDue returns the packet that the clock asks for, if it does.
func (s *session) sendDue(now time.Time) (bool, Packet) {
	if s.state == AdminDown || !s.periodic() || !s.reached(now, s.due) {
		return false, Packet{}
	}
	var a action
	s.send(&a, now)
	return a.send, a.packet
}

// sendEarly returns the packet that the clock asks for soon, if it may be sent
// now. Jitter leaves a quarter of the interval to choose from.
func (s *session) sendEarly(now time.Time) (bool, Packet) {
	least := s.interval * 75 / 100
	if s.state != Up || s.cfg.Multiplier == 1 || !s.periodic() || now.Sub(s.sent) < least {
		return false, Packet{}
	}
	var a action
	s.send(&a, now)
	return a.send, a.packet
}

// deadline is when advance has to be called next; the zero time is never.
func (s *session) deadline() time.Time {
	if s.state == AdminDown {
		return s.due
	}
	var at time.Time
	if s.periodic() {
		at = s.due
	}
	for _, t := range [...]time.Time{s.expiry(), s.lateAt(), s.lingerEnd()} {
		if at.IsZero() || !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}

func (s *session) reached(now, t time.Time) bool { return !t.IsZero() && !t.After(now) }

// expire forgets the peer (RFC 5880 section 6.8.1, bfd.RemoteDiscr), and brings
// the session Down if it was not (section 6.8.4). The peer's intervals go too:
// one that comes back may be passive, and must be spoken to at our pace.
func (s *session) expire(a *action, now time.Time) {
	said := s.remote
	s.remote = unheard
	if s.state == Init || s.state == Up {
		s.move(a, now, Down, DetectionTimeExpired)
		a.event.RemoteState, a.event.RemoteDiag = said.state, said.diag
	}
	s.repace()
}

// move changes the state, tells it, and sends a packet at once where one may be
// sent (RFC 5880 section 6.8.7).
func (s *session) move(a *action, now time.Time, to State, why Diag) {
	previous := s.state
	s.state, s.since = to, now
	switch to {
	case Up:
		s.diag = NoDiagnostic
		s.timers.rise(s.cfg)
	case Down:
		s.diag = why
		s.timers.reset(s.cfg)
	}
	s.tell(a, now, previous)
	if s.periodic() {
		s.send(a, now)
	}
}

func (s *session) tell(a *action, now time.Time, previous State) {
	a.tell = true
	a.event = Event{
		Key: s.cfg.Key(), Local: s.cfg.Local, At: now,
		State: s.state, Previous: previous, Diag: s.diag,
		RemoteState: s.remote.state, RemoteDiag: s.remote.diag,
	}
}

func (s *session) send(a *action, now time.Time) {
	a.send, a.packet = true, s.packet()
	s.sent = now
	s.interval = s.negotiated()
	s.due = now.Add(s.jittered())
}

func (s *session) packet() Packet {
	return Packet{
		Diag: s.diag, State: s.state, Poll: s.poll,
		Multiplier:      s.cfg.Multiplier,
		MyDiscriminator: s.discriminator, YourDiscriminator: s.remote.discriminator,
		DesiredMinTx: desiredTx(s.cfg, s.state), RequiredMinRx: s.cfg.Receive,
	}
}

// configure changes what may change while a session lives: all but its key. The
// peer learns of new intervals by a Poll Sequence.
func (s *session) configure(cfg Config) {
	old := s.cfg
	s.cfg = cfg
	switch {
	case s.state != Up:
		s.timers.reset(cfg)
	case old.Transmit != cfg.Transmit || old.Receive != cfg.Receive:
		s.timers.change(cfg)
	}
	s.repace()
}

// settled says that both sides are Up and agree on their intervals: all that a
// packet is expected to say is that the peer is there.
func (s *session) settled() bool { return s.state == Up && s.remote.state == Up && !s.poll }

// leave ends the session on purpose (RFC 5880 section 6.8.16).
func (s *session) leave(now time.Time) {
	if s.state == AdminDown {
		return
	}
	silent := s.cfg.Passive && s.remote.discriminator == 0
	s.state, s.diag, s.since = AdminDown, AdministrativelyDown, now
	s.timers.reset(s.cfg)
	s.due, s.over = now, silent
}

func (s *session) farewell(a *action, now time.Time) {
	if s.over || s.due.After(now) {
		return
	}
	a.send, a.packet = true, s.packet()
	s.sent, s.due = now, now.Add(goodbyePause)
	s.farewells++
	s.over = s.farewells == goodbyes
}

// lingerEnd is when the session ends by itself.
func (s *session) lingerEnd() time.Time {
	if s.linger <= 0 || s.state != Down {
		return time.Time{}
	}
	return s.heard.Add(s.linger)
}
