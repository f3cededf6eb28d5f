//go:build linux

package l2

import (
	"sync"
	"time"

	"github.com/berth-lb/berth/epoll"
)

// mailbox carries work to the announcing thread, which waits for frames, time
// and mail in one place.
type mailbox struct {
	mu      sync.Mutex
	waker   *epoll.Set // nil while nobody reads
	letters []func(now time.Time)
}

// open has the reader be woken by mail, what is there already included.
func (m *mailbox) open(waker *epoll.Set) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waker = waker
	waker.Wake()
}

func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waker = nil
}

// post leaves f to be called by the thread.
func (m *mailbox) post(f func(now time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.letters = append(m.letters, f)
	if len(m.letters) == 1 && m.waker != nil {
		m.waker.Wake()
	}
}

// take returns all mail.
func (m *mailbox) take() []func(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.letters
	m.letters = nil
	return all
}
