//go:build linux

package bgp

import (
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// tell passes on what changed to a router that is up.
func (l *link) tell(changed map[netip.Prefix]struct{}) {
	if l.state != Established || len(changed) == 0 {
		return
	}
	all := make([]change, 0, len(changed))
	c := l.classes()
	for p := range changed {
		all = append(all, change{p, c.of(p, l.t.routes[p])})
	}
	l.attempt.outbox.put(all)
}

// all is everything that the router is to know.
func (l *link) all() []change {
	all := make([]change, 0, len(l.t.routes))
	c := l.classes()
	for p, paths := range l.t.routes {
		all = append(all, change{p, c.of(p, paths)})
	}
	return all
}

// classes finds out what the router is to know about prefixes, for as long as no
// path changes.
type classes struct {
	*link
	// known spares writing the same attributes for each prefix.
	known map[classKey]class
}

type classKey struct {
	path   *Path
	family bgp.Family
}

func (l *link) classes() classes { return classes{l, map[classKey]class{}} }

// of returns none for what the router is not to know.
func (c classes) of(p netip.Prefix, paths []Path) class {
	key := classKey{forPeer(paths, c.peer.Name), familyOf(p)}
	hop := c.hops.of(p)
	if key.path == nil || !hop.IsValid() || !c.session.families.has(key.family) {
		return none
	}
	if known, ok := c.known[key]; ok {
		return known
	}
	to := audience{c.peer.MyASN, c.session.asn == c.peer.MyASN, c.session.fourOctets}
	class, err := classOf(key.path, to, key.family, hop)
	if err != nil {
		c.t.opts.Log.Error(err, "A prefix can't be announced", "peer", c.peer.Name, "prefix", p)
	}
	c.known[key] = class
	return class
}

// farewell returns what follows all that a router is told to its end.
func (l *link) farewell() goodbye {
	return goodbye{peer: l.peer.Name, conn: l.session.conn, outbox: l.attempt.outbox, over: l.attempt.done}
}
