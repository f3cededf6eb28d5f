//go:build linux

package bfd

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batch is how many packets one call takes from a socket.
	batch = 64
	// burst is how many packets are taken before the clock is looked at again.
	// It is more than hundreds of sessions send in a second, so that only a flood
	// reaches it.
	burst = 4096
	// flood is how many packets at once are more than those of sessions gathered,
	// and well below what a receive buffer holds.
	flood = 1024
	// packetRoom holds the longest packet that its length byte can tell.
	packetRoom = 256
)

// arrival is a datagram with what the kernel says of it. data is valid until the
// next batch.
type arrival struct {
	peer, local netip.Addr // without zones
	iface       int
	ttl         int           // -1 if it was not told
	stamp       unix.Timespec // when it came, by the wall clock; zero if that was not told
	data        []byte
}

// inbox is the memory for one batch, used again and again.
type inbox struct {
	messages [batch]unix.Mmsghdr
	vectors  [batch]unix.Iovec
	sources  [batch]unix.RawSockaddrInet6 // room for IPv4 as well
	controls [batch][16]uint64
	packets  [batch][packetRoom]byte
}

func newInbox() *inbox {
	in := &inbox{}
	for i := range in.messages {
		in.vectors[i].Base = &in.packets[i][0]
		in.vectors[i].SetLen(packetRoom)
		h := &in.messages[i].Hdr
		h.Name = (*byte)(unsafe.Pointer(&in.sources[i]))
		h.Control = (*byte)(unsafe.Pointer(&in.controls[i]))
		h.Iov = &in.vectors[i]
		h.SetIovlen(1)
	}
	return in
}

// fill takes what waits in the socket, up to one batch.
func (in *inbox) fill(fd int) int {
	for i := range in.messages {
		h := &in.messages[i].Hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(len(in.controls[i]) * 8)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd),
		uintptr(unsafe.Pointer(&in.messages)), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// arrival reads message i of a batch.
func (in *inbox) arrival(i int) arrival {
	m := &in.messages[i]
	a := arrival{ttl: -1, data: in.packets[i][:min(m.Len, packetRoom)]}
	if in.sources[i].Family == unix.AF_INET {
		a.peer = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&in.sources[i])).Addr)
	} else {
		a.peer = netip.AddrFrom16(in.sources[i].Addr)
	}
	control := unsafe.Slice((*byte)(unsafe.Pointer(&in.controls[i])), len(in.controls[i])*8)
	a.read(control[:m.Hdr.Controllen])
	return a
}

// read takes from control messages what is known in them.
func (a *arrival) read(control []byte) {
	for len(control) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			return
		}
		control = rest
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL && len(data) >= 4,
			h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			a.ttl = int(*(*int32)(unsafe.Pointer(&data[0])))
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(a.stamp)):
			a.stamp = *(*unix.Timespec)(unsafe.Pointer(&data[0]))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			info := (*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0]))
			a.iface, a.local = int(info.Ifindex), netip.AddrFrom4(info.Spec_dst)
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
			a.iface, a.local = int(info.Ifindex), netip.AddrFrom16(info.Addr)
		}
	}
}
