package bfd

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
	epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

const ms = time.Millisecond

// end is one of two systems in simulated time.
type end struct {
	*session
	events []Event
	sends  []flight // all that it sent
}

// flight is a packet with its arrival.
type flight struct {
	at   time.Time
	sent time.Time
	to   *end
	p    Packet
}

// world carries packets between two sessions.
type world struct {
	now     time.Time
	a, b    *end
	air     []flight
	delay   time.Duration
	lose    func(from *end) bool
	random  *rand.Rand
	counter uint32
}

func newWorld(a, b Config) *world {
	w := &world{now: epoch, delay: ms, random: rand.New(rand.NewPCG(1, 2)), lose: func(*end) bool { return false }}
	a.Peer, b.Peer = addrB, addrA
	w.a, w.b = &end{session: w.session(a)}, &end{session: w.session(b)}
	return w
}

// session makes one with a discriminator of its own.
func (w *world) session(cfg Config) *session {
	w.counter++
	return newSession(cfg, w.counter, w.random, w.now)
}

// restart has a system come back without memory.
func (w *world) restart(e *end) { e.session = w.session(e.cfg) }

func (w *world) other(e *end) *end {
	if e == w.a {
		return w.b
	}
	return w.a
}

func (w *world) act(e *end, a action) {
	if a.tell {
		e.events = append(e.events, a.event)
	}
	if !a.send {
		return
	}
	f := flight{sent: w.now, at: w.now.Add(w.delay), to: w.other(e), p: a.packet}
	e.sends = append(e.sends, f)
	if !w.lose(e) {
		w.air = append(w.air, f)
	}
}

// run lets so much time pass.
func (w *world) run(d time.Duration) {
	until := w.now.Add(d)
	for {
		next, deliver, tick := until, -1, (*end)(nil)
		for i, f := range w.air {
			if f.at.Before(next) {
				next, deliver = f.at, i
			}
		}
		for _, e := range []*end{w.a, w.b} {
			if at := e.deadline(); !e.over && !at.IsZero() && at.Before(next) {
				next, deliver, tick = at, -1, e
			}
		}
		if next.After(w.now) {
			w.now = next
		}
		switch {
		case tick != nil:
			w.act(tick, tick.advance(w.now))
		case deliver >= 0:
			f := w.air[deliver]
			w.air = append(w.air[:deliver], w.air[deliver+1:]...)
			w.deliver(f)
		default:
			return
		}
	}
}

// deliver does what the engine does before a session sees a packet.
func (w *world) deliver(f flight) {
	if y := f.p.YourDiscriminator; y != 0 && y != f.to.discriminator {
		return
	}
	w.act(f.to, f.to.receive(w.now, f.p))
}

// up is a world whose sessions are Up, with what came before forgotten.
func up(t *testing.T, a, b Config) *world {
	t.Helper()
	w := newWorld(a, b)
	w.run(5 * time.Second)
	if w.a.state != Up || w.b.state != Up {
		t.Fatalf("the sessions are %v and %v after 5 s", w.a.state, w.b.state)
	}
	w.forget()
	return w
}

func (w *world) forget() {
	for _, e := range []*end{w.a, w.b} {
		e.events, e.sends = nil, nil
	}
}

// fast is what speakers use among each other.
var fast = Config{Transmit: 100 * ms, Receive: 100 * ms, Multiplier: 3}

func passive(c Config) Config { c.Passive = true; return c }
