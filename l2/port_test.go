//go:build linux

package l2

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// segment is two hosts on a wire.
type segment struct {
	near, far         *netns
	nearLink, farLink netlink.Link
}

func newSegment(t testing.TB) *segment {
	s := &segment{near: newNetns(t), far: newNetns(t)}
	s.nearLink, s.farLink = veth(t, s.near, "near", s.far, "far")
	return s
}

// port opens a port on a host of the segment.
func (n *netns) port(link netlink.Link, in interest) *port {
	n.t.Helper()
	var p *port
	n.must("opening a port", func() (err error) {
		p, err = openPort(link.Attrs().Index, in)
		return err
	})
	n.t.Cleanup(p.close)
	return p
}

// await reads the next frame of a socket.
func await(t testing.TB, s *socket) ([]byte, error) {
	t.Helper()
	if !comes(s, 30*time.Second) {
		t.Fatal("nothing came within 30 s")
	}
	b := make([]byte, longestFrame)
	n, err := s.read(b)
	return b[:n], err
}

// comes waits for the next frame of a socket.
func comes(s *socket, within time.Duration) bool {
	n, err := 0, error(unix.EINTR)
	for err == unix.EINTR {
		// The runtime interrupts its threads by signals.
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, int(within.Milliseconds()))
	}
	return n == 1
}

func awaitFrame(t testing.TB, s *socket, want []byte) {
	t.Helper()
	got, err := await(t, s)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %v\n     %x\nwant %x", err, got, want)
	}
	if n, err := s.read(got[:cap(got)]); n != 0 || err != nil {
		t.Fatalf("after it came %d bytes, %v", n, err)
	}
}

func send(t testing.TB, p *port, frames ...[]byte) {
	t.Helper()
	for _, b := range frames {
		if err := p.write(b); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPortReceivesWhatMatters(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	for _, promiscuous := range []func(netlink.Link) error{netlink.SetPromiscOff, netlink.SetPromiscOn} {
		s.near.must("listening to everything", func() error { return promiscuous(s.nearLink) })
		near := s.near.port(s.nearLink, interest{announced: rangesOf(addrs("192.0.2.10", "2001:db8::10"))})
		far := s.far.port(s.farLink, interest{})
		other4, other6 := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("2001:db8::11")
		asked4 := appendARPRequest(nil, askerMAC, asker4, broadcast, vip4)
		asked6 := appendNS(nil, askerMAC, asker6, broadcast, vip6)

		send(t, near, appendGratuitous(nil, request, ownMAC, ownMAC, vip4), appendGratuitous(nil, reply, ownMAC, ownMAC, vip6))
		for _, c := range []struct {
			name   string
			others [][]byte
			asked  []byte
			from   *socket
		}{
			{"neither what this port sent, nor other addresses", [][]byte{
				appendARPRequest(nil, askerMAC, asker4, broadcast, other4),
			}, asked4, &near.arp},
			{"nor in NDP", [][]byte{
				appendNS(nil, askerMAC, asker6, broadcast, other6),
			}, asked6, &near.ndp},
			{"nor what is for another host", [][]byte{
				appendARPRequest(nil, askerMAC, asker4, ownerMAC, vip4),
				appendARPRequest(nil, askerMAC, asker4, mac{2, 9, 9, 9, 9, 9}, vip4),
			}, appendARPRequest(nil, askerMAC, asker4, linkMAC(s.nearLink), vip4), &near.arp},
			{"nor what is of a VLAN", [][]byte{tagged(asked4, 5)}, asked4, &near.arp},
			{"nor what is of a VLAN in NDP", [][]byte{tagged(asked6, 5)}, asked6, &near.ndp},
		} {
			t.Log(c.name)
			send(t, far, c.others...)
			send(t, far, c.asked)
			awaitFrame(t, c.from, c.asked)
		}
		// A tag of priority alone is no VLAN, and the kernel takes it away.
		send(t, far, tagged(asked4, 0))
		awaitFrame(t, &near.arp, asked4)

		if err := near.setFilter(interest{announced: rangesOf([]netip.Addr{other4})}); err != nil {
			t.Fatal(err)
		}
		asked := appendARPRequest(nil, askerMAC, asker4, broadcast, other4)
		send(t, far, asked4, asked)
		awaitFrame(t, &near.arp, asked)
	}
}

// tagged returns a frame as a VLAN's.
func tagged(b []byte, vlan byte) []byte {
	return append(append(bytes.Clone(b[:12]), 0x81, 0x00, 0, vlan), b[12:]...)
}

func TestPortConditions(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	near := s.near.port(s.nearLink, interest{announced: rangesOf([]netip.Addr{vip4, vip6})})
	asked4, asked6 := appendARPRequest(nil, askerMAC, asker4, broadcast, vip4), appendNS(nil, askerMAC, asker6, broadcast, vip6)
	sockets := []*socket{&near.arp, &near.ndp}
	allFail := func() {
		t.Helper()
		for i, asked := range [][]byte{asked4, asked6} {
			if _, err := await(t, sockets[i]); err == nil {
				t.Error("it can be read")
			}
			if err := near.write(asked); err == nil {
				t.Error("it can be written")
			}
		}
	}

	s.near.must("switching off", func() error { return netlink.LinkSetDown(s.nearLink) })
	allFail()
	opened := s.near.port(s.nearLink, interest{announced: rangesOf([]netip.Addr{vip4})})
	if _, err := await(t, &opened.arp); err == nil {
		t.Error("a port opened on an interface that is off can be read")
	}

	s.near.must("switching on", func() error { return netlink.LinkSetUp(s.nearLink) })
	s.near.running("near")
	s.far.running("far")
	far := s.far.port(s.farLink, interest{})
	send(t, far, asked4, asked6)
	awaitFrame(t, &near.arp, asked4)
	awaitFrame(t, &near.ndp, asked6)
	awaitFrame(t, &opened.arp, asked4)

	s.near.must("removing", func() error { return netlink.LinkDel(s.nearLink) })
	allFail()
	s.near.do(func() {
		if _, err := openPort(s.nearLink.Attrs().Index, interest{}); err == nil {
			t.Error("a removed interface can be opened")
		}
	})
}

// TestPortFiltersWithLittleMemory has a filter of many ranges on a kernel that
// has no room for it: what matters passes, and more.
func TestPortFiltersWithLittleMemory(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	s.near.littleMemory()
	var many []netip.Addr
	for a4, a6 := vip4, vip6; len(many) < 2000; {
		many = append(many, a4, a6)
		for range 1 + len(many)%7 {
			a4, a6 = a4.Next().Next(), a6.Next().Next()
		}
	}
	in := interest{announced: rangesOf(slices.Clone(many)), peers: rangesOf(slices.Clone(many[:1000]))}
	near, far := s.near.port(s.nearLink, in), s.far.port(s.farLink, interest{})
	for _, a := range many {
		asked := appendQuestion(nil, askerMAC, netip.Addr{}, broadcast, a)
		from := &near.ndp
		if a.Is4() {
			from = &near.arp
		}
		send(t, far, asked)
		awaitFrame(t, from, asked)
	}
	whole, err := assembleFilter(ndpFilter, in, 1, mostRanges)
	if err != nil || len(near.ndp.filter) >= len(whole) {
		t.Errorf("the filter has %d instructions of %d, %v: nothing was tested", len(near.ndp.filter), len(whole), err)
	}
}

func TestPortCountsWhatNobodyRead(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	near := s.near.port(s.nearLink, interest{announced: rangesOf([]netip.Addr{vip4})})
	far := s.far.port(s.farLink, interest{})
	if n := near.drops(); n != 0 {
		t.Errorf("%d frames dropped of none", n)
	}
	asked := appendARPRequest(nil, askerMAC, asker4, broadcast, vip4)
	for range 40000 {
		if err := far.write(asked); err != nil && err != unix.EAGAIN && err != unix.ENOBUFS {
			t.Fatal(err)
		}
	}
	first := near.drops()
	if first == 0 {
		t.Error("40,000 frames fit into the buffer")
	}
	if again := near.drops(); again < first {
		t.Errorf("the count went from %d to %d", first, again)
	}
}

// TestPortAsksTheKernel asks a host for its own addresses, with and without an
// address to ask from: that its kernel answers says that it lives.
func TestPortAsksTheKernel(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	s.far.address(s.farLink, "192.0.2.7/24")
	s.far.address(s.farLink, "fd00::7/64")
	node4, node6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("fd00::7")
	near := s.near.port(s.nearLink, interest{peers: rangesOf([]netip.Addr{node4, node6})})
	own, farMAC := linkMAC(s.nearLink), linkMAC(s.farLink)
	s.near.must("hearing multicast answers", func() error { return netlink.LinkSetAllmulticastOn(s.nearLink) })
	for _, c := range []struct {
		name           string
		sender, target netip.Addr
		socket         *socket
		parse          func([]byte) (frame, fault)
	}{
		{"IPv4", netip.MustParseAddr("192.0.2.1"), node4, &near.arp, parseARP},
		{"IPv4, from a host without address", netip.Addr{}, node4, &near.arp, parseARP},
		{"IPv6", netip.MustParseAddr("fd00::1"), node6, &near.ndp, parseNDP},
		{"IPv6, from a host without address", netip.Addr{}, node6, &near.ndp, parseNDP},
	} {
		for _, to := range []mac{farMAC, broadcast} {
			question := appendQuestion(nil, own, c.sender, to, c.target)
			send(t, near, question)
			for range 29 { // a kernel that is still setting up passes over some
				if comes(c.socket, time.Second) {
					break
				}
				send(t, near, question)
			}
			b, err := await(t, c.socket)
			if err != nil {
				t.Fatal(err)
			}
			told, fault := c.parse(b)
			if fault != noFault || told.kind != reply || told.target != c.target || told.owner != farMAC {
				t.Errorf("%s, to %v: %v, %+v", c.name, to, fault, told)
			}
		}
	}
}

// answerAll answers what a port is asked, until the pipe stop is closed. It
// returns how many frames it read, and how many answers were not sent.
func answerAll(p *port, own mac, known map[netip.Addr]bool, stop int) (read, unsent int) {
	in, out := make([]byte, longestFrame), make([]byte, 0, longestFrame)
	fds := []unix.PollFd{{Fd: int32(p.arp.fd), Events: unix.POLLIN}, {Fd: int32(p.ndp.fd), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
	sources := []struct {
		*socket
		parse func([]byte) (frame, fault)
	}{{&p.arp, parseARP}, {&p.ndp, parseNDP}}
	for fds[2].Revents == 0 {
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return read, unsent
		}
		for _, s := range sources {
			for n, err := s.read(in); n > 0 && err == nil; n, err = s.read(in) {
				read++
				f, fault := s.parse(in[:n])
				if fault != noFault || f.kind != request || f.gratuitous || !known[f.target] {
					continue
				}
				out = appendAnswer(out[:0], &f, own, own)
				if s.write(out) != nil {
					unsent++
				}
			}
		}
	}
	return read, unsent
}

// answering answers on the far side of the segment until the test ends.
func (s *segment) answering(t testing.TB, addresses ...netip.Addr) {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	p := s.far.port(s.farLink, interest{announced: rangesOf(addresses)})
	known := map[netip.Addr]bool{}
	for _, a := range addresses {
		known[a] = true
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerAll(p, linkMAC(s.farLink), known, pipe[0])
	}()
	t.Cleanup(func() {
		unix.Close(pipe[1])
		<-done
		unix.Close(pipe[0])
	})
}

// TestPortConvincesTheKernel has a kernel resolve addresses that only a port
// answers for, and search for duplicates of them.
func TestPortConvincesTheKernel(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	vip6 := netip.MustParseAddr("fd00::10")
	s.near.address(s.nearLink, "192.0.2.200/24")
	s.near.address(s.nearLink, "fd00::200/64")
	s.answering(t, vip4, vip6)
	for _, vip := range []netip.Addr{vip4, vip6} {
		s.near.do(func() {
			changes, done := make(chan netlink.NeighUpdate, 100), make(chan struct{})
			defer close(done)
			if err := netlink.NeighSubscribe(changes, done); err != nil {
				t.Fatal(err)
			}
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(vip, 9)))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("who has it?")); err != nil {
				t.Fatal(err)
			}
			deadline := time.After(30 * time.Second)
			for {
				select {
				case n := <-changes:
					if ip, _ := netip.AddrFromSlice(n.IP); ip.Unmap() == vip && n.State == netlink.NUD_REACHABLE {
						if mac(n.HardwareAddr) != linkMAC(s.farLink) {
							t.Errorf("%v was found at %v", vip, n.HardwareAddr)
						}
						return
					}
				case <-deadline:
					t.Fatalf("%v was not resolved", vip)
				}
			}
		})
	}
	s.near.do(func() {
		changes, done := make(chan netlink.AddrUpdate, 100), make(chan struct{})
		defer close(done)
		if err := netlink.AddrSubscribe(changes, done); err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(s.nearLink, testAddress("fd00::10/64", 0)); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(30 * time.Second)
		for {
			select {
			case a := <-changes:
				if a.Flags&unix.IFA_F_DADFAILED != 0 {
					return
				}
				if a.Flags&unix.IFA_F_TENTATIVE == 0 {
					t.Fatalf("the kernel uses %v, which another host has", a.LinkAddress)
				}
			case <-deadline:
				t.Fatal("the duplicate was not found")
			}
		}
	})
}

// An interface on top of another one is on a segment of its own, though its frames
// come in by the other one: what is asked there concerns that one nothing.
func TestPortsOnOneDeviceHearTheirOwnSegments(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	top := mac{2, 0, 0, 0, 0, 0x77}
	s.near.must("making an interface on top", func() error {
		attributes := named("upper")
		attributes.ParentIndex, attributes.HardwareAddr = s.nearLink.Attrs().Index, top[:]
		return netlink.LinkAdd(&netlink.Macvlan{LinkAttrs: attributes, Mode: netlink.MACVLAN_MODE_BRIDGE})
	})
	s.near.up("upper")
	in := interest{announced: rangesOf([]netip.Addr{vip4, vip6})}
	lower, upper, far := s.near.port(s.nearLink, in), s.near.port(s.near.running("upper"), in), s.far.port(s.farLink, interest{})
	for _, c := range []struct {
		asked        []byte
		lower, upper *socket
	}{
		{appendARPRequest(nil, askerMAC, asker4, broadcast, vip4), &lower.arp, &upper.arp},
		{appendNS(nil, askerMAC, asker6, broadcast, vip6), &lower.ndp, &upper.ndp},
	} {
		below, above := bytes.Clone(c.asked), bytes.Clone(c.asked)
		copy(below, s.nearLink.Attrs().HardwareAddr)
		copy(above, top[:])
		send(t, far, above, below)
		awaitFrame(t, c.upper, above)
		awaitFrame(t, c.lower, below)
	}
}
