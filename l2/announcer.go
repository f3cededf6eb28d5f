//go:build linux

package l2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/berth-lb/berth/bfd"
	"github.com/berth-lb/berth/epoll"
)

// linger is how long a node goes on answering once it was told to stop: its
// standbys ask its kernel and stand in meanwhile.
const linger = 300 * time.Millisecond

// Options are what an Announcer is made with.
type Options struct {
	// Node is the name of this node, as in Claim.Order.
	Node string
	Log  logr.Logger
	// Usable says by its name whether an address may be announced on an interface.
	// On any other nodes are only asked whether they are there.
	Usable func(name string) bool

	// LivenessPort is the UDP port of the sessions between nodes, over which
	// packets are exchanged every LivenessInterval; LivenessMultiplier of them
	// missing means that a speaker, or its node, is down.
	LivenessPort       uint16
	LivenessInterval   time.Duration
	LivenessMultiplier uint8

	// StandIn has this node answer in the name of one whose speaker is down
	// while its kernel is there, for StandInLimit at most. Otherwise, and then,
	// it takes the addresses over.
	StandIn      bool
	StandInLimit time.Duration

	// OnHeld is told when this node begins, or ceases, to announce an address,
	// and on which interfaces, also when these are others than before. OnInterfaces is told those that can be used, with
	// their hardware addresses, whenever they change; the map is its own. Both
	// are called from the announcing thread and must not block.
	OnHeld       func(address netip.Addr, held bool, interfaces []string)
	OnInterfaces func(hardware map[string]string)
}

// Announcer answers ARP and NDP for addresses. Its methods may be called from
// any goroutine, before and while it runs, and return at once.
type Announcer struct {
	opts     Options
	mail     mailbox
	sessions *bfd.Engine
	counts   counters

	// What the sessions' thread reads: the nodes by their addresses, and
	// whether this node has begun.
	known   atomic.Pointer[map[netip.Addr]string]
	started atomic.Bool

	thread *thread
}

// New returns an Announcer that does nothing before Run.
func New(o Options) *Announcer {
	a := &Announcer{opts: o}
	t := defaults
	t.away = o.StandInLimit
	if !o.StandIn {
		t.away = 0
	}
	a.known.Store(&map[netip.Addr]string{})
	a.sessions = bfd.New(bfd.Options{Port: o.LivenessPort, Accept: a.accept, OnEvent: a.onSession})
	a.thread = newThread(a, newProtocol(o.Node, t))
	return a
}

// Claim says what is known of an address. Saying it again changes nothing.
func (a *Announcer) Claim(address netip.Addr, c Claim) {
	c.Order, c.Interfaces = slices.Clone(c.Order), slices.Clone(c.Interfaces)
	a.mail.post(func(now time.Time) { a.thread.claim(now, address, c) })
}

// Unclaim says that an address is no longer anybody's.
func (a *Announcer) Unclaim(address netip.Addr) {
	a.mail.post(func(time.Time) { a.thread.unclaim(address) })
}

// SetPeers tells of all nodes, by name. Nobody else is listened to. An address that
// several have is this node's, or the first one's.
func (a *Announcer) SetPeers(nodes map[string]Host) {
	known, others, own := map[netip.Addr]string{}, map[string]host{}, nodes[a.opts.Node].Addresses
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		if name == a.opts.Node {
			continue
		}
		others[name] = nodes[name].parse()
		for _, address := range nodes[name].Addresses {
			if _, taken := known[address]; !taken && !slices.Contains(own, address) {
				known[address] = name
			}
		}
	}
	a.known.Store(&known)
	a.mail.post(func(now time.Time) { a.thread.setPeers(now, others, known) })
}

// host is a Host whose hardware addresses are of Ethernet.
type host struct {
	addresses []netip.Addr
	hardware  map[string]mac
}

func (h Host) parse() host {
	parsed := host{slices.Clone(h.Addresses), map[string]mac{}}
	for name, text := range h.Hardware {
		if m, err := net.ParseMAC(text); err == nil && len(m) == len(mac{}) {
			parsed.hardware[name] = mac(m)
		}
	}
	return parsed
}

// Synced says that everything on record has been claimed. Before that nothing
// is announced.
func (a *Announcer) Synced() {
	a.mail.post(func(now time.Time) {
		a.thread.protocol.start(now)
		a.started.Store(true)
	})
}

// Run announces until ctx ends. Then it has the standbys know, goes on
// answering while they begin to stand in, and returns nil. An error means that
// the kernel refused what it needs.
func (a *Announcer) Run(ctx context.Context) error {
	waker, err := epoll.New()
	if err != nil {
		return err
	}
	defer waker.Close()
	a.mail.open(waker)
	defer a.mail.close()
	// Whoever fails ends the others.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	rest, stopRest := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRest()

	var group sync.WaitGroup
	failures := make([]error, 3)
	part := func(i int, what string, run func() error) {
		group.Go(func() {
			if err := run(); err != nil {
				failures[i] = fmt.Errorf("%s: %w", what, err)
				stop()
			}
		})
	}
	part(0, "keeping sessions with other nodes", func() error { return a.sessions.Run(ctx) })
	part(1, "following interfaces", func() error { return watchLinks(rest, a.opts.Usable, a.onLinks) })
	part(2, "announcing", func() error { return a.thread.run(rest, waker) })
	<-ctx.Done()
	time.Sleep(linger)
	stopRest()
	a.mail.post(func(time.Time) {})
	group.Wait()
	return errors.Join(failures...)
}

func (a *Announcer) onLinks(links []link) {
	a.mail.post(func(now time.Time) { a.thread.setLinks(now, links) })
}

// accept lets known nodes watch this one, once it announces.
func (a *Announcer) accept(peer netip.Addr, _ int) (bfd.Config, bool) {
	_, known := (*a.known.Load())[peer.WithZone("")]
	return a.opts.session(peer), known && a.started.Load()
}

// session is the configuration of a session, whoever began it.
func (o Options) session(peer netip.Addr) bfd.Config {
	return bfd.Config{
		Peer:       peer,
		Transmit:   o.LivenessInterval,
		Receive:    o.LivenessInterval,
		Multiplier: o.LivenessMultiplier,
		// In time for a whole round of questions, so that it has its answer
		// when the session expires.
		Warn: min(defaults.verdict+10*time.Millisecond, o.LivenessInterval*time.Duration(o.LivenessMultiplier)/2),
	}
}

// onSession is called from the sessions' thread.
func (a *Announcer) onSession(e bfd.Event) {
	name, known := (*a.known.Load())[e.Peer.WithZone("")]
	if !known {
		return
	}
	a.mail.post(func(now time.Time) { a.thread.session(now, name, e) })
}
