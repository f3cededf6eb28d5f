//go:build linux

package bgp

import "sync"

// mailbox carries work to the announcing goroutine.
type mailbox struct {
	mu      sync.Mutex
	letters []func(*thread)
	closed  bool
	wake    chan struct{}
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post leaves f to be called, or says that nobody will call it any more.
func (m *mailbox) post(f func(*thread)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.letters = append(m.letters, f)
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return true
}

// take returns all mail.
func (m *mailbox) take() []func(*thread) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.letters
	m.letters = nil
	return all
}

// close has no more mail accepted, and returns what was there.
func (m *mailbox) close() []func(*thread) {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	return m.take()
}
