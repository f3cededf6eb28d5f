//go:build linux

package l2

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// mailbox carries work to the announcing thread, which waits for frames, time
// and mail in one place.
type mailbox struct {
	mu     sync.Mutex
	fd     int // an eventfd, 0 while closed
	letter []func(now time.Time)
}

func (m *mailbox) open() error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("creating an eventfd: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fd = fd
	m.ring()
	return nil
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	unix.Close(m.fd)
	m.fd = 0
}

// post leaves f to be called by the thread.
func (m *mailbox) post(f func(now time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.letter = append(m.letter, f)
	if len(m.letter) == 1 {
		m.ring()
	}
}

// ring wakes the thread. An eventfd that can't take more is awake.
func (m *mailbox) ring() {
	if m.fd > 0 {
		_, _ = unix.Write(m.fd, binary.NativeEndian.AppendUint64(nil, 1))
	}
}

// take returns all mail.
func (m *mailbox) take() []func(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.letter
	if len(all) > 0 {
		var count [8]byte
		_, _ = unix.Read(m.fd, count[:])
	}
	m.letter = nil
	return all
}
