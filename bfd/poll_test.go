package bfd

import (
	"slices"
	"testing"
	"time"
)

func TestIntervalsChangeWithoutAnInterruption(t *testing.T) {
	slowly := Config{Transmit: 2 * time.Second, Receive: 2 * time.Second, Multiplier: 3}
	for _, c := range []struct {
		why      string
		from, to Config
	}{
		{"slower: the peer has to know before we slow down", fast, slowly},
		{"faster: the peer has to know before we expect more", slowly, fast},
		{"less sent and more expected", fast, Config{Transmit: time.Second, Receive: 10 * ms, Multiplier: 3}},
	} {
		peer := Config{Transmit: 10 * ms, Receive: 10 * ms, Multiplier: 3}
		w := up(t, c.from, peer)
		w.run(10 * time.Second)
		w.a.configure(c.to)
		w.run(20 * time.Second)
		if len(w.a.events)+len(w.b.events) > 0 {
			t.Errorf("%s: %v and %v", c.why, states(w.a.events), states(w.b.events))
		}
		if w.a.poll || w.a.tx != c.to.Transmit || w.a.rx != c.to.Receive {
			t.Errorf("%s: polling %v, tx %v, rx %v", c.why, w.a.poll, w.a.tx, w.a.rx)
		}
		if got := w.b.detection(); got != 3*c.to.Transmit {
			t.Errorf("%s: the peer detects in %v", c.why, got)
		}
	}
}

// Until the peer has answered, the old pace goes on (RFC 5880 section 6.8.3).
func TestOldIntervalsCountUntilTheFinal(t *testing.T) {
	w := up(t, fast, fast)
	w.run(time.Second)
	w.forget()
	polls := 0
	w.lose = func(from *end) bool {
		f := from.sends[len(from.sends)-1]
		if f.p.Poll {
			polls++
		}
		return f.p.Final && polls < 5
	}
	slower := fast
	slower.Transmit = time.Second
	w.a.configure(slower)
	w.run(5 * time.Second)
	if polls != 5 {
		t.Fatalf("%d polls, want 5: four answers were lost", polls)
	}
	for i, gap := range gaps(w.a.sends)[:4] {
		if gap > 100*ms {
			t.Errorf("gap %d is %v, though the peer had not answered", i, gap)
		}
	}
	if gap := slices.Max(gaps(w.a.sends)); gap < 700*ms {
		t.Errorf("the longest gap after the answer is %v", gap)
	}
	if len(w.b.events) > 0 {
		t.Errorf("the peer told %v", states(w.b.events))
	}
}

// A Final that answers old values must not bring new ones into effect.
func TestChangeDuringAPoll(t *testing.T) {
	w := up(t, fast, fast)
	w.run(time.Second)
	w.delay = 250 * ms
	w.run(time.Second)
	w.forget()
	first, second := fast, fast
	first.Transmit, second.Transmit = 500*ms, 5*time.Second
	w.a.configure(first)
	w.run(120 * ms) // the poll is on its way
	if !w.a.poll {
		t.Fatal("no poll")
	}
	w.a.configure(second)
	w.run(time.Minute)
	if w.a.state != Up || w.b.state != Up || len(w.b.events) > 0 {
		t.Fatalf("the session broke: %v", states(w.b.events))
	}
	finals := 0
	for _, f := range w.b.sends {
		if f.p.Final {
			finals++
		}
	}
	if w.a.tx != second.Transmit || finals < 2 {
		t.Errorf("tx %v after %d answers, want 5s after 2 or more", w.a.tx, finals)
	}
}

func TestPollIsAnsweredInAnyState(t *testing.T) {
	for _, c := range []struct {
		why   string
		state State
		want  State
	}{
		{"a first packet", Down, Init},
		{"AdminDown", AdminDown, Down},
	} {
		w := newWorld(passive(fast), fast)
		a := w.a.receive(epoch, Packet{State: c.state, Poll: true, Multiplier: 3, MyDiscriminator: 9, DesiredMinTx: time.Second, RequiredMinRx: time.Second})
		if !a.send || !a.packet.Final || a.packet.Poll || a.packet.State != c.want || a.packet.YourDiscriminator != 9 {
			t.Errorf("%s: got %+v", c.why, a)
		}
	}
}

func TestPeerThatWantsNoPackets(t *testing.T) {
	for _, c := range []struct {
		why   string
		alter func(*Packet)
	}{
		{"Required Min RX of 0", func(p *Packet) { p.RequiredMinRx = 0 }},
		{"demand mode", func(p *Packet) { p.Demand = true }},
	} {
		w := up(t, fast, fast)
		w.run(time.Second)
		p := w.b.packet()
		c.alter(&p)
		w.lose = func(from *end) bool { return from == w.b }
		w.forget()
		for range 10 {
			w.act(w.a, w.a.receive(w.now, p))
			w.run(100 * ms)
		}
		if n := len(w.a.sends); n > 0 {
			t.Errorf("%s: %d packets sent", c.why, n)
		}
		// The peer that wanted none is forgotten once it is silent.
		w.run(3 * time.Second)
		if len(w.a.sends) == 0 {
			t.Errorf("%s: the session never speaks again", c.why)
		}
	}
}
