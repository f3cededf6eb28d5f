//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ProbeOptions say how Probe asks. The zero value is a datagram every 5 ms to
// each target, all from one port.
type ProbeOptions struct {
	// Every is the pace of one target.
	Every time.Duration
	// Ports are how many source ports take turns, one if zero. A node keeps
	// datagrams of one port with one pod, even where that is gone.
	Ports int
}

// Probes are questions by UDP that go on until they are stopped.
type Probes struct {
	targets []netip.AddrPort
	every   time.Duration
	// sockets are those of IPv4 and of IPv6.
	sockets [2][]socket
	records []*recorder
	began   time.Time

	cancel  context.CancelFunc
	sending sync.WaitGroup
	hearing sync.WaitGroup
	once    sync.Once
	traces  []Trace
}

type socket struct {
	conn *net.UDPConn
	raw  syscall.RawConn
}

// header ends each datagram: the number of the target and of the question.
const header = 8

// lateAnswers is how long Stop waits for answers.
const lateAnswers = 3 * time.Second

// Probe asks the echo servers behind the targets, hundreds if need be, until
// Stop. The questions of one pace are spread over it.
func (s *Station) Probe(opts ProbeOptions, targets ...netip.AddrPort) (*Probes, error) {
	if opts.Every <= 0 {
		opts.Every = 5 * time.Millisecond
	}
	p := &Probes{targets: targets, every: opts.Every}
	err := s.ns.do(func() error { return p.open(max(1, opts.Ports)) })
	if err != nil {
		p.close()
		return nil, fmt.Errorf("opening sockets on %s: %w", s.Name, err)
	}
	p.began = time.Now()
	for range targets {
		p.records = append(p.records, &recorder{began: p.began})
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.sending.Go(func() { p.send(ctx) })
	for _, family := range p.sockets {
		for _, socket := range family {
			p.hearing.Go(func() { p.hear(socket.conn) })
		}
	}
	return p, nil
}

func (p *Probes) open(ports int) error {
	for i, network := range []string{"udp4", "udp6"} {
		for range ports {
			conn, err := net.ListenUDP(network, nil)
			if err != nil {
				return err
			}
			raw, err := conn.SyscallConn()
			if err != nil {
				return err
			}
			p.sockets[i] = append(p.sockets[i], socket{conn, raw})
			if err := widen(raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// widen makes room for what waits while hundreds of addresses have no owner:
// the kernel keeps it for some seconds, and counts it as the sender's.
func widen(raw syscall.RawConn) (err error) {
	const room = 64 << 20
	outer := raw.Control(func(fd uintptr) {
		for forced, plain := range map[int]int{
			unix.SO_SNDBUFFORCE: unix.SO_SNDBUF,
			unix.SO_RCVBUFFORCE: unix.SO_RCVBUF,
		} {
			// Only the machine's root may exceed its limits.
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, forced, room) != nil {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, plain, room)
			}
		}
	})
	if outer != nil {
		return outer
	}
	return err
}

func (p *Probes) send(ctx context.Context) {
	tick := time.NewTicker(max(time.Millisecond, p.every/time.Duration(len(p.targets))))
	defer tick.Stop()
	for next := 0; ; {
		due := p.due(time.Since(p.began))
		// Who was held up for long doesn't make up for it in a burst.
		next = max(next, due-len(p.targets))
		for ; next < due; next++ {
			p.ask(next)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// due is how many questions, to all targets in turn, are due after a while.
func (p *Probes) due(after time.Duration) int {
	return int(int64(after)*int64(len(p.targets))/int64(p.every)) + 1
}

func (p *Probes) ask(turn int) {
	target := turn % len(p.targets)
	number := p.records[target].ask()
	var question [header]byte
	binary.BigEndian.PutUint32(question[:4], uint32(target))
	binary.BigEndian.PutUint32(question[4:], uint32(number))

	addr := p.targets[target]
	family := p.sockets[0]
	if addr.Addr().Is6() {
		family = p.sockets[1]
	}
	// What the kernel won't send is lost: the trace will say so. It never waits.
	_ = family[number%len(family)].raw.Write(func(fd uintptr) bool {
		_ = unix.Sendto(int(fd), question[:], unix.MSG_DONTWAIT, sockaddr(addr))
		return true
	})
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}

// hear notes answers until the socket is closed.
func (p *Probes) hear(conn *net.UDPConn) {
	buffer := make([]byte, 2048)
	pods := map[string]string{} // one string a pod, not one an answer
	for {
		n, _, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		name, question, ok := cutAnswer(buffer[:n])
		target := binary.BigEndian.Uint32(question[:4])
		if !ok || int(target) >= len(p.records) {
			continue
		}
		pod, known := pods[string(name)]
		if !known {
			pod = string(name)
			pods[pod] = pod
		}
		p.records[target].answer(int(binary.BigEndian.Uint32(question[4:])), pod)
	}
}

// cutAnswer takes an answer apart: the name of a pod, a space, the question.
func cutAnswer(answer []byte) (name []byte, question [header]byte, ok bool) {
	at := len(answer) - header
	if at < 1 || !bytes.HasSuffix(answer[:at], []byte{' '}) {
		return nil, question, false
	}
	copy(question[:], answer[at:])
	return answer[:at-1], question, true
}

// Progress is how one target does, by its place among them.
func (p *Probes) Progress(target int) Progress { return p.records[target].progress() }

// Stop asks no more, waits a little for late answers, and returns a trace a
// target, in their order.
func (p *Probes) Stop() []Trace {
	p.once.Do(func() {
		p.cancel()
		p.sending.Wait()
		length := time.Since(p.began)
		p.awaitAnswers()
		p.close()
		p.hearing.Wait()
		for _, record := range p.records {
			p.traces = append(p.traces, record.trace(length))
		}
	})
	return p.traces
}

func (p *Probes) awaitAnswers() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(lateAnswers); time.Now().Before(deadline); <-tick.C {
		if !p.waits() {
			return
		}
	}
}

// waits tells whether an answer is missing to what was asked of late.
func (p *Probes) waits() bool {
	for _, record := range p.records {
		if record.missing(lateAnswers) {
			return true
		}
	}
	return false
}

func (p *Probes) close() {
	for _, family := range p.sockets {
		for _, socket := range family {
			socket.conn.Close()
		}
	}
}
