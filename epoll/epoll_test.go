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

const (
	long   = 10 * time.Second
	little = 20 * time.Millisecond
)

func TestWaitEndsInTime(t *testing.T) {
	s := newSet(t)
	if took := s.wait(t, time.Now().Add(little)); took < little {
		t.Errorf("it ended after %v", took)
	}
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
	if took := s.wait(t, time.Now().Add(little)); took < little {
		t.Errorf("the second wake-up was taken for another, after %v", took)
	}
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
	if took := s.wait(t, time.Now().Add(little)); took < little {
		t.Errorf("a descriptor that was removed counts, after %v", took)
	}
	if err := s.Add(pipe[0]); err != nil {
		t.Error(err)
	}
	if took := s.wait(t, time.Time{}); took > long {
		t.Errorf("a descriptor that can be read when it is added does not count")
	}
	unix.Close(pipe[0])
	if took := s.wait(t, time.Now().Add(little)); took < little {
		t.Errorf("a closed descriptor counts, after %v", took)
	}
}

func TestWaitAllocatesNothing(t *testing.T) {
	s := newSet(t)
	if n := testing.AllocsPerRun(100, func() { _ = s.Wait(time.Now().Add(time.Millisecond)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
