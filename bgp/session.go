//go:build linux

package bgp

import (
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

	"github.com/berth-lb/berth/bfd"
)

const (
	// askAgain is the least pause between questions to a router that refuses.
	askAgain = 30 * time.Second
	// afterFlood is the pause before a router that sent too much is tried again.
	afterFlood = time.Minute
	// steady is how long a session has to stand not to be taken for flapping, and
	// maxQuick how often in a row one that does not is begun again at once. After
	// that GoBGP takes its time. It leaves a goroutine behind for each neighbor
	// that is removed after its router hung up: those must not become many.
	steady   = 30 * time.Second
	maxQuick = 5
	// errorWait is how long a router may hang up after it said why (BIRD's error
	// wait time).
	errorWait = 5 * time.Minute
	// mute is how long a router may take to say OPEN before that is reported.
	mute = 5 * time.Second
)

// onState is told each change of GoBGP's state machine.
func (l *link) onState(e *apiutil.WatchEventMessage_PeerEvent, at time.Time) {
	switch e.Peer.State.SessionState {
	case bgp.BGP_FSM_ESTABLISHED:
		l.up(e.Peer, at)
	case bgp.BGP_FSM_OPENCONFIRM:
		l.state = OpenConfirm
	case bgp.BGP_FSM_ACTIVE:
		if l.state != Connect && l.state != OpenSent {
			l.state = Active
		}
	case bgp.BGP_FSM_IDLE:
		l.down()
	}
}

func (l *link) up(p apiutil.Peer, at time.Time) {
	l.state, l.since, l.err, l.saidAt = Established, at, "", time.Time{}
	l.conn = connection{
		remote:    netip.AddrPortFrom(l.address.WithZone(""), uint16(p.Transport.RemotePort)),
		localPort: uint16(p.Transport.LocalPort),
	}
	l.agreed = map[bgp.Family]bool{}
	l.graceful = false
	for _, c := range p.State.RemoteCap {
		switch c := c.(type) {
		case *bgp.CapMultiProtocol:
			l.agreed[c.CapValue] = true
		case *bgp.CapGracefulRestart:
			l.graceful = l.peer.GracefulRestart
		}
	}
	if len(l.agreed) == 0 {
		l.agreed[bgp.RF_IPv4_UC] = true
	}
	l.err = l.shortcoming()
	// Not before: FRR's BFD begins anew when BGP comes up, and takes one that was
	// up already for lost.
	l.setBFD(l.peer.BFD)
	l.t.opts.Log.Info("A session with a router stands", "peer", l.peer.Name, "router", l.address, "as", l.asn)
}

// shortcoming says what a session that stands can't carry.
func (l *link) shortcoming() string {
	switch {
	case l.peer.IPv4 && !l.agreed[bgp.RF_IPv4_UC]:
		return "the router does not take IPv4 prefixes: activate this neighbor for IPv4 unicast there"
	case l.peer.IPv6 && !l.agreed[bgp.RF_IPv6_UC]:
		return "the router does not take IPv6 prefixes: activate this neighbor for IPv6 unicast there"
	case l.peer.IPv6 && !l.hops.v6.IsValid():
		return "IPv6 prefixes are not announced: this node has no IPv6 address on " + l.route.via + " to be the next hop"
	}
	return ""
}

// down is for the end of a session, or of an attempt that went beyond OPEN.
func (l *link) down() {
	was, stood := l.state, time.Since(l.since)
	l.ended()
	switch {
	case was == Established:
		l.lost++
		if l.err == "" || l.err == l.shortcoming() {
			l.err = broken
		}
		l.t.opts.Log.Info("A session with a router is lost", "peer", l.peer.Name, "router", l.address, "reason", l.err)
		if l.flapping(stood) {
			return
		}
	case was == OpenConfirm || was == OpenSent:
		l.inquire()
		return
	case was == Idle:
		return // the first state of all
	}
	l.restart()
}

// flapping says that a lost session, like those before, stood for a short time.
func (l *link) flapping(stood time.Duration) bool {
	if stood >= steady {
		l.quick = 0
	}
	l.quick++
	return l.quick > maxQuick
}

// hear is called by GoBGP's goroutines with what is in its log.
func (l *link) hear(n note) {
	if n.kind == updateSent {
		l.updates.Add(1)
	}
	if n.kind == updateSent || n.kind == heldBack {
		if g := l.farewell.Load(); g != nil {
			g.hear(n)
		}
		return
	}
	l.later(func() { l.onNote(n) })
}

func (l *link) onNote(n note) {
	if l.speaker == nil || l.speaker.neighbor == "" {
		return
	}
	switch n.kind {
	case dialing:
		l.state = Connect
	case dialFailed:
		l.state, l.err = Active, noAnswer(l.peer, l.address, n.text)
	case dialed:
		l.state = OpenSent
		l.afterWhile(mute, func() {
			if l.state == OpenSent {
				l.err = speechless(l.peer, l.address)
			}
		})
	case hungUp:
		l.state = Active
		l.fault(unknownHere(l.peer, l.address))
	case silent:
		l.state = Active
		l.fault(speechless(l.peer, l.address))
	case refused:
		l.saidAt = time.Now()
		l.err = theySaid(l.peer, n.code, n.subcode, n.text)
	case holdExpired:
		l.err = heldTooLong
	case malformed:
		l.err = "the router sent what is not BGP: " + quoted(n.text)
	case refusing:
		l.onRefusing(n)
	case flooded:
		l.flooded()
	}
}

// fault notes what a router does without a word, unless it has said why: BIRD
// hangs up at once for as long as it waits after an error.
func (l *link) fault(problem string) {
	if l.saidAt.IsZero() || time.Since(l.saidAt) > errorWait {
		l.err = problem
	}
}

// onRefusing is for a NOTIFICATION of this end. Where it answers an OPEN, or what
// came in place of one, the router is asked for the details.
func (l *link) onRefusing(n note) {
	switch {
	case l.state == Established && n.code == bgp.BGP_ERROR_CEASE, l.state == Established && l.err != l.shortcoming():
	case l.state == Established:
		l.err = weSaid(n.code, n.subcode)
	case n.code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, n.code == bgp.BGP_ERROR_FSM_ERROR:
		l.state = Active
		if l.err == "" {
			l.err = weSaid(n.code, n.subcode)
		}
		l.inquire()
	default:
		l.state = Active
	}
}

// flooded ends a session whose router sends so many routes that keeping them
// could cost this process its life, and all other sessions with it.
func (l *link) flooded() {
	l.speaker.disconnect()
	if l.state == Established {
		l.lost++
	}
	l.ended()
	l.attempt++
	l.err = tooMany(l.t.opts.MaxReceived)
	l.retryIn(afterFlood)
}

// inquire finds out why there is no session, unless that was done just now.
func (l *link) inquire() {
	if time.Since(l.askedAt) < askAgain && l.err != "" {
		l.restart()
		return
	}
	l.speaker.disconnect()
	l.attempt++
	// A router that refused may hang up without a word at first.
	l.askedAt = time.Now()
	l.afterWhile(l.peer.retry(), l.ask)
}

// ask has the router say its AS number, and what it has against a session.
func (l *link) ask() {
	l.askedAt = time.Now()
	attempt, p, address, id := l.attempt, l.peer, l.address, l.speaker.id
	l.t.beside.Go(func() {
		a := ask(l.ctx, p, address, id)
		l.later(func() {
			if l.attempt == attempt {
				l.onAnswer(a)
			}
		})
	})
}

func (l *link) onAnswer(a answer) {
	switch {
	case a.said:
		l.saidAt, l.err = time.Now(), a.problem
	case a.problem != "":
		l.fault(a.problem)
	}
	switch {
	case l.peer.PeerASN != 0:
		l.start()
	case a.problem != "" || a.asn == 0:
		l.retryIn(l.peer.retry())
	case a.asn != l.asn:
		l.asn = a.asn
		l.start()
	default:
		l.start()
	}
}

// changeBFD takes another wish about BFD, if it is one.
func (l *link) changeBFD(b *BFD) {
	if b == l.peer.BFD || b != nil && l.peer.BFD != nil && *b == *l.peer.BFD {
		return
	}
	l.peer.BFD = b
	if l.state == Established {
		l.setBFD(b)
	}
}

// setBFD has the router be watched, or not with nil.
func (l *link) setBFD(b *BFD) {
	var key *bfd.Key
	if b != nil && l.address.IsValid() && l.speaker != nil {
		c := bfdConfig(l.peer, l.address, l.route)
		k := c.Key()
		if err := l.t.watch.add(l, c); err != nil {
			l.err = err.Error()
		} else {
			key = &k
		}
	}
	if l.bfdKey != nil && (key == nil || *key != *l.bfdKey) {
		l.t.watch.remove(l, *l.bfdKey)
		l.bfdState = ""
	}
	if key != nil && l.bfdState == "" {
		l.bfdState = bfd.Down.String()
	}
	l.bfdKey = key
}

// onBFD ends the session at once when the router is gone. One that stopped BFD on
// purpose is not (RFC 5882 section 3.2), nor does BGP wait for BFD to begin.
func (l *link) onBFD(e bfd.Event) {
	if l.bfdKey == nil || e.At.Before(l.since) {
		return // of a session that is over
	}
	l.bfdState = e.State.String()
	if e.Previous != bfd.Up || e.State != bfd.Down || e.RemoteState == bfd.AdminDown {
		return
	}
	l.lost++
	l.ended()
	l.err = bfdLost(e)
	l.t.opts.Log.Info("A session with a router is lost", "peer", l.peer.Name, "router", l.address, "reason", l.err)
	l.restart()
}
