//go:build linux

package bgp

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

const (
	// openHold is how long a router may take to say OPEN (RFC 4271 section 8.2.2),
	// and mute how long before that is reported.
	openHold = 4 * time.Minute
	mute     = 5 * time.Second
	// lastWords is how long a NOTIFICATION may take to get out, and how long a
	// router has to hang up after it. Data that comes after this end has closed
	// would have the kernel reset the connection, and the router miss the reason.
	lastWords = time.Second
)

// attempt is one try at a session with a router, from the pause before it to the
// end of the connection. It is a goroutine of its own, and reports to the
// announcing one.
type attempt struct {
	peer    Peer
	address netip.Addr
	// after is closed when it may begin, and pause follows that.
	after <-chan struct{}
	pause time.Duration
	// report must not block.
	report func(event)
	outbox *outbox
	// updates counts those that were sent, in this attempt and others.
	updates *atomic.Uint64

	ctx  context.Context
	stop context.CancelCauseFunc
	done chan struct{} // closed when the connection is

	// What follows belongs to the goroutine.
	route   route
	conn    *net.TCPConn
	unwatch func() bool // keeps the end of ctx from ending a read
	in      reader
	agreed  agreement
	end     ending
}

// event is what an attempt reports: a state that it has come to, that a router is
// mute, or its end.
type event struct {
	state State
	// session is there where state is Established.
	session *session
	mute    bool
	end     *ending
}

// session is one that stands.
type session struct {
	agreement
	route route
	// local is the address of this end.
	local netip.Addr
	conn  *net.TCPConn
	since time.Time
}

// ending is how an attempt came to its end.
type ending struct {
	// problem is in words for users.
	problem string
	// said: these are the router's own; wordless: it has not said anything.
	said, wordless bool
	// words are what the router is told, nil for nothing.
	words *notification
}

// Error makes an ending the cause of a context's.
func (e *ending) Error() string { return e.problem }

var holdExpired = &notification{code: bgp.BGP_ERROR_HOLD_TIMER_EXPIRED}

// state is one of RFC 4271 section 8.2.2. It returns the next, nil at the end.
type state func() state

// run goes from state to state.
func (a *attempt) run() {
	defer close(a.done)
	defer a.stop(nil)
	for next := state(a.idle); next != nil; {
		next = next()
	}
}

// dismiss ends it, with these words for the router.
func (a *attempt) dismiss(words *notification) { a.stop(&ending{words: words}) }

// over ends an attempt for a reason; that of somebody who stopped it goes first.
func (a *attempt) over(e ending) state {
	var stopped *ending
	if errors.As(context.Cause(a.ctx), &stopped) {
		e = *stopped
	}
	a.end = e
	return a.closing
}

// idle waits for the time to begin.
func (a *attempt) idle() state {
	select {
	case <-a.after:
	case <-a.ctx.Done():
		return a.over(ending{})
	}
	pause(a.ctx, a.pause)
	if a.ctx.Err() != nil {
		return a.over(ending{})
	}
	return a.connecting
}

func (a *attempt) connecting() state {
	a.report(event{state: Connect})
	a.route = routeTo(a.peer, a.address)
	open, err := openMessage(a.peer, a.address)
	if err != nil {
		return a.over(ending{problem: err.Error()})
	}
	conn, err := dial(a.ctx, a.peer, a.address)
	if err != nil {
		return a.over(ending{problem: noAnswer(a.peer, a.address, err)})
	}
	a.conn, a.in = conn, newReader(conn)
	a.unwatch = context.AfterFunc(a.ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	// Where this fails the router may have said why, before it hung up.
	_ = a.say(open)
	return a.openSent
}

func (a *attempt) openSent() state {
	a.report(event{state: OpenSent})
	defer time.AfterFunc(mute, func() { a.report(event{mute: true}) }).Stop()
	m, err := a.read(openHold)
	switch {
	case isTimeout(err):
		return a.over(ending{problem: speechless(a.peer, a.address), wordless: true, words: holdExpired})
	case err != nil:
		return a.failed(err, ending{problem: unknownHere(a.peer, a.address), wordless: true})
	case m.kind == bgp.BGP_MSG_NOTIFICATION:
		return a.refused(m)
	case m.kind != bgp.BGP_MSG_OPEN:
		return a.unexpected(m, bgp.BGP_ERROR_SUB_RECEIVE_UNEXPECTED_MESSAGE_IN_OPENSENT_STATE)
	}
	agreed, no := agree(a.peer, m.body)
	if no != nil {
		return a.over(ending{problem: no.problem, words: &no.notification})
	}
	a.agreed = agreed
	_ = a.conn.SetKeepAlive(agreed.hold == 0)
	_ = a.say(keepalive)
	return a.openConfirm
}

func (a *attempt) openConfirm() state {
	a.report(event{state: OpenConfirm})
	// RFC 4271 has no limit here where there is no hold time.
	m, err := a.read(cmp.Or(a.agreed.hold, openHold))
	switch {
	case isTimeout(err):
		return a.over(ending{problem: heldTooLong, words: holdExpired})
	case err != nil:
		return a.failed(err, ending{problem: changedMind(a.peer, a.address), wordless: true})
	case m.kind == bgp.BGP_MSG_NOTIFICATION:
		return a.refused(m)
	case m.kind != bgp.BGP_MSG_KEEPALIVE:
		return a.unexpected(m, bgp.BGP_ERROR_SUB_RECEIVE_UNEXPECTED_MESSAGE_IN_OPENCONFIRM_STATE)
	}
	return a.established
}

// established has a writer beside it until the session ends.
func (a *attempt) established() state {
	local := a.conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("")
	a.report(event{state: Established, session: &session{a.agreed, a.route, local, a.conn, time.Now()}})
	w := newWriter(a.conn, a.outbox, a.agreed, a.updates)
	go w.run(func() { a.stop(&ending{problem: takesNothing}) })
	next := a.listen()
	if !w.end(lastWords) {
		a.end.words = nil // in the midst of a message nobody would understand them
	}
	return next
}

// listen returns when the session is at its end.
func (a *attempt) listen() state {
	begin := time.Now()
	for {
		m, err := a.readBefore(begin, a.agreed.hold)
		switch {
		case isTimeout(err):
			return a.over(ending{problem: heldTooLong, words: holdExpired})
		case err != nil:
			return a.failed(err, ending{problem: broken})
		}
		switch m.kind {
		case bgp.BGP_MSG_KEEPALIVE, bgp.BGP_MSG_UPDATE:
			begin = time.Now()
		case bgp.BGP_MSG_ROUTE_REFRESH:
			a.refresh(m.body)
		case bgp.BGP_MSG_NOTIFICATION:
			return a.refused(m)
		default:
			return a.unexpected(m, bgp.BGP_ERROR_SUB_RECEIVE_UNEXPECTED_MESSAGE_IN_ESTABLISHED_STATE)
		}
	}
}

// refresh answers a ROUTE-REFRESH (RFC 2918 section 4).
func (a *attempt) refresh(body []byte) {
	const plain = 0 // others are for what this end does not offer (RFC 7313)
	family := bgp.NewFamily(binary.BigEndian.Uint16(body), body[3])
	if body[2] == plain && a.agreed.families.has(family) {
		a.outbox.repeat(family)
	}
}

// closing says what is to be said and ends the connection.
func (a *attempt) closing() state {
	a.report(event{end: &a.end})
	if a.conn == nil {
		return nil
	}
	a.unwatch()
	if a.end.words != nil {
		a.takeLeave(*a.end.words)
	}
	a.conn.Close()
	return nil
}

// takeLeave returns when the router has hung up, or had the time to.
func (a *attempt) takeLeave(words notification) {
	if a.say(words.message()) != nil || words.subcode == ceaseBFDDown && words.code == bgp.BGP_ERROR_CEASE {
		return // nobody is there
	}
	a.conn.CloseWrite()
	a.conn.SetReadDeadline(time.Now().Add(lastWords))
	_, _ = io.Copy(io.Discard, a.in.in)
}

// failed ends an attempt where reading did: for what came, or what did not.
func (a *attempt) failed(err error, otherwise ending) state {
	var v *violation
	if errors.As(err, &v) {
		return a.over(ending{problem: sentNonsense(v.what), words: &v.notification})
	}
	return a.over(otherwise)
}

// refused is for a NOTIFICATION.
func (a *attempt) refused(m message) state {
	return a.over(ending{problem: theySaid(a.peer, parseNotification(m.body)), said: true})
}

// unexpected is for a message that has no place in a state (RFC 6608).
func (a *attempt) unexpected(m message, subcode uint8) state {
	words := notification{bgp.BGP_ERROR_FSM_ERROR, subcode, []byte{m.kind}}
	return a.over(ending{problem: weSaid(words), words: &words})
}

// say writes one message where no writer does.
func (a *attempt) say(m []byte) error {
	a.conn.SetWriteDeadline(time.Now().Add(lastWords))
	_, err := a.conn.Write(m)
	return err
}

// read returns the next message, if it comes within that time; 0 is for ever.
func (a *attempt) read(hold time.Duration) (message, error) { return a.readBefore(time.Now(), hold) }

func (a *attempt) readBefore(begin time.Time, hold time.Duration) (message, error) {
	var late time.Time
	if hold > 0 {
		late = begin.Add(hold)
	}
	a.conn.SetReadDeadline(late)
	if err := a.ctx.Err(); err != nil {
		return message{}, err // whose deadline this one has replaced
	}
	return a.in.next()
}

// jitter keeps timers from running in step (RFC 4271 section 10).
func jitter(d time.Duration) time.Duration { return d - rand.N(d/4+1) }

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
