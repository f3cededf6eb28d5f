//go:build linux

package bgp

import (
	"cmp"
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/vishvananda/netlink"

	"github.com/berth-lb/berth/bfd"
)

// link is all that is about one peer. It belongs to the announcing goroutine.
type link struct {
	t    *thread
	peer Peer
	// ctx ends when the link is closed.
	ctx  context.Context
	stop context.CancelFunc

	// address is where the router is, the zero value while it is looked for.
	// heard is who has advertised itself last during a session.
	address, heard netip.Addr
	// attempt is the one under way, and gone closed when the connection of the
	// last one is, maybe of another link to the same router. There are never two.
	attempt *attempt
	gone    <-chan struct{}
	// begun is when the attempt began to connect.
	begun time.Time

	state State
	// stands says that it is Established, for other goroutines.
	stands atomic.Bool
	since  time.Time
	err    string
	// session, addresses and hops are what counts while it is Established.
	session   session
	addresses []netlink.Addr
	hops      nextHops
	// again: the addresses are to be looked at once more before long.
	again bool
	// saidAt is when the router last said why there is no session.
	saidAt time.Time
	// quick counts sessions in a row that did not stand for long.
	quick int

	bfdKey   *bfd.Key
	bfdState string
	// bfdProblem is why that can't come up, as far as it is this node's fault.
	bfdProblem string
	updates    *atomic.Uint64
}

func newLink(t *thread, p Peer) *link {
	l := &link{t: t, peer: p, state: Idle, since: time.Now(), gone: closed, updates: &atomic.Uint64{}}
	l.ctx, l.stop = context.WithCancel(t.ctx)
	if p.Interface == "" {
		l.address = p.Address.Unmap()
	}
	return l
}

// succeed has l take the place of another link of the peer.
func (l *link) succeed(before *link) {
	l.gone, l.updates = before.gone, before.updates
}

// closed is of what never was.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// open has the session begin.
func (l *link) open() {
	if err := check(l.peer); err != nil {
		l.err = err.Error()
		return
	}
	l.t.followAddresses()
	if l.peer.Interface != "" {
		l.discover()
		return
	}
	l.begin(l.routersTurn(l.t.began))
}

// routersTurn is the pause before a router is called that may have lost a session
// at that time and still have its routes. FRR calls by itself a second later, and
// gives up a session that has come up just then, and the routes with it.
func (l *link) routersTurn(lost time.Time) time.Duration {
	const turn = 2 * time.Second
	if !l.peer.GracefulRestart {
		return 0
	}
	return time.Until(lost.Add(turn))
}

// discover looks for the router on the interface.
func (l *link) discover() {
	d := discovery{
		name:    l.peer.Interface,
		found:   func(a netip.Addr) { l.later(func() { l.found(a) }) },
		problem: func(s string) { l.later(func() { l.notFound(s) }) },
		up:      l.stands.Load,
	}
	l.t.beside.Go(func() { d.run(l.ctx) })
}

// found takes a router, in place of one that has gone. During a session it is only
// kept in mind: it may be what comes after.
func (l *link) found(address netip.Addr) {
	if l.state == Established {
		l.heard = address
		return
	}
	if address == l.address {
		return
	}
	if l.attempt != nil {
		l.attempt.dismiss(cease(bgp.BGP_ERROR_SUB_OTHER_CONFIGURATION_CHANGE))
	}
	l.address, l.err = address, ""
	l.begin(l.routersTurn(l.t.began))
}

func (l *link) notFound(problem string) {
	if !l.address.IsValid() {
		l.err = problem
	}
}

// begin makes an attempt after a pause.
func (l *link) begin(pause time.Duration) {
	a := &attempt{
		peer: l.peer, address: l.address, pause: pause, after: l.gone,
		outbox: newOutbox(), updates: l.updates, done: make(chan struct{}),
	}
	a.report = func(e event) {
		l.later(func() {
			if l.attempt == a {
				l.on(e)
			}
		})
	}
	a.ctx, a.stop = context.WithCancelCause(l.t.ctx)
	l.attempt, l.gone = a, a.done
	l.t.attempts.Go(a.run)
}

// retry makes one when its time has come.
func (l *link) retry() { l.begin(jitter(l.peer.retry()) - time.Since(l.begun)) }

// ended notes that there is no session now.
func (l *link) ended() {
	l.state, l.since, l.session = Idle, time.Now(), session{}
	l.stands.Store(false)
	l.setBFD(nil)
}

// close ends everything about the peer, with these words for the router.
func (l *link) close(words *notification) {
	l.stop()
	if l.attempt != nil {
		l.attempt.dismiss(words)
	}
	l.setBFD(nil)
}

// leave is close for a restart. A router that keeps forwarding loses the
// connection without a word (RFC 4724), and BFD with it stays until it is gone.
func (l *link) leave() {
	keeps := l.session.graceful
	if l.state != Established {
		keeps = l.peer.GracefulRestart // as far as is known
	}
	if l.t.left || !keeps {
		l.close(cease(bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN))
		return
	}
	l.stop()
	if l.attempt != nil {
		l.attempt.dismiss(nil)
	}
}

// later has f be done by the announcing goroutine unless the link is closed then.
func (l *link) later(f func()) {
	l.t.mail.post(func(*thread) {
		if l.ctx.Err() == nil {
			f()
		}
	})
}

// publish shows what the session is like.
func (l *link) publish() {
	s := Session{
		Peer: l.peer.Name, Address: l.address, State: l.state, Since: l.since, Error: l.err, BFD: l.bfdState,
	}
	if l.state == Established {
		s.Prefixes = l.attempt.outbox.count()
		lacks := l.lacks()
		s.LacksIPv4, s.LacksIPv6 = lacks.v4, lacks.v6
	}
	if s.Error == "" && l.state == Established {
		s.Error = l.shortcoming()
	}
	if s.Error == "" && l.peer.BFD != nil {
		s.Error = cmp.Or(l.t.watch.problem, l.bfdProblem)
	}
	l.t.publish(published{s, l.updates})
}
