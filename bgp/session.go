//go:build linux

package bgp

import (
	"net/netip"
	"time"

	"github.com/berth-lb/berth/bfd"
)

const (
	// steady is how long a session has to stand not to be taken for flapping, and
	// maxQuick how often in a row one that does not is begun again at once.
	steady   = 30 * time.Second
	maxQuick = 5
	// errorWait is how long a router may hang up after it said why (BIRD's error
	// wait time).
	errorWait = 5 * time.Minute
)

// on takes in what the attempt reports.
func (l *link) on(e event) {
	switch {
	case e.session != nil:
		l.up(*e.session)
	case e.end != nil && l.state == Established:
		l.lost(*e.end)
	case e.end != nil:
		l.failed(*e.end)
	case e.mute:
		if l.state == OpenSent {
			l.fault(speechless(l.peer, l.address))
		}
	case e.state == Connect:
		l.state, l.begun = Connect, time.Now()
	default:
		l.state = e.state
	}
}

// up is for a session that stands: the router is told everything.
func (l *link) up(s session) {
	l.state, l.since, l.saidAt, l.err = Established, s.since, time.Time{}, ""
	l.session, l.heard = s, netip.Addr{}
	l.stands.Store(true)
	l.addresses = nil
	l.readdress()
	l.attempt.outbox.put(l.all(), s.families.list()...)
	// Not before: FRR's BFD begins anew when BGP comes up, and takes one that was
	// up already for lost.
	l.setBFD(l.peer.BFD)
	l.t.opts.Log.Info("A session with a router stands", "peer", l.peer.Name, "router", l.address, "as", s.asn)
}

// readdress has the next hops be addresses that this node has now, and says
// whether they are others than before.
func (l *link) readdress() bool {
	all, err := l.t.addressesOf(l.session.route.index)
	if err != nil {
		l.t.opts.Log.Error(err, "Next hops stay as they are for a moment", "peer", l.peer.Name)
		all = l.addresses
		l.readdressAgain()
	}
	l.addresses = all
	hops := hopsFor(l.address, choose(all, l.peer.Source)).resolve(l.session.local, l.session.extended)
	changed := hops != l.hops
	l.hops = hops
	return changed
}

// readdressAgain looks again after a pause: nobody tells when a list can be had.
func (l *link) readdressAgain() {
	if l.again {
		return
	}
	l.again = true
	time.AfterFunc(againAddresses, func() {
		l.later(func() {
			l.again = false
			l.rehop()
		})
	})
}

// rehop tells the router of other next hops, if there are.
func (l *link) rehop() {
	if l.state == Established && l.readdress() {
		l.attempt.outbox.put(l.all())
		l.t.opts.Log.Info("Next hops have changed", "peer", l.peer.Name, "ipv4", l.hops.v4, "ipv6", l.hops.v6)
	}
}

// lacks are the families that were asked for and that a session that stands
// can't carry.
func (l *link) lacks() families {
	has := l.session.families
	return families{
		v4: l.peer.IPv4 && !(has.v4 && l.hops.v4.IsValid()),
		v6: l.peer.IPv6 && !(has.v6 && l.hops.v6.IsValid()),
	}
}

// shortcoming says what a session that stands can't carry.
func (l *link) shortcoming() string {
	switch {
	case l.peer.IPv4 && !l.session.families.v4:
		return "the router does not take IPv4 prefixes: activate this neighbor for IPv4 unicast there"
	case l.peer.IPv6 && !l.session.families.v6:
		return "the router does not take IPv6 prefixes: activate this neighbor for IPv6 unicast there"
	case l.peer.IPv4 && !l.hops.v4.IsValid():
		return "IPv4 prefixes are not announced: the router takes no IPv6 address for the next hop (RFC 8950), and an IPv4 address of this node is not at hand"
	case l.peer.IPv6 && !l.hops.v6.IsValid():
		return "IPv6 prefixes are not announced: this node has no IPv6 address on " + l.session.route.via + " to be the next hop"
	}
	return ""
}

// lost is for a session that came to its end: the next one begins at once, or
// when the router has had its turn.
func (l *link) lost(e ending) {
	stood := time.Since(l.since)
	l.note(e)
	l.ended()
	l.t.opts.Log.Info("A session with a router is lost", "peer", l.peer.Name, "router", l.address, "reason", l.err)
	if l.heard.IsValid() {
		l.address = l.heard
	}
	if l.flapping(stood) {
		l.retry()
		return
	}
	l.begin(l.routersTurn(time.Now()))
}

// flapping says that a lost session, like those before, stood for a short time.
func (l *link) flapping(stood time.Duration) bool {
	if stood >= steady {
		l.quick = 0
	}
	l.quick++
	return l.quick > maxQuick
}

// failed is for an attempt that led to no session.
func (l *link) failed(e ending) {
	l.note(e)
	l.state = Active
	l.t.opts.Log.V(1).Info("No session with a router", "peer", l.peer.Name, "router", l.address, "reason", l.err)
	l.retry()
}

// note keeps in mind why there is no session.
func (l *link) note(e ending) {
	if e.said {
		l.saidAt = time.Now()
	}
	if e.wordless {
		l.fault(e.problem)
	} else {
		l.err = e.problem
	}
}

// fault notes what a router does without a word, unless it has said why: BIRD
// hangs up at once for as long as it waits after an error.
func (l *link) fault(problem string) {
	if l.saidAt.IsZero() || time.Since(l.saidAt) > errorWait {
		l.err = problem
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
	if b != nil {
		c := bfdConfig(l.peer, l.address, l.session.route)
		k := c.Key()
		if err := l.t.watch.add(l, c); err != nil {
			l.err = err.Error()
		} else {
			key = &k
		}
	}
	if l.bfdKey != nil && (key == nil || *key != *l.bfdKey) {
		l.t.watch.remove(l, *l.bfdKey)
		l.bfdState, l.bfdProblem = "", ""
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
	l.attempt.dismiss(cease(ceaseBFDDown))
	l.lost(ending{problem: bfdLost(e)})
}
