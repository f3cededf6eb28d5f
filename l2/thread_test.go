//go:build linux

package l2

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/berth-lb/berth/bfd"
	"github.com/berth-lb/berth/epoll"
)

// newTestThread returns a thread of node a, whose ports go with the test.
func newTestThread(t *testing.T, o Options) *thread {
	t.Helper()
	o.Node, o.Usable, o.OnInterfaces = "a", func(string) bool { return true }, func([]string) {}
	if o.OnHeld == nil {
		o.OnHeld = func(netip.Addr, bool, []string) {}
	}
	a := newThread(New(o), newProtocol("a", defaults))
	waker, err := epoll.New()
	if err != nil {
		t.Fatal(err)
	}
	a.waker = waker
	t.Cleanup(func() {
		a.closePorts()
		waker.Close()
	})
	return a
}

// readFrames has a thread read until it has received n frames more.
func (a *thread) readFrames(t *testing.T, n uint64) {
	t.Helper()
	want := a.counts.frames.Load() + n
	deadline := time.Now().Add(5 * time.Second)
	for a.counts.frames.Load() < want {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d frames are missing", want-a.counts.frames.Load(), n)
		}
		if err := a.waker.Wait(deadline); err != nil {
			t.Fatal(err)
		}
		a.readPorts(time.Now())
	}
}

// Two interfaces on one segment hear each other: that is no claim of a stranger.
func TestANodeDoesNotDefendItsAddressAgainstItself(t *testing.T) {
	s := newSegment(t)
	a := newTestThread(t, Options{})
	far := s.far.port(s.farLink, interest{})
	second := mac{2, 0, 0, 0, 0, 2}
	s.near.do(func() {
		now := time.Now()
		links := []link{{index: s.nearLink.Attrs().Index, name: "near", mac: linkMAC(s.nearLink), up: true}}
		a.setLinks(now, append(links, link{index: 1, name: "second", mac: second}))
		a.protocol.start(now)
		a.claim(now, vip4, Claim{Order: []string{"a"}})
		a.perform(now)
		for _, c := range []struct {
			who           mac
			heard, answer uint64
		}{{second, 0, 0}, {askerMAC, 1, 1}} {
			send(t, far,
				appendGratuitous(nil, request, c.who, c.who, vip4),
				appendARPRequest(nil, c.who, asker4, broadcast, vip4))
			a.readFrames(t, 2)
			if heard, answered := a.counts.heard.Load(), a.counts.answered.Load(); heard != c.heard || answered != c.answer {
				t.Errorf("of %v: %d claims were heard and %d questions answered", c.who, heard, answered)
			}
		}
	})
}

// The end of a Service with many addresses, or of many at once: no frame is read
// while filters are made.
func TestFiltersAreMadeOnceForAllThatGo(t *testing.T) {
	s := newSegment(t)
	a := newTestThread(t, Options{})
	s.near.do(func() {
		now := time.Now()
		a.setLinks(now, []link{{index: s.nearLink.Attrs().Index, name: "near", mac: linkMAC(s.nearLink), up: true}})
		a.protocol.start(now)
		for i := range 3 {
			a.claim(now, netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", 10*i)), Claim{Order: []string{"a"}})
		}
		a.perform(now)
		before := a.ports[s.nearLink.Attrs().Index].arp.filter
		for i := range 3 {
			a.unclaim(netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", 10*i)))
			if now := a.ports[s.nearLink.Attrs().Index].arp.filter; !slices.Equal(before, now) {
				t.Fatal("there is a new filter before the last one has gone")
			}
		}
		a.perform(now)
		if now := a.ports[s.nearLink.Attrs().Index].arp.filter; slices.Equal(before, now) {
			t.Error("there is no new filter")
		}
	})
}

// The end of a session from a node that is none any more is not told.
func TestNodesThatGoWatchNobody(t *testing.T) {
	b, c, d := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")
	from := func(peer netip.Addr, state bfd.State) bfd.Event {
		return bfd.Event{Key: bfd.Key{Peer: peer, Passive: true}, State: state}
	}
	for _, tc := range []struct {
		reason string
		nodes  map[string][]netip.Addr
		later  []bfd.Event // of b
		want   int
	}{
		{"the node is deleted", map[string][]netip.Addr{"c": {c}}, nil, 1},
		{"it has another address", map[string][]netip.Addr{"b": {d}, "c": {c}}, nil, 1},
		{"it has another address and is back", map[string][]netip.Addr{"b": {d}, "c": {c}}, []bfd.Event{from(d, bfd.Up)}, 2},
		{"it changed over before the address went", map[string][]netip.Addr{"b": {b, d}, "c": {c}}, []bfd.Event{from(d, bfd.Up), from(b, bfd.Down)}, 2},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			a := newTestThread(t, Options{})
			now := time.Now()
			tell := func(nodes map[string][]netip.Addr) {
				known := map[netip.Addr]string{}
				for name, addresses := range nodes {
					for _, address := range addresses {
						known[address] = name
					}
				}
				a.setPeers(now, nodes, known)
			}
			tell(map[string][]netip.Addr{"b": {b}, "c": {c}})
			a.session(now, "b", from(b, bfd.Up))
			a.session(now, "c", from(c, bfd.Up))
			tell(tc.nodes)
			for _, e := range tc.later {
				a.session(now, "b", e)
			}
			if m := a.protocol; m.watchers != tc.want || m.lost {
				t.Errorf("%d nodes watch this one, want %d; cut off: %v", m.watchers, tc.want, m.lost)
			}
			if _, known := a.protocol.peers["b"]; known != (tc.want == 2) {
				t.Errorf("b is remembered: %v", known)
			}
		})
	}
}
