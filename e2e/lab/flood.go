//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Flood is what became of ARP requests that were sent as fast as could be.
type Flood struct {
	// Sent were put on the segment, and Answered are the replies to them.
	Sent, Answered int
	Took           time.Duration
}

// FloodOptions say how to send.
type FloodOptions struct {
	// Length is for how long.
	Length time.Duration
	// Waiting is how many requests may be without an answer; zero if nobody is
	// expected to answer.
	Waiting int
}

const (
	// batch is how many requests are sent between two looks at the clock and at
	// what was answered.
	batch = 32
	// forgotten is how long no answer comes before what waits counts as lost.
	forgotten = 20 * time.Millisecond
)

// Flood asks all on the segment by ARP who owns each of the addresses of IPv4
// in turn. The kernel counts the replies: they cost nothing else here.
func (s *Station) Flood(ctx context.Context, opts FloodOptions, about ...netip.Addr) (Flood, error) {
	tap, err := s.tap(etherARP)
	if err != nil {
		return Flood{}, fmt.Errorf("opening a socket on %s: %w", s.Name, err)
	}
	defer tap.Close()
	f := flooder{tap: tap, opts: opts}
	for _, addr := range about {
		f.requests = append(f.requests, arpRequest(s.MAC, s.IPv4, addr))
	}
	if err := f.control(onlyReplies); err != nil {
		return Flood{}, err
	}
	if err := f.run(ctx); err != nil {
		return f.flood, fmt.Errorf("flooding from %s: %w", s.Name, err)
	}
	return f.flood, nil
}

type flooder struct {
	tap      *os.File
	opts     FloodOptions
	requests [][]byte
	flood    Flood
	lost     int
}

func (f *flooder) run(ctx context.Context) error {
	began := time.Now()
	heard := began
	for f.flood.Took < f.opts.Length && ctx.Err() == nil {
		if f.mayAsk() {
			if err := f.ask(); err != nil {
				return err
			}
		}
		answered, err := f.count()
		if err != nil {
			return err
		}
		now := time.Now()
		f.flood.Took = now.Sub(began)
		switch {
		case answered > 0:
			heard = now
		case now.Sub(heard) > forgotten:
			heard, f.lost = now, f.flood.Sent-f.flood.Answered
		}
	}
	time.Sleep(forgotten) // for the last answers
	_, err := f.count()
	return errors.Join(err, ctx.Err())
}

// mayAsk tells whether few enough requests wait for an answer.
func (f *flooder) mayAsk() bool {
	return f.opts.Waiting == 0 || f.flood.Sent-f.flood.Answered-f.lost+batch <= f.opts.Waiting
}

func (f *flooder) ask() error {
	for range batch {
		if _, err := f.tap.Write(f.requests[f.flood.Sent%len(f.requests)]); err != nil {
			return err
		}
		f.flood.Sent++
	}
	return nil
}

// count adds the replies since the last time. Those that nobody reads, as the
// socket is full, are among them.
func (f *flooder) count() (answered int, err error) {
	err = f.control(func(fd int) error {
		stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err == nil {
			answered = int(stats.Packets)
			f.flood.Answered += answered
		}
		return err
	})
	return answered, err
}

func (f *flooder) control(do func(fd int) error) error {
	raw, err := f.tap.SyscallConn()
	if err != nil {
		return err
	}
	outer := raw.Control(func(fd uintptr) { err = do(int(fd)) })
	return errors.Join(outer, err)
}

// onlyReplies has the socket count ARP replies from now on, and nothing else.
func onlyReplies(fd int) error {
	err := attach(fd,
		bpf.LoadAbsolute{Off: ethernetLength + 6, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 2, SkipTrue: 1},
		bpf.RetConstant{Val: 1},
		bpf.RetConstant{Val: 0},
	)
	if err != nil {
		return err
	}
	// Reading the count begins it anew.
	_, err = unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	return err
}

// attach gives a packet socket a filter.
func attach(fd int, instructions ...bpf.Instruction) error {
	program, err := bpf.Assemble(instructions)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, op := range program {
		filter[i] = unix.SockFilter{Code: op.Op, Jt: op.Jt, Jf: op.Jf, K: op.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}
