package l2

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// world is a segment with nodes and an API, in time of its own. It knows what
// a network does and nothing of the protocol.
type world struct {
	t      *testing.T
	now    time.Time
	timing timing
	rand   *rand.Rand
	nodes  map[string]*node
	list   []*node // the same, in order
	// cut holds the pairs of nodes that don't reach each other, both ways.
	cut map[[2]string]bool
	// deaf holds pairs whose sessions don't come through, though all else does.
	deaf map[[2]string]bool
	// busy says that no speaker answers for another node's kernel.
	busy bool
	// unplaced are nodes whose kernels nobody can ask.
	unplaced map[string]bool
	// unlinked are nodes whose own links are down.
	unlinked map[string]bool
	// orders are who may announce, best first, as everybody computes it.
	orders  map[netip.Addr][]string
	records map[netip.Addr]string
	// inFlight is what arrives with the next step.
	inFlight []func()
	tells    int
}

// node is one on the segment.
type node struct {
	name string
	w    *world
	m    *protocol
	// power is that of the node, running says that its speaker runs, and api
	// that it reaches the API.
	power, running, api bool
	holds               map[netip.Addr]bool
	stands              map[netip.Addr]mac
	sessions            map[string]*session
	unwritten           map[netip.Addr]bool
}

// session is the liveness of a peer, as its watcher sees it.
type session struct {
	up, late bool
	heard    time.Time
}

// step is the grain of the world's time, and how long a frame takes.
const step = time.Millisecond

func newWorld(t *testing.T, seed uint64, names ...string) *world {
	w := &world{
		t: t, now: time.Unix(0, 0), timing: defaults, rand: rand.New(rand.NewPCG(seed, 0)),
		nodes: map[string]*node{}, cut: map[[2]string]bool{}, deaf: map[[2]string]bool{}, unplaced: map[string]bool{}, unlinked: map[string]bool{},
		orders: map[netip.Addr][]string{}, records: map[netip.Addr]string{},
	}
	for _, name := range names {
		w.nodes[name] = &node{name: name, w: w, power: true, api: true}
		w.list = append(w.list, w.nodes[name])
	}
	return w
}

// macOf makes up the MAC of a node.
func macOf(name string) mac { return mac{2, 0, 0, 0, 0, name[0]} }

func (w *world) all() []*node { return w.list }

func pair(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

// reach says whether frames pass between two nodes that are powered.
func (w *world) reach(a, b string) bool {
	return w.nodes[a].power && w.nodes[b].power && !w.cut[pair(a, b)]
}

// start runs the speaker of a node, which reads the API first.
func (n *node) start() {
	if n.running || !n.power || !n.api {
		return
	}
	n.running = true
	n.m = newProtocol(n.name, n.w.timing)
	n.holds, n.stands, n.sessions = map[netip.Addr]bool{}, map[netip.Addr]mac{}, map[string]*session{}
	n.unwritten = map[netip.Addr]bool{}
	n.learn()
	n.m.start(n.w.now)
	n.run()
}

// kill ends the speaker of a node.
func (n *node) kill() {
	n.running, n.holds, n.stands, n.sessions = false, nil, nil, nil
}

// off cuts the power of a node.
func (n *node) off() { n.kill(); n.power = false }

// learn reads from the API what it says of every address.
func (n *node) learn() {
	for addr, order := range n.w.orders {
		record := n.w.records[addr]
		if n.unwritten[addr] {
			record = n.name
		}
		own := slices.Clone(order)
		if i := slices.Index(own, record); i >= 0 {
			own = slices.Insert(slices.Delete(own, i, i+1), 0, record)
		}
		n.m.claim(n.w.now, addr, Claim{Order: own, Recorded: record})
		n.m.able(n.w.now, addr, true)
	}
}

// publish tells all who reach the API what has changed there.
func (w *world) publish() {
	for _, n := range w.all() {
		if n.running && n.api {
			n.learn()
			n.run()
		}
	}
}

// order sets who may announce an address.
func (w *world) order(addr netip.Addr, names ...string) {
	w.orders[addr] = names
	w.publish()
}

// run does what the protocol of a node wants.
func (n *node) run() {
	for _, e := range n.m.take() {
		n.do(e)
	}
}

func (n *node) do(e effect) {
	switch e.kind {
	case hold:
		n.holds[e.address] = true
		n.unwritten[e.address] = true
	case drop:
		delete(n.holds, e.address)
		delete(n.unwritten, e.address)
	case standIn:
		n.stands[e.address] = e.mac
	case standBack:
		delete(n.stands, e.address)
	case tell:
		n.w.tells++
		n.broadcast(func(to *node) { to.m.heard(n.w.now, e.address, n.name) })
	case call:
		n.broadcast(func(to *node) { to.m.called(n.w.now, e.address, n.name) })
	case inquire:
		n.broadcast(func(to *node) {
			if to.holds[e.address] {
				n.w.inFlight = append(n.w.inFlight, func() { n.hear(e.address, to.name) })
			}
		})
	case ask:
		n.ask(e.peer)
	case watch:
		n.sessions[e.peer] = &session{}
	case unwatch:
		delete(n.sessions, e.peer)
	}
}

// broadcast has something happen at all speakers that a node reaches.
func (n *node) broadcast(happen func(to *node)) {
	n.w.inFlight = append(n.w.inFlight, func() {
		for _, to := range n.w.all() {
			if to != n && to.running && n.w.reach(n.name, to.name) {
				happen(to)
				to.run()
			}
		}
	})
}

// ask asks the kernel of a peer, and those who watch it.
func (n *node) ask(peer string) {
	w := n.w
	if w.unplaced[peer] || w.unlinked[n.name] {
		n.m.unasked(w.now, peer, !w.unlinked[n.name])
		return
	}
	if w.reach(n.name, peer) {
		w.inFlight = append(w.inFlight, func() { n.answered(peer, true) })
	}
	n.broadcast(func(to *node) {
		if to.sessions[peer] != nil && w.reach(to.name, peer) && !w.busy {
			w.inFlight = append(w.inFlight, func() { n.answered(peer, false) })
		}
	})
}

func (n *node) hear(addr netip.Addr, from string) {
	if n.running {
		n.m.heard(n.w.now, addr, from)
		n.run()
	}
}

func (n *node) answered(peer string, direct bool) {
	if n.running {
		n.m.answered(n.w.now, peer, macOf(peer), 1, direct)
		n.run()
	}
}

// sleep lets time pass, step by step, and calls each after every one.
func (w *world) sleep(d time.Duration, each ...func()) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(step)
		arrived := w.inFlight
		w.inFlight = nil
		for _, happen := range arrived {
			happen()
		}
		for _, n := range w.all() {
			if n.running {
				n.live()
			}
		}
		for _, f := range each {
			f()
		}
	}
}

// live is what a speaker does in one step.
func (n *node) live() {
	for _, other := range n.w.all() {
		if other != n {
			s := other.sessions[n.name]
			n.m.watched(n.w.now, other.name, s != nil && s.up)
		}
	}
	for _, peer := range n.w.list {
		if s := n.sessions[peer.name]; s != nil {
			s.step(n, peer)
		}
	}
	n.m.tick(n.w.now)
	n.run()
	n.write()
}

// step has packets come every 75 to 100 ms, and the session expire 300 ms after
// the last, with a warning 60 ms before.
func (s *session) step(n, peer *node) {
	w := n.w
	flows := peer.running && w.reach(n.name, peer.name) && !w.deaf[pair(n.name, peer.name)]
	since := w.now.Sub(s.heard)
	switch {
	case flows && (!s.up || since >= 75*time.Millisecond+time.Duration(w.rand.IntN(25))*step):
		s.heard, s.late = w.now, false
		if !s.up {
			s.up = true
			n.m.session(w.now, peer.name, true)
		}
	case s.up && since >= 300*time.Millisecond:
		s.up = false
		n.m.session(w.now, peer.name, false)
	case s.up && since >= 240*time.Millisecond && !s.late:
		s.late = true
		n.m.late(w.now, peer.name)
	}
	n.run()
}

// write brings the records up to date, where the API is there.
func (n *node) write() {
	if !n.api {
		return
	}
	for addr := range n.unwritten {
		delete(n.unwritten, addr)
		if n.w.records[addr] != n.name {
			n.w.records[addr] = n.name
			n.w.inFlight = append(n.w.inFlight, n.w.publish)
		}
	}
}

// reconnect lets a node reach the API again.
func (n *node) reconnect() {
	n.api = true
	if n.running {
		n.learn()
		n.run()
	}
}

// split parts the segment in two.
func (w *world) split(left, right []string) {
	for _, a := range left {
		for _, b := range right {
			w.cut[pair(a, b)] = true
		}
	}
}

// holders returns the nodes that announce an address, sorted.
func (w *world) holders(addr netip.Addr) []string {
	var names []string
	for _, n := range w.all() {
		if n.running && n.holds[addr] {
			names = append(names, n.name)
		}
	}
	return names
}

// standIns returns the nodes that answer for an address in another's name.
func (w *world) standIns(addr netip.Addr) []string {
	var names []string
	for _, n := range w.all() {
		if _, ok := n.stands[addr]; ok && n.running {
			names = append(names, n.name)
		}
	}
	return names
}

// expect fails unless exactly these nodes announce an address.
func (w *world) expect(addr netip.Addr, names ...string) {
	w.t.Helper()
	if got := w.holders(addr); !slices.Equal(got, names) {
		w.t.Fatalf("at %v %v is announced by %v, want %v", w.now.Sub(time.Unix(0, 0)), addr, got, names)
	}
}

// until lets time pass until a condition holds, and returns how long it took.
func (w *world) until(what string, limit time.Duration, holds func() bool) time.Duration {
	w.t.Helper()
	began := w.now
	for !holds() {
		if w.now.Sub(began) > limit {
			w.t.Fatalf("%s: not within %v", what, limit)
		}
		w.sleep(step)
	}
	return w.now.Sub(began)
}

func (w *world) heldBy(addr netip.Addr, names ...string) func() bool {
	return func() bool { return slices.Equal(w.holders(addr), names) }
}

var vip = netip.MustParseAddr("192.0.2.1")

// vips returns n addresses.
func vips(n int) []netip.Addr {
	var all []netip.Addr
	for i := range n {
		all = append(all, netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i+1)))
	}
	return all
}

// running returns a world in which a, b, c and d run, and the first of them
// announces vip.
func running(t *testing.T) *world {
	w := newWorld(t, 1, "a", "b", "c", "d")
	w.order(vip, "a", "b", "c", "d")
	for _, n := range w.all() {
		n.start()
	}
	w.sleep(2 * time.Second)
	w.expect(vip, "a")
	return w
}

// describe says what a node believes of an address.
func (n *node) describe(addr netip.Addr) string {
	a := n.m.addresses[addr]
	if a == nil {
		return n.name + " knows nothing"
	}
	var peers []string
	for _, o := range a.claim.Order {
		if p := n.m.peers[o]; p != nil {
			peers = append(peers, fmt.Sprintf("%s %v/%d", o, p.state, p.watched))
		}
	}
	return fmt.Sprintf("\n\t%s: holds %v, owner %q, heard %q, skipped %v, from %q, api %v, record %q, order %v, peers %v, watching %v", n.name,
		a.holding, n.m.owner(a), a.heard, a.skipped, a.from, n.api, a.claim.Recorded, a.claim.Order, peers, a.watching)
}
