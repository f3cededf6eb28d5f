//go:build linux

// Package epoll has one goroutine wait for descriptors, a time and a wake-up at
// once.
//
// It waits in the runtime's poller. A goroutine that waits in a system call of
// its own has the runtime's monitor run some ten times after every return, which
// at a hundred returns a second is most of what an idle process uses.
package epoll

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Set is what is waited for. Wait and Close are for one goroutine, the rest for
// any.
type Set struct {
	fd    int
	file  *os.File
	raw   syscall.RawConn
	event int // an eventfd
	ready func(uintptr) bool
	one   [1]unix.EpollEvent
	count [8]byte
}

// New returns an empty Set. The caller closes it.
func New() (*Set, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making an epoll descriptor: %w", err)
	}
	// Non-blocking is what os.NewFile takes for a sign to poll it.
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making an epoll descriptor: %w", err)
	}
	s := &Set{fd: fd, file: os.NewFile(uintptr(fd), "epoll"), event: -1}
	s.ready = func(uintptr) bool {
		n, _ := unix.EpollWait(s.fd, s.one[:], 0)
		return n > 0
	}
	if err := s.prepare(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Set) prepare() (err error) {
	if s.raw, err = s.file.SyscallConn(); err != nil {
		return fmt.Errorf("polling an epoll descriptor: %w", err)
	}
	if s.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("making an eventfd: %w", err)
	}
	return s.Add(s.event)
}

// Close ends it. Descriptors that were added stay open.
func (s *Set) Close() {
	s.file.Close()
	if s.event >= 0 {
		unix.Close(s.event)
	}
}

// Add has Wait return when fd can be read. It is in the set until it is
// removed or closed.
func (s *Set) Add(fd int) error {
	err := unix.EpollCtl(s.fd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	if err != nil {
		return fmt.Errorf("polling descriptor %d: %w", fd, err)
	}
	return nil
}

// Remove takes fd out again.
func (s *Set) Remove(fd int) error {
	if err := unix.EpollCtl(s.fd, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		return fmt.Errorf("no longer polling descriptor %d: %w", fd, err)
	}
	return nil
}

// Wake has Wait return, the next one if there is none now. An eventfd that takes
// no more is awake.
func (s *Set) Wake() { _, _ = unix.Write(s.event, []byte{1, 0, 0, 0, 0, 0, 0, 1}) }

// Wait returns when a descriptor can be read, after Wake, or at the time until
// unless that is zero; and sometimes for no reason.
func (s *Set) Wait(until time.Time) error {
	if err := s.file.SetReadDeadline(until); err != nil {
		return fmt.Errorf("setting a time to wait for: %w", err)
	}
	if err := s.raw.Read(s.ready); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("waiting for descriptors: %w", err)
	}
	_, _ = unix.Read(s.event, s.count[:])
	return nil
}
