//go:build linux

package l2

import (
	"net/netip"
	"testing"
	"time"

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

// Nothing tells that a session is down which never came up in place of another.
func TestASessionThatIsReplacedIsNotUp(t *testing.T) {
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
