package l2

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestTheFirstInOrderAnnouncesAndTellsOfIt(t *testing.T) {
	w := newWorld(t, 1, "a", "b", "c")
	for _, n := range w.all() {
		n.start()
	}
	w.order(vip, "a", "b", "c")
	w.expect(vip, "a")
	w.sleep(10 * time.Second)
	w.expect(vip, "a")
	if want := len(defaults.repeats); w.tells != want {
		t.Errorf("%d gratuitous frames were sent, want %d", w.tells, want)
	}
	if w.records[vip] != "a" {
		t.Errorf("on record is %q", w.records[vip])
	}
}

func TestPowerCut(t *testing.T) {
	for seed := range uint64(50) {
		w := running(t)
		w.rand = rand.New(rand.NewPCG(seed, 1))
		// At any moment between two packets.
		w.sleep(time.Second + time.Duration(w.rand.IntN(100))*step)
		w.nodes["a"].off()
		took := w.until("b takes over", time.Second, w.heldBy(vip, "b"))
		if took > 310*time.Millisecond {
			t.Errorf("b took over after %v", took)
		}
		w.sleep(5 * time.Second)
		w.expect(vip, "b")
	}
}

func TestPowerCutOfOwnerAndFirstStandby(t *testing.T) {
	w := running(t)
	w.nodes["a"].off()
	w.nodes["b"].off()
	took := w.until("c takes over", time.Second, w.heldBy(vip, "c"))
	if took > 400*time.Millisecond {
		t.Errorf("c took over after %v", took)
	}
	w.sleep(5 * time.Second)
	w.expect(vip, "c")
}

func TestOneAfterTheOtherFails(t *testing.T) {
	w := running(t)
	for _, n := range []string{"a", "b", "c"} {
		for _, m := range w.all() {
			m.api = false // nothing helps but the segment itself
		}
		w.nodes[n].off()
		w.sleep(2 * time.Second)
		if len(w.holders(vip)) != 1 {
			t.Fatalf("after %s failed, %v announce", n, w.holders(vip))
		}
	}
	w.expect(vip, "d")
}

func TestAReturningNodeTakesNothingOver(t *testing.T) {
	w := running(t)
	w.nodes["a"].off()
	w.sleep(5 * time.Second)
	w.nodes["a"].power = true
	w.nodes["a"].start()
	w.sleep(10*time.Second, func() { w.expect(vip, "b") })
}

func TestARestartedSpeakerIsStoodInFor(t *testing.T) {
	w := running(t)
	w.sleep(10 * time.Second)
	before := w.tells
	w.nodes["a"].kill()
	w.until("b stands in", 310*time.Millisecond, func() bool { return slices.Contains(w.standIns(vip), "b") })
	if got := w.nodes["b"].stands[vip]; got != macOf("a") {
		t.Errorf("b answers with %v, want the MAC of a", got)
	}
	w.sleep(20*time.Second, func() {
		if len(w.holders(vip)) > 0 {
			t.Fatal("the address moved")
		}
	})
	w.nodes["a"].start()
	w.sleep(100 * time.Millisecond)
	w.expect(vip, "a")
	if s := w.standIns(vip); len(s) > 0 {
		t.Errorf("%v still stand in", s)
	}
	if w.tells != before {
		t.Errorf("%d gratuitous frames for what did not change hands", w.tells-before)
	}
}

// A node that announces one address watches the owner of another, and begins
// both at once when it starts.
func TestARestartedSpeakerHasNoNewsForThoseItWatches(t *testing.T) {
	w := newWorld(t, 1, "a", "b", "c")
	all := vips(2)
	w.order(all[0], "a", "b", "c")
	w.order(all[1], "b", "a", "c")
	for _, n := range w.all() {
		n.start()
	}
	w.sleep(20 * time.Second)
	before := w.tells
	for _, name := range []string{"a", "b"} {
		w.nodes[name].kill()
		w.sleep(2 * time.Second)
		w.nodes[name].start()
		w.sleep(10 * time.Second)
	}
	w.expect(all[0], "a")
	w.expect(all[1], "b")
	if w.tells != before {
		t.Errorf("%d gratuitous frames for what did not change hands", w.tells-before)
	}
}

func TestAPowerCutWhileStoodInFor(t *testing.T) {
	w := running(t)
	w.nodes["a"].kill()
	w.sleep(5 * time.Second)
	w.nodes["a"].off()
	w.until("b takes over", 160*time.Millisecond, w.heldBy(vip, "b"))
}

func TestASpeakerThatStaysAwayLosesItsAddresses(t *testing.T) {
	w := running(t)
	w.nodes["a"].kill()
	took := w.until("b takes over", 32*time.Second, w.heldBy(vip, "b"))
	if took < defaults.away {
		t.Errorf("b took over after %v", took)
	}
	w.nodes["a"].start()
	w.sleep(10 * time.Second)
	w.expect(vip, "b")
}

func TestANewAddressDoesNotWaitForASpeakerThatIsDown(t *testing.T) {
	w := newWorld(t, 1, "a", "b")
	w.nodes["b"].start()
	w.order(vip, "a", "b")
	w.until("b announces", 1200*time.Millisecond, w.heldBy(vip, "b"))
}

func TestAPartitionBetweenOwnerAndStandbyMovesNothing(t *testing.T) {
	w := running(t)
	w.sleep(10 * time.Second)
	before := w.tells
	w.cut[pair("a", "b")] = true
	w.sleep(time.Minute, func() { w.expect(vip, "a") })
	w.cut = map[[2]string]bool{}
	w.sleep(10*time.Second, func() { w.expect(vip, "a") })
	if w.tells > before {
		t.Errorf("%d gratuitous frames", w.tells-before)
	}
}

func TestWitnessesThatAreBusyForAMomentMoveNothing(t *testing.T) {
	w := running(t)
	w.cut[pair("a", "b")] = true
	for range 50 { // pauses that meet rounds at all times
		w.sleep(430*time.Millisecond, func() { w.expect(vip, "a") })
		w.busy = true
		w.sleep(2*defaults.verdict, func() { w.expect(vip, "a") })
		w.busy = false
	}
}

func TestBlockedSessionsMoveNothing(t *testing.T) {
	w := running(t)
	for _, a := range w.all() {
		for _, b := range w.all() {
			w.deaf[pair(a.name, b.name)] = true
		}
	}
	w.sleep(2*time.Minute, func() { w.expect(vip, "a") })
}

func TestASegmentThatBreaksInTwo(t *testing.T) {
	for name, api := range map[string][]string{
		"the API reaches all":          {"a", "b", "c", "d"},
		"the API is with the standbys": {"b", "c"},
		"the API is with the owner":    {"a", "d"},
		"the API is with nobody":       nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := running(t)
			for _, n := range w.all() {
				n.api = slices.Contains(api, n.name)
			}
			w.split([]string{"a", "d"}, []string{"b", "c"})
			w.sleep(time.Second)
			w.expect(vip, "a", "b")
			w.sleep(20*time.Second, func() { w.expect(vip, "a", "b") })
			w.cut = map[[2]string]bool{}
			w.until("one falls silent", 3*time.Second, func() bool { return len(w.holders(vip)) == 1 })
			one := w.holders(vip)
			w.sleep(20*time.Second, func() { w.expect(vip, one...) })
			for _, n := range w.all() {
				n.reconnect()
			}
			w.sleep(10*time.Second, func() {
				if len(w.holders(vip)) == 0 {
					t.Fatal("nobody announces")
				}
			})
			if len(w.holders(vip)) != 1 {
				t.Errorf("%v announce", w.holders(vip))
			}
		})
	}
}

func TestHandOverLeavesNoGap(t *testing.T) {
	w := running(t)
	w.order(vip, "c", "b", "d") // a is excluded
	w.sleep(time.Second, func() {
		if len(w.holders(vip)) == 0 {
			t.Fatal("nobody announces")
		}
	})
	w.expect(vip, "c")
}

func TestHandOverWaitsForTheNewOwner(t *testing.T) {
	w := running(t)
	w.nodes["c"].api = false // and learns of it late
	w.order(vip, "c", "d")
	w.sleep(time.Second, func() { w.expect(vip, "a") })
	w.nodes["c"].reconnect()
	w.sleep(5 * time.Millisecond)
	w.expect(vip, "c")
}

func TestAnOwnerThatMayNotAnnounceFallsSilentInTheEnd(t *testing.T) {
	w := running(t)
	for _, n := range []string{"b", "c", "d"} {
		w.nodes[n].api = false
	}
	w.order(vip, "c", "d")
	w.sleep(defaults.yield - 10*time.Millisecond)
	w.expect(vip, "a")
	w.sleep(20 * time.Millisecond)
	w.expect(vip)
}

func TestNobodyMayAnnounce(t *testing.T) {
	w := running(t)
	w.order(vip)
	w.expect(vip)
	w.order(vip, "a", "b", "c", "d")
	w.expect(vip, "a")
}

func TestANodeWithoutAnInterfaceDoesNotWin(t *testing.T) {
	w := running(t)
	w.nodes["a"].m.able(w.now, vip, false)
	w.nodes["a"].run()
	w.expect(vip)
}

// TestAnything has random things happen to a segment. Whenever it was left
// alone for a while, every part of it that could be served is, by one node.
func TestAnything(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, seed, "a", "b", "c", "d", "e")
		// Or it would be left alone for very long.
		w.timing.away, w.timing.unasked = 3*time.Second, 3*time.Second
		w.unplaced["b"], w.unplaced["d"] = seed%4 == 3, seed%4 == 3
		addresses := vips(4)
		for i, addr := range addresses {
			names := []string{"a", "b", "c", "d", "e"}
			w.order(addr, append(names[i:], names[:i]...)...)
		}
		for _, n := range w.all() {
			n.start()
		}
		for range 12 {
			for range 1 + w.rand.IntN(4) {
				w.mishap(addresses)
				w.sleep(time.Duration(w.rand.IntN(700)) * time.Millisecond)
			}
			w.sleep(12 * time.Second)
			w.check(seed, addresses)
		}
	}
}

// mishap is something that happens.
func (w *world) mishap(addresses []netip.Addr) {
	names := []string{"a", "b", "c", "d", "e"}
	w.rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	n := w.nodes[names[0]]
	switch w.rand.IntN(9) {
	case 0:
		n.off()
	case 1, 2:
		n.power = true
		n.start()
	case 3:
		n.kill()
	case 4:
		k := 1 + w.rand.IntN(4)
		w.split(names[:k], names[k:])
	case 5, 6:
		w.cut = map[[2]string]bool{}
	case 7:
		n.api = false
	case 8:
		for _, n := range w.all() {
			n.reconnect()
		}
		w.order(addresses[w.rand.IntN(len(addresses))], names[:2+w.rand.IntN(4)]...)
	}
}

// parts returns the nodes that run in groups that reach each other.
func (w *world) parts() [][]string {
	var parts [][]string
	for _, n := range w.all() {
		if !n.running {
			continue
		}
		i := slices.IndexFunc(parts, func(p []string) bool { return w.reach(p[0], n.name) })
		if i < 0 {
			parts = append(parts, []string{n.name})
		} else {
			parts[i] = append(parts[i], n.name)
		}
	}
	return parts
}

func (w *world) check(seed uint64, addresses []netip.Addr) {
	w.t.Helper()
	for _, addr := range addresses {
		for _, part := range w.parts() {
			var holders []string
			may := false
			for _, name := range part {
				n := w.nodes[name]
				if n.holds[addr] {
					holders = append(holders, name)
				}
				a := n.m.addresses[addr]
				may = may || a != nil && slices.Contains(a.claim.Order, name)
			}
			if len(holders) > 1 || may && len(holders) == 0 {
				var beliefs string
				for _, name := range part {
					beliefs += w.nodes[name].describe(addr)
				}
				w.t.Fatalf("seed %d: in %v, %v is announced by %v; on record %q%s", seed, part, addr, holders, w.records[addr], beliefs)
			}
		}
	}
}

// A device with the same address, or another installation with the same pool,
// defends it as well: that must not become a storm, nor go unanswered.
func TestAStrangerThatDoesNotGiveWay(t *testing.T) {
	w := running(t)
	w.sleep(time.Minute)
	claim := func() { w.nodes["a"].hear(vip, "") }
	claim()
	before := w.tells
	w.sleep(2 * step)
	if w.tells != before+1 {
		t.Fatalf("the first claim was answered %d times", w.tells-before)
	}
	w.sleep(10*time.Minute, func() {
		if before < w.tells {
			before = w.tells
			claim()
		}
	})
	if fought := w.nodes["a"].m.addresses[vip].patience; fought != defaults.stubborn {
		t.Errorf("after ten minutes the pause is %v", fought)
	}
	w.expect(vip, "a")
	w.sleep(time.Minute)
	before = w.tells
	claim()
	w.sleep(2 * step)
	if w.tells != before+1 {
		t.Errorf("a claim after a calm minute was answered %d times", w.tells-before)
	}
	for range 20 {
		claim()
		w.sleep(2 * defaults.calm)
	}
	before = w.tells
	w.nodes["a"].m.called(w.now, vip, "b")
	w.sleep(defaults.calm)
	if w.tells != before+1 {
		t.Errorf("a node waits behind a stranger: it was answered %d times", w.tells-before)
	}
}

// A session that is replaced, since the other node's address changed, may never
// come up: then nothing tells that the node is down.
func TestAPowerCutBeforeARenewedSessionIsUp(t *testing.T) {
	w := newWorld(t, 1, "a", "b")
	w.order(vip, "a", "b")
	for _, n := range w.all() {
		n.start()
	}
	w.sleep(2 * time.Second)
	b := w.nodes["b"]
	b.sessions["a"] = &session{}
	w.deaf[pair("a", "b")] = true
	b.m.renewed(w.now, "a")
	w.sleep(100 * time.Millisecond)
	w.expect(vip, "a")
	w.nodes["a"].off()
	w.until("b takes over", defaults.greeting+defaults.verdict, w.heldBy(vip, "b"))
}

// A node whose own address is on no segment can't be asked whether its kernel is
// there. Its addresses must not be lost for that.
func TestANodeThatCanNotBeAsked(t *testing.T) {
	for _, standIn := range []bool{true, false} {
		w := newWorld(t, 1, "a", "b", "c", "d")
		if !standIn {
			w.timing.away = 0
		}
		w.unplaced["a"] = true
		w.order(vip, "a", "b", "c", "d")
		for _, n := range w.all() {
			n.start()
		}
		w.sleep(2 * time.Second)
		w.nodes["a"].off()
		took := w.until("b takes over", defaults.unasked+time.Second, w.heldBy(vip, "b"))
		if took < defaults.unasked {
			t.Errorf("standing in %v: b took over after %v", standIn, took)
		}
		w.sleep(10*time.Second, func() { w.expect(vip, "b") })
		if s := w.standIns(vip); len(s) > 0 {
			t.Errorf("%v stand in, for a kernel that may not be there", s)
		}
	}
}

// Nor must they move while only sessions are blocked: it is called before.
func TestBlockedSessionsToANodeThatCanNotBeAsked(t *testing.T) {
	w := running(t)
	for _, n := range []string{"b", "c", "d"} {
		w.unplaced["a"], w.deaf[pair("a", n)] = true, true
	}
	w.sleep(5*time.Minute, func() { w.expect(vip, "a") })
}

// A node whose own link was down for long has lost the others, and they it. It
// must not take that for their end when it is back.
func TestALinkThatComesBack(t *testing.T) {
	for _, unplaced := range []bool{false, true} {
		w := running(t)
		for _, n := range w.all() {
			w.unplaced[n.name] = unplaced
		}
		b, others := w.nodes["b"], []string{"a", "c", "d"}
		w.split([]string{"b"}, others)
		if unplaced {
			w.sleep(10 * time.Second) // and in doubt already when it goes
		}
		w.unlinked["b"] = true
		b.m.able(w.now, vip, false)
		b.run()
		w.sleep(5*time.Minute, func() { w.expect(vip, "a") })
		w.cut, w.unlinked = map[[2]string]bool{}, map[string]bool{}
		b.m.able(w.now, vip, true)
		b.run()
		w.sleep(10*time.Second, func() { w.expect(vip, "a") })
	}
}

// What can't be asked is not asked for ever, where nothing depends on it.
func TestQuestionsThatCanNotBePut(t *testing.T) {
	for _, tc := range []struct {
		reason string
		happen func(m *protocol, now time.Time)
		known  bool
	}{
		{"a node that watched this one, and has to do with nothing", func(m *protocol, now time.Time) {
			m.watched(now, "x", true)
			m.watched(now, "x", false)
		}, false},
		{"a session that was late and is not any more", func(m *protocol, now time.Time) {
			m.claim(now, vip, Claim{Order: []string{"x", "a"}, Recorded: "x"})
			m.able(now, vip, true)
			m.session(now, "x", true)
			m.take()
			m.late(now, "x")
		}, true},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			now := time.Unix(0, 0)
			m := newProtocol("a", defaults)
			m.start(now)
			tc.happen(m, now)
			asked := 0
			for range 100 {
				for _, e := range m.take() {
					if e.kind == ask {
						asked++
						m.unasked(now, e.peer, true)
					}
				}
				now = now.Add(100 * time.Millisecond)
				m.tick(now)
			}
			if asked != 1 {
				t.Errorf("it was asked %d times", asked)
			}
			if _, known := m.peers["x"]; known != tc.known {
				t.Errorf("it is remembered: %v", known)
			}
		})
	}
}
