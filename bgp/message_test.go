//go:build linux

package bgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// header is the begin of a message.
func header(length uint16, kind uint8) []byte {
	return append(binary.BigEndian.AppendUint16(bytes.Clone(marker), length), kind)
}

func TestParseHeader(t *testing.T) {
	cases := []struct {
		why    string
		header []byte
		want   *notification // nil: it is good
	}{
		{"keepalive", header(19, 4), nil},
		{"the longest", header(4096, 2), nil},
		{"the shortest OPEN", header(29, 1), nil},
		{"another protocol", []byte("SSH-2.0-OpenSSH_9.6"), &notification{1, 1, nil}},
		{"longer than any (RFC 8654 was not agreed)", header(4097, 2), &notification{1, 2, []byte{0x10, 0x01}}},
		{"shorter than itself", header(18, 4), &notification{1, 2, []byte{0, 18}}},
		{"keepalive with something in it", header(20, 4), &notification{1, 2, []byte{0, 20}}},
		{"OPEN without a router ID", header(28, 1), &notification{1, 2, []byte{0, 28}}},
		{"NOTIFICATION without a code", header(20, 3), &notification{1, 2, []byte{0, 20}}},
		{"UPDATE without lengths", header(22, 2), &notification{1, 2, []byte{0, 22}}},
		{"ROUTE-REFRESH with filters (RFC 5291)", header(24, 5), &notification{1, 2, []byte{0, 24}}},
		{"no such type", header(19, 6), &notification{1, 3, []byte{6}}},
	}
	for _, c := range cases {
		_, _, err := parseHeader(c.header)
		var v *violation
		if errors.As(err, &v) != (c.want != nil) || v != nil && !bytes.Equal(v.message(), c.want.message()) {
			t.Errorf("%s: got %v, want %v", c.why, err, c.want)
		}
	}
}

// Nothing that a router sends is kept, nor costs an allocation.
func TestReaderKeepsNothing(t *testing.T) {
	update := frame(bgp.BGP_MSG_UPDATE, make([]byte, maxMessage-headerLength))
	one := append(bytes.Clone(update), keepalive...)
	in := &endless{what: one}
	r := newReader(in)
	got := testing.AllocsPerRun(1000, func() {
		for _, want := range []uint8{bgp.BGP_MSG_UPDATE, bgp.BGP_MSG_KEEPALIVE} {
			if m, err := r.next(); err != nil || m.kind != want || len(m.body) > 0 {
				t.Fatalf("got %+v, %v", m, err)
			}
		}
	})
	if got > 0 {
		t.Errorf("%v allocations for two messages", got)
	}
}

// endless repeats the same bytes.
type endless struct {
	what []byte
	at   int
}

func (e *endless) Read(data []byte) (int, error) {
	n := copy(data, e.what[e.at:])
	e.at = (e.at + n) % len(e.what)
	return n, nil
}

// Whatever comes, it is messages, a violation, or the end.
func FuzzReader(f *testing.F) {
	f.Add(bytes.Clone(keepalive))
	f.Add(append(frame(2, make([]byte, 50)), keepalive...))
	f.Add(append(frame(3, []byte{6, 2, 3, 'a', 'b'}), frame(5, []byte{0, 1, 0, 1})...))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := newReader(bytes.NewReader(data))
		for {
			m, err := r.next()
			var v *violation
			if errors.As(err, &v) {
				if v.code != bgp.BGP_ERROR_MESSAGE_HEADER_ERROR || len(sentNonsense(v.what)) > 200 {
					t.Errorf("%d/%d %q", v.code, v.subcode, v.what)
				}
				return
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				return
			}
			if m.kind == bgp.BGP_MSG_NOTIFICATION {
				if said := theySaid(Peer{}, parseNotification(m.body)); len(said) > 700 {
					t.Errorf("%d bytes: %s", len(said), said)
				}
			}
		}
	})
}
