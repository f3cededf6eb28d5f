//go:build linux

package l2

import (
	"net/netip"
	"slices"
	"time"
)

// witness is a node that wants to know whether the kernel of another one is
// there, which it does not reach itself.
type witness struct {
	peer   string
	asker  mac
	port   int
	expire time.Time
}

const (
	// patience is how long the answer for a witness may take.
	patience = 100 * time.Millisecond
	// mostWitnesses bounds those that wait at a time.
	mostWitnesses = 64
)

// receive handles a frame of another host.
func (t *thread) receive(now time.Time, p *station, f *frame) {
	if n := t.peers[t.macs[f.source]]; n != nil {
		n.spoke(f.source, p)
	}
	e, peer := t.table[f.target], t.names[f.target]
	switch {
	case f.kind == request && !f.gratuitous && e != nil:
		t.asked(now, p, f, e)
	case f.kind == request && !f.gratuitous:
		t.testify(now, p, f, peer)
	case peer != "":
		t.learn(now, p, f, peer)
	case e != nil && (f.gratuitous || e.held):
		t.counts.heard.Add(1)
		// What strangers say where the address is not announced concerns nobody.
		if from := t.macs[f.owner]; from != "" || e.allows(p) {
			t.protocol.heard(now, f.target, from)
		}
	}
}

// asked answers the question for an address, if this node is to.
func (t *thread) asked(now time.Time, p *station, f *frame, e *entry) {
	probe := f.sender.IsUnspecified()
	if from := t.macs[f.source]; probe && from != "" {
		t.protocol.called(now, f.target, from)
	}
	switch {
	case !e.allows(p):
	case e.held:
		t.answer(p, f, p.mac)
	case !probe:
		// A probe is answered only by who announces: nodes call each other so.
		if n := t.peers[e.standing]; n != nil && n.macOn(p).host() {
			t.answer(p, f, n.macOn(p))
		}
	}
}

func (t *thread) answer(p *station, f *frame, owner mac) {
	t.counts.answered.Add(1)
	t.send(p, appendAnswer(t.out[:0], f, p.mac, owner))
}

// testify asks the kernel of a peer on behalf of a node that may be unable to
// reach it.
func (t *thread) testify(now time.Time, p *station, f *frame, peer string) {
	n := t.peers[peer]
	if n == nil || !n.watched || t.macs[f.source] == "" || !f.sender.IsUnspecified() {
		return
	}
	// Those of a node that is dead get no answer, and must not take up the room.
	t.witnesses = slices.DeleteFunc(t.witnesses, func(w witness) bool { return now.After(w.expire) })
	if len(t.witnesses) >= mostWitnesses {
		return
	}
	t.witnesses = append(t.witnesses, witness{peer: peer, asker: f.source, port: p.index, expire: now.Add(patience)})
	if n.port == p.index && n.mac.host() {
		t.question(p, n.mac, n.address)
	}
}

// learn takes in where a node is, from itself or from another one.
func (t *thread) learn(now time.Time, p *station, f *frame, peer string) {
	n, direct := t.peers[peer], f.source == f.owner
	if n == nil {
		return
	}
	if direct && n.port == 0 && n.address == f.target {
		n.discover(p, f)
		t.overhear(n)
	}
	if direct && n.port == 0 {
		return
	}
	if direct && n.port == p.index && n.address == f.target {
		if old := n.mac; old != f.owner {
			n.mac = f.owner
			t.macs[f.owner] = peer
			if old.host() {
				t.attribute()
			}
		}
		t.relay(now, p, n)
	}
	t.protocol.answered(now, peer, f.owner, p.index, direct)
}

// relay tells those who asked for a node that it is there.
func (t *thread) relay(now time.Time, p *station, n *neighbour) {
	left := t.witnesses[:0]
	for _, w := range t.witnesses {
		switch {
		case now.After(w.expire):
		case w.peer == n.name && w.port == p.index:
			f := frame{kind: request, target: n.address, sender: unspecified(n.address), owner: w.asker}
			t.send(p, appendAnswer(t.out[:0], &f, p.mac, n.mac))
		default:
			left = append(left, w)
		}
	}
	t.witnesses = left
}

// speak does the part of an effect that sends frames.
func (t *thread) speak(now time.Time, e effect) {
	switch e.kind {
	case tell:
		if a := t.table[e.address]; a == nil || !a.held {
			return // any more
		}
		t.onPorts(e.address, func(p *station) {
			t.counts.gratuitous.Add(1)
			t.send(p, appendGratuitous(t.out[:0], request, p.mac, p.mac, e.address))
			if e.address.Is4() {
				t.send(p, appendGratuitous(t.out[:0], reply, p.mac, p.mac, e.address))
			}
		})
	case call:
		t.onPorts(e.address, func(p *station) {
			t.send(p, appendQuestion(t.out[:0], p.mac, unspecified(e.address), broadcast, e.address))
		})
	case inquire:
		t.onPorts(e.address, func(p *station) {
			t.send(p, appendQuestion(t.out[:0], p.mac, p.inquirer(e.address), broadcast, e.address))
		})
	case ask:
		t.ask(now, e.peer)
	}
}

// ask asks whether the kernel of a peer is there: itself, and, unless it has
// just answered, everybody who may know.
func (t *thread) ask(now time.Time, name string) {
	n := t.peers[name]
	p := t.portOf(n)
	if p == nil {
		t.greet(name) // the answer is for the next time
		before := t.protocol.stateOf(name)
		nowhere := n != nil && !n.address.IsValid()
		t.protocol.unasked(now, name, nowhere || len(t.waysTo(n)) > 0)
		if now := t.protocol.stateOf(name); now == unasked && before != now {
			t.log.Info("The session with a node is down, and no interface leads to its kernel: unless it is heard its addresses will move", "node", name)
		}
		return
	}
	known := n.mac.host()
	if known {
		t.question(p, n.mac, n.address)
	}
	if !known || t.protocol.stateOf(name) != away {
		t.send(p, appendQuestion(t.out[:0], p.mac, unspecified(n.address), broadcast, n.address))
	}
}

// question asks who has an address, in the node's own name.
func (t *thread) question(p *station, to mac, address netip.Addr) {
	t.send(p, appendQuestion(t.out[:0], p.mac, p.source(address), to, address))
}

// onPorts has do called for each interface that an address is announced on.
func (t *thread) onPorts(address netip.Addr, do func(p *station)) {
	e := t.table[address]
	if e == nil {
		return
	}
	for _, p := range t.ports {
		if p.up && e.allows(p) {
			do(p)
		}
	}
}

// send writes a frame. One that is lost is like one that the network loses.
func (t *thread) send(p *station, b []byte) {
	if err := p.write(b); err != nil {
		t.counts.unsent.Add(1)
		t.log.V(1).Info("A frame was not sent", "interface", p.name, "error", err.Error())
	}
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
