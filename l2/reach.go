//go:build linux

package l2

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/berth-lb/berth/bfd"
)

// neighbour is another node, and how this one reaches it.
type neighbour struct {
	name      string
	addresses []netip.Addr
	// address is the one that is used, on the interface port: where a prefix says
	// so, else where it was found. 0 is nowhere yet.
	address netip.Addr
	port    int
	mac     mac // zero until it was seen

	// hardware is that of its interfaces by their names, as it reports, and seen
	// what frames of it came from, by the interface of this node.
	hardware map[string]mac
	seen     map[int]mac

	// companion may announce, or stand by for, an address that this node has to
	// do with: its frames have to be told from those of strangers, also while
	// there is no session with it. greeted is set once it was asked for its MAC.
	companion, greeted bool

	watched bool
	session bfd.Key // while watched
}

// setPeers takes over who the other nodes are.
func (t *thread) setPeers(now time.Time, nodes map[string]host, known map[netip.Addr]string) {
	t.release(now, known)
	t.names, t.stale = known, true
	t.dismiss(now)
	for name := range t.peers {
		if _, there := nodes[name]; !there {
			t.endSession(t.peers[name])
			t.protocol.renewed(now, name)
			delete(t.peers, name)
		}
	}
	for name, h := range nodes {
		n := t.peers[name]
		if n == nil {
			n = &neighbour{name: name, watched: t.protocol.watches(name)}
			t.peers[name] = n
		}
		n.addresses = slices.DeleteFunc(h.addresses, func(a netip.Addr) bool { return known[a] != name })
		if !maps.Equal(n.hardware, h.hardware) {
			n.hardware, n.seen = h.hardware, nil
		}
	}
	t.reach(now)
}

// release ends the sessions with addresses that become another node's, before
// that one begins its own.
func (t *thread) release(now time.Time, known map[netip.Addr]string) {
	for name, n := range t.peers {
		if known[n.address] != t.names[n.address] {
			t.endSession(n)
			n.address, n.port, n.mac = netip.Addr{}, 0, mac{}
			t.protocol.renewed(now, name)
		}
	}
}

// reach finds the nodes on the interfaces that there are, and uses these.
func (t *thread) reach(now time.Time) {
	for _, n := range t.peers {
		t.locate(now, n)
	}
	fresh := t.syncPorts()
	for _, n := range t.peers {
		t.accompany(n)
	}
	t.attribute()
	for address, e := range t.table {
		t.protocol.able(now, address, t.able(e))
		t.tellWhere(address, e)
		if e.held && slices.ContainsFunc(fresh, e.allows) {
			t.protocol.retell(now, address)
		}
	}
	t.tellInterfaces()
}

// tellInterfaces tells which can be used, if they are others than before.
func (t *thread) tellInterfaces() {
	hardware := map[string]string{}
	for _, p := range t.ports {
		if p.up && !p.reserved {
			hardware[p.name] = p.mac.String()
		}
	}
	if t.links == nil || t.hardware != nil && maps.Equal(hardware, t.hardware) {
		return
	}
	t.hardware = hardware
	t.opts.OnInterfaces(maps.Clone(hardware))
}

// attribute takes over whose hardware is whose.
func (t *thread) attribute() {
	clear(t.macs)
	for name, n := range t.peers {
		for _, m := range n.hardware {
			t.macs[m] = name
		}
		if n.mac.host() {
			t.macs[n.mac] = name
		}
	}
}

// spoke notes from where on an interface a node sends.
func (n *neighbour) spoke(from mac, p *station) {
	if n.seen[p.index] != from {
		if n.seen == nil {
			n.seen = map[int]mac{}
		}
		n.seen[p.index] = from
	}
}

// macOn returns where a node is on the segment of an interface, zero if that is
// unknown. An interface on which it was not heard yet is taken for that of the
// same name, unless that one is known to be elsewhere.
func (n *neighbour) macOn(p *station) mac {
	if p.index == n.port {
		return n.mac
	}
	if m := n.seen[p.index]; m.host() {
		return m
	}
	named := n.hardware[p.name]
	for name, m := range n.hardware {
		if m == n.mac && name != p.name {
			return named // of several on top of one, or another one
		}
	}
	if named == n.mac {
		return mac{}
	}
	return named
}

// dismiss notes which sessions from nodes are another node's from now on, or
// nobody's any more: neither is told.
func (t *thread) dismiss(now time.Time) {
	for address, name := range t.watchers {
		other := t.names[address]
		if other == name {
			continue
		}
		delete(t.watchers, address)
		if !t.watchedBy(name) {
			t.protocol.left(now, name)
		}
		if other != "" {
			t.watched(now, other, address, true)
		}
	}
}

func (t *thread) watchedBy(name string) bool {
	for _, by := range t.watchers {
		if by == name {
			return true
		}
	}
	return false
}

// locate finds the segment on which a node is, and keeps the session with it
// there.
func (t *thread) locate(now time.Time, n *neighbour) {
	address, port := t.find(n.addresses)
	if address == n.address && (port == n.port || port == 0 && t.there(n.port)) {
		return
	}
	t.endSession(n)
	n.address, n.port, n.mac, n.greeted = address, port, mac{}, false
	t.beginSession(n)
	t.protocol.renewed(now, n.name)
}

// there says whether an interface is.
func (t *thread) there(index int) bool {
	return slices.ContainsFunc(t.links, func(l link) bool { return l.index == index })
}

// acquaint has this node know those who have to do with an address.
func (t *thread) acquaint(c Claim) {
	for _, name := range c.Order[:min(len(c.Order), 1+standbys)] {
		if n := t.peers[name]; n != nil && !n.companion {
			n.companion = true
			t.accompany(n)
		}
	}
}

// accompany greets a companion, once.
func (t *thread) accompany(n *neighbour) {
	if n.companion && !n.greeted && len(t.waysTo(n)) > 0 {
		n.greeted = true
		t.greet(n.name)
	}
}

// find returns which of a node's addresses is on a segment of this node, and
// the interface there. The address alone may be enough for a session.
func (t *thread) find(addresses []netip.Addr) (netip.Addr, int) {
	for _, reserved := range []bool{false, true} {
		for _, address := range addresses {
			for _, l := range t.links {
				if l.reserved == reserved && l.has(address) {
					return address, l.index
				}
			}
		}
	}
	if len(addresses) == 0 {
		return netip.Addr{}, 0
	}
	return addresses[0], 0
}

// has says whether an address is on the segment of the interface.
func (l link) has(address netip.Addr) bool {
	return slices.ContainsFunc(l.addresses, func(p netip.Prefix) bool { return p.Contains(address) })
}

func (t *thread) watch(name string) {
	if n := t.peers[name]; n != nil {
		n.watched = true
		t.beginSession(n)
		t.greet(name)
	}
}

func (t *thread) unwatch(name string) {
	if n := t.peers[name]; n != nil {
		t.endSession(n)
		n.watched = false
	}
}

func (t *thread) beginSession(n *neighbour) {
	if !n.watched || !n.address.IsValid() {
		return
	}
	c := t.opts.session(n.address)
	if err := t.sessions.Add(c); err != nil {
		t.log.Error(err, "No session with a node", "node", n.name, "address", n.address)
		return
	}
	n.session = c.Key()
	t.overhear(n)
}

// overhear has this node hear of it when others look for one that it watches.
func (t *thread) overhear(n *neighbour) {
	if p := t.ports[n.port]; p != nil && n.session != (bfd.Key{}) {
		t.joinOn(p, n.address)
	}
}

func (t *thread) endSession(n *neighbour) {
	if n.session != (bfd.Key{}) {
		t.sessions.Remove(n.session)
		n.session = bfd.Key{}
		if p := t.ports[n.port]; p != nil {
			p.groups.leave(n.address)
		}
	}
}

// greet asks a node for its MAC, unless that is known: by it frames are
// attributed to nodes.
func (t *thread) greet(name string) {
	n := t.peers[name]
	if n == nil || n.mac.host() {
		return
	}
	for _, p := range t.waysTo(n) {
		t.question(p, broadcast, n.address)
	}
}

// waysTo returns the interfaces on which a node is asked. An address that no
// prefix places, as one of a tunnel or with a prefix of its own, is asked for on
// all: most kernels answer for all their addresses wherever they are asked.
func (t *thread) waysTo(n *neighbour) []*station {
	if p := t.portOf(n); p != nil {
		return []*station{p}
	}
	if n == nil || n.port != 0 || !n.address.IsValid() {
		return nil
	}
	var all []*station
	for _, p := range t.ports {
		if p.up {
			all = append(all, p)
		}
	}
	return all
}

// discover takes the interface for a node's on which its address was told of. A
// router may answer for others: a node that reports its hardware is believed
// where it uses that.
func (n *neighbour) discover(p *station, f *frame) {
	for _, m := range n.hardware {
		if m == f.owner {
			n.port = p.index
			return
		}
	}
	if len(n.hardware) == 0 {
		n.port = p.index
	}
}

// portOf returns the interface on which a node is asked, nil for none.
func (t *thread) portOf(n *neighbour) *station {
	if n == nil {
		return nil
	}
	if p := t.ports[n.port]; p != nil && p.up {
		return p
	}
	return nil
}

// setLinks takes over the interfaces that there are.
func (t *thread) setLinks(now time.Time, links []link) {
	t.links = links
	clear(t.own)
	for _, l := range links {
		t.own[l.mac] = true
	}
	t.reach(now)
}

// syncPorts opens and closes what has to be, and returns the ports on which
// nothing was told yet.
func (t *thread) syncPorts() (fresh []*station) {
	there := map[int]bool{}
	hosting := map[int]bool{}
	for _, n := range t.peers {
		hosting[n.port] = true
	}
	for _, l := range t.links {
		if l.reserved && !hosting[l.index] {
			continue // to containers, in all likelihood
		}
		there[l.index] = true
		p := t.ports[l.index]
		if p == nil {
			p = t.openPort(l)
		}
		if p == nil {
			continue
		}
		if l.up && !l.reserved && (!p.up || p.reserved || p.mac != l.mac) {
			fresh = append(fresh, p)
		}
		p.link = l
	}
	for index, p := range t.ports {
		if !there[index] {
			p.close()
			p.groups.close()
			delete(t.ports, index)
		}
	}
	return fresh
}

func (t *thread) openPort(l link) *station {
	opened, err := openPort(l.index, t.interest())
	if err == nil {
		if err = errors.Join(t.waker.Add(opened.arp.fd), t.waker.Add(opened.ndp.fd)); err != nil {
			opened.close()
		}
	}
	if err != nil {
		t.failed(err, "An interface can't be used", "interface", l.name)
		return nil
	}
	p := &station{port: opened, groups: newGroups(l.index)}
	p.name = l.name
	t.ports[l.index] = p
	t.joinAll(p)
	return p
}

// joinAll has an interface receive all questions that it should.
func (t *thread) joinAll(p *station) {
	want := make(map[netip.Addr]struct{}, len(t.table))
	for address := range t.table {
		want[address] = struct{}{}
	}
	for _, n := range t.peers {
		if n.session != (bfd.Key{}) && t.ports[n.port] == p {
			want[n.address] = struct{}{}
		}
	}
	if err := p.groups.sync(want); err != nil {
		t.failed(err, "Solicitations for some addresses may not arrive", "interface", p.name)
	}
}

// able says whether there is an interface for an address.
func (t *thread) able(e *entry) bool {
	for _, p := range t.ports {
		if p.up && e.allows(p) {
			return true
		}
	}
	return false
}

// join has all interfaces receive questions for an address. Standbys do so
// ahead of time: switches that listen to MLD take a while.
func (t *thread) join(address netip.Addr) {
	for _, p := range t.ports {
		t.joinOn(p, address)
	}
}

func (t *thread) joinOn(p *station, address netip.Addr) {
	if err := p.groups.join(address); err != nil {
		t.failed(err, "Solicitations for an address may not arrive", "interface", p.name, "address", address)
	}
}

func (t *thread) leave(address netip.Addr) {
	for _, p := range t.ports {
		p.groups.leave(address)
	}
}

// refilter brings what the kernel lets pass up to date.
func (t *thread) refilter() {
	if !t.stale {
		return
	}
	t.stale = false
	in := t.interest()
	for _, p := range t.ports {
		if err := p.setFilter(in); err != nil {
			t.failed(err, "Frames may be missed", "interface", p.name)
		}
	}
}

// interest is in all questions for the addresses that are answered for, and in
// what nodes tell about themselves and the others.
func (t *thread) interest() interest {
	answered := make([]netip.Addr, 0, len(t.table))
	told := slices.AppendSeq(make([]netip.Addr, 0, len(t.names)+len(t.table)), maps.Keys(t.names))
	for address, e := range t.table {
		if e.held || e.standing != "" {
			answered = append(answered, address)
		} else {
			told = append(told, address)
		}
	}
	return interest{announced: rangesOf(answered), peers: rangesOf(told)}
}

// source returns the address of the interface that a host on it is asked from.
func (p *station) source(peer netip.Addr) netip.Addr {
	for _, prefix := range p.link.addresses {
		if prefix.Contains(peer) {
			return prefix.Addr()
		}
	}
	return unspecified(peer)
}

// inquirer returns the address of the interface that asks on it who announces one,
// which may be of any prefix: a question in nobody's name would be a call.
func (p *station) inquirer(about netip.Addr) netip.Addr {
	if source := p.source(about); !source.IsUnspecified() {
		return source
	}
	for _, prefix := range p.link.addresses {
		if prefix.Addr().Is4() == about.Is4() {
			return prefix.Addr()
		}
	}
	return unspecified(about)
}
