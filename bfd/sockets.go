//go:build linux

package bfd

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	// Source ports are dynamic ones (RFC 5881 section 4).
	firstSourcePort, sourcePorts = 49152, 16384

	// receiveBuffer holds what hundreds of fast sessions send while this process
	// gets no processor for a second.
	receiveBuffer = 4 << 20

	// Network control (RFC 4594 section 3.1), as routers mark it.
	trafficClass = 0xc0
)

// listener is a socket that packets for one port come in by.
type listener struct {
	fd       int
	multihop bool
}

// senders are the sockets that packets leave by, one a family, whatever the
// number of sessions: to make and to drop a session costs no call to the kernel.
// Their source ports are therefore not unique to a session, as RFC 5881 section
// 4 would like; nobody may tell sessions apart by them alone.
type senders struct{ v4, v6 int }

func (s senders) of(peer netip.Addr) int {
	if peer.Is4() {
		return s.v4
	}
	return s.v6
}

// listen opens a socket for each address. Without addresses it listens on all,
// of the families that the kernel has.
func listen(addrs []netip.Addr, port uint16, multihop bool) (listeners []listener, err error) {
	all := len(addrs) == 0
	if all {
		addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, a := range addrs {
		fd, err := open(a)
		if all && errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err == nil {
			err = receiving(fd, a.Is4())
		}
		if err == nil {
			err = bind(fd, a, port)
		}
		if err != nil {
			closeAll(append(listeners, listener{fd: fd}))
			return nil, fmt.Errorf("listening for BFD on %v: %w", netip.AddrPortFrom(a, port), err)
		}
		listeners = append(listeners, listener{fd: fd, multihop: multihop})
	}
	if len(listeners) == 0 {
		return nil, errors.New("listening for BFD: the kernel has neither IPv4 nor IPv6")
	}
	return listeners, nil
}

func closeAll(listeners []listener) {
	for _, l := range listeners {
		closeSocket(l.fd)
	}
}

func closeSocket(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// openSenders opens what the kernel has; a family without a socket has -1.
func openSenders() (s senders, err error) {
	s = senders{v4: -1, v6: -1}
	if s.v4, err = openSender(netip.IPv4Unspecified()); err != nil {
		return s, err
	}
	if s.v6, err = openSender(netip.IPv6Unspecified()); err != nil {
		closeSocket(s.v4)
		return senders{v4: -1, v6: -1}, err
	}
	return s, nil
}

func openSender(a netip.Addr) (int, error) {
	fd, err := open(a)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return -1, nil
	}
	if err == nil {
		err = sending(fd, a.Is4())
	}
	if err == nil {
		err = bindDynamic(fd, a)
	}
	if err != nil {
		closeSocket(fd)
		return -1, fmt.Errorf("opening a socket to send BFD from %v: %w", a, err)
	}
	return fd, nil
}

func open(a netip.Addr) (int, error) {
	family := unix.AF_INET6
	if a.Is4() {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return -1, err
	}
	return fd, nil
}

type option struct{ level, name, value int }

func set(fd int, options []option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("socket option %d of level %d: %w", o.name, o.level, err)
		}
	}
	return nil
}

func receiving(fd int, v4 bool) error {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		// Not privileged: as much as the system allows.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return fmt.Errorf("receive buffer: %w", err)
		}
	}
	stamps := option{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1}
	if v4 {
		return set(fd, []option{stamps, {unix.IPPROTO_IP, unix.IP_RECVTTL, 1}, {unix.IPPROTO_IP, unix.IP_PKTINFO, 1}})
	}
	return set(fd, []option{
		stamps,
		{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1},
	})
}

// sending has packets leave with a TTL of 255, by which the other end knows that
// they crossed no router (RFC 5881 section 5).
func sending(fd int, v4 bool) error {
	if v4 {
		return set(fd, []option{{unix.IPPROTO_IP, unix.IP_TTL, 255}, {unix.IPPROTO_IP, unix.IP_TOS, trafficClass}})
	}
	return set(fd, []option{
		{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
		{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 255},
		{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, trafficClass},
	})
}

func bind(fd int, a netip.Addr, port uint16) error {
	if a.Is4() {
		return unix.Bind(fd, &unix.SockaddrInet4{Port: int(port), Addr: a.As4()})
	}
	return unix.Bind(fd, &unix.SockaddrInet6{Port: int(port), Addr: a.As16()})
}

func bindDynamic(fd int, a netip.Addr) error {
	start := rand.IntN(sourcePorts)
	for i := range sourcePorts {
		err := bind(fd, a, uint16(firstSourcePort+(start+i)%sourcePorts))
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return errors.New("all dynamic ports are in use")
}

// interfaceIndex and interfaceName ask the kernel for one interface. A list of
// all would take long where there are thousands.
func interfaceIndex(fd int, name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, request)
	}
	if err != nil {
		return 0, fmt.Errorf("looking up interface %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

func interfaceName(fd, index int) (string, error) {
	request, err := unix.NewIfreq("-")
	if err == nil {
		request.SetUint32(uint32(index))
		err = unix.IoctlIfreq(fd, unix.SIOCGIFNAME, request)
	}
	if err != nil {
		return "", fmt.Errorf("looking up interface %d: %w", index, err)
	}
	return request.Name(), nil
}
