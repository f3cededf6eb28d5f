//go:build linux

package l2

import (
	"context"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/berth-lb/berth/bfd"
	"github.com/berth-lb/berth/epoll"
)

// thread does the I/O for a protocol. All of it is one goroutine on one thread
// of the kernel, which on every turn reads all frames that are there before it
// looks at the time: a process that was stopped for a while must not conclude
// from its clock what the frames in its sockets disprove.
type thread struct {
	opts     Options
	log      logr.Logger
	mail     *mailbox
	counts   *counters
	sessions *bfd.Engine
	protocol *protocol

	table map[netip.Addr]*entry
	links []link
	ports map[int]*station
	peers map[string]*neighbour
	names map[netip.Addr]string // nodes by their addresses
	macs  map[mac]string        // nodes by their hardware, as far as was seen
	// watchers are the nodes that watch this one, by the address they do it from.
	watchers map[netip.Addr]string
	own      map[mac]bool // hardware of this node
	// hardware is what was told last of the interfaces.
	hardware map[string]string

	stale     bool // the filters
	unsaid    []effect
	again     again
	counted   time.Time
	witnesses []witness
	waker     *epoll.Set
	in, out   []byte
}

// entry is what the node does about an address.
type entry struct {
	interfaces []string // that may be used; nil for all
	held       bool
	told       []string // interfaces, while it is held
	standing   string   // the node in whose name it is answered for
}

// station is an interface in use.
type station struct {
	*port
	link
	groups *groups
	missed uint64 // frames, as counted
}

// most bounds what is read from one interface at a time, so that a flood on it
// does not stop all else.
const most = 1024

func newThread(a *Announcer, p *protocol) *thread {
	return &thread{
		opts: a.opts, log: a.opts.Log, mail: &a.mail, counts: &a.counts, sessions: a.sessions, protocol: p,
		table: map[netip.Addr]*entry{}, ports: map[int]*station{},
		peers: map[string]*neighbour{}, names: map[netip.Addr]string{}, macs: map[mac]string{}, own: map[mac]bool{}, watchers: map[netip.Addr]string{},
		in: make([]byte, longestFrame), out: make([]byte, 0, longestFrame),
	}
}

// run works until ctx ends; a letter has to arrive after that.
func (t *thread) run(ctx context.Context, waker *epoll.Set) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer t.closePorts()
	t.waker = waker
	for ctx.Err() == nil {
		if err := waker.Wait(earliest(t.protocol.next(), t.again.at)); err != nil {
			return err
		}
		now := time.Now()
		t.readPorts(now)
		for _, do := range t.mail.take() {
			do(now)
		}
		t.protocol.tick(now)
		t.retry(now)
		t.perform(now)
		t.count(now)
	}
	return nil
}

// readPorts handles the frames that have arrived.
func (t *thread) readPorts(now time.Time) {
	for _, p := range t.ports {
		for _, s := range []struct {
			*socket
			parse func([]byte) (frame, fault)
		}{{&p.arp, parseARP}, {&p.ndp, parseNDP}} {
			for range most {
				n, err := s.read(t.in)
				if n == 0 || err != nil {
					break
				}
				f, wrong := s.parse(t.in[:n])
				if t.counts.received(wrong); wrong == noFault && !t.ours(&f) {
					t.receive(now, p, &f)
				}
			}
		}
	}
}

// ours says whether a frame is of this node, or tells of it: two of its interfaces
// may be on one segment, and hear each other.
func (t *thread) ours(f *frame) bool { return t.own[f.source] || t.own[f.owner] }

func (t *thread) closePorts() {
	for _, p := range t.ports {
		p.close()
		p.groups.close()
	}
}

func (t *thread) claim(now time.Time, address netip.Addr, c Claim) {
	e := t.table[address]
	if !slices.Contains(c.Order, t.opts.Node) && (e == nil || !e.held) {
		// Nothing that this node would do.
		t.unclaim(address)
		return
	}
	if e == nil {
		e = &entry{}
		t.table[address] = e
		t.join(address)
		t.stale = true
	}
	e.interfaces = c.Interfaces
	t.tellWhere(address, e)
	t.acquaint(c)
	t.protocol.claim(now, address, c)
	t.protocol.able(now, address, t.able(e))
}

func (t *thread) unclaim(address netip.Addr) {
	if t.table[address] == nil {
		return
	}
	t.protocol.unclaim(address)
	// What that wants done is about an entry that is there. The filters wait:
	// thousands may go at once.
	t.changeAll()
	delete(t.table, address)
	t.leave(address)
	t.stale = true
}

// session tells the protocol what became of a session with a node.
func (t *thread) session(now time.Time, name string, e bfd.Event) {
	up := e.State == bfd.Up
	switch {
	case e.Passive:
		t.watched(now, name, e.Peer.WithZone(""), up)
	case e.Late:
		t.protocol.late(now, name)
	default:
		t.protocol.session(now, name, up)
	}
}

// watched notes that a node began, or ceased, to watch this one from an address.
func (t *thread) watched(now time.Time, name string, from netip.Addr, up bool) {
	if t.names[from] != name {
		return // any more
	}
	if up {
		t.watchers[from] = name
		t.greet(name)
	} else {
		delete(t.watchers, from)
	}
	t.protocol.watched(now, name, t.watchedBy(name))
}

// perform does what the protocol wants. What is answered for comes before what
// is told of it.
func (t *thread) perform(now time.Time) {
	for t.changeAll(); len(t.unsaid) > 0; t.changeAll() {
		t.refilter()
		effects := t.unsaid
		t.unsaid = nil
		for _, e := range effects {
			t.speak(now, e)
		}
	}
	t.refilter()
}

// changeAll does what the protocol wants, but for what sends frames.
func (t *thread) changeAll() {
	for _, e := range t.protocol.take() {
		switch e.kind {
		case tell, call, inquire, ask:
			t.unsaid = append(t.unsaid, e)
		default:
			t.change(e)
		}
	}
}

// change does the part of an effect that sends no frame.
func (t *thread) change(e effect) {
	switch e.kind {
	case hold, drop:
		t.setHeld(e.address, e.kind == hold)
	case standIn:
		t.table[e.address].standing = e.peer
		t.stale = true
	case standBack:
		t.table[e.address].standing = ""
		t.stale = true
	case watch:
		t.watch(e.peer)
	case unwatch:
		t.unwatch(e.peer)
	}
}

func (t *thread) setHeld(address netip.Addr, held bool) {
	e := t.table[address]
	e.held, e.told, t.stale = held, t.namesOf(e), true
	t.opts.OnHeld(address, held, e.told)
}

// tellWhere tells of an address that is held if it is on other interfaces now.
func (t *thread) tellWhere(address netip.Addr, e *entry) {
	if !e.held {
		return
	}
	if names := t.namesOf(e); len(names) > 0 && !slices.Equal(names, e.told) {
		e.told = names
		t.opts.OnHeld(address, true, names)
	}
}

// namesOf returns the interfaces on which an address may be announced.
func (t *thread) namesOf(e *entry) []string {
	var names []string
	for _, l := range t.links {
		if p := t.ports[l.index]; p != nil && p.up && e.allows(p) {
			names = append(names, l.name)
		}
	}
	return names
}

// allows says whether an address may be announced on an interface.
func (e *entry) allows(p *station) bool {
	return !p.reserved && (e.interfaces == nil || slices.Contains(e.interfaces, p.name))
}
