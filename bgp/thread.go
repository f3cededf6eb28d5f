//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"sync"
)

// thread is the state of the announcing goroutine. It makes every call to GoBGP,
// one after the other: GoBGP keeps settings of its path selection in variables of
// a package, which StartBgp writes.
type thread struct {
	*Announcer
	ctx    context.Context // of what runs beside the goroutine
	stop   context.CancelFunc
	beside sync.WaitGroup

	links  map[string]*link
	routes map[netip.Prefix][]Path
	// changed are prefixes that not all links have been told about.
	changed map[netip.Prefix]struct{}
	// begun: sessions may be; left: nothing may be announced any more.
	begun, left bool
	watch       watch
}

func newThread(a *Announcer) *thread {
	t := &thread{
		Announcer: a, links: map[string]*link{},
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
		if p, ok := wanted[name]; !ok || !sameSession(p, l.peer) {
			l.close(false)
			delete(t.links, name)
			if !ok {
				t.unpublish(name)
			}
		}
	}
	for name, p := range wanted {
		if l := t.links[name]; l != nil {
			l.changeBFD(p.BFD)
			continue
		}
		t.links[name] = newLink(t, p)
		if t.begun && !t.left {
			t.links[name].open()
		}
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

// flush tells the links what changed, and publishes how they are.
func (t *thread) flush() {
	for _, l := range t.links {
		l.tell(t.changed)
		l.publish()
	}
	clear(t.changed)
}

// leave withdraws everything and says goodbye to those who are up.
func (t *thread) leave() []*goodbye {
	t.left = true
	var all []*goodbye
	for _, l := range t.links {
		all = append(all, l.withdraw()...)
	}
	clear(t.routes)
	clear(t.changed)
	return all
}

// end closes everything. BFD goes last: a router that saw it go first would
// take that for a reason to drop the routes.
func (t *thread) end() {
	t.flush()
	var all []*goodbye
	for _, l := range t.links {
		if !l.graceful {
			all = append(all, l.withdraw()...)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if err := await(ctx, all); err != nil {
		t.opts.Log.Error(err, "A router may not have heard that its routes are withdrawn")
	}
	for _, l := range t.links {
		l.close(!t.left)
	}
	t.watch.stop()
	t.stop()
	t.beside.Wait()
}
