//go:build linux

package bfd

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// transmitted is all that a send needs, made once, so that sending allocates
// nothing.
type transmitted struct {
	header  unix.Msghdr
	vector  unix.Iovec
	to4     unix.RawSockaddrInet4
	to6     unix.RawSockaddrInet6
	control [8]uint64 // aligned as a control message has to be
	packet  [PacketLen]byte
}

// aim prepares packets from local, which may be unset, to peer, through the
// interface of that index, or any if 0.
func (t *transmitted) aim(peer, local netip.Addr, port uint16, iface int) {
	t.header = unix.Msghdr{}
	if peer.Is4() {
		t.to4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: networkOrder(port), Addr: peer.As4()}
		t.header.Name, t.header.Namelen = (*byte)(unsafe.Pointer(&t.to4)), unix.SizeofSockaddrInet4
	} else {
		t.to6 = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: networkOrder(port), Addr: peer.As16()}
		if peer.IsLinkLocalUnicast() {
			t.to6.Scope_id = uint32(iface)
		}
		t.header.Name, t.header.Namelen = (*byte)(unsafe.Pointer(&t.to6)), unix.SizeofSockaddrInet6
	}
	t.vector.Base = &t.packet[0]
	t.vector.SetLen(PacketLen)
	t.header.Iov = &t.vector
	t.header.SetIovlen(1)
	t.from(peer.Is4(), local, iface)
}

// from says by a control message which address and interface to send from.
func (t *transmitted) from(v4 bool, local netip.Addr, iface int) {
	if !local.IsValid() && iface == 0 {
		return
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&t.control))
	data := unsafe.Add(unsafe.Pointer(&t.control), unix.CmsgLen(0))
	t.header.Control = (*byte)(unsafe.Pointer(&t.control))
	if v4 {
		info := unix.Inet4Pktinfo{Ifindex: int32(iface)}
		if local.IsValid() {
			info.Spec_dst = local.As4()
		}
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(data) = info
		t.header.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		return
	}
	info := unix.Inet6Pktinfo{Ifindex: uint32(iface)}
	if local.IsValid() {
		info.Addr = local.As16()
	}
	h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	*(*unix.Inet6Pktinfo)(data) = info
	t.header.SetControllen(unix.CmsgSpace(unix.SizeofInet6Pktinfo))
}

// transmit sends p by fd. The call does not block, so the scheduler need not
// hear of it, and the thread can't lose its processor to it.
func (t *transmitted) transmit(fd int, p Packet) syscall.Errno {
	p.Append(t.packet[:0])
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&t.header)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	return errno
}

// networkOrder returns the number whose bytes in memory are those of port on
// the wire.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}
