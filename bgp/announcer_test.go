//go:build linux

package bgp

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

func TestAttributes(t *testing.T) {
	external := newRouter(t, "127.0.50.1:17901", 64600, nil)
	internal := newRouter(t, "127.0.50.2:17902", 64512, nil)
	a := run(t, nil)
	a.SetPeers([]Peer{external.peer("external"), internal.peer("internal")})
	full := Path{LocalPref: 300, Prepend: 2, Communities: []uint32{64512<<16 | 7}, LargeCommunities: [][3]uint32{{64512, 1, 2}}}
	both := full
	both.Peers = []string{"external", "internal"}
	cases := []struct {
		why                string
		paths              []Path
		external, internal string
	}{
		{"nothing but the route", to("external", "internal"),
			"path [64512], via 127.0.0.1", "path [], via 127.0.0.1, {LocalPref: 100}"},
		{"what is for internal peers only is told them only, and no AS is put in front there", []Path{both},
			"path [64512 64512 64512], via 127.0.0.1, {Communities: 64512:7}, {LargeCommunity: [ 64512:1:2]}",
			"path [], via 127.0.0.1, {Communities: 64512:7}, {LargeCommunity: [ 64512:1:2]}, {LocalPref: 300}"},
		{"each its own", []Path{{Peers: []string{"external"}, Communities: []uint32{1}}, {Peers: []string{"internal"}, LocalPref: 7}},
			"path [64512], via 127.0.0.1, {Communities: 0:1}", "path [], via 127.0.0.1, {LocalPref: 7}"},
		{"one is not named", to("internal"), "", "path [], via 127.0.0.1, {LocalPref: 100}"},
	}
	for i, c := range cases {
		a.Announce(prefix(i), c.paths)
	}
	a.Synced()
	e, n := external.awaitRoutes(3), internal.awaitRoutes(4)
	for i, c := range cases {
		if got := e.routes[prefix(i)]; got != c.external {
			t.Errorf("%s: external got %s, want %s", c.why, got, c.external)
		}
		if got := n.routes[prefix(i)]; got != c.internal {
			t.Errorf("%s: internal got %s, want %s", c.why, got, c.internal)
		}
	}
	if s := a.awaitUp("internal"); s.Prefixes != 4 || !strings.Contains(s.Error, "IPv6 prefixes are not announced") {
		t.Errorf("got %+v", s)
	}
}

// A change is told those whom it concerns, in one UPDATE, and saying the same
// again is not told at all.
func TestOneChangeOneUpdate(t *testing.T) {
	one := newRouter(t, "127.0.50.3:17903", 64600, nil)
	two := newRouter(t, "127.0.50.4:17904", 64600, nil)
	a := run(t, nil)
	a.SetPeers([]Peer{one.peer("one"), two.peer("two")})
	for i := range 100 {
		a.Announce(prefix(i), to("one", "two"))
	}
	a.Synced()
	was1, was2 := one.awaitRoutes(100).updates, two.awaitRoutes(100).updates
	if was1 != 1 || was2 != 1 {
		t.Errorf("%d and %d UPDATEs for what fits into one", was1, was2)
	}
	steps := []struct {
		why      string
		do       func()
		one, two int // UPDATEs
	}{
		{"the same", func() { a.Announce(prefix(1), to("one", "two")) }, 0, 0},
		{"an attribute for one", func() {
			a.Announce(prefix(1), []Path{{Peers: []string{"one"}, Communities: []uint32{5}}, {Peers: []string{"two"}}})
		}, 1, 0},
		{"gone from one", func() { a.Announce(prefix(1), to("two")) }, 1, 0},
		{"gone", func() { a.Withdraw(prefix(1)) }, 0, 1},
		{"gone before", func() { a.Withdraw(prefix(1)) }, 0, 0},
		{"new", func() { a.Announce(prefix(200), to("one", "two")) }, 1, 1},
	}
	for i, s := range steps {
		s.do()
		was1, was2 = was1+s.one, was2+s.two
		// What comes after shows that nothing else came before.
		a.Announce(prefix(1000+i), to("one", "two"))
		was1, was2 = was1+1, was2+1
		has := func(n snapshot) bool { _, ok := n.routes[prefix(1000+i)]; return ok }
		got1, got2 := one.await("the mark", has).updates, two.await("the mark", has).updates
		// Two changes in quick succession may share an UPDATE.
		if got1 > was1 || got2 > was2 || got1 < was1-s.one || got2 < was2-s.two {
			t.Errorf("%s: %d and %d UPDATEs, want %d and %d", s.why, got1, got2, was1, was2)
		}
		was1, was2 = got1, got2
	}
}

// No session begins before all has been announced; then End-of-RIB follows.
func TestSynced(t *testing.T) {
	r := newRouter(t, "127.0.50.5:17905", 64600, func(r *router) { r.restarts = true })
	a := run(t, nil)
	p := r.peer("r")
	p.GracefulRestart = true
	a.SetPeers([]Peer{p})
	for i := range 500 {
		a.Announce(prefix(i), to("r"))
	}
	a.Synced()
	s := r.await("End-of-RIB", func(s snapshot) bool { return s.ends[bgp.RF_IPv4_UC] > 0 })
	if s.first != 500 {
		t.Errorf("End-of-RIB after %d of 500 routes", s.first)
	}
	restarted, kept := restartBits(s.open)
	if !restarted || !kept {
		t.Errorf("after a start: restart state %v, forwarding preserved %v", restarted, kept)
	}
}

// restartBits are the R bit, and whether all F bits are set (RFC 4724 section 3).
func restartBits(open *bgp.BGPOpen) (restarted, kept bool) {
	for _, o := range open.OptParams {
		for _, c := range o.(*bgp.OptionParameterCapability).Capability {
			if c, ok := c.(*bgp.CapGracefulRestart); ok {
				kept = len(c.Tuples) > 0 && !slices.ContainsFunc(c.Tuples, func(t *bgp.CapGracefulRestartTuple) bool { return t.Flags&0x80 == 0 })
				return c.Flags&0x08 != 0, kept
			}
		}
	}
	return false, false
}

func TestSetPeers(t *testing.T) {
	stays := newRouter(t, "127.0.50.6:17906", 64600, nil)
	changes := newRouter(t, "127.0.50.7:17907", 64600, nil)
	goes := newRouter(t, "127.0.50.8:17908", 64600, nil)
	a := run(t, nil)
	a.Synced()
	a.SetPeers([]Peer{stays.peer("stays"), changes.peer("changes"), goes.peer("goes")})
	a.Announce(prefix(1), to("stays", "changes", "goes"))
	stays.awaitRoutes(1)
	changes.awaitRoutes(1)
	goes.awaitRoutes(1)

	other := changes.peer("changes")
	other.HoldTime = 30 * time.Second
	bad := stays.peer("bad")
	bad.HoldTime = time.Second
	a.SetPeers([]Peer{stays.peer("stays"), other, bad})
	a.awaitError("bad", "holdTime 1s is less than 3s")
	if s := goes.await("a goodbye", func(s snapshot) bool { return len(s.goodbyes) > 0 }); s.goodbyes[0] != "Cease, peer de-configured" {
		t.Errorf("the one that goes: %q", s.goodbyes)
	}
	s := changes.await("a second session", func(s snapshot) bool { return s.sessions >= 2 })
	if s.open.HoldTime != 30 {
		t.Errorf("hold time %d after the change", s.open.HoldTime)
	}
	if s := stays.snapshot(); s.sessions != 1 || len(s.goodbyes) > 0 {
		t.Errorf("the one that stays: %d sessions, %q", s.sessions, s.goodbyes)
	}
	if got := a.Sessions(); len(got) != 3 || got[0].Peer != "bad" {
		t.Errorf("sessions: %+v", got)
	}
}

// At a restart, who helps keeps the routes, and from the others they are
// withdrawn before the session ends.
func TestRestart(t *testing.T) {
	helps := newRouter(t, "127.0.50.9:17909", 64600, func(r *router) { r.restarts = true })
	not := newRouter(t, "127.0.50.10:17910", 64600, nil)
	unwilling := newRouter(t, "127.0.50.11:17911", 64600, nil)
	a := run(t, nil)
	p, u := helps.peer("helps"), unwilling.peer("unwilling")
	p.GracefulRestart, u.GracefulRestart = true, true
	a.SetPeers([]Peer{p, not.peer("not"), u})
	for i := range 1000 {
		a.Announce(prefix(i), to("helps", "not", "unwilling"))
	}
	a.Synced()
	for _, r := range []*router{helps, not, unwilling} {
		r.awaitRoutes(1000)
	}
	a.stop()
	ended := func(s snapshot) bool { return len(s.goodbyes) > 0 }
	if s := helps.await("the end", ended); s.goodbyes[0] != "EOF" || len(s.routes) != 1000 {
		t.Errorf("who helps: %q, %d routes", s.goodbyes, len(s.routes))
	}
	for _, r := range []*router{not, unwilling} {
		if s := r.await("the end", ended); s.goodbyes[0] != "Cease, administrative shutdown" || len(s.routes) != 0 {
			t.Errorf("who does not: %q, %d routes", s.goodbyes, len(s.routes))
		}
	}
}

// What was asked for before the stop is done, though the stop is noticed first:
// a router that keeps the routes would send traffic here until the next process
// is there.
func TestStopComesLast(t *testing.T) {
	r := newRouter(t, "127.0.50.15:17917", 64600, func(r *router) { r.restarts = true })
	a := New(Options{})
	p := r.peer("r")
	p.GracefulRestart = true
	a.SetPeers([]Peer{p})
	a.Announce(prefix(1), to("r"))
	a.Announce(prefix(2), to("r"))
	a.Synced()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r.awaitRoutes(2)
	busy, release := make(chan struct{}), make(chan struct{})
	a.mail.post(func(*thread) { close(busy); <-release })
	<-busy
	a.Withdraw(prefix(1))
	<-a.mail.wake // so that only the stop wakes it
	cancel()
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	s := r.await("the end", func(s snapshot) bool { return len(s.goodbyes) > 0 })
	if _, kept := s.routes[prefix(2)]; len(s.routes) != 1 || !kept || s.goodbyes[0] != "EOF" {
		t.Errorf("%q, routes %v", s.goodbyes, s.routes)
	}
}

func TestLeave(t *testing.T) {
	helps := newRouter(t, "127.0.50.12:17912", 64600, func(r *router) { r.restarts = true })
	not := newRouter(t, "127.0.50.13:17913", 64600, nil)
	a := run(t, nil)
	p := helps.peer("helps")
	p.GracefulRestart = true
	dead := not.peer("dead")
	dead.Port = 1
	a.SetPeers([]Peer{p, not.peer("not"), dead})
	for i := range 5000 {
		a.Announce(prefix(i), to("helps", "not", "dead"))
	}
	a.Synced()
	helps.awaitRoutes(5000)
	not.awaitRoutes(5000)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := a.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	// Acknowledged is not read yet.
	helps.awaitRoutes(0)
	not.awaitRoutes(0)
	a.Announce(prefix(1), to("helps", "not"))
	a.stop()
	for _, r := range []*router{helps, not} {
		s := r.await("the end", func(s snapshot) bool { return len(s.goodbyes) > 0 })
		if s.goodbyes[0] != "Cease, administrative shutdown" || len(s.routes) != 0 {
			t.Errorf("%q, %d routes", s.goodbyes, len(s.routes))
		}
	}
	if err := a.Leave(ctx); err != nil {
		t.Errorf("leaving twice: %v", err)
	}
}

// A router that has only just come up is left, too.
func TestLeaveAtOnce(t *testing.T) {
	r := newRouter(t, "127.0.50.14:17914", 64600, func(r *router) {
		r.restarts, r.withholds, r.families = true, true, []bgp.Family{bgp.RF_IPv4_UC}
	})
	a := run(t, nil)
	p := r.peer("r")
	p.GracefulRestart, p.IPv6 = true, false
	a.SetPeers([]Peer{p})
	a.Announce(prefix(1), to("r"))
	a.Synced()
	a.awaitUp("r")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := a.Leave(ctx); err != nil {
		t.Fatal(err)
	}
	r.awaitRoutes(0)
}

// Other prefixes of IPv6 go over a session of IPv6, and those of IPv4 as well.
func TestBothFamilies(t *testing.T) {
	r := newRouter(t, "[::1]:17915", 64600, nil)
	a := run(t, nil)
	a.SetPeers([]Peer{r.peer("r")})
	six := netip.MustParsePrefix("2001:db8::7/128")
	a.Announce(prefix(1), to("r"))
	a.Announce(six, to("r"))
	a.Synced()
	s := r.awaitRoutes(2)
	for _, p := range []netip.Prefix{prefix(1), six} {
		if s.routes[p] != "path [64512], via ::1" {
			t.Errorf("%v: %s", p, s.routes[p])
		}
	}
}

// A router that takes no IPv6 next hop for IPv4 is not given one, and the session
// says so.
func TestNoIPv6NextHops(t *testing.T) {
	r := newRouter(t, "[::1]:17916", 64600, func(r *router) { r.classic = true })
	a := run(t, nil)
	a.SetPeers([]Peer{r.peer("r")})
	six := netip.MustParsePrefix("2001:db8::7/128")
	a.Announce(prefix(1), to("r"))
	a.Announce(six, to("r"))
	a.Synced()
	s := r.await("End-of-RIB", func(s snapshot) bool { return s.ends[bgp.RF_IPv6_UC] > 0 })
	if len(s.routes) != 1 || s.routes[six] == "" {
		t.Errorf("got %v", s.routes)
	}
	if s := a.awaitUp("r"); s.Prefixes != 1 || !strings.Contains(s.Error, "IPv4 prefixes are not announced") || !s.LacksIPv4 || s.LacksIPv6 {
		t.Errorf("got %+v", s)
	}
}
