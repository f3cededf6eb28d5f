package ipam

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"

	"go4.org/netipx"
)

// segment is a run of addresses that are all usable, or all not.
type segment struct {
	from, to netip.Addr
	pool     *pool
	usable   bool
	place    int     // among the segments of its stock
	base     uint128 // the address that offset 0 stands for
	taken    bitmap
}

func newSegment(p *pool, r netipx.IPRange, avoidBuggy bool) *segment {
	s := &segment{from: r.From(), to: r.To(), pool: p, base: number(r.From())}
	skip := avoidBuggy && s.from.Is4()
	if s.from.Is4() {
		s.base.lo &^= 0xff // offsets end in 0 and 255 where addresses do
	}
	first, _ := s.offset(s.from)
	last, ok := s.offset(s.to)
	if !ok {
		last = math.MaxUint64
	}
	for skip && first <= last && buggy(first) {
		first++
	}
	for skip && first < last && buggy(last) {
		last--
	}
	if s.usable = first <= last; s.usable {
		s.taken = newBitmap(first, last, skip)
	}
	return s
}

func buggy(n uint64) bool { return n%256 == 0 || n%256 == 255 }

// gives tells whether x, which lies in s, may be given out.
func (s *segment) gives(x netip.Addr) bool {
	return s.usable && !(s.taken.skipEnds && buggy(number(x).lo))
}

// size returns how many addresses may be given out, at most math.MaxInt64.
func (s *segment) size() int64 {
	b := &s.taken
	if _, ok := s.offset(s.to); !ok || b.last-b.first >= math.MaxInt64 {
		return math.MaxInt64
	}
	n := b.last - b.first + 1
	if b.skipEnds {
		n -= buggyBelow(b.last+1) - buggyBelow(b.first)
	}
	return int64(n)
}

// buggyBelow returns how many numbers below n are 0 or 255 modulo 256.
func buggyBelow(n uint64) uint64 { return n/256*2 + min(n%256, 1) }

// offset returns the distance of x from the base; false where it is too long to
// be counted, as in the far part of a huge IPv6 range, which is given out only
// on request.
func (s *segment) offset(x netip.Addr) (uint64, bool) {
	d := number(x).minus(s.base)
	return d.lo, d.hi == 0
}

func (s *segment) addr(n uint64) netip.Addr {
	return s.base.plus(n).addr(s.from.Is4())
}

type uint128 struct{ hi, lo uint64 }

func number(x netip.Addr) uint128 {
	if x.Is4() {
		b := x.As4()
		return uint128{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := x.As16()
	return uint128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (u uint128) minus(v uint128) uint128 {
	lo, borrow := bits.Sub64(u.lo, v.lo, 0)
	hi, _ := bits.Sub64(u.hi, v.hi, borrow)
	return uint128{hi, lo}
}

func (u uint128) plus(n uint64) uint128 {
	lo, carry := bits.Add64(u.lo, n, 0)
	return uint128{u.hi + carry, lo}
}

func (u uint128) addr(is4 bool) netip.Addr {
	if is4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(u.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], u.hi)
	binary.BigEndian.PutUint64(b[8:], u.lo)
	return netip.AddrFrom16(b)
}
