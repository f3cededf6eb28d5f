//go:build linux

package l2

import (
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// receiveBuffer holds some 5,000 frames while the reader is kept from reading.
const receiveBuffer = 4 << 20

// port sends and receives the ARP and NDP frames of one interface. It is for
// one goroutine at a time.
type port struct {
	arp, ndp socket
}

// socket is a packet socket bound to one interface and one type of frame.
type socket struct {
	fd      int
	ifindex int
	filter  []bpf.RawInstruction
	dropped uint64
}

// openPort opens the sockets of an interface, which receive what in says. The
// caller closes the port.
func openPort(ifindex int, in interest) (*port, error) {
	p := &port{arp: socket{fd: -1, ifindex: ifindex}, ndp: socket{fd: -1, ifindex: ifindex}}
	err := p.open(in)
	if err != nil {
		p.close()
		return nil, fmt.Errorf("opening interface %d: %w", ifindex, err)
	}
	return p, nil
}

func (p *port) open(in interest) error {
	for _, s := range []*socket{&p.arp, &p.ndp} {
		if err := s.open(); err != nil {
			return err
		}
	}
	// Bound before, the sockets would get everything until they have filters.
	if err := p.setFilter(in); err != nil {
		return err
	}
	if err := p.arp.bind(unix.ETH_P_ARP); err != nil {
		return err
	}
	return p.ndp.bind(unix.ETH_P_IPV6)
}

func (p *port) close() {
	for _, s := range []*socket{&p.arp, &p.ndp} {
		if s.fd >= 0 {
			unix.Close(s.fd)
			s.fd = -1
		}
	}
}

// setFilter changes what the port receives. Frames that the old filter let pass
// may still be read, as may some that the new one only passes because it joined
// ranges: whoever reads looks addresses up anyway, and to throw away what waits
// would cost a client a second.
func (p *port) setFilter(in interest) error {
	if err := p.arp.setFilter(arpFilter, in); err != nil {
		return fmt.Errorf("filtering ARP: %w", err)
	}
	if err := p.ndp.setFilter(ndpFilter, in); err != nil {
		return fmt.Errorf("filtering NDP: %w", err)
	}
	return nil
}

// drops returns how many frames the kernel threw away since the port was opened
// because nobody read them in time.
func (p *port) drops() uint64 { return p.arp.drops() + p.ndp.drops() }

// write sends a frame: all that begin like an IPv6 frame by the NDP socket.
func (p *port) write(b []byte) error {
	if len(b) > 13 && b[12] == typeIPv6>>8 && b[13] == typeIPv6&0xff {
		return p.ndp.write(b)
	}
	return p.arp.write(b)
}

func (s *socket) open() error {
	// Protocol 0 receives nothing before it is bound.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("creating a packet socket (it takes CAP_NET_RAW): %w", err)
	}
	s.fd = fd
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer); err != nil {
			return fmt.Errorf("setting the receive buffer: %w", err)
		}
	}
	// Kernels before 4.20 have no such option; the filter says the same.
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	return nil
}

func (s *socket) bind(protocol int) error {
	network := uint16(protocol)<<8 | uint16(protocol)>>8
	return unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: s.ifindex, Protocol: network})
}

// setFilter attaches a filter in place of the one before. Old kernels have
// little room for one (net.core.optmem_max), and say ENOMEM: joined ranges take
// less.
func (s *socket) setFilter(filter func(interest, int) []bpf.Instruction, in interest) error {
	for limit := mostRanges; ; limit /= 2 {
		program, err := assembleFilter(filter, in, s.ifindex, limit)
		if err != nil {
			return err
		}
		if slices.Equal(program, s.filter) {
			return nil
		}
		err = attach(s.fd, program)
		if err == nil {
			s.filter = program
		}
		if !errors.Is(err, unix.ENOMEM) || limit == 1 {
			return err
		}
	}
}

func attach(fd int, program []bpf.RawInstruction) error {
	code := make([]unix.SockFilter, len(program))
	for i, in := range program {
		code[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(code)), Filter: unsafe.SliceData(code)})
}

// read reads one frame into b; nothing to read is no error, and no bytes.
func (s *socket) read(b []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, b)
		switch err {
		case nil:
			return n, nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, err
		}
	}
}

func (s *socket) write(b []byte) error {
	for {
		if _, err := unix.Write(s.fd, b); err != unix.EINTR {
			return err
		}
	}
}

func (s *socket) drops() uint64 {
	// Asking resets the kernel's counter.
	if stats, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		s.dropped += uint64(stats.Drops)
	}
	return s.dropped
}
