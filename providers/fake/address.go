package fake

import (
	"encoding/binary"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// ranges are where IPv4 addresses come from: those set aside for documentation
// (RFC 5737), then, for thousands of Services, those for benchmarks (RFC 2544).
var ranges = []netip.Prefix{
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
}

// capacity is how many addresses ranges hold, first and last of each left out.
var capacity = func() (n int) {
	for _, r := range ranges {
		n += size(r)
	}
	return n
}()

func size(r netip.Prefix) int { return 1<<(32-r.Bits()) - 2 }

// address returns the number-th address of a family. IPv6 ones are from the
// documentation prefix (RFC 3849).
func address(number int, family corev1.IPFamily) netip.Addr {
	if family == corev1.IPv6Protocol {
		a := netip.MustParseAddr("2001:db8::").As16()
		binary.BigEndian.PutUint64(a[8:], uint64(number)+1)
		return netip.AddrFrom16(a)
	}
	for _, r := range ranges {
		if number < size(r) {
			a := r.Addr().As4()
			binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+uint32(number)+1)
			return netip.AddrFrom4(a)
		}
		number -= size(r)
	}
	panic("number out of range")
}

// numbers gives out the numbers of addresses. One that is given back comes up
// again last, so that nobody mistakes an old load balancer for a new one.
type numbers struct {
	taken map[int]bool
	next  int
}

func (n *numbers) take() int {
	for n.taken[n.next] {
		n.next = (n.next + 1) % capacity
	}
	number := n.next
	n.taken[number] = true
	n.next = (number + 1) % capacity
	return number
}

func (n *numbers) give(number int) { delete(n.taken, number) }
