//go:build linux

package bfd

import (
	"time"

	"golang.org/x/sys/unix"
)

// drain takes in what waits in the sockets, each in turn, so that a flood on one
// leaves room for the others; and no more than a burst, so that no flood keeps
// the timers from being looked at.
func (e *Engine) drain() {
	began := time.Now()
	taken := 0
	defer func() {
		if taken >= flood {
			e.flooded = began
		}
	}()
	for taken < burst {
		n := 0
		for _, l := range e.listeners {
			n += e.take(l)
		}
		if n == 0 {
			e.drained = began
			return
		}
		taken += n
	}
}

// take handles one batch.
func (e *Engine) take(l listener) int {
	n := e.inbox.fill(l.fd)
	if n == 0 {
		return 0
	}
	e.counts.received.Add(uint64(n))
	now := time.Now()
	for i := range n {
		a := e.inbox.arrival(i)
		if err := e.receive(e.cameAt(now, a.stamp), a, l.multihop); err != nil {
			reason, _ := err.(Reason)
			e.drop(reason)
		}
	}
	return n
}

// cameAt is when a packet came that is read now. The kernel stamps by the wall
// clock, which may be set in between; but no packet came before its socket was
// last empty.
func (e *Engine) cameAt(now time.Time, stamp unix.Timespec) time.Time {
	if stamp == (unix.Timespec{}) {
		return now
	}
	at := now.Add(-time.Duration(now.UnixNano() - stamp.Nano()))
	switch {
	case at.After(now):
		return now
	case at.Before(e.drained):
		return e.drained
	}
	return at
}

// receive hands a packet to its session, or returns the Reason why not.
func (e *Engine) receive(now time.Time, a arrival, multihop bool) error {
	if !multihop && a.ttl != 255 {
		return WrongTTL
	}
	p, err := Parse(a.data)
	if err != nil {
		return err
	}
	if p.DesiredMinTx > maxInterval || p.RequiredMinRx > maxInterval {
		return LongInterval
	}
	x, err := e.demultiplex(now, a, p, multihop)
	if err != nil {
		return err
	}
	if a.ttl < int(x.cfg.MinTTL) {
		return WrongTTL
	}
	x.received++
	e.act(x, x.receive(now, p))
	return nil
}

// demultiplex finds the session of a packet: by our discriminator once the peer
// knows it, else by where it comes from (RFC 5880 section 6.3).
func (e *Engine) demultiplex(now time.Time, a arrival, p Packet, multihop bool) (*entry, error) {
	if p.YourDiscriminator == 0 {
		x, err := e.first(now, a, multihop, p.State)
		if err == nil && x.disowns(p) {
			return nil, WrongSource
		}
		return x, err
	}
	x := e.discriminators[p.YourDiscriminator]
	if x == nil {
		return nil, UnknownDiscriminator
	}
	if x.cfg.Multihop != multihop || x.cfg.Peer.WithZone("") != a.peer || x.iface != 0 && x.iface != a.iface {
		return nil, WrongSource
	}
	return x, nil
}

// disowns says that a first packet can't end the session. Over several hops
// anybody can write the peer's address into one (RFC 5883 section 6), so it has
// to have the peer's discriminator as well while the session is Up. That of a
// peer that hears nothing any more has it. One that began anew has another, and
// is found out by its silence.
func (e *entry) disowns(p Packet) bool {
	return e.cfg.Multihop && e.state == Up && p.MyDiscriminator != e.remote.discriminator
}

// first finds or makes the session of a first packet. Only active peers send
// such, so a passive session comes before an active one. No session is made for
// one that says goodbye.
func (e *Engine) first(now time.Time, a arrival, multihop bool, state State) (*entry, error) {
	if e.stopping {
		return nil, UnknownPeer
	}
	if x := e.find(a.peer, a.iface, multihop, true); x != nil {
		e.readdress(x, a.local)
		return x, nil
	}
	reason := error(UnknownPeer)
	if !multihop && state == Down {
		x, err := e.accept(a, now)
		if err == nil {
			return x, nil
		}
		reason = err
	}
	if x := e.find(a.peer, a.iface, multihop, false); x != nil {
		return x, nil
	}
	return nil, reason
}
