//go:build linux

package epoll

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newSet(t *testing.T) *Set {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (s *Set) wait(t *testing.T, until time.Time) time.Duration {
	t.Helper()
	began := time.Now()
	if err := s.Wait(until); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// waitLittle wants that it takes until a time that is little away.
func (s *Set) waitLittle(t *testing.T, otherwise string) {
	t.Helper()
	until := time.Now().Add(little)
	s.wait(t, until)
	if left := time.Until(until); left > 0 {
		t.Errorf("%s: it ended %v too early", otherwise, left)
	}
}

const (
	long   = 10 * time.Second
	little = 20 * time.Millisecond
)

func TestWaitEndsInTime(t *testing.T) {
	s := newSet(t)
	s.waitLittle(t, "nothing came")
	if took := s.wait(t, time.Now().Add(-time.Second)); took > long {
		t.Errorf("a time that is past was waited for, %v long", took)
	}
}

func TestWakeCountsOnce(t *testing.T) {
	s := newSet(t)
	s.Wake()
	s.Wake()
	if took := s.wait(t, time.Time{}); took > long {
		t.Errorf("it took %v", took)
	}
	s.waitLittle(t, "the second wake-up was taken for another")
}

func TestWakeFromElsewhere(t *testing.T) {
	s := newSet(t)
	for range 100 {
		go s.Wake()
		s.wait(t, time.Time{})
	}
}

func TestDescriptors(t *testing.T) {
	s := newSet(t)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pipe[1])
	if err := s.Add(pipe[0]); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = unix.Write(pipe[1], []byte("x")) }()
	s.wait(t, time.Time{})
	if took := s.wait(t, time.Time{}); took > long {
		t.Errorf("what was not read was forgotten")
	}
	if err := s.Remove(pipe[0]); err != nil {
		t.Error(err)
	}
	s.waitLittle(t, "a descriptor that was removed counts")
	if err := s.Add(pipe[0]); err != nil {
		t.Error(err)
	}
	if took := s.wait(t, time.Time{}); took > long {
		t.Errorf("a descriptor that can be read when it is added does not count")
	}
	unix.Close(pipe[0])
	s.waitLittle(t, "a closed descriptor counts")
}

func TestWaitAllocatesNothing(t *testing.T) {
	s := newSet(t)
	if n := testing.AllocsPerRun(100, func() { _ = s.Wait(time.Now().Add(time.Millisecond)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
