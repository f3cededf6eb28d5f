//go:build linux

package l2

import (
	"net/netip"
	"testing"
	"time"

	"github.com/berth-lb/berth/bfd"
	"github.com/berth-lb/berth/epoll"
)

// A node that is cut off from the owner alone asks the other standbys whether
// the owner is there. They only listen to nodes that they know, and there is no
// session between standbys by which they would.
func TestStandbysKnowEachOther(t *testing.T) {
	own, other := netip.MustParsePrefix("192.0.2.1/24"), netip.MustParseAddr("192.0.2.2")
	for _, c := range []struct {
		reason string
		tell   []func(*thread, *segment)
	}{
		{"there is an address that both may announce", []func(*thread, *segment){interfaces(own), nodes(other), claims}},
		{"the node's own address comes last", []func(*thread, *segment){nodes(other), claims, interfaces(own)}},
		{"the other one moves", []func(*thread, *segment){interfaces(own), nodes(netip.MustParseAddr("192.0.2.9")), claims, nodes(other)}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := newSegment(t)
			far := s.far.port(s.farLink, interest{announced: rangesOf([]netip.Addr{other})})
			a := newThread(New(Options{
				Node: "a", Usable: func(string) bool { return true },
				OnHeld: func(netip.Addr, bool, []string) {}, OnInterfaces: func(map[string]string) {},
			}), newProtocol("a", defaults))
			waker, err := epoll.New()
			if err != nil {
				t.Fatal(err)
			}
			defer waker.Close()
			a.waker = waker
			s.near.do(func() {
				for _, tell := range c.tell {
					tell(a, s)
				}
				claims(a, s) // again, which asks nothing again
			})
			defer a.closePorts()
			awaitFrame(t, &far.arp, appendQuestion(nil, linkMAC(s.nearLink), own.Addr(), broadcast, other))
		})
	}
}

func interfaces(own netip.Prefix) func(*thread, *segment) {
	return func(a *thread, s *segment) {
		a.setLinks(time.Now(), []link{{
			index: s.nearLink.Attrs().Index, name: "near", mac: linkMAC(s.nearLink), up: true, addresses: []netip.Prefix{own},
		}})
	}
}

func nodes(other netip.Addr) func(*thread, *segment) {
	return func(a *thread, _ *segment) {
		a.setPeers(time.Now(), map[string]host{"b": {addresses: []netip.Addr{other}}}, map[netip.Addr]string{other: "b"})
	}
}

func claims(a *thread, _ *segment) {
	for _, vip := range []string{"192.0.2.100", "192.0.2.101"} {
		a.claim(time.Now(), netip.MustParseAddr(vip), Claim{Order: []string{"c", "a", "b"}, Recorded: "c"})
	}
}

// Where no prefix says on which segment a node is, it is found by asking on all.
// Routers that answer for others are not taken for it.
func TestNodesThatNoPrefixPlaces(t *testing.T) {
	t.Parallel()
	node, router := mac{2, 0, 0, 0, 2, 1}, mac{2, 0, 0, 0, 9, 9}
	other := netip.MustParseAddr("100.64.0.2")
	for _, tc := range []struct {
		reason   string
		hardware map[string]mac
		answers  []mac
		want     mac
	}{
		{"it answers from an interface that it reports", map[string]mac{"eth0": node}, []mac{node}, node},
		{"a router answers in its place", map[string]mac{"eth0": node}, []mac{router}, mac{}},
		{"before it does", map[string]mac{"eth0": node}, []mac{router, node}, node},
		{"it reports nothing, being of an earlier version", nil, []mac{node}, node},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			t.Parallel()
			s := newSegment(t)
			far := s.far.port(s.farLink, interest{announced: rangesOf([]netip.Addr{other})})
			a := newTestThread(t, Options{})
			s.near.do(func() {
				now, own := time.Now(), linkMAC(s.nearLink)
				interfaces(netip.MustParsePrefix("192.0.2.1/24"))(a, s)
				a.know(map[string]host{"b": {[]netip.Addr{other}, tc.hardware}})
				a.protocol.start(now)
				a.claim(now, vip4, Claim{Order: []string{"b", "a"}, Recorded: "b"})
				probe := appendQuestion(nil, own, netip.IPv4Unspecified(), broadcast, other)
				awaitFrame(t, &far.arp, probe)
				a.perform(now)
				drain(&far.arp)
				for _, m := range tc.answers {
					send(t, far, appendARPReply(nil, m, m, other, own, netip.IPv4Unspecified()))
					a.readFrames(t, 1)
				}
				if n := a.peers["b"]; n.mac != tc.want || (n.port != 0) != tc.want.host() {
					t.Fatalf("it is at %v on %d, want %v", n.mac, n.port, tc.want)
				}
				a.protocol.session(now, "b", true)
				a.protocol.session(now, "b", false)
				a.perform(now)
				if state := a.protocol.stateOf("b"); (state == unasked) == tc.want.host() {
					t.Errorf("once its session is down it is in state %d", state)
				}
				// What the interface says anew changes nothing.
				interfaces(netip.MustParsePrefix("192.0.2.9/24"))(a, s)
				if n := a.peers["b"]; n.mac != tc.want {
					t.Errorf("it is lost again")
				}
				six := netip.MustParseAddr("2001:db8:1::2")
				a.know(map[string]host{"b": {[]netip.Addr{six}, tc.hardware}})
				a.perform(now)
				for _, m := range tc.answers {
					send(t, far, appendNA(nil, m, m, six, allNodesMAC, allNodes, override))
					a.readFrames(t, 1)
				}
				if joined := memberships(t, "near")[solicitedNode(six)] != ""; joined != tc.want.host() {
					t.Errorf("it hears of others that look for the node: %v", joined)
				}
				a.setLinks(now, []link{})
				if n := a.peers["b"]; n.port != 0 || n.mac.host() {
					t.Errorf("without an interface it is at %v on %d", n.mac, n.port)
				}
			})
		})
	}
}

// Nodes may have their addresses where nothing is announced.
func TestNodesOnReservedInterfaces(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	other := netip.MustParseAddr("192.0.2.2")
	far := s.far.port(s.farLink, interest{announced: rangesOf([]netip.Addr{other, vip4})})
	told := map[string]string{"nothing": "yet"}
	a := newTestThread(t, Options{})
	a.opts.OnInterfaces = func(hardware map[string]string) { told = hardware }
	s.near.do(func() {
		now := time.Now()
		l := link{index: s.nearLink.Attrs().Index, name: "mgmt", mac: linkMAC(s.nearLink), up: true, reserved: true,
			addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}
		a.setLinks(now, []link{l})
		if len(a.ports) != 0 || len(told) != 0 {
			t.Errorf("without nodes there are %d ports; told of %v", len(a.ports), told)
		}
		nodes(other)(a, s)
		a.protocol.start(now)
		a.claim(now, vip4, Claim{Order: []string{"a", "b"}})
		a.perform(now)
		awaitFrame(t, &far.arp, appendQuestion(nil, l.mac, netip.MustParseAddr("192.0.2.1"), broadcast, other))
		if e := a.table[vip4]; e.held {
			t.Error("an address is announced")
		}
		a.know(nil)
		if len(a.ports) != 0 {
			t.Error("the port stays open")
		}
	})
}

// Nothing tells that a session is down which never came up in place of another.
func TestASessionThatIsReplacedIsNotUp(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	a := newTestThread(t, Options{})
	s.near.do(func() {
		now := time.Now()
		interfaces(netip.MustParsePrefix("192.0.2.1/24"))(a, s)
		nodes(netip.MustParseAddr("192.0.2.2"))(a, s)
		a.protocol.start(now)
		a.claim(now, vip4, Claim{Order: []string{"b", "a"}, Recorded: "b"})
		a.perform(now)
		a.protocol.session(now, "b", true)
		nodes(netip.MustParseAddr("192.0.2.2"))(a, s)
		if state := a.protocol.stateOf("b"); state != alive {
			t.Errorf("nothing has changed, and the node is %v", state)
		}
		nodes(netip.MustParseAddr("192.0.2.3"))(a, s)
		if p := a.protocol.peers["b"]; p.state != unknown || p.up || p.nextRound.IsZero() {
			t.Errorf("of another address the node is %v, up %v, to be asked %v", p.state, p.up, p.nextRound)
		}
	})
}

// Nobody answers for a node that is dead. Who asked on behalf of others in vain must
// not take up the room of those who ask for a node that is there.
func TestWitnessesMakeRoom(t *testing.T) {
	t.Parallel()
	a := newTestThread(t, Options{})
	now, b := time.Now(), netip.MustParseAddr("192.0.2.2")
	a.know(map[string]host{"b": {addresses: []netip.Addr{b}}})
	a.peers["b"].watched, a.macs[askerMAC] = true, "c"
	probe := frame{kind: request, source: askerMAC, owner: askerMAC, target: b, sender: netip.IPv4Unspecified()}
	for range 2 * mostWitnesses {
		a.testify(now, &station{}, &probe, "b")
	}
	if n := len(a.witnesses); n != mostWitnesses {
		t.Errorf("%d wait, want %d", n, mostWitnesses)
	}
	now = now.Add(2 * patience)
	a.testify(now, &station{}, &probe, "b")
	if n := len(a.witnesses); n != 1 || a.witnesses[0].expire != now.Add(patience) {
		t.Errorf("later %d wait, want the one that has just asked", n)
	}
}

// Who announces asks in its own name whether others do, also where the address is of
// another prefix: asked in nobody's, they would take it for the call of one that
// should not be it, and announce.
func TestAnInquiryIsNoCall(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	far := s.far.port(s.farLink, interest{announced: rangesOf([]netip.Addr{vip4, vip6})})
	own4, own6 := netip.MustParsePrefix("198.51.100.1/24"), netip.MustParsePrefix("fe80::1/64")
	a := newTestThread(t, Options{})
	s.near.do(func() {
		now, m := time.Now(), linkMAC(s.nearLink)
		a.setLinks(now, []link{{index: s.nearLink.Attrs().Index, name: "near", mac: m, up: true, addresses: []netip.Prefix{own4, own6}}})
		for _, c := range []struct {
			address netip.Addr
			socket  *socket
			want    []byte
		}{
			{vip4, &far.arp, appendARPRequest(nil, m, own4.Addr(), broadcast, vip4)},
			{vip6, &far.ndp, appendNS(nil, m, own6.Addr(), broadcast, vip6)},
		} {
			a.claim(now, c.address, Claim{Order: []string{"a"}})
			a.speak(now, effect{kind: inquire, address: c.address})
			awaitFrame(t, c.socket, c.want)
		}
	})
}

// A machine that got another name, or a node with the address of one that is gone:
// the session that was there says nothing about either any more, and there is one
// with the node that has the address now.
func TestAnAddressGoesToAnotherNode(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	x, y := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3")
	for range 20 { // maps have no order
		a := newTestThread(t, Options{})
		s.near.do(func() {
			now := time.Now()
			interfaces(netip.MustParsePrefix("192.0.2.1/24"))(a, s)
			a.know(map[string]host{"b": {addresses: []netip.Addr{x}}, "c": {addresses: []netip.Addr{y}}})
			a.protocol.start(now)
			a.claim(now, vip4, Claim{Order: []string{"b", "a"}, Recorded: "b"})
			a.claim(now, vip6, Claim{Order: []string{"c", "a"}, Recorded: "c"})
			a.perform(now)
			a.protocol.session(now, "b", true)
			a.protocol.session(now, "c", true)
			a.session(now, "b", bfd.Event{Key: bfd.Key{Peer: x, Passive: true}, State: bfd.Up})
			a.know(map[string]host{"b": {}, "c": {addresses: []netip.Addr{x}}})
			a.perform(now)
			for _, name := range []string{"b", "c"} {
				if state := a.protocol.stateOf(name); state != unknown {
					t.Fatalf("%s is %v", name, state)
				}
			}
			if all := a.sessions.Sessions(); len(all) != 1 || all[0].Peer != x {
				t.Fatalf("there are the sessions %+v", all)
			}
			if m := a.protocol; m.watchers != 1 || !m.peers["c"].joined || m.peers["b"].joined {
				t.Fatalf("%d nodes watch this one", m.watchers)
			}
		})
	}
}

// Nothing tells whether a node is there that has no address, or none of its own: it
// is given time, and no more.
func TestANodeWithoutAnAddress(t *testing.T) {
	t.Parallel()
	x, own := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")
	for _, tc := range []struct {
		reason string
		nodes  map[string]Host
	}{
		{"it has none", map[string]Host{"b": {}}},
		{"another one has it as well", map[string]Host{"b": {Addresses: []netip.Addr{x}}, "aa": {Addresses: []netip.Addr{x}}}},
		{"this one has it as well", map[string]Host{"b": {Addresses: []netip.Addr{own}}, "a": {Addresses: []netip.Addr{own}}}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			t.Parallel()
			s := newSegment(t)
			for range 20 { // maps have no order
				announcer := newTestAnnouncer(t, Options{})
				a := announcer.thread
				s.near.do(func() {
					now := time.Now()
					interfaces(netip.MustParsePrefix("192.0.2.1/24"))(a, s)
					announcer.SetPeers(tc.nodes)
					for _, do := range announcer.mail.take() {
						do(now)
					}
					a.protocol.start(now)
					a.claim(now, vip4, Claim{Order: []string{"b", "a"}, Recorded: "b"})
					a.perform(now)
					if all := a.sessions.Sessions(); len(all) > 0 {
						t.Fatalf("there are the sessions %+v", all)
					}
					a.protocol.tick(now.Add(defaults.greeting))
					a.perform(now)
					if state := a.protocol.stateOf("b"); state != unasked {
						t.Fatalf("it is %v", state)
					}
				})
			}
		})
	}
}
