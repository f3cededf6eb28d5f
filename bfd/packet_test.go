package bfd

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// good is a packet with a different value in each field.
var good = Packet{
	Diag: PathDown, State: Up, Poll: true, ControlPlaneIndependent: true, Multiplier: 3,
	MyDiscriminator: 0x01020304, YourDiscriminator: 0x05060708,
	DesiredMinTx: 100 * time.Millisecond, RequiredMinRx: 300 * time.Millisecond, RequiredMinEchoRx: 50 * time.Microsecond,
}

// wire is good as RFC 5880 section 4.1 draws it.
var wire = []byte{
	1<<5 | 5, 3<<6 | 0x20 | 0x08, 3, 24,
	1, 2, 3, 4, 5, 6, 7, 8,
	0x00, 0x01, 0x86, 0xa0, 0x00, 0x04, 0x93, 0xe0, 0, 0, 0, 50,
}

func TestAppendIsWhatTheRFCDraws(t *testing.T) {
	if got := good.Append(nil); !bytes.Equal(got, wire) {
		t.Errorf("got  %x\nwant %x", got, wire)
	}
}

func TestParse(t *testing.T) {
	change := func(at int, to byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = to; return b }
	}
	for _, c := range []struct {
		why    string
		change func([]byte) []byte
		want   error
	}{
		{"as it is", func(b []byte) []byte { return b }, nil},
		{"what follows the packet is not ours", func(b []byte) []byte { return append(b, 1, 2, 3) }, nil},
		{"an unknown diagnostic is no reason to drop", change(0, 1<<5|31), nil},
		{"a poll and its answer in one", change(1, 3<<6|0x30), nil},
		{"nothing", func(b []byte) []byte { return nil }, Malformed},
		{"cut short", func(b []byte) []byte { return b[:23] }, Malformed},
		{"version 0", change(0, 0), WrongVersion},
		{"version 2", change(0, 2<<5), WrongVersion},
		{"a length less than a header", change(3, 23), Malformed},
		{"a length beyond the datagram", change(3, 25), Malformed},
		{"a multiplier of 0", change(2, 0), Malformed},
		{"the multipoint bit", change(1, 3<<6|0x01), Malformed},
		{"authentication that we do not have", change(1, 3<<6|0x04), Authenticated},
		{"no discriminator of its own", func(b []byte) []byte { clear(b[4:8]); return b }, Malformed},
		{"Up without knowing us", func(b []byte) []byte { clear(b[8:12]); return b }, Malformed},
		{"Init without knowing us", func(b []byte) []byte { clear(b[8:12]); b[1] = 2 << 6; return b }, Malformed},
		{"Down without knowing us: a first packet", func(b []byte) []byte { clear(b[8:12]); b[1] = 1 << 6; return b }, nil},
		{"AdminDown without knowing us", func(b []byte) []byte { clear(b[8:12]); b[1] = 0; return b }, nil},
	} {
		_, err := Parse(c.change(bytes.Clone(wire)))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.why, err, c.want)
		}
	}
	if p, err := Parse(wire); p != good || err != nil {
		t.Errorf("got %+v, %v, want %+v", p, err, good)
	}
}

func TestIntervalsThatTheWireCantHold(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{
		-time.Second:                    0,
		1500 * time.Nanosecond:          time.Microsecond,
		2 * time.Hour:                   (1<<32 - 1) * time.Microsecond,
		(1<<32 - 1) * time.Microsecond:  (1<<32 - 1) * time.Microsecond,
		4294967296*time.Microsecond - 1: (1<<32 - 1) * time.Microsecond,
	} {
		p := good
		p.DesiredMinTx = in
		got, err := Parse(p.Append(nil))
		if err != nil || got.DesiredMinTx != want {
			t.Errorf("%v became %v (%v), want %v", in, got.DesiredMinTx, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Up.String(): "Up", AdminDown.String(): "AdminDown", State(9).String(): "State(9)",
		NeighborSignaledDown.String(): "NeighborSignaledDown", Diag(31).String(): "Diag(31)",
		WrongTTL.String(): "wrong TTL", Reason(99).String(): "Reason(99)",
		LongInterval.Error(): "BFD packet dropped: long interval",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(wire)
	f.Add(wire[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			if p != (Packet{}) {
				t.Fatalf("an error and %+v", p)
			}
			return
		}
		again, err := Parse(p.Append(nil))
		if err != nil || again != p {
			t.Fatalf("%+v came back as %+v, %v", p, again, err)
		}
	})
}

// FuzzSession has a session hear anything at any time: what it sends is valid,
// and time goes on.
func FuzzSession(f *testing.F) {
	f.Add(wire, uint32(1000), false)
	f.Fuzz(func(t *testing.T, b []byte, pause uint32, passive bool) {
		now := time.Unix(0, 0)
		s := newSession(Config{Peer: addrB, Transmit: 100 * time.Millisecond, Receive: 100 * time.Millisecond,
			Multiplier: 3, Warn: 50 * time.Millisecond, Passive: passive}, 7, rand.New(rand.NewPCG(1, 2)), now)
		check := func(a action) {
			if !a.send {
				return
			}
			if _, err := Parse(a.packet.Append(nil)); err != nil {
				t.Fatalf("%+v can't be sent: %v", a.packet, err)
			}
		}
		for ; len(b) >= PacketLen; b = b[1:] {
			if p, err := Parse(b); err == nil {
				check(s.receive(now, p))
			}
			now = now.Add(time.Duration(pause) * time.Microsecond)
			if at := s.deadline(); !at.IsZero() && !at.After(now) {
				check(s.advance(now))
				if at := s.deadline(); !s.over && !at.IsZero() && !at.After(now) {
					t.Fatalf("the deadline %v stays at %v", at, now)
				}
			}
		}
	})
}
