package bfd

import (
	"slices"
	"testing"
	"time"
)

func TestTransition(t *testing.T) {
	// The rows are RFC 5880 section 6.8.6; columns: what was received.
	for local, want := range map[State][4]State{
		//      AdminDown, Down, Init, Up
		Down: {Down, Init, Up, Down},
		Init: {Down, Init, Up, Up},
		Up:   {Down, Down, Up, Up},
	} {
		for received, next := range want {
			if got := transition(local, State(received)); got != next {
				t.Errorf("%v and %v received: %v, want %v", local, State(received), got, next)
			}
		}
	}
}

func states(events []Event) (all []State) {
	for _, e := range events {
		all = append(all, e.State)
	}
	return all
}

func TestComingUp(t *testing.T) {
	for _, c := range []struct {
		why  string
		a, b Config
	}{
		{"both speak", fast, fast},
		{"one is passive", fast, passive(fast)},
		{"a multiplier of 1", Config{Transmit: 50 * ms, Receive: 50 * ms, Multiplier: 1}, fast},
		{"slower than the slow pace", Config{Transmit: 3 * time.Second, Receive: 3 * time.Second, Multiplier: 3}, fast},
	} {
		w := newWorld(c.a, c.b)
		w.run(30 * time.Second)
		if w.a.state != Up || w.b.state != Up {
			t.Errorf("%s: %v and %v", c.why, w.a.state, w.b.state)
		}
		if n := len(w.a.events); n > 2 {
			t.Errorf("%s: %v", c.why, states(w.a.events))
		}
	}
}

// A state change goes out at once (RFC 5880 section 6.8.7), so the way Up takes
// three packets and not three seconds.
func TestComingUpTakesThreePackets(t *testing.T) {
	w := newWorld(fast, passive(fast))
	w.run(4 * ms)
	if w.a.state != Up || w.b.state != Up {
		t.Errorf("%v and %v after four delays", w.a.state, w.b.state)
	}
	if got := states(w.b.events); !slices.Equal(got, []State{Init, Up}) {
		t.Errorf("the passive side told %v", got)
	}
}

func TestTwoPassiveSidesAreSilent(t *testing.T) {
	w := newWorld(passive(fast), passive(fast))
	w.run(time.Minute)
	if len(w.a.sends)+len(w.b.sends) > 0 {
		t.Errorf("%d and %d packets sent", len(w.a.sends), len(w.b.sends))
	}
}

func gaps(sends []flight) (all []time.Duration) {
	for i := 1; i < len(sends); i++ {
		all = append(all, sends[i].sent.Sub(sends[i-1].sent))
	}
	return all
}

func TestPaceAndJitter(t *testing.T) {
	single := Config{Transmit: 100 * ms, Receive: 100 * ms, Multiplier: 1}
	slower := Config{Transmit: 100 * ms, Receive: 400 * ms, Multiplier: 3}
	for _, c := range []struct {
		why         string
		a, b        Config
		least, most time.Duration
	}{
		{"RFC 5880 section 6.8.7: up to a quarter off", fast, fast, 75 * ms, 100 * ms},
		{"with a multiplier of 1 at least a tenth off", single, fast, 75 * ms, 90 * ms},
		{"the receiver is slower than the sender", fast, slower, 300 * ms, 400 * ms},
	} {
		w := up(t, c.a, c.b)
		w.run(100 * time.Second)
		all := gaps(w.a.sends)
		low, high := slices.Min(all), slices.Max(all)
		if low < c.least || high > c.most {
			t.Errorf("%s: gaps from %v to %v, want from %v to %v", c.why, low, high, c.least, c.most)
		}
		if spread := c.most - c.least; high-low < spread*9/10 {
			t.Errorf("%s: gaps from %v to %v use too little of what may be", c.why, low, high)
		}
	}
}

func TestOneSecondPaceWhileNotUp(t *testing.T) {
	w := newWorld(fast, fast)
	w.lose = func(*end) bool { return true }
	w.run(100 * time.Second)
	all := gaps(w.a.sends)
	if low, high := slices.Min(all), slices.Max(all); low < 750*ms || high > time.Second {
		t.Errorf("gaps from %v to %v", low, high)
	}
	for _, f := range w.a.sends {
		if f.p.DesiredMinTx < time.Second {
			t.Fatalf("it promises a packet each %v while %v", f.p.DesiredMinTx, f.p.State)
		}
	}
}

func TestExpiry(t *testing.T) {
	w := up(t, fast, fast)
	w.lose = func(from *end) bool { return from == w.b }
	heard := w.b.sends
	w.run(50 * ms)
	last := w.a.heard
	w.run(time.Second)
	if len(heard) > 0 {
		t.Fatal("nothing was to be heard yet")
	}
	if len(w.a.events) == 0 {
		t.Fatal("no event")
	}
	e := w.a.events[0]
	if e.State != Down || e.Previous != Up || e.Diag != DetectionTimeExpired || e.RemoteState != Up {
		t.Errorf("got %+v", e)
	}
	if d := e.At.Sub(last); d != 300*ms {
		t.Errorf("Down %v after the last packet, want 300ms", d)
	}
	// The other side hears of it in the next packet, not by its own clock.
	f := w.b.events[0]
	if f.Diag != NeighborSignaledDown || f.RemoteDiag != DetectionTimeExpired || f.At.Sub(e.At) != w.delay {
		t.Errorf("the other side got %+v, %v later", f, f.At.Sub(e.At))
	}
}

func TestLossThatIsNoEnd(t *testing.T) {
	w := up(t, fast, fast)
	n := map[*end]int{}
	w.lose = func(from *end) bool { n[from]++; return n[from]%3 != 0 }
	w.run(time.Minute)
	if len(w.a.events)+len(w.b.events) > 0 {
		t.Errorf("two packets of three lost: %v and %v", states(w.a.events), states(w.b.events))
	}
}

func TestDelayIsNoLoss(t *testing.T) {
	w := newWorld(fast, passive(fast))
	w.delay = 400 * ms
	w.run(20 * time.Second)
	if w.a.state != Up || w.b.state != Up {
		t.Errorf("%v and %v with a delay longer than the detection time", w.a.state, w.b.state)
	}
}

func TestPeerThatReboots(t *testing.T) {
	for _, c := range []struct {
		why string
		b   Config
		in  time.Duration // until the session is Up again
	}{
		{"an active one says so at once", fast, 10 * ms},
		{"a passive one is asked after the expiry", passive(fast), 1400 * ms},
	} {
		w := up(t, fast, c.b)
		w.restart(w.b)
		w.run(c.in)
		if w.a.state != Up || w.b.state != Up {
			t.Errorf("%s: %v and %v after %v", c.why, w.a.state, w.b.state, c.in)
		}
		if got := states(w.a.events); got[0] != Down || got[len(got)-1] != Up {
			t.Errorf("%s: %v", c.why, got)
		}
		if w.a.remote.discriminator != w.b.discriminator {
			t.Errorf("%s: the old discriminator is still used", c.why)
		}
	}
}

func TestAdminDown(t *testing.T) {
	w := up(t, fast, passive(fast))
	w.b.leave(w.now)
	w.run(time.Second)
	e := w.a.events[0]
	if e.State != Down || e.Diag != NeighborSignaledDown || e.RemoteState != AdminDown || e.RemoteDiag != AdministrativelyDown {
		t.Errorf("got %+v", e)
	}
	if n := len(w.b.sends); n != goodbyes || !w.b.over {
		t.Errorf("%d goodbyes, over is %v", n, w.b.over)
	}
	if len(w.b.events) > 0 {
		t.Errorf("the side that left told %v", states(w.b.events))
	}
	if len(w.a.events) > 1 {
		t.Errorf("one goodbye is enough, got %v", states(w.a.events))
	}
}

func TestGoodbyesSurviveLoss(t *testing.T) {
	w := up(t, fast, fast)
	n := 0
	w.lose = func(from *end) bool { n++; return from == w.b && n < goodbyes }
	w.b.leave(w.now)
	w.run(150 * ms)
	if len(w.a.events) != 1 || w.a.events[0].RemoteState != AdminDown {
		t.Errorf("got %+v", w.a.events)
	}
}

func TestLate(t *testing.T) {
	watch := fast
	watch.Warn = 100 * ms
	w := up(t, watch, passive(fast))
	w.lose = func(from *end) bool { return from == w.b }
	w.run(10 * ms) // what is on its way arrives
	last := w.a.heard
	w.run(last.Add(201 * ms).Sub(w.now))
	if len(w.a.events) != 1 {
		t.Fatalf("got %+v", w.a.events)
	}
	e := w.a.events[0]
	if !e.Late || e.State != Up || e.Previous != Up || e.At.Sub(last) != 200*ms {
		t.Errorf("got %+v, %v after the last packet", e, e.At.Sub(last))
	}
	w.lose = func(*end) bool { return false }
	w.run(time.Second)
	if len(w.a.events) != 1 || w.a.state != Up {
		t.Errorf("a packet came, and then %+v", w.a.events[1:])
	}
	w.lose = func(from *end) bool { return from == w.b }
	w.run(time.Second)
	if got := w.a.events[1:]; len(got) < 2 || !got[0].Late || got[1].Late || got[1].State != Down {
		t.Errorf("the second silence told %+v", got)
	}
}

func TestNoWarningWithinTheDetectionTime(t *testing.T) {
	watch := fast
	watch.Warn = time.Second
	w := up(t, watch, fast)
	w.run(10 * time.Second)
	if len(w.a.events) > 0 {
		t.Errorf("got %+v", w.a.events)
	}
}

func TestAcceptedSessionEnds(t *testing.T) {
	w := up(t, fast, passive(fast))
	w.b.linger = 10 * time.Second
	w.run(time.Minute)
	if w.b.over {
		t.Fatal("it ended while the peer was there")
	}
	w.lose = func(from *end) bool { return from == w.a }
	w.run(9 * time.Second)
	if w.b.over {
		t.Error("it ended too early")
	}
	w.run(1100 * ms)
	if !w.b.over {
		t.Error("it has not ended after 10.1 s of silence")
	}
	if got := states(w.b.events); !slices.Equal(got, []State{Down}) {
		t.Errorf("it told %v", got)
	}
}
