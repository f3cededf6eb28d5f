//go:build linux

package l2

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/berth-lb/berth/bfd"
	"github.com/berth-lb/berth/epoll"
)

// newTestThread returns a thread of node a, whose ports go with the test.
func newTestThread(t *testing.T, o Options) *thread {
	t.Helper()
	return newTestAnnouncer(t, o).thread
}

func newTestAnnouncer(t *testing.T, o Options) *Announcer {
	t.Helper()
	o.Node, o.Usable, o.OnInterfaces = "a", func(string) bool { return true }, func(map[string]string) {}
	if o.OnHeld == nil {
		o.OnHeld = func(netip.Addr, bool, []string) {}
	}
	o.LivenessInterval, o.LivenessMultiplier = 100*time.Millisecond, 3
	announcer := New(o)
	announcer.thread = newThread(announcer, newProtocol("a", defaults))
	a := announcer.thread
	waker, err := epoll.New()
	if err != nil {
		t.Fatal(err)
	}
	a.waker = waker
	t.Cleanup(func() {
		a.closePorts()
		waker.Close()
	})
	return announcer
}

// know tells a thread of nodes.
func (a *thread) know(nodes map[string]host) {
	known := map[netip.Addr]string{}
	for name, h := range nodes {
		for _, address := range h.addresses {
			known[address] = name
		}
	}
	a.setPeers(time.Now(), nodes, known)
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
	b, c, d := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")
	from := func(peer netip.Addr, state bfd.State) bfd.Event {
		return bfd.Event{Key: bfd.Key{Peer: peer, Passive: true}, State: state}
	}
	for _, tc := range []struct {
		reason string
		nodes  map[string]host
		later  []bfd.Event // of b
		want   int
	}{
		{"the node is deleted", map[string]host{"c": {addresses: []netip.Addr{c}}}, nil, 1},
		{"it has another address", map[string]host{"b": {addresses: []netip.Addr{d}}, "c": {addresses: []netip.Addr{c}}}, nil, 1},
		{"it has another address and is back", map[string]host{"b": {addresses: []netip.Addr{d}}, "c": {addresses: []netip.Addr{c}}}, []bfd.Event{from(d, bfd.Up)}, 2},
		{"it changed over before the address went", map[string]host{"b": {addresses: []netip.Addr{b, d}}, "c": {addresses: []netip.Addr{c}}}, []bfd.Event{from(d, bfd.Up), from(b, bfd.Down)}, 2},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			t.Parallel()
			a := newTestThread(t, Options{})
			now := time.Now()
			a.know(map[string]host{"b": {addresses: []netip.Addr{b}}, "c": {addresses: []netip.Addr{c}}})
			a.session(now, "b", from(b, bfd.Up))
			a.session(now, "c", from(c, bfd.Up))
			a.know(tc.nodes)
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

// twoSegments returns a, of three nodes, on two segments, as the links of a and
// what is at the other ends. The nodes' own addresses are on the first, and vip4
// is announced on the second alone, by c.
func twoSegments(t *testing.T) (a *thread, first, second *port, own *netns) {
	near, far := newNetns(t), newNetns(t)
	a = newTestThread(t, Options{})
	var links []link
	var ends []*port
	for i, name := range []string{"lan", "wan"} {
		l, end := veth(t, near, name, far, name)
		if name == "wan" {
			far.must("naming its MAC", func() error { return netlink.LinkSetHardwareAddr(end, net.HardwareAddr(askerMAC[:])) })
		}
		links = append(links, link{index: l.Attrs().Index, name: name, mac: linkMAC(l), up: true})
		ends = append(ends, far.port(end, interest{announced: rangesOf([]netip.Addr{vip4})}))
		if i == 0 {
			links[0].addresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.1/24")}
		}
	}
	near.do(func() {
		now := time.Now()
		a.setLinks(now, links)
		a.know(map[string]host{
			"b": {[]netip.Addr{netip.MustParseAddr("198.51.100.2")}, map[string]mac{"lan": {2, 0, 0, 0, 2, 1}, "wan": {2, 0, 0, 0, 2, 2}}},
			"c": {[]netip.Addr{netip.MustParseAddr("198.51.100.3")}, map[string]mac{"lan": {2, 0, 0, 0, 3, 1}, "wan": {2, 0, 0, 0, 3, 2}}},
		})
		a.protocol.start(now)
		a.claim(now, vip4, Claim{Order: []string{"c", "b", "a"}, Recorded: "c", Interfaces: []string{"wan"}})
		a.perform(now)
	})
	return a, ends[0], ends[1], near
}

// On a segment without addresses of nodes no MAC is asked for: who is no stranger
// there, the API tells.
func TestNodesAreKnownOnEverySegment(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		reason, heard string
		from          mac
	}{
		{"the first standby took over: the second one stands back", "b", mac{2, 0, 0, 0, 2, 2}},
		{"a stranger says nothing about owners", "", askerMAC},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			t.Parallel()
			a, _, second, own := twoSegments(t)
			own.do(func() {
				send(t, second, appendGratuitous(nil, reply, tc.from, tc.from, vip4))
				a.readFrames(t, 1)
				if heard := a.protocol.addresses[vip4].heard; heard != tc.heard {
					t.Errorf("heard was %q, want %q", heard, tc.heard)
				}
			})
		})
	}
}

// A stranger's claim on a segment where the address is not announced is nobody's
// business, and a node's is: it may be allowed what this one is not.
func TestClaimsWhereTheAddressIsNotAnnounced(t *testing.T) {
	t.Parallel()
	a, first, _, own := twoSegments(t)
	own.do(func() {
		now := time.Now()
		a.claim(now, vip4, Claim{Order: []string{"a", "b"}, Recorded: "a", Interfaces: []string{"wan"}})
		a.perform(now)
		before := a.counts.gratuitous.Load()
		for _, claim := range []struct {
			by   mac
			told uint64
		}{{askerMAC, 0}, {mac{2, 0, 0, 0, 2, 1}, 1}} {
			send(t, first, appendGratuitous(nil, reply, claim.by, claim.by, vip4))
			a.readFrames(t, 1)
			a.protocol.tick(time.Now().Add(time.Second))
			a.perform(now)
			if told := a.counts.gratuitous.Load() - before; told != claim.told {
				t.Errorf("%v was answered %d times", claim.by, told)
			}
		}
	})
}

// Whoever stands in answers with the owner's MAC on that segment, and only where
// the address may be announced.
func TestStandingInOnAnotherSegment(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		reason string
		before func(a *thread, second *port)
		want   mac
	}{
		{"the interface of that name", func(*thread, *port) {}, mac{2, 0, 0, 0, 3, 2}},
		{"interfaces have other names there", func(a *thread, second *port) {
			a.peers["c"].hardware = map[string]mac{"one": {2, 0, 0, 0, 3, 1}, "two": {2, 0, 0, 0, 3, 9}}
			a.attribute()
			send(t, second, appendGratuitous(nil, reply, mac{2, 0, 0, 0, 3, 9}, mac{2, 0, 0, 0, 3, 9}, vip4))
			a.readFrames(t, 1)
		}, mac{2, 0, 0, 0, 3, 9}},
		{"of that name is the interface to the first segment", func(a *thread, _ *port) {
			a.peers["c"].hardware = map[string]mac{"wan": {2, 0, 0, 0, 3, 1}}
		}, mac{}},
		{"both are on one device", func(a *thread, _ *port) {
			a.peers["c"].hardware = map[string]mac{"lan": {2, 0, 0, 0, 3, 1}, "wan": {2, 0, 0, 0, 3, 1}}
		}, mac{2, 0, 0, 0, 3, 1}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			t.Parallel()
			a, first, second, own := twoSegments(t)
			own.do(func() {
				now, kernel := time.Now(), mac{2, 0, 0, 0, 3, 1}
				send(t, first, appendARPReply(nil, kernel, kernel, netip.MustParseAddr("198.51.100.3"), a.peersPort("c").mac, netip.MustParseAddr("198.51.100.1")))
				a.readFrames(t, 1)
				tc.before(a, second)
				a.change(effect{kind: standIn, address: vip4, peer: "c", mac: kernel, port: a.peers["c"].port})
				a.perform(now)
				drain(&second.arp)
				asked := appendARPRequest(nil, askerMAC, asker4, broadcast, vip4)
				send(t, first, asked)
				a.readFrames(t, 1)
				if a.counts.answered.Load() > 0 {
					t.Error("it answers on the first segment")
				}
				send(t, second, asked)
				a.readFrames(t, 1)
				if !tc.want.host() {
					if a.counts.answered.Load() > 0 {
						t.Error("it answers")
					}
					return
				}
				awaitFrame(t, &second.arp, appendARPReply(nil, a.ports[a.portNamed("wan")].mac, tc.want, vip4, askerMAC, asker4))
			})
		})
	}
}

func (a *thread) peersPort(name string) *station { return a.portOf(a.peers[name]) }

func (a *thread) portNamed(name string) int {
	for index, p := range a.ports {
		if p.name == name {
			return index
		}
	}
	return 0
}

// drain reads what is there.
func drain(s *socket) {
	b := make([]byte, longestFrame)
	for n, err := s.read(b); n > 0 && err == nil; n, err = s.read(b) {
	}
}

// The record of an address says where it is announced: interfaces come, go and
// are renamed, and the advertisement may allow others.
func TestOthersAreToldWhereAnAddressIs(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	told := "nothing"
	a := newTestThread(t, Options{OnHeld: func(_ netip.Addr, held bool, names []string) { told = fmt.Sprint(held, names) }})
	near := link{index: s.nearLink.Attrs().Index, name: "near", mac: linkMAC(s.nearLink), up: true}
	renamed, second := near, link{index: 1, name: "second", mac: mac{2, 0, 0, 0, 0, 2}, up: true}
	renamed.name = "lan0"
	s.near.do(func() {
		now := time.Now()
		a.setLinks(now, []link{near})
		a.protocol.start(now)
		claim := func(interfaces ...string) func() {
			return func() { a.claim(now, vip4, Claim{Order: []string{"a"}, Recorded: "a", Interfaces: interfaces}) }
		}
		links := func(all ...link) func() { return func() { a.setLinks(now, all) } }
		for _, c := range []struct {
			reason string
			happen func()
			want   string
		}{
			{"it begins", claim(), "true [near]"},
			{"nothing is new", claim(), "nothing"},
			{"an interface comes", links(second, near), "true [second near]"},
			{"nothing is new", links(second, near), "nothing"},
			{"one is renamed", links(second, renamed), "true [second lan0]"},
			{"the advertisement allows one", claim("second"), "true [second]"},
			{"one goes that is not in use", links(second), "nothing"},
			{"the last one goes", links(near), "false []"},
		} {
			told = "nothing"
			c.happen()
			a.perform(now)
			if told != c.want {
				t.Errorf("%s: told was %s, want %s", c.reason, told, c.want)
			}
		}
	})
}

// What the kernel refused is asked for again, after growing pauses, until all of
// it was had: an interface, and groups that an interface is to be in.
func TestTheKernelIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	a := newTestThread(t, Options{})
	const index = 4711
	now := time.Now()
	wait := func(want time.Duration) {
		t.Helper()
		a.retry(now)
		if a.again.at != now.Add(want) {
			t.Fatalf("it waits for %v, want %v", a.again.at.Sub(now), want)
		}
		now = a.again.at
	}
	s.near.do(func() {
		a.setLinks(now, []link{{index: index, name: "late", mac: ownMAC, up: true}})
		a.claim(now, vip6, Claim{Order: []string{"a"}})
		wait(retryFirst)
		wait(2 * retryFirst)
		wait(4 * retryFirst)
		attributes := named("late")
		attributes.Index = index
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "other"}); err != nil {
			t.Fatal(err)
		}
		a.retry(now)
		if a.ports[index] == nil || !a.able(a.table[vip6]) || !a.again.at.IsZero() {
			t.Fatalf("the interface is not in use, or there is more to ask for, after %v", a.again.pause)
		}
		a.ports[index].groups = newGroups(index + 1)
		a.stale = true
		a.joinAll(a.ports[index])
		wait(retryFirst)
		a.ports[index].groups = newGroups(index)
		a.retry(now)
		if !a.again.at.IsZero() || a.again.pause != 0 {
			t.Errorf("there is more to ask for, after %v", a.again.pause)
		}
		if joined := memberships(t, "late"); joined[solicitedNode(vip6)] == "" {
			t.Errorf("it is in the groups %v", joined)
		}
	})
}

// What nobody sees in frames that are counted: what is known of other nodes, and
// what was lost before it was read.
func TestCountersOfPeersAndMissedFrames(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	announcer := New(Options{Node: "a", Usable: func(string) bool { return true },
		OnHeld: func(netip.Addr, bool, []string) {}, OnInterfaces: func(map[string]string) {}})
	a := announcer.thread
	waker, err := epoll.New()
	if err != nil {
		t.Fatal(err)
	}
	a.waker = waker
	defer waker.Close()
	defer a.closePorts()
	far := s.far.port(s.farLink, interest{})
	s.near.do(func() {
		now := time.Now()
		interfaces(netip.MustParsePrefix("192.0.2.1/24"))(a, s)
		a.know(map[string]host{"b": {addresses: []netip.Addr{netip.MustParseAddr("192.0.2.2")}}})
		a.protocol.start(now)
		a.claim(now, vip4, Claim{Order: []string{"b", "a"}, Recorded: "b"})
		a.claim(now, vip6, Claim{Order: []string{"a"}})
		a.perform(now)
		a.count(now)
		if c := announcer.Counters(); c.Peers["unknown"] != 1 || c.Peers["alive"] != 0 || c.Missed != 0 {
			t.Errorf("at first %+v", c)
		}
		a.protocol.session(now, "b", true)
		asked := appendNS(nil, askerMAC, asker6, broadcast, vip6)
		for range 40000 {
			_ = far.write(asked) // a wire that is full says so
		}
		a.count(now)
		if c := announcer.Counters(); c.Peers["unknown"] != 0 || c.Peers["alive"] != 1 || c.Missed != 0 {
			t.Errorf("with a session %+v", c)
		}
		a.count(now.Add(countPace))
		missed := announcer.Counters().Missed
		if missed == 0 {
			t.Error("no frame was missed")
		}
		a.count(now.Add(2 * countPace))
		if again := announcer.Counters().Missed; again != missed {
			t.Errorf("%d frames were missed, then %d", missed, again)
		}
	})
}
