package bfd

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/berth-lb/berth/bfd"
)

const (
	patience = 20 * time.Second
	ms       = time.Millisecond
)

// speaker is Berth's engine on the node.
type speaker struct {
	*bfd.Engine
	t      *testing.T
	events chan bfd.Event
	stop   func()
}

func newSpeaker(t *testing.T, namespace string, opts bfd.Options) *speaker {
	t.Helper()
	s := &speaker{t: t, events: make(chan bfd.Event, 100)}
	opts.OnEvent = func(e bfd.Event) { s.events <- e }
	s.Engine = bfd.New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	done := inside(namespace, func() error { return s.Run(ctx) })
	stopped := false
	s.stop = func() {
		cancel()
		if !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(s.stop)
	return s
}

// await returns the next event that is for that state.
func (s *speaker) await(state bfd.State) bfd.Event {
	s.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-s.events:
			if e.State == state {
				return e
			}
		case <-late:
			s.t.Fatalf("the session does not become %v: %+v, %+v", state, s.Sessions(), s.Counters())
		}
	}
}

func (s *speaker) add(cfg bfd.Config) {
	s.t.Helper()
	if err := s.Add(cfg); err != nil {
		s.t.Fatal(err)
	}
}

// path is a way to reach FRR.
type path struct {
	name string
	peer string // as FRR names us
	cfg  bfd.Config
}

func paths() []path {
	addr := netip.MustParseAddr
	return []path{
		{"IPv4", "192.0.2.1 local-address 192.0.2.2", bfd.Config{Peer: addr("192.0.2.2"), Local: addr("192.0.2.1")}},
		{"IPv6", "2001:db8:1::1 local-address 2001:db8:1::2", bfd.Config{Peer: addr("2001:db8:1::2")}},
		{"link-local", "fe80::1 local-address fe80::2 interface direct", bfd.Config{Peer: addr("fe80::2%direct"), Local: addr("fe80::1")}},
		{"bound to an interface", "192.0.2.1 local-address 192.0.2.2 interface direct", bfd.Config{Peer: addr("192.0.2.2"), Interface: "direct"}},
		{"IPv4 multihop", "198.51.100.1 multihop local-address 203.0.113.1",
			bfd.Config{Peer: addr("203.0.113.1"), Local: addr("198.51.100.1"), Multihop: true, MinTTL: 254}},
		{"IPv6 multihop", "2001:db8:2::1 multihop local-address 2001:db8:3::1",
			bfd.Config{Peer: addr("2001:db8:3::1"), Local: addr("2001:db8:2::1"), Multihop: true, MinTTL: 254}},
	}
}

func TestFRR(t *testing.T) {
	needFRR(t)
	l := newLab(t)
	for _, p := range paths() {
		t.Run(p.name, func(t *testing.T) { story(t, l, p) })
	}
}

// story is the life of a session with FRR.
func story(t *testing.T, l lab, p path) {
	r := newRouter(t, l.router, p.peer)
	s := newSpeaker(t, l.node, bfd.Options{})
	cfg := p.cfg
	cfg.Transmit, cfg.Receive, cfg.Multiplier = 500*ms, 250*ms, 5
	s.add(cfg)
	s.await(bfd.Up)
	r.sees("the session Up with our intervals", func(v view) bool {
		return v.Status == "up" && v.RemoteTransmit == 500 && v.RemoteReceive == 250 && v.RemoteMultiplier == 5
	})
	// FRR sends each max(300, 250) ms and gives 4 of them; it hears each max(500, 400).
	negotiated(t, s, 500*ms, 4*300*ms)

	cfg.Transmit, cfg.Receive = 700*ms, 450*ms
	s.add(cfg)
	r.sees("our new intervals", func(v view) bool {
		return v.Status == "up" && v.RemoteTransmit == 700 && v.RemoteReceive == 450
	})
	negotiated(t, s, 700*ms, 4*450*ms)
	r.tell(p.peer, "receive-interval 900")
	negotiated(t, s, 900*ms, 4*450*ms)
	quiet(t, s)

	r.tell(p.peer, "shutdown")
	if e := s.await(bfd.Down); e.RemoteState != bfd.AdminDown || e.Diag != bfd.NeighborSignaledDown {
		t.Errorf("FRR's shutdown: %+v", e)
	}
	r.tell(p.peer, "no shutdown")
	s.await(bfd.Up)

	r.kill("bfdd")
	died(t, s)
	r.start("bfdd")
	s.await(bfd.Up)
	r.sees("the session Up again", func(v view) bool { return v.Status == "up" })

	s.stop()
	r.sees("our planned stop", func(v view) bool {
		return v.Status == "down" && v.Diagnostic == "neighbor signaled session down" && v.RemoteDiagnostic == "administratively down"
	})
}

// negotiated waits until a session is Up with that interval between our packets
// and that detection time.
func negotiated(t *testing.T, s *speaker, transmit, detection time.Duration) {
	t.Helper()
	var now bfd.Status
	for late := time.Now().Add(patience); now.State != bfd.Up || now.Transmit != transmit || now.Detection != detection; now = s.Sessions()[0] {
		if time.Now().After(late) {
			t.Fatalf("want %v and %v, got %+v", transmit, detection, now)
		}
	}
}

// quiet wants no event so far, and leaves none.
func quiet(t *testing.T, s *speaker) {
	t.Helper()
	for len(s.events) > 0 {
		t.Errorf("the session was disturbed: %+v", <-s.events)
	}
}

// died wants that FRR's end is found when the detection time is over, measured
// from the last packet, or a little later on a busy machine.
func died(t *testing.T, s *speaker) {
	t.Helper()
	before := s.Sessions()[0]
	e := s.await(bfd.Down)
	after := s.Sessions()[0]
	silence := e.At.Sub(after.Heard)
	if e.Diag != bfd.DetectionTimeExpired || e.RemoteState != bfd.Up {
		t.Errorf("FRR was killed: %+v", e)
	}
	if silence < before.Detection || silence >= 3*before.Detection+2*time.Second {
		t.Errorf("found after %v of silence, want %v", silence, before.Detection)
	}
	t.Logf("found %v after the last packet; the detection time is %v", silence, before.Detection)
}

// Berth is passive, as the watched side of a pair of speakers is, and FRR speaks
// first.
func TestFRRSpeaksFirst(t *testing.T) {
	needFRR(t)
	l := newLab(t)
	for _, peer := range []string{"192.0.2.1 local-address 192.0.2.2", "fe80::1 local-address fe80::2 interface direct"} {
		t.Run(peer, func(t *testing.T) {
			s := newSpeaker(t, l.node, bfd.Options{Accept: func(netip.Addr, int) (bfd.Config, bool) {
				return bfd.Config{Transmit: 100 * ms, Receive: 100 * ms, Multiplier: 3}, true
			}})
			r := newRouter(t, l.router, peer)
			if e := s.await(bfd.Up); !e.Passive || !e.Local.IsValid() {
				t.Errorf("got %+v", e)
			}
			r.sees("the session Up", func(v view) bool { return v.Status == "up" })
			s.stop()
			r.sees("our planned stop", func(v view) bool {
				return v.Status == "down" && v.RemoteDiagnostic == "administratively down"
			})
		})
	}
}
