//go:build linux

package bfd

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is for what a busy machine does late; nothing waits for it to pass.
const patience = 20 * time.Second

// runningEngine is an engine in a test.
type runningEngine struct {
	*Engine
	t      *testing.T
	events chan Event
	stop   func()
}

// run starts an engine that listens on addr. Each test has addresses of
// its own in 127.0.0.0/8, and a port of its own.
func run(t *testing.T, addr string, port uint16, opts Options) *runningEngine {
	t.Helper()
	r := &runningEngine{t: t, events: make(chan Event, 1000)}
	opts.Listen = append(opts.Listen, netip.MustParseAddr(addr))
	opts.Port, opts.MultihopPort = port, port+1
	told := opts.OnEvent
	opts.OnEvent = func(e Event) {
		r.events <- e
		if told != nil {
			told(e)
		}
	}
	r.Engine = New(opts)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once atomic.Bool
	r.stop = func() {
		if once.Swap(true) {
			return
		}
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the engine does not stop")
		}
	}
	t.Cleanup(r.stop)
	return r
}

// await returns the next event that is for State s.
func (r *runningEngine) await(s State) Event {
	r.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e := <-r.events:
			if e.State == s && !e.Late {
				return e
			}
		case <-late:
			r.t.Fatalf("no session became %v: %+v, %+v", s, r.Sessions(), r.Counters())
		}
	}
}

func (r *runningEngine) add(cfg Config) {
	r.t.Helper()
	if err := r.Add(cfg); err != nil {
		r.t.Fatal(err)
	}
}

// quick has short detection times, but not so short that a busy machine ends a
// session.
func quick(peer, local string) Config {
	return Config{
		Peer: netip.MustParseAddr(peer), Local: netip.MustParseAddr(local),
		Transmit: 50 * ms, Receive: 50 * ms, Multiplier: 20,
	}
}

func accepting(cfg Config) func(netip.Addr, int) (Config, bool) {
	return func(netip.Addr, int) (Config, bool) { return cfg, true }
}

func TestWatchingOverLoopback(t *testing.T) {
	watched := run(t, "127.0.1.1", 13710, Options{Accept: accepting(quick("127.0.1.2", "127.0.1.1"))})
	watcher := run(t, "127.0.1.2", 13710, Options{})
	watcher.add(quick("127.0.1.1", "127.0.1.2"))
	watcher.await(Up)
	if e := watched.await(Up); !e.Passive || e.Local != netip.MustParseAddr("127.0.1.1") {
		t.Errorf("the watched side got %+v", e)
	}
	all := watched.Sessions()
	if len(all) != 1 || !all[0].Accepted || all[0].Peer != netip.MustParseAddr("127.0.1.2") || all[0].RemoteDiscriminator == 0 {
		t.Errorf("got %+v", all)
	}

	// A planned stop is told apart from an end.
	watched.stop()
	e := watcher.await(Down)
	if e.RemoteState != AdminDown || e.Diag != NeighborSignaledDown {
		t.Errorf("got %+v", e)
	}
	if err := watched.Add(quick("127.0.1.2", "127.0.1.1")); !errors.Is(err, ErrStopped) {
		t.Errorf("Add after the end: %v", err)
	}
}

func TestRemoveSaysGoodbye(t *testing.T) {
	a := run(t, "127.0.2.1", 13720, Options{})
	b := run(t, "127.0.2.2", 13720, Options{})
	a.add(quick("127.0.2.2", "127.0.2.1"))
	b.add(quick("127.0.2.1", "127.0.2.2"))
	a.await(Up)
	b.await(Up)
	a.Remove(quick("127.0.2.2", "127.0.2.1").Key())
	if e := b.await(Down); e.RemoteState != AdminDown {
		t.Errorf("got %+v", e)
	}
	if n := len(a.Sessions()); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	// Coming back at once is no trouble.
	a.add(quick("127.0.2.2", "127.0.2.1"))
	a.await(Up)
	b.await(Up)
}

// Each of two systems watches the other, by a session of its own: that one stops
// watching says nothing of its health.
func TestWatchingEachOther(t *testing.T) {
	a := run(t, "127.0.3.1", 13730, Options{Accept: accepting(quick("127.0.3.2", "127.0.3.1"))})
	b := run(t, "127.0.3.2", 13730, Options{Accept: accepting(quick("127.0.3.1", "127.0.3.2"))})
	a.add(quick("127.0.3.2", "127.0.3.1"))
	b.add(quick("127.0.3.1", "127.0.3.2"))
	for range 2 {
		a.await(Up)
		b.await(Up)
	}
	a.Remove(quick("127.0.3.2", "127.0.3.1").Key())
	if e := b.await(Down); !e.Passive {
		t.Errorf("the session that watches went Down: %+v", e)
	}
	for _, s := range b.Sessions() {
		if !s.Passive && s.State != Up {
			t.Errorf("got %+v", s)
		}
	}
}

func TestAddBeforeRunAndChangeInPlace(t *testing.T) {
	a := New(Options{Listen: []netip.Addr{netip.MustParseAddr("127.0.4.1")}, Port: 13740})
	cfg := quick("127.0.4.2", "127.0.4.1")
	if err := a.Add(cfg); err != nil {
		t.Fatal(err)
	}
	other := quick("127.0.4.3", "127.0.4.1")
	if err := a.Add(other); err != nil {
		t.Fatal(err)
	}
	a.Remove(other.Key())
	if s := a.Sessions(); len(s) != 1 || s[0].State != Down {
		t.Errorf("before Run: %+v", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	b := run(t, "127.0.4.2", 13740, Options{Accept: accepting(quick("127.0.4.1", "127.0.4.2"))})
	b.await(Up)

	cfg.Transmit = 80 * ms
	if err := a.Add(cfg); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(patience); ; {
		s := b.Sessions()
		if len(s) == 1 && s[0].Detection == 20*80*ms {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("the peer does not take the new interval: %+v", s)
		}
	}
	if len(b.events) > 0 {
		t.Errorf("the change was felt: %+v", <-b.events)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := a.Run(t.Context()); err == nil {
		t.Error("it ran twice")
	}
}

// A system that lost the address that was asked first answers from the next.
func TestAnswersComeFromTheAddressThatWasAsked(t *testing.T) {
	watched := run(t, "127.0.13.1", 13830, Options{
		Listen: []netip.Addr{netip.MustParseAddr("127.0.13.3")},
		Accept: accepting(quick("127.0.13.2", "127.0.13.1")),
	})
	watcher := run(t, "127.0.13.2", 13830, Options{})
	for _, asked := range []string{"127.0.13.1", "127.0.13.3"} {
		cfg := quick(asked, "127.0.13.2")
		watcher.add(cfg)
		watcher.await(Up)
		watched.await(Up)
		if s := watched.Sessions(); len(s) != 1 || s[0].Local != cfg.Peer {
			t.Errorf("asked at %s, answers with %+v", asked, s)
		}
		watcher.Remove(cfg.Key())
		watched.await(Down)
	}
}

func TestAcceptedSessionThatIsAskedForStays(t *testing.T) {
	cfg := quick("127.0.14.2", "127.0.14.1")
	watched := run(t, "127.0.14.1", 13840, Options{Linger: ms, Accept: accepting(cfg)})
	watcher := run(t, "127.0.14.2", 13840, Options{})
	watcher.add(quick("127.0.14.1", "127.0.14.2"))
	watched.await(Up)
	cfg.Passive = true
	watched.add(cfg)
	if s := watched.Sessions(); len(s) != 1 || s[0].Accepted || s[0].State != Up {
		t.Errorf("got %+v", s)
	}
	watcher.stop()
	watched.await(Down)
	watched.Remove(cfg.Key())
	if s := watched.Sessions(); len(s) != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestAcceptedSessionEndsByItself(t *testing.T) {
	watched := run(t, "127.0.15.1", 13850, Options{Linger: ms, Accept: accepting(quick("127.0.15.2", "127.0.15.1"))})
	watcher := run(t, "127.0.15.2", 13850, Options{})
	watcher.add(quick("127.0.15.1", "127.0.15.2"))
	watched.await(Up)
	watcher.stop()
	if e := watched.await(Down); e.RemoteState != AdminDown {
		t.Errorf("got %+v", e)
	}
	for late := time.Now().Add(patience); len(watched.Sessions()) > 0; {
		if time.Now().After(late) {
			t.Fatalf("it stays: %+v", watched.Sessions())
		}
	}
}

func TestMultihop(t *testing.T) {
	over := func(peer, local string) Config {
		cfg := quick(peer, local)
		cfg.Multihop, cfg.MinTTL = true, 250
		return cfg
	}
	a := run(t, "127.0.5.1", 13750, Options{})
	b := run(t, "127.0.5.2", 13750, Options{})
	a.add(over("127.0.5.2", "127.0.5.1"))
	b.add(over("127.0.5.1", "127.0.5.2"))
	a.await(Up)
	if e := b.await(Up); !e.Multihop {
		t.Errorf("got %+v", e)
	}
}

// The watcher sleeps in its event handler longer than the detection time, as a
// stopped process would. The packets that came meanwhile must count.
func TestSleepIsNotTheDeathOfThePeer(t *testing.T) {
	watched := quick("127.0.6.2", "127.0.6.1")
	watched.Transmit = 50 * ms
	watcher := quick("127.0.6.1", "127.0.6.2")
	watcher.Receive, watcher.Multiplier = 50*ms, 200 // its own silence is allowed
	watched.Multiplier = 8                           // 400 ms detection

	a := run(t, "127.0.6.1", 13760, Options{Accept: accepting(watched)})
	slept := make(chan struct{})
	b := run(t, "127.0.6.2", 13760, Options{OnEvent: func(e Event) {
		if e.Peer == netip.MustParseAddr("127.0.6.9") && e.State == Up {
			time.Sleep(time.Second)
			close(slept)
		}
	}})
	b.add(watcher)
	b.await(Up)
	a.await(Up)
	third := run(t, "127.0.6.9", 13760, Options{Accept: accepting(quick("127.0.6.2", "127.0.6.9"))})
	b.add(quick("127.0.6.9", "127.0.6.2"))
	third.await(Init)
	<-slept
	b.Sessions() // the turn after the sleep is over
	for _, s := range b.Sessions() {
		if s.Peer == watcher.Peer && (s.State != Up || s.Detection > 500*ms) {
			t.Errorf("got %+v", s)
		}
	}
	for len(b.events) > 0 {
		if e := <-b.events; e.Peer == watcher.Peer {
			t.Errorf("got %+v", e)
		}
	}
	if c := b.Counters(); c.Stalls == 0 || c.WorstDelay < 500*ms {
		t.Errorf("the stall was not noticed: %+v", c)
	}
}

// Packets wait in their socket once all sessions are Up, and are waited for again
// when one is not.
func TestGathering(t *testing.T) {
	gathering := Options{Gather: time.Second, Accept: accepting(quick("127.0.16.2", "127.0.16.1"))}
	a := run(t, "127.0.16.1", 13860, gathering)
	b := run(t, "127.0.16.2", 13860, Options{Gather: time.Second})
	polls := func(some bool) {
		t.Helper()
		for late := time.Now().Add(patience); b.polls() != some; {
			if time.Now().After(late) {
				t.Fatalf("packets are waited for: %v", !some)
			}
		}
	}
	polls(true)
	b.add(quick("127.0.16.1", "127.0.16.2"))
	b.await(Up)
	polls(false)
	before := b.Sessions()[0]
	for late := time.Now().Add(patience); ; {
		s := b.Sessions()[0]
		if s.Received > before.Received+5 && s.Heard.After(before.Heard) {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("packets are not read: %+v", s)
		}
	}
	a.stop()
	if e := b.await(Down); e.RemoteState != AdminDown {
		t.Errorf("got %+v", e)
	}
	polls(true)
}

// polls says whether the engine waits for packets.
func (e *Engine) polls() (some bool) {
	done := make(chan struct{})
	e.mu.Lock()
	e.do(func() { some = e.polled > 0; close(done) })
	e.mu.Unlock()
	<-done
	return some
}

func TestWhenPacketsCame(t *testing.T) {
	now := time.Now()
	stamp := func(ago time.Duration) unix.Timespec { return unix.NsecToTimespec(now.Add(-ago).UnixNano()) }
	e := New(Options{})
	e.drained = now.Add(-90 * ms)
	for _, c := range []struct {
		why   string
		stamp unix.Timespec
		ago   time.Duration
	}{
		{"it lay in the socket", stamp(40 * ms), 40 * ms},
		{"the kernel does not tell", unix.Timespec{}, 0},
		{"the clock was set back since", stamp(-time.Hour), 0},
		{"the clock was set forward since", stamp(time.Hour), 90 * ms},
	} {
		if ago := now.Sub(e.cameAt(now, c.stamp)); ago != c.ago {
			t.Errorf("%s: it came %v ago, want %v", c.why, ago, c.ago)
		}
	}
}

func TestConfigsThatCantBe(t *testing.T) {
	e := New(Options{})
	for why, change := range map[string]func(*Config){
		"no peer":                    func(c *Config) { c.Peer = netip.Addr{} },
		"everybody":                  func(c *Config) { c.Peer = netip.MustParseAddr("224.0.0.1") },
		"two families":               func(c *Config) { c.Local = netip.MustParseAddr("::1") },
		"link-local, on which link?": func(c *Config) { c.Peer, c.Local = netip.MustParseAddr("fe80::1"), netip.Addr{} },
		"two interfaces": func(c *Config) {
			c.Peer, c.Local, c.Interface = netip.MustParseAddr("fe80::1%lo"), netip.Addr{}, "eth0"
		},
		"no multiplier":     func(c *Config) { c.Multiplier = 0 },
		"no interval":       func(c *Config) { c.Transmit = 0 },
		"an hour":           func(c *Config) { c.Receive = time.Hour },
		"a warning too far": func(c *Config) { c.Warn = -1 },
	} {
		cfg := quick("127.0.0.1", "127.0.0.1")
		change(&cfg)
		if err := e.Add(cfg); err == nil {
			t.Errorf("%s: taken", why)
		}
	}
	if n := len(e.Sessions()); n > 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestKeyOfLinkLocal(t *testing.T) {
	a := Config{Peer: netip.MustParseAddr("fe80::1%eth0")}
	b := Config{Peer: netip.MustParseAddr("fe80::1"), Interface: "eth0"}
	if a.Key() != b.Key() || a.Key().Peer.Zone() != "eth0" {
		t.Errorf("%+v and %+v", a.Key(), b.Key())
	}
}

func TestInterfaceThatIsNotThere(t *testing.T) {
	e := run(t, "127.0.7.1", 13770, Options{})
	cfg := quick("127.0.7.2", "127.0.7.1")
	cfg.Interface = "bfd-none0"
	e.add(cfg)
	for late := time.Now().Add(patience); e.Sessions()[0].Problem == nil; {
		if time.Now().After(late) {
			t.Fatal("no problem is told")
		}
	}
}

// What keeps a session from being is told once, and that it is over.
func TestProblemsAreTold(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "127.0.24.1:13941")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	problems := make(chan error, 100)
	next := func() error {
		select {
		case p := <-problems:
			return p
		case <-time.After(patience):
			t.Fatal("nothing is told")
			return nil
		}
	}
	e := run(t, "127.0.24.1", 13940, Options{OnProblem: func(k Key, err error) {
		if k.Peer == netip.MustParseAddr("127.0.24.2") {
			problems <- err
		}
	}})
	cfg := quick("127.0.24.2", "127.0.24.1")
	cfg.Multihop = true
	e.add(cfg)
	if p := next(); p == nil || !strings.Contains(p.Error(), "listening for BFD on 127.0.24.1:13941") {
		t.Errorf("got %v", p)
	}
	taken.Close()
	if p := next(); p != nil {
		t.Errorf("after the port came free: %v", p)
	}
	cfg.Local = netip.MustParseAddr("192.0.2.99") // nobody's
	e.add(cfg)
	if p := next(); p == nil || !strings.HasPrefix(p.Error(), "sending: ") {
		t.Errorf("from an address that is not here: %v", p)
	}
}

// Who waits for BFD to run hears of it when it does, whatever the peer does.
func TestNoProblemIsTold(t *testing.T) {
	told := make(chan error, 10)
	e := run(t, "127.0.24.3", 13942, Options{OnProblem: func(_ Key, err error) { told <- err }})
	e.add(quick("127.0.24.4", "127.0.24.3"))
	select {
	case err := <-told:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("nothing is told")
	}
}

func TestPortInUse(t *testing.T) {
	c, err := net.ListenPacket("udp4", "127.0.8.1:13780")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e := New(Options{Listen: []netip.Addr{netip.MustParseAddr("127.0.8.1")}, Port: 13780})
	if err := e.Run(t.Context()); err == nil {
		t.Error("it runs on another's port")
	}
}
