//go:build linux

package bfd

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sender is somebody who sends what he likes.
type sender struct {
	t    *testing.T
	conn *net.UDPConn
}

func newSender(t *testing.T, from, to string, ttl int) sender {
	t.Helper()
	conn, err := net.DialUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(from)), net.UDPAddrFromAddrPort(netip.MustParseAddrPort(to)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, ttl); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	return sender{t: t, conn: conn}
}

func (s sender) send(b []byte) {
	s.t.Helper()
	if _, err := s.conn.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func TestHostilePackets(t *testing.T) {
	friend := netip.MustParseAddr("127.0.9.2")
	a := run(t, "127.0.9.1", 13790, Options{MaxAccepted: 2, Accept: func(peer netip.Addr, _ int) (Config, bool) {
		return quick(peer.String(), "127.0.9.1"), peer == friend || peer.As4()[3] > 100
	}})
	b := run(t, "127.0.9.2", 13790, Options{})
	b.add(quick("127.0.9.1", "127.0.9.2"))
	a.await(Up)
	mine := a.Sessions()[0].Discriminator

	first := Packet{State: Down, Multiplier: 3, MyDiscriminator: 77, DesiredMinTx: time.Second, RequiredMinRx: time.Second}
	with := func(change func(*Packet)) []byte { p := first; change(&p); return p.Append(nil) }
	for _, c := range []struct {
		why  string
		from string
		ttl  int
		data []byte
		want Reason
	}{
		{"rubbish", "127.0.9.3:40000", 255, []byte("hello"), Malformed},
		{"nothing", "127.0.9.3:40000", 255, nil, Malformed},
		{"from behind a router", "127.0.9.3:40001", 254, first.Append(nil), WrongTTL},
		{"a stranger", "127.0.9.3:40000", 255, first.Append(nil), UnknownPeer},
		{"a guessed discriminator", "127.0.9.2:40000", 255, with(func(p *Packet) { p.YourDiscriminator = mine + 1 }), UnknownDiscriminator},
		{"a stolen discriminator", "127.0.9.3:40000", 255, with(func(p *Packet) { p.YourDiscriminator = mine }), WrongSource},
		{"a promise of a packet an hour", "127.0.9.2:40000", 255, with(func(p *Packet) {
			p.YourDiscriminator, p.State, p.DesiredMinTx = mine, Up, time.Hour
		}), LongInterval},
		{"a known peer, and room", "127.0.9.101:40000", 255, first.Append(nil), reasons},
		{"a known peer too many", "127.0.9.102:40000", 255, first.Append(nil), TooManySessions},
	} {
		before := a.Counters()
		s := newSender(t, c.from, "127.0.9.1:13790", c.ttl)
		s.send(c.data)
		s.conn.Close()
		for late := time.Now().Add(patience); ; {
			now := a.Counters()
			if c.want == reasons && len(a.Sessions()) == 2 || c.want != reasons && now.Dropped[c.want] > before.Dropped[c.want] {
				break
			}
			if time.Now().After(late) {
				t.Fatalf("%s: %+v, then %+v", c.why, before, now)
			}
		}
	}
	for _, s := range a.Sessions() {
		if s.Peer == friend && s.State != Up {
			t.Errorf("the session suffered: %+v", s)
		}
	}
	if len(b.events) > 1 { // Up, and perhaps Init before it
		t.Errorf("the peer noticed: %d events", len(b.events))
	}
}

// Over several hops the address of the peer can be forged, from anywhere.
func TestForgedFirstPackets(t *testing.T) {
	over := func(peer, local string) Config {
		cfg := quick(peer, local)
		cfg.Multihop = true
		return cfg
	}
	a := run(t, "127.0.23.1", 13930, Options{})
	b := run(t, "127.0.23.2", 13930, Options{})
	a.add(over("127.0.23.2", "127.0.23.1"))
	b.add(over("127.0.23.1", "127.0.23.2"))
	a.await(Up)
	b.await(Up)
	p := Packet{State: Down, Multiplier: 3, MyDiscriminator: b.Sessions()[0].Discriminator + 1, DesiredMinTx: time.Second, RequiredMinRx: time.Second}
	s := newSender(t, "127.0.23.2:40000", "127.0.23.1:13931", 255)
	s.send(p.Append(nil))
	for late := time.Now().Add(patience); a.Counters().Dropped[WrongSource] == 0; {
		if time.Now().After(late) || a.Sessions()[0].State != Up {
			t.Fatalf("a guess is taken: %+v, %+v", a.Sessions(), a.Counters())
		}
	}
	// The peer itself, when it has heard nothing for the detection time.
	p.MyDiscriminator--
	s.send(p.Append(nil))
	if e := a.await(Down); e.Previous != Up || e.Diag != NeighborSignaledDown {
		t.Errorf("got %+v", e)
	}
}

// A flood of packets that fit nothing must neither keep the timers from being
// looked at nor cost memory.
func TestFlood(t *testing.T) {
	a := run(t, "127.0.10.1", 13800, Options{Accept: accepting(quick("127.0.10.2", "127.0.10.1"))})
	b := run(t, "127.0.10.2", 13800, Options{})
	b.add(quick("127.0.10.1", "127.0.10.2"))
	a.await(Up)
	b.await(Up)
	p := Packet{State: Up, Multiplier: 3, MyDiscriminator: 77, YourDiscriminator: 78}.Append(nil)
	s := newSender(t, "127.0.10.3:40000", "127.0.10.1:13800", 255)
	sent := a.Sessions()[0].Sent
	for range 100_000 {
		s.send(p)
	}
	if now := a.Sessions()[0]; now.State != Up || now.Sent == sent {
		t.Errorf("got %+v after %d packets sent", now, sent)
	}
	if len(a.events)+len(b.events) > 0 {
		t.Error("the session broke")
	}
	if n := len(a.Sessions()); n != 1 {
		t.Errorf("%d sessions", n)
	}
}
