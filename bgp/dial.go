//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dialTimeout bounds an attempt to connect. TCP asks again after 1 s, 3 s and 7 s:
// who begins anew instead is there sooner when a router comes back. It leaves the
// kernel the 3 s in which it finds out that an address is nobody's.
const dialTimeout = 4 * time.Second

// alive has TCP ask whether a router is there that says nothing: 30 s after a
// power cut it is known to be gone. Only where there is no hold time, which
// would be cut short.
var alive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// dial connects to a router.
func dial(ctx context.Context, p Peer, address netip.Addr) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: alive, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = prepare(int(fd), p, address) }); e != nil {
			return e
		}
		return err
	}}
	var from netip.AddrPort
	if p.Source.IsValid() {
		from = netip.AddrPortFrom(p.Source, 0)
	}
	return d.DialTCP(ctx, "tcp", from, netip.AddrPortFrom(address, p.port()))
}

// prepare sets what the router may insist on before the first packet.
func prepare(fd int, p Peer, address netip.Addr) error {
	vrf, err := bindTo(fd, p.Device)
	if err != nil {
		return err
	}
	if p.Password != "" {
		if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG_EXT, md5(p.Password, address, vrf)); err != nil {
			return fmt.Errorf("setting the password: %w", err)
		}
	}
	options := []option{{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass}}
	hops := option{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, p.ttl()}
	if address.Is4() {
		options = []option{{unix.IPPROTO_IP, unix.IP_TOS, trafficClass}}
		hops = option{unix.IPPROTO_IP, unix.IP_TTL, p.ttl()}
	}
	if hops.value != 0 {
		options = append(options, hops)
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("socket option %d of level %d: %w", o.name, o.level, err)
		}
	}
	return nil
}

// option is one of a socket.
type option struct{ level, name, value int }

// trafficClass is that of routing (RFC 4271 appendix E, RFC 4594 section 3.1).
const trafficClass = 0xc0

// bindTo returns the index of the device if it is a VRF.
func bindTo(fd int, device string) (int, error) {
	if device == "" {
		return 0, nil
	}
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, device); err != nil {
		return 0, fmt.Errorf("binding to %s: %w", device, err)
	}
	link, err := netlink.LinkByName(device)
	if err != nil || link.Type() != "vrf" {
		return 0, err
	}
	return link.Attrs().Index, nil
}

// md5 is the signature for TCP_MD5SIG_EXT (RFC 2385).
func md5(password string, address netip.Addr, vrf int) *unix.TCPMD5Sig {
	sig := &unix.TCPMD5Sig{Keylen: uint16(len(password))}
	copy(sig.Key[:], password)
	if address.Is4() {
		sig.Addr.Family = unix.AF_INET
		a := address.As4()
		copy(sig.Addr.Data[2:], a[:])
	} else {
		sig.Addr.Family = unix.AF_INET6
		a := address.As16()
		copy(sig.Addr.Data[6:], a[:])
	}
	if vrf != 0 {
		sig.Ifindex, sig.Flags = int32(vrf), unix.TCP_MD5SIG_FLAG_IFINDEX
	}
	return sig
}

// unacknowledged returns how many bytes have been written that the other end has
// not acknowledged.
func unacknowledged(conn *net.TCPConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	if e := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); e != nil {
		return 0, e
	}
	return n, err
}
