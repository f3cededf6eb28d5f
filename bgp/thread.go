//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// thread is the state of the announcing goroutine. Nothing that it does waits for
// a router.
type thread struct {
	*Announcer
	began  time.Time
	ctx    context.Context // of what runs beside the goroutine
	stop   context.CancelFunc
	beside sync.WaitGroup
	// attempts are all that have a connection.
	attempts sync.WaitGroup

	links  map[string]*link
	routes map[netip.Prefix][]Path
	// changed are prefixes that not all links have been told about.
	changed map[netip.Prefix]struct{}
	// begun: sessions may be; left: nothing may be announced any more.
	begun, left bool
	watch       watch
	follow      sync.Once
}

func newThread(a *Announcer) *thread {
	t := &thread{
		Announcer: a, began: time.Now(), links: map[string]*link{},
		routes: map[netip.Prefix][]Path{}, changed: map[netip.Prefix]struct{}{},
	}
	t.ctx, t.stop = context.WithCancel(context.Background())
	t.watch.t = t
	return t
}

func (t *thread) setPeers(peers []Peer) {
	wanted := map[string]Peer{}
	for _, p := range peers {
		wanted[p.Name] = p
	}
	for name, l := range t.links {
		if _, ok := wanted[name]; !ok {
			l.close(cease(bgp.BGP_ERROR_SUB_PEER_DECONFIGURED))
			delete(t.links, name)
			t.unpublish(name)
		}
	}
	for name, p := range wanted {
		t.setPeer(name, p)
	}
}

func (t *thread) setPeer(name string, p Peer) {
	before := t.links[name]
	if before != nil && sameSession(p, before.peer) {
		before.changeBFD(p.BFD)
		return
	}
	l := newLink(t, p)
	if before != nil {
		before.close(cease(bgp.BGP_ERROR_SUB_OTHER_CONFIGURATION_CHANGE))
		l.succeed(before)
	}
	t.links[name] = l
	if t.begun && !t.left {
		l.open()
	}
}

// sameSession says that b can be had from a without a new session.
func sameSession(a, b Peer) bool {
	a.BFD, b.BFD = nil, nil
	return a == b
}

func (t *thread) announce(prefix netip.Prefix, paths []Path) {
	if t.left {
		return
	}
	if len(paths) == 0 {
		delete(t.routes, prefix)
	} else {
		t.routes[prefix] = paths
	}
	t.changed[prefix] = struct{}{}
}

func (t *thread) begin() {
	if t.begun || t.left {
		return
	}
	t.begun = true
	t.flush()
	for _, l := range t.links {
		l.open()
	}
}

// followAddresses has next hops be what this node's addresses are. Without peers
// there is nothing to follow.
func (t *thread) followAddresses() {
	t.follow.Do(func() {
		changed := func(index int) { t.mail.post(func(t *thread) { t.readdress(index) }) }
		failed := func(err error) { t.opts.Log.Error(err, "Next hops may be old for a moment") }
		t.beside.Go(func() { followAddresses(t.ctx, changed, failed) })
	})
}

// readdress looks at the next hops on an interface, or on all with 0.
func (t *thread) readdress(index int) {
	for _, l := range t.links {
		if index == 0 || l.session.route.index == index {
			l.rehop()
		}
	}
}

// flush tells the links what changed, and publishes how they are.
func (t *thread) flush() {
	for _, l := range t.links {
		l.tell(t.changed)
		l.publish()
	}
	clear(t.changed)
}

// leave withdraws everything and says goodbye to those who are up.
func (t *thread) leave() []goodbye {
	t.left = true
	clear(t.routes)
	clear(t.changed)
	return t.withdraw(func(*link) bool { return true })
}

// withdraw takes everything back from those routers, and returns what follows
// what all have to be told to its end.
func (t *thread) withdraw(from func(*link) bool) []goodbye {
	var all []goodbye
	for _, l := range t.links {
		if l.state != Established {
			continue
		}
		if from(l) {
			l.attempt.outbox.withdraw()
		}
		all = append(all, l.farewell())
	}
	return all
}

// end closes everything. BFD goes last: a router that saw it go first would
// take that for a reason to drop the routes.
func (t *thread) end() {
	t.flush()
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if err := await(ctx, t.withdraw(func(l *link) bool { return !l.session.graceful })); err != nil {
		t.opts.Log.Error(err, "A router may not have heard what changed last")
	}
	for _, l := range t.links {
		l.leave()
	}
	t.attempts.Wait()
	t.watch.stop()
	t.stop()
	t.beside.Wait()
}
