//go:build linux

package bgp

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// leastSendHold is how long a router may take nothing off the connection at the
// least (RFC 9687). Nothing can be said to one that does not: the end of what it was
// told last is still on this side.
const leastSendHold = 8 * time.Minute

// errStopped is for a writer that ends between two messages.
var errStopped = errors.New("stopped")

// writer sends what is in the outbox of a session that stands, and keepalives
// where there is nothing.
type writer struct {
	conn    net.Conn
	outbox  *outbox
	agreed  agreement
	updates *atomic.Uint64
	buffer  []byte
	// sent is when the last message was.
	sent time.Time
	// stop ends it, between messages if it can.
	stop chan struct{}
	// done is closed when it has ended, for err.
	done chan struct{}
	err  error
}

func newWriter(conn net.Conn, o *outbox, agreed agreement, updates *atomic.Uint64) *writer {
	return &writer{
		conn: conn, outbox: o, agreed: agreed, updates: updates, buffer: make([]byte, 0, maxMessage), sent: time.Now(),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
}

// run sends until it is stopped or can't go on; expired is called where that is
// because the router takes nothing.
func (w *writer) run(expired func()) {
	defer close(w.done)
	for w.err == nil {
		select {
		case <-w.stop:
			return
		case <-w.silence():
			w.err = w.send(keepalive)
		case <-w.outbox.wake:
			w.err = w.empty()
		}
	}
	if isTimeout(w.err) {
		expired()
	}
}

// silence ends when nothing has been sent for long enough (RFC 4271 section 4.4),
// however often there was nothing to send.
func (w *writer) silence() <-chan time.Time {
	if w.agreed.keepalive == 0 {
		return nil
	}
	return time.After(time.Until(w.sent.Add(jitter(w.agreed.keepalive))))
}

// empty sends until there is nothing left.
func (w *writer) empty() error {
	for {
		b, ok := w.outbox.take()
		if !ok {
			return nil
		}
		for m := range b.updates(w.buffer) {
			if err := w.send(m); err != nil {
				return err
			}
			w.updates.Add(1)
		}
		for _, f := range b.ends {
			if err := w.send(endOfRIB(w.buffer, f)); err != nil {
				return err
			}
		}
	}
}

// send writes one message.
func (w *writer) send(m []byte) error {
	w.conn.SetWriteDeadline(time.Now().Add(max(leastSendHold, 2*w.agreed.hold)))
	select {
	case <-w.stop: // whose deadline this one has replaced
		return errStopped
	default:
	}
	_, err := w.conn.Write(m)
	w.sent = time.Now()
	return err
}

// end stops it within d, and says whether the next message may follow.
func (w *writer) end(d time.Duration) bool {
	close(w.stop)
	w.conn.SetWriteDeadline(time.Now().Add(d))
	<-w.done
	return w.err == nil || w.err == errStopped
}
