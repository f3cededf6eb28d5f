//go:build linux

package bfd

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"net/netip"
	"syscall"
	"time"
)

// entry is a session with its place in the engine.
type entry struct {
	session
	accepted bool
	// iface is the index of Config.Interface; 0 where any will do, and while
	// there is none of that name.
	iface    int
	problem  error
	errno    syscall.Errno // of the last packet sent
	told     error         // what of these was told
	received uint64
	out      transmitted
	count    uint64 // packets sent
	at       time.Time
	place    int
	awaited  bool // counted in table.awaited
}

// errUntold stands for what nobody was told.
var errUntold = errors.New("nothing was told")

// address is what a first packet, which has no discriminator of ours, is told
// by (RFC 5881 section 3, RFC 5883 section 4). The peer has no zone.
type address struct {
	peer              netip.Addr
	iface             int
	multihop, passive bool
}

func (e *entry) address() address {
	return address{peer: e.cfg.Peer.WithZone(""), iface: e.iface, multihop: e.cfg.Multihop, passive: e.cfg.Passive}
}

// table holds the sessions under all that they are looked up by. One that is
// leaving has only its discriminator and its deadline left.
type table struct {
	keys           map[Key]*entry
	addresses      map[address]*entry
	discriminators map[uint32]*entry
	deadlines      deadlines
	accepted       int
	awaited        int // sessions whose next packet is to be read at once
	random         *rand.Rand
}

func newTable() table {
	return table{
		keys: map[Key]*entry{}, addresses: map[address]*entry{}, discriminators: map[uint32]*entry{},
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
}

// put makes a session. The discriminator is not to be guessed: it is all that
// tells a packet of the peer from one in its name.
func (t *table) put(cfg Config, now time.Time) *entry {
	discriminator := rand.Uint32()
	for discriminator == 0 || t.discriminators[discriminator] != nil {
		discriminator = rand.Uint32()
	}
	e := &entry{session: *newSession(cfg, discriminator, t.random, now), place: nowhere, told: errUntold}
	t.keys[cfg.Key()] = e
	t.discriminators[discriminator] = e
	t.schedule(e)
	return e
}

// index has first packets find the session, on interface iface.
func (t *table) index(e *entry, iface int) {
	t.unindex(e)
	e.iface = iface
	t.addresses[e.address()] = e
}

func (t *table) unindex(e *entry) {
	if a := e.address(); t.addresses[a] == e {
		delete(t.addresses, a)
	}
}

// retire leaves to a session only its goodbyes.
func (t *table) retire(e *entry, now time.Time) {
	if t.keys[e.cfg.Key()] == e {
		delete(t.keys, e.cfg.Key())
	}
	t.unindex(e)
	if e.accepted {
		e.accepted = false
		t.accepted--
	}
	e.leave(now)
	if e.over {
		t.forget(e)
		return
	}
	t.schedule(e)
}

func (t *table) forget(e *entry) {
	if t.keys[e.cfg.Key()] == e {
		delete(t.keys, e.cfg.Key())
	}
	t.unindex(e)
	delete(t.discriminators, e.discriminator)
	if e.accepted {
		t.accepted--
	}
	if e.place != nowhere {
		heap.Remove(&t.deadlines, e.place)
	}
	t.await(e, false)
}

// await counts the session among those that the next packet may change, or no
// longer.
func (t *table) await(e *entry, awaited bool) {
	if e.awaited == awaited {
		return
	}
	e.awaited = awaited
	if awaited {
		t.awaited++
	} else {
		t.awaited--
	}
}

// silence has the goodbyes of an earlier session with this key end: they would
// only confuse the peer about the new one.
func (t *table) silence(k Key) {
	for _, e := range t.deadlines {
		if e.state == AdminDown && e.cfg.Key() == k {
			t.forget(e)
			return
		}
	}
}

// schedule puts e where its deadline belongs. It is called after whatever may
// have changed that.
func (t *table) schedule(e *entry) {
	t.await(e, !e.settled())
	at := e.deadline()
	switch {
	case at.IsZero():
		if e.place != nowhere {
			heap.Remove(&t.deadlines, e.place)
		}
		e.at = at
	case e.place == nowhere:
		e.at = at
		heap.Push(&t.deadlines, e)
	case !at.Equal(e.at):
		e.at = at
		heap.Fix(&t.deadlines, e.place)
	}
}

// find returns the session of a first packet that came in on iface, or nil.
func (t *table) find(peer netip.Addr, iface int, multihop, passive bool) *entry {
	a := address{peer: peer, iface: iface, multihop: multihop, passive: passive}
	if e := t.addresses[a]; e != nil {
		return e
	}
	a.iface = 0
	return t.addresses[a]
}
