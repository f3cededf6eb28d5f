//go:build linux

package bfd

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// add makes or changes a session.
func (e *Engine) add(cfg Config) {
	if e.stopping {
		return
	}
	k := cfg.Key()
	e.silence(k)
	x := e.keys[k]
	if x == nil {
		x = e.put(cfg, time.Now())
	} else {
		e.keep(x)
		x.configure(cfg)
		e.schedule(x)
	}
	if e.phase == running {
		e.attach(x)
		e.tellProblem(x)
	}
}

// keep makes an accepted session one that was asked for.
func (e *Engine) keep(x *entry) {
	if x.accepted {
		x.accepted, x.linger = false, 0
		e.accepted--
	}
}

func (e *Engine) remove(k Key) {
	x := e.keys[k]
	switch {
	case x == nil:
	case e.phase == running:
		e.retire(x, time.Now())
	default:
		e.forget(x) // nobody has heard of it
	}
}

// attach finds what a session needs of the system: a socket, and the index of
// its interface. What is missing is its problem, until the next packet.
func (e *Engine) attach(x *entry) {
	iface, err := e.needs(x.cfg)
	x.problem = err
	if err != nil {
		e.unindex(x)
		return
	}
	x.out.aim(x.cfg.Peer, x.cfg.Local, e.port(x.cfg.Multihop), iface)
	if x.state != AdminDown {
		e.index(x, iface)
	}
}

func (e *Engine) needs(cfg Config) (iface int, err error) {
	fd := e.senders.of(cfg.Peer)
	if fd < 0 {
		return 0, errors.New("the kernel has not this family of addresses")
	}
	if cfg.Multihop && !e.multihop {
		more, err := listen(e.opts.Listen, e.opts.MultihopPort, true)
		if err != nil {
			return 0, err
		}
		e.listeners, e.multihop = append(e.listeners, more...), true
	}
	if cfg.Interface == "" {
		return 0, nil
	}
	return interfaceIndex(fd, cfg.Interface)
}

func (e *Engine) port(multihop bool) uint16 {
	if multihop {
		return e.opts.MultihopPort
	}
	return e.opts.Port
}

// accept makes a session of a first packet, if Accept wants it.
func (e *Engine) accept(a arrival, now time.Time) (*entry, error) {
	if e.opts.Accept == nil {
		return nil, UnknownPeer
	}
	cfg, ok := e.opts.Accept(a.peer, a.iface)
	if !ok {
		return nil, UnknownPeer
	}
	cfg.Peer, cfg.Local, cfg.Passive, cfg.Multihop, cfg.Interface = a.peer, a.local, true, false, ""
	if a.peer.IsLinkLocalUnicast() && a.peer.Is6() {
		name, err := interfaceName(e.senders.of(a.peer), a.iface)
		if err != nil {
			return nil, UnknownPeer
		}
		cfg.Interface = name
	}
	if cfg.validate() != nil {
		return nil, UnknownPeer
	}
	cfg = cfg.normal()
	if x := e.keys[cfg.Key()]; x != nil {
		e.attach(x) // its interface was made anew
		e.readdress(x, a.local)
		return x, nil
	}
	if e.accepted >= e.opts.MaxAccepted {
		return nil, TooManySessions
	}
	e.silence(cfg.Key())
	x := e.put(cfg, now)
	x.accepted, x.linger, x.heard = true, e.opts.Linger, now
	e.table.accepted++
	e.attach(x)
	return x, nil
}

func (e *Engine) snapshot() []Status {
	all := make([]Status, 0, len(e.keys))
	for _, x := range e.keys {
		all = append(all, x.status())
	}
	slices.SortFunc(all, func(a, b Status) int { return a.Key.compare(b.Key) })
	return all
}

func (k Key) compare(o Key) int {
	return cmp.Or(k.Peer.Compare(o.Peer), strings.Compare(k.Interface, o.Interface),
		compareBool(k.Multihop, o.Multihop), compareBool(k.Passive, o.Passive))
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func (e *entry) status() Status {
	s := Status{
		Key: e.cfg.Key(), Local: e.cfg.Local, Accepted: e.accepted,
		State: e.state, Diag: e.diag, Since: e.since,
		RemoteState: e.remote.state, RemoteDiag: e.remote.diag,
		Discriminator: e.discriminator, RemoteDiscriminator: e.remote.discriminator,
		Detection: e.detection(), Heard: e.heard,
		Received: e.received, Sent: e.count, Problem: e.trouble(),
	}
	if e.remote.minRx > 0 {
		s.Transmit = e.negotiated()
	}
	return s
}

// trouble is why no packet can be sent or received.
func (e *entry) trouble() error {
	switch {
	case e.problem != nil:
		return e.problem
	case e.errno != 0 && !passing(e.errno):
		return fmt.Errorf("sending: %w", e.errno)
	}
	return nil
}

// passing errors are those of a moment, when there is much to send.
func passing(errno syscall.Errno) bool {
	return errno == syscall.EAGAIN || errno == syscall.ENOBUFS || errno == syscall.EINTR
}

// readdress has an accepted session answer from the address that was asked last:
// this system may have lost the other one.
func (e *Engine) readdress(x *entry, local netip.Addr) {
	if x.accepted && x.state == Down && x.cfg.Local != local {
		x.cfg.Local = local
		e.attach(x)
	}
}
