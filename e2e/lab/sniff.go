//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Sighting is a claim and when it was seen.
type Sighting struct {
	At time.Time
	Claim
}

// Sniffer notes the claims that reach a station, until it is closed.
type Sniffer struct {
	taps []*os.File
	own  net.HardwareAddr

	mu      sync.Mutex
	seen    []Sighting
	changed chan struct{} // closed with the next sighting
	reading sync.WaitGroup
}

// Sniff notes what reaches the station from others about who owns an address.
func (s *Station) Sniff() (*Sniffer, error) {
	sniffer := &Sniffer{own: s.MAC, changed: make(chan struct{})}
	// Each sees what is addressed to its own protocol, and nothing that the
	// station sends itself.
	for _, kind := range []uint16{etherARP, etherIPv6} {
		tap, err := s.tap(kind)
		if err != nil {
			sniffer.Close()
			return nil, fmt.Errorf("sniffing on %s: %w", s.Name, err)
		}
		sniffer.taps = append(sniffer.taps, tap)
		sniffer.reading.Go(func() { sniffer.read(tap) })
	}
	return sniffer, nil
}

// tap opens a socket for the frames of one protocol on eth0.
func (s *Station) tap(kind uint16) (tap *os.File, err error) {
	err = s.ns.do(func() error {
		iface, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		// Without a protocol it hears nothing until it is bound.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		tap = os.NewFile(uintptr(fd), "eth0")
		if kind == etherIPv6 {
			if err := onlyAdvertisements(fd); err != nil {
				return err
			}
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: kind>>8 | kind<<8, Ifindex: iface.Index})
	})
	if err != nil && tap != nil {
		tap.Close()
	}
	return tap, err
}

// onlyAdvertisements keeps the rest of IPv6 in the kernel.
func onlyAdvertisements(fd int) error {
	return attach(fd,
		bpf.LoadAbsolute{Off: ethernetLength + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: ethernetLength + ipv6Length, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: neighbourTell, SkipTrue: 1},
		bpf.RetConstant{Val: 2048},
		bpf.RetConstant{Val: 0},
	)
}

func (s *Sniffer) read(tap *os.File) {
	buffer := make([]byte, 2048)
	for {
		n, err := tap.Read(buffer)
		if errors.Is(err, unix.ENETDOWN) {
			continue // said once when the link goes
		}
		if err != nil {
			return
		}
		if claim, ok := parseClaim(buffer[:n]); ok && !bytes.Equal(claim.From, s.own) {
			s.note(Sighting{time.Now(), claim})
		}
	}
}

func (s *Sniffer) note(sighting Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, sighting)
	close(s.changed)
	s.changed = make(chan struct{})
}

// Seen are the sightings so far, and a channel that is closed with the next.
func (s *Sniffer) Seen() ([]Sighting, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[:len(s.seen):len(s.seen)], s.changed
}

// Gratuitous are the claims of an address so far that nobody asked for; those
// of all addresses, if it is the zero Addr.
func (s *Sniffer) Gratuitous(addr netip.Addr) []Sighting {
	all, _ := s.Seen()
	var out []Sighting
	for _, sighting := range all {
		if sighting.Gratuitous && (!addr.IsValid() || sighting.Addr == addr) {
			out = append(out, sighting)
		}
	}
	return out
}

// Close ends it. What was seen stays.
func (s *Sniffer) Close() {
	for _, tap := range s.taps {
		tap.Close()
	}
	s.reading.Wait()
}

// WhoHas asks all on the segment who owns an address, and returns every answer
// within the window, in the order of arrival: one, where one station owns it,
// and none where the station has no link.
func (s *Station) WhoHas(addr netip.Addr, window time.Duration) ([]Sighting, error) {
	sniffer, err := s.Sniff()
	if err != nil {
		return nil, err
	}
	defer sniffer.Close()
	_, err = sniffer.taps[0].Write(s.question(addr))
	// A cable that is unplugged loses the question, and that is all.
	if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.ENETDOWN) {
		return nil, fmt.Errorf("asking on %s who has %s: %w", s.Name, addr, err)
	}
	over := time.NewTimer(window)
	defer over.Stop()
	<-over.C
	all, _ := sniffer.Seen()
	var answers []Sighting
	for _, sighting := range all {
		if sighting.Addr == addr && !sighting.Gratuitous && !sighting.Request {
			answers = append(answers, sighting)
		}
	}
	return answers, nil
}

// question asks all who owns an address, as the station's kernel would.
func (s *Station) question(about netip.Addr) []byte {
	if about.Is4() {
		return arpRequest(s.MAC, s.IPv4, about)
	}
	return solicitation(s.MAC, s.IPv6, about)
}

// Send puts frames on the segment as they are, Ethernet header first.
func (s *Station) Send(frames ...[]byte) error {
	tap, err := s.tap(etherARP)
	if err != nil {
		return fmt.Errorf("sending from %s: %w", s.Name, err)
	}
	defer tap.Close()
	for _, frame := range frames {
		if _, err := tap.Write(frame); err != nil {
			return fmt.Errorf("sending from %s: %w", s.Name, err)
		}
	}
	return nil
}

// StationOf names the station of the segment with that MAC, or returns the MAC.
func (l *Lab) StationOf(mac net.HardwareAddr) string {
	for _, s := range l.stations() {
		if bytes.Equal(s.MAC, mac) {
			return s.Name
		}
	}
	return mac.String()
}
