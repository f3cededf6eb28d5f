//go:build linux

package l2

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// window is how many requests of a benchmark wait for their answers.
const window = 256

// BenchmarkResponder has one thread answer over a veth pair; beside it the
// kernel, for an address of its own, asked by the same sender. CPU is of the
// thread that answers; the kernel's work is done within the sender's writes.
func BenchmarkResponder(b *testing.B) {
	for _, c := range []struct {
		name           string
		sender, target netip.Addr
		prefix         string
	}{
		{"ARP", asker4, vip4, "192.0.2.10/24"},
		{"NDP", netip.MustParseAddr("fd00::200"), netip.MustParseAddr("fd00::10"), "fd00::10/64"},
	} {
		b.Run(c.name+"/port", func(b *testing.B) {
			s := newSegment(b)
			far := s.far.port(s.farLink, interest{announced: rangesOf([]netip.Addr{c.target})})
			var stop [2]int
			if err := unix.Pipe2(stop[:], unix.O_CLOEXEC); err != nil {
				b.Fatal(err)
			}
			defer unix.Close(stop[0])
			used := make(chan time.Duration)
			var read, unsent int
			go func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				before := threadCPU(b)
				read, unsent = answerAll(far, linkMAC(s.farLink), map[netip.Addr]bool{c.target: true}, stop[0])
				used <- threadCPU(b) - before
			}()
			s.ask(b, c.sender, c.target)
			unix.Close(stop[1])
			b.ReportMetric(float64(<-used)/float64(b.N), "CPU-ns/op")
			b.ReportMetric(float64(far.drops()), "dropped")
			b.ReportMetric(float64(unsent), "unsent")
			if read < b.N {
				b.Errorf("%d of %d requests were read", read, b.N)
			}
		})
		b.Run(c.name+"/kernel", func(b *testing.B) {
			s := newSegment(b)
			s.far.address(s.farLink, c.prefix)
			s.ask(b, c.sender, c.target)
		})
	}
}

// ask sends b.N requests from the near side and reads their answers.
func (s *segment) ask(b *testing.B, sender, target netip.Addr) {
	p := s.near.port(s.nearLink, interest{announced: rangesOf([]netip.Addr{target})})
	from := &p.arp
	if target.Is6() {
		from = &p.ndp
	}
	question := appendQuestion(nil, linkMAC(s.nearLink), sender, broadcast, target)
	in := make([]byte, longestFrame)
	fds := []unix.PollFd{{Fd: int32(from.fd), Events: unix.POLLIN}}
	lost := 0
	b.ResetTimer()
	for sent, answered := 0, 0; answered+lost < b.N; {
		for sent < b.N && sent-answered-lost < window {
			if p.write(question) == nil {
				sent++
			}
		}
		if n, _ := unix.Poll(fds, 200); n == 0 {
			lost = sent - answered
		}
		for n, err := from.read(in); n > 0 && err == nil; n, err = from.read(in) {
			answered++
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64(lost), "lost")
}

func threadCPU(b *testing.B) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		b.Error(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
