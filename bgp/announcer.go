//go:build linux

package bgp

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/berth-lb/berth/bfd"
)

// farewell is how long the end of Run waits for routers to have taken note.
const farewell = 2 * time.Second

// Announcer keeps sessions with routers and announces prefixes to them. Its
// methods may be called from any goroutine, before and while it runs. All but
// Run and Leave return at once.
type Announcer struct {
	opts Options
	mail *mailbox
	// bfdListen is for tests with a router on the same machine.
	bfdListen []netip.Addr
	// addressesOf is another one in tests.
	addressesOf func(index int) ([]netlink.Addr, error)

	// engine does BFD, if any.
	engine atomic.Pointer[bfd.Engine]

	mu       sync.Mutex
	sessions map[string]published
}

// published is a session but for Updates, which change by themselves.
type published struct {
	Session
	updates *atomic.Uint64
}

// New returns an Announcer that does nothing before Run.
func New(o Options) *Announcer {
	if o.OnChange == nil {
		o.OnChange = func(string) {}
	}
	return &Announcer{opts: o, mail: newMailbox(), addressesOf: addressesOf, sessions: map[string]published{}}
}

// SetPeers names all routers to have sessions with. Those that did not change
// are left alone. One that can't be as asked has a Session that says why.
func (a *Announcer) SetPeers(peers []Peer) {
	a.mail.post(func(t *thread) { t.setPeers(peers) })
}

// Announce has the peers that paths name be told about a prefix, in place of
// what was said of it before.
func (a *Announcer) Announce(prefix netip.Prefix, paths []Path) {
	a.mail.post(func(t *thread) { t.announce(prefix, paths) })
}

// Withdraw has no peer be told about a prefix any more.
func (a *Announcer) Withdraw(prefix netip.Prefix) {
	a.mail.post(func(t *thread) { t.announce(prefix, nil) })
}

// Synced says that everything has been announced. No session begins before, so
// that what a router first hears is complete.
func (a *Announcer) Synced() {
	a.mail.post(func(t *thread) { t.begin() })
}

// Sessions returns the sessions with all peers, sorted by name.
func (a *Announcer) Sessions() []Session {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]Session, 0, len(a.sessions))
	for _, s := range a.sessions {
		s.Updates = s.updates.Load()
		all = append(all, s.Session)
	}
	slices.SortFunc(all, func(x, y Session) int { return cmp.Compare(x.Peer, y.Peer) })
	return all
}

// BFDCounters are what BFD did since it was begun last.
func (a *Announcer) BFDCounters() bfd.Counters {
	if e := a.engine.Load(); e != nil {
		return e.Counters()
	}
	return bfd.Counters{}
}

// Run announces until ctx ends, which is taken for a restart. Peers with
// GracefulRestart lose the connection without a word and keep forwarding
// (RFC 4724). From the others all is withdrawn before. It runs once.
func (a *Announcer) Run(ctx context.Context) error {
	t := newThread(a)
	for {
		select {
		case <-ctx.Done():
			// What came before the stop counts: a router that keeps the routes would
			// not hear of it until the next process is there.
			for _, f := range a.mail.close() {
				f(t)
			}
			t.end()
			return nil
		case <-a.mail.wake:
			for _, f := range a.mail.take() {
				f(t)
			}
			t.flush()
		}
	}
}

// Leave withdraws everything from all routers, for good, and returns when each
// that is up has acknowledged it. An error names those that had not when ctx
// ended.
func (a *Announcer) Leave(ctx context.Context) error {
	farewells := make(chan []goodbye, 1)
	if !a.mail.post(func(t *thread) { farewells <- t.leave() }) {
		return nil
	}
	select {
	case all := <-farewells:
		return await(ctx, all)
	case <-ctx.Done():
		return fmt.Errorf("withdrawing from all routers: %w", ctx.Err())
	}
}

// publish makes a session be seen, and says so if it is news.
func (a *Announcer) publish(s published) {
	a.mu.Lock()
	news := a.sessions[s.Peer] != s
	a.sessions[s.Peer] = s
	a.mu.Unlock()
	if news {
		a.opts.OnChange(s.Peer)
	}
}

func (a *Announcer) unpublish(name string) {
	a.mu.Lock()
	delete(a.sessions, name)
	a.mu.Unlock()
	a.opts.OnChange(name)
}
