//go:build linux

package bfd

import (
	"context"
	"fmt"
	"time"
)

const (
	// stall is a delay that says that this thread did not get to run.
	stall = 20 * time.Millisecond
	// settle is how long packets are waited for after a stall. Where the whole
	// machine stood still, they are still on their way through its kernel.
	settle = 5 * time.Millisecond
	// wary is how long packets are read at once after a flood.
	wary = 10 * time.Second
)

// loop is the state of the I/O thread.
type loop struct {
	table
	listeners []listener
	polled    int       // how many of them are waited for
	drained   time.Time // when they were last empty
	flooded   time.Time // when more was in them than sessions send
	senders   senders
	multihop  bool // its listeners are open
	stopping  bool
	inbox     *inbox
}

func newLoop() loop {
	return loop{table: newTable(), senders: senders{v4: -1, v6: -1}, inbox: newInbox()}
}

func (l *loop) close() {
	closeAll(l.listeners)
	closeSocket(l.senders.v4)
	closeSocket(l.senders.v6)
	l.listeners, l.senders = nil, senders{v4: -1, v6: -1}
}

// serve runs until ctx has ended and every peer has been told.
func (e *Engine) serve(ctx context.Context) error {
	for _, x := range e.keys {
		e.tellProblem(x) // of those that were there before
	}
	for {
		if ctx.Err() != nil && !e.stopping {
			e.leaveAll(time.Now())
		}
		if e.stopping && len(e.deadlines) == 0 {
			return nil
		}
		if err := e.turn(); err != nil {
			return err
		}
	}
}

// turn waits for something to do and does it. The clock is read, then all sockets
// are emptied, then the timers are looked at by that clock: whenever a process is
// stopped or starved, it does not take a peer for dead whose packets lie in the
// socket.
func (e *Engine) turn() error {
	next := e.next()
	if err := e.wait(next); err != nil {
		return err
	}
	e.takeTodo()
	now := time.Now()
	e.drain()
	if !next.IsZero() && e.delayed(now.Sub(next)) {
		e.sendAll(now)
		var err error
		if now, err = e.settle(now.Add(settle)); err != nil {
			return err
		}
	}
	e.expireAll(now)
	return nil
}

// next is the next deadline, or the zero time.
func (e *Engine) next() time.Time {
	if len(e.deadlines) == 0 {
		return time.Time{}
	}
	return e.deadlines[0].at
}

// settle takes in packets until the time until, and returns a time before which
// all have been.
func (e *Engine) settle(until time.Time) (time.Time, error) {
	for {
		if err := e.wait(until); err != nil {
			return time.Time{}, err
		}
		now := time.Now()
		e.drain()
		if !now.Before(until) {
			return now, nil
		}
	}
}

// wait returns when a packet or a command is there, at the time until, or before;
// no packet ends it while they are gathered.
func (e *Engine) wait(until time.Time) error {
	if err := e.poll(e.gathers(until)); err != nil {
		return fmt.Errorf("waiting for BFD packets: %w", err)
	}
	if err := e.waker.Wait(until); err != nil {
		return fmt.Errorf("waiting for BFD packets: %w", err)
	}
	return nil
}

// gathers says whether packets can wait in their sockets until then. After a
// flood they don't for a while: it could fill the sockets meanwhile.
func (e *Engine) gathers(until time.Time) bool {
	return e.awaited == 0 && !until.IsZero() && time.Until(until) < e.opts.Gather &&
		time.Since(e.flooded) > wary
}

// poll has the listeners waited for, or not.
func (e *Engine) poll(gather bool) error {
	if gather {
		for ; e.polled > 0; e.polled-- {
			if err := e.waker.Remove(e.listeners[e.polled-1].fd); err != nil {
				return err
			}
		}
		return nil
	}
	for ; e.polled < len(e.listeners); e.polled++ {
		if err := e.waker.Add(e.listeners[e.polled].fd); err != nil {
			return err
		}
	}
	return nil
}

// sendAll sends what is due, and nothing else: the peers wait for it since the
// stall began. The deadlines stay for expireAll.
func (e *Engine) sendAll(now time.Time) {
	for _, x := range e.deadlines {
		if due, p := x.sendDue(now); due {
			e.transmit(x, p)
		}
	}
}

// expireAll does what is due.
func (e *Engine) expireAll(now time.Time) {
	for len(e.deadlines) > 0 && !e.deadlines[0].at.After(now) {
		x := e.deadlines[0]
		e.act(x, x.advance(now))
	}
	// What may go out now need not wake the thread again soon.
	for len(e.deadlines) > 0 {
		x := e.deadlines[0]
		early, p := x.sendEarly(now)
		if !early {
			return
		}
		e.act(x, action{send: true, packet: p})
	}
}

// act carries out what a session wants.
func (e *Engine) act(x *entry, a action) {
	if a.send {
		e.transmit(x, a.packet)
	}
	if x.over {
		e.forget(x)
	} else {
		e.schedule(x)
	}
	if a.tell {
		e.opts.OnEvent(a.event)
	}
}

func (e *Engine) transmit(x *entry, p Packet) {
	defer e.tellProblem(x)
	if x.problem != nil {
		e.attach(x)
	}
	if x.problem != nil {
		return
	}
	x.errno = x.out.transmit(e.senders.of(x.cfg.Peer), p)
	if x.errno == 0 {
		x.count++
		e.counts.sent.Add(1)
		return
	}
	e.counts.sendErrors.Add(1)
	if x.cfg.Interface != "" {
		e.attach(x) // it may have been made anew, with another index
	}
}

// tellProblem tells what keeps a session's packets from being sent or received,
// if it is news.
func (e *Engine) tellProblem(x *entry) {
	now := x.trouble()
	if x.state == AdminDown || same(now, x.told) {
		return
	}
	x.told = now
	e.opts.OnProblem(x.cfg.Key(), now)
}

func same(a, b error) bool { return a == b || a != nil && b != nil && a.Error() == b.Error() }

func (e *Engine) leaveAll(now time.Time) {
	e.stopping = true
	for _, x := range e.keys {
		e.retire(x, now)
	}
}
