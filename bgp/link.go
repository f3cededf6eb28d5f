//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/berth-lb/berth/bfd"
)

// link is all that is about one peer. But for what is atomic it belongs to the
// announcing goroutine.
//
// Each has a GoBGP server to itself, with the one neighbour and only the paths
// that it is told: what a router hears then does not depend on the others, no
// policies are needed, none is sent twice what another one is told anew, and
// two peers may have one address. Without prefixes a server takes 0.8 MB.
type link struct {
	t    *thread
	peer Peer
	// ctx ends when the link is closed.
	ctx  context.Context
	stop context.CancelFunc

	// address is where the router is, asn its AS number: 0 while it is not known.
	address netip.Addr
	asn     uint32
	route   route
	hops    nextHops

	speaker *speaker
	told    map[netip.Prefix]*class
	classes map[string]*class
	// v4 and v6 count the prefixes in told.
	v4, v6 int

	state State
	since time.Time
	err   string
	// graceful: the router agreed to keep forwarding during a restart.
	graceful bool
	// agreed are the families that the router takes.
	agreed map[bgp.Family]bool
	conn   connection
	// attempt changes with each begin of a session, and askedAt is when the
	// router was last asked what is wrong.
	attempt int
	askedAt time.Time
	// saidAt is when the router last said why there is no session.
	saidAt time.Time
	// quick counts sessions in a row that did not stand for long.
	quick int

	bfdKey   *bfd.Key
	bfdState string
	lost     uint64
	updates  atomic.Uint64
	farewell atomic.Pointer[goodbye]
}

func newLink(t *thread, p Peer) *link {
	l := &link{
		t: t, peer: p, asn: p.PeerASN, state: Idle, since: time.Now(),
		told: map[netip.Prefix]*class{}, classes: map[string]*class{},
	}
	l.ctx, l.stop = context.WithCancel(t.ctx)
	if p.Interface == "" {
		l.address = p.Address.Unmap()
	}
	return l
}

// open has the session begin.
func (l *link) open() {
	if err := check(l.peer); err != nil {
		l.err = err.Error()
		return
	}
	if l.peer.Interface != "" && !l.address.IsValid() {
		l.discover()
		return
	}
	l.start()
}

// discover looks for the router on the interface.
func (l *link) discover() {
	d := discovery{
		name:    l.peer.Interface,
		found:   func(a netip.Addr) { l.later(func() { l.found(a) }) },
		problem: func(s string) { l.later(func() { l.notFound(s) }) },
	}
	l.t.beside.Go(func() { d.run(l.ctx) })
}

// found takes a router, in place of one that has gone.
func (l *link) found(address netip.Addr) {
	if address == l.address || l.state == Established {
		return
	}
	l.shut()
	l.address, l.asn, l.err = address, l.peer.PeerASN, ""
	l.start()
}

func (l *link) notFound(problem string) {
	if !l.address.IsValid() {
		l.err = problem
	}
}

// start looks around and connects, or asks for the AS number first. Between the
// one and the other no connection is GoBGP's.
func (l *link) start() {
	l.attempt++
	l.state = Idle
	l.route = routeTo(l.peer, l.address)
	l.setHops(hopsFor(l.address, l.route))
	if err := l.serve(); err != nil {
		l.err = err.Error()
		l.retryIn(l.peer.retry())
		return
	}
	if l.asn == 0 {
		l.ask()
		return
	}
	if err := l.speaker.connect(neighbor(l.peer, l.address, l.asn, l.t.opts.MaxReceived), l.attempt); err != nil {
		l.err = err.Error()
		l.retryIn(l.peer.retry())
	}
}

// serve makes sure that there is a server, with the routes.
func (l *link) serve() error {
	if l.speaker != nil {
		return nil
	}
	id, err := identify(l.peer, l.route)
	if err != nil {
		return err
	}
	s, err := newSpeaker(l, id)
	if err != nil {
		return err
	}
	l.speaker = s
	l.tellAll()
	return nil
}

// restart begins again after a session or an attempt came to its end. GoBGP by
// itself would wait for 5 s, and not say that forwarding goes on.
func (l *link) restart() {
	if l.speaker != nil {
		l.speaker.disconnect()
	}
	l.start()
}

// retryIn begins again after a while.
func (l *link) retryIn(d time.Duration) { l.afterWhile(d, l.restart) }

// afterWhile does f unless there is another attempt by then.
func (l *link) afterWhile(d time.Duration, f func()) {
	attempt := l.attempt
	time.AfterFunc(d, func() {
		l.later(func() {
			if l.attempt == attempt {
				f()
			}
		})
	})
}

// shut ends the session with a Cease, and the server.
func (l *link) shut() {
	if l.speaker != nil {
		l.speaker.close(false)
		l.speaker = nil
	}
	l.ended()
	l.forget()
}

// ended notes that there is no session now.
func (l *link) ended() {
	if l.state == Established {
		l.since = time.Now()
	}
	l.state, l.graceful, l.agreed = Idle, false, nil
	l.setBFD(nil)
	if g := l.farewell.Swap(nil); g != nil {
		g.lost()
	}
}

// close ends everything about the peer. While BFD goes on, the caller ends it.
func (l *link) close(graceful bool) {
	l.stop()
	l.attempt++
	if graceful && l.graceful && l.speaker != nil {
		l.speaker.close(true)
		l.speaker = nil
		return
	}
	l.shut()
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
		Peer: l.peer.Name, Address: l.address, State: l.state, Since: l.since, Error: l.err,
		Prefixes: l.prefixes(), BFD: l.bfdState,
	}
	if s.Error == "" && l.peer.BFD != nil {
		s.Error = l.t.watch.problem
	}
	l.t.publish(s, Counters{
		Updates: l.updates.Load(), Prefixes: s.Prefixes, Up: l.state == Established,
		BFDUp: l.bfdState == bfd.Up.String(), Lost: l.lost,
	})
}

// prefixes is how many the router has been told of.
func (l *link) prefixes() int {
	n := 0
	if l.agreed[bgp.RF_IPv4_UC] {
		n += l.v4
	}
	if l.agreed[bgp.RF_IPv6_UC] {
		n += l.v6
	}
	return n
}
