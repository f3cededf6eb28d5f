//go:build linux

package bgp

import (
	"net/netip"

	"github.com/osrg/gobgp/v4/pkg/apiutil"
)

// tell passes on what changed.
func (l *link) tell(changed map[netip.Prefix]struct{}) {
	if l.speaker == nil || len(changed) == 0 {
		return
	}
	var add, remove []*apiutil.Path
	for p := range changed {
		c := l.classOf(p)
		before := l.told[p]
		if c == before {
			continue
		}
		if c == nil {
			remove = l.appendPath(remove, p, before)
		} else {
			add = l.appendPath(add, p, c)
		}
		l.note(p, c)
	}
	l.speaker.update(add, remove)
}

// tellAll passes on everything.
func (l *link) tellAll() {
	all := make(map[netip.Prefix]struct{}, len(l.t.routes))
	for p := range l.t.routes {
		all[p] = struct{}{}
	}
	l.tell(all)
}

func (l *link) appendPath(all []*apiutil.Path, p netip.Prefix, c *class) []*apiutil.Path {
	path, err := gobgpPath(p, c.attrs)
	if err != nil {
		l.t.opts.Log.Error(err, "A prefix can't be announced", "peer", l.peer.Name)
		return all
	}
	return append(all, path)
}

// classOf returns what the router is to know about a prefix, nil for nothing.
func (l *link) classOf(p netip.Prefix) *class {
	path, ok := forPeer(l.t.routes[p], l.peer.Name)
	hop := l.hops.of(p)
	if !ok || !hop.IsValid() || p.Addr().Is4() && !l.peer.IPv4 || p.Addr().Is6() && !l.peer.IPv6 {
		return nil
	}
	key := path.key(hop)
	if c := l.classes[key]; c != nil {
		return c
	}
	attrs, err := path.attributes(l.peer.MyASN, l.asn == l.peer.MyASN, hop)
	if err != nil {
		l.t.opts.Log.Error(err, "A prefix can't be announced", "peer", l.peer.Name, "prefix", p)
		return nil
	}
	c := &class{key: key, attrs: attrs}
	l.classes[key] = c
	return c
}

// note keeps in mind what was told.
func (l *link) note(p netip.Prefix, c *class) {
	count := &l.v6
	if p.Addr().Is4() {
		count = &l.v4
	}
	if before := l.told[p]; before != nil {
		*count--
		if before.users--; before.users == 0 {
			delete(l.classes, before.key)
		}
		delete(l.told, p)
	}
	if c != nil {
		*count++
		c.users++
		l.classes[c.key] = c
		l.told[p] = c
	}
}

// forget is for when the server has gone with all it knew.
func (l *link) forget() {
	clear(l.told)
	clear(l.classes)
	l.v4, l.v6 = 0, 0
}

// setHops has prefixes be told anew whose next hop is another one.
func (l *link) setHops(h nextHops) {
	if h == l.hops {
		return
	}
	l.hops = h
	if l.speaker != nil {
		l.tellAll()
	}
}

// withdraw takes everything back from a router that is up, and returns what
// follows that to its end.
func (l *link) withdraw() []*goodbye {
	if l.speaker == nil {
		return nil
	}
	var all []netip.Prefix
	var remove []*apiutil.Path
	for p, c := range l.told {
		if l.agreed[family(p)] {
			all = append(all, p)
		}
		remove = l.appendPath(remove, p, c)
	}
	if l.state != Established {
		l.speaker.update(nil, remove)
		l.forget()
		return nil
	}
	g := newGoodbye(l.peer.Name, l.conn, all)
	l.farewell.Store(g)
	l.speaker.update(nil, remove)
	l.forget()
	return []*goodbye{g}
}
