//go:build linux

package bfd

import (
	"net/netip"
	"testing"
	"time"
)

// mirrored is an engine whose one session talks with itself, driven by hand:
// each packet that it sends comes in again.
func mirrored(t testing.TB, addr string, port uint16) (*Engine, *entry) {
	t.Helper()
	a := netip.MustParseAddr(addr)
	e := New(Options{Listen: []netip.Addr{a}, Port: port})
	if err := e.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.stop)
	cfg := Config{Peer: a, Local: a, Transmit: time.Second, Receive: time.Second, Multiplier: 3}
	e.add(cfg)
	x := e.keys[cfg.Key()]
	for range 3 {
		e.transmit(x, x.packet())
		if err := e.wait(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		e.drain()
	}
	if x.state != Up || x.received < 3 {
		t.Fatalf("the session is %v after %d packets: %v", x.state, x.received, x.errno)
	}
	return e, x
}

func TestNothingIsAllocatedInSteadyState(t *testing.T) {
	for _, addr := range []string{"127.0.11.1", "::1"} {
		e, x := mirrored(t, addr, 13810)
		received := x.received
		var now time.Time
		each := testing.AllocsPerRun(200, func() {
			now = x.due
			e.expireAll(now)
			if err := e.wait(time.Now().Add(time.Second)); err != nil {
				t.Error(err)
			}
			e.drain()
			e.receiveRubbish()
		})
		if each != 0 {
			t.Errorf("%s: %v allocations for a packet sent and received", addr, each)
		}
		if x.received < received+200 {
			t.Errorf("%s: only %d packets came back", addr, x.received-received)
		}
	}
}

// receiveRubbish has one packet of each kind dropped.
func (e *Engine) receiveRubbish() {
	for _, data := range [][]byte{nil, wire} {
		if err := e.receive(time.Now(), arrival{peer: addrA, ttl: 255, data: data}, false); err != nil {
			reason, _ := err.(Reason)
			e.drop(reason)
		}
	}
}

func BenchmarkPacketThereAndBack(b *testing.B) {
	e, x := mirrored(b, "127.0.12.1", 13820)
	b.ReportAllocs()
	for b.Loop() {
		e.expireAll(x.due)
		e.drain()
	}
}
