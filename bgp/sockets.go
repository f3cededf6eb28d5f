//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// connection names a TCP connection of this process that GoBGP holds.
type connection struct {
	remote    netip.AddrPort // without a zone
	localPort uint16
}

// unacknowledged returns how many bytes have been written that the other end has
// not acknowledged: 0 as well where the connection has gone.
func (c connection) unacknowledged() (int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, fmt.Errorf("looking for the connection to %v: %w", c.remote, err)
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || !c.is(fd) {
			continue
		}
		// A descriptor that was given to another socket in between answers for
		// that one, which is asked about again soon.
		n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		if err != nil {
			return 0, nil
		}
		return n, nil
	}
	return 0, nil
}

func (c connection) is(fd int) bool {
	remote, err := unix.Getpeername(fd)
	if err != nil || addrPort(remote) != c.remote {
		return false
	}
	local, err := unix.Getsockname(fd)
	return err == nil && addrPort(local).Port() == c.localPort
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}
