package announce

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// onePeer compiles p alone, for a node with the address 10.0.0.9.
func onePeer(p *v1beta2.BGPPeer, profiles ...*metallb.BFDProfile) ([]Peer, []Problem) {
	c, _ := routed()
	c.BGPPeers, c.BFDProfiles = []*v1beta2.BGPPeer{p}, profiles
	c.Nodes[0].Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeExternalIP, Address: "203.0.113.9"},
		{Type: corev1.NodeInternalIP, Address: "fd00::9"},
		{Type: corev1.NodeInternalIP, Address: "10.0.0.9"},
	}
	v, problems := Compile(c)
	return v.Peers(), problems
}

func simplest() Peer {
	return Peer{
		Name: "r1", MyASN: 64512, PeerASN: 64513, Address: netip.MustParseAddr("10.0.0.1"), Port: 179, RouterID: netip.MustParseAddr("10.0.0.9"),
		HoldTime: 90 * time.Second, KeepaliveTime: 30 * time.Second, ConnectTime: 2 * time.Second, IPv4: true,
	}
}

// TestPeer tells what becomes of each field where nothing is wrong with it.
func TestPeer(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*v1beta2.BGPPeerSpec)
		want   func(*Peer)
	}{
		{"the simplest", func(*v1beta2.BGPPeerSpec) {}, func(*Peer) {}},
		{"internal", func(s *v1beta2.BGPPeerSpec) { s.ASN = 64512 }, func(p *Peer) { p.PeerASN = 64512 }},
		{"whatever AS is not ours", func(s *v1beta2.BGPPeerSpec) { s.ASN, s.DynamicASN = 0, v1beta2.ExternalASNMode }, func(p *Peer) { p.PeerASN = 0 }},
		{"our own AS", func(s *v1beta2.BGPPeerSpec) { s.ASN, s.DynamicASN = 0, v1beta2.InternalASNMode }, func(p *Peer) { p.PeerASN = 64512 }},
		{"another AS of ours to this one", func(s *v1beta2.BGPPeerSpec) { s.LocalASN = 64999 }, func(p *Peer) { p.MyASN = 64999 }},
		{"many hops", func(s *v1beta2.BGPPeerSpec) { s.EBGPMultiHop = true }, func(p *Peer) { p.Multihop = true }},
		{"many hops to whoever it is", func(s *v1beta2.BGPPeerSpec) {
			s.ASN, s.DynamicASN, s.EBGPMultiHop = 0, v1beta2.ExternalASNMode, true
		}, func(p *Peer) { p.PeerASN, p.Multihop = 0, true }},
		{"internal by localASN, where hops don't matter", func(s *v1beta2.BGPPeerSpec) {
			s.LocalASN, s.EBGPMultiHop = 64513, true
		}, func(p *Peer) { p.MyASN = 64513 }},
		{"internal by dynamicASN, where hops don't matter", func(s *v1beta2.BGPPeerSpec) {
			s.ASN, s.DynamicASN, s.EBGPMultiHop = 0, v1beta2.InternalASNMode, true
		}, func(p *Peer) { p.PeerASN = 64512 }},

		{"over IPv6", func(s *v1beta2.BGPPeerSpec) { s.Address = "2001:db8::1" },
			func(p *Peer) { p.Address, p.IPv4, p.IPv6 = netip.MustParseAddr("2001:db8::1"), false, true }},
		{"IPv4 in IPv6's clothes", func(s *v1beta2.BGPPeerSpec) { s.Address = "::ffff:10.0.0.1" }, func(*Peer) {}},
		{"both families", bothFamilies, func(p *Peer) { p.IPv6 = true }},
		//lint:ignore SA1019 it is still in use
		{"the deprecated opposite says nothing more", func(s *v1beta2.BGPPeerSpec) { s.DisableMP = true }, func(*Peer) {}},
		{"unnumbered: both families", func(s *v1beta2.BGPPeerSpec) { s.Address, s.Interface = "", "eth0" },
			func(p *Peer) { p.Address, p.Interface, p.IPv6 = netip.Addr{}, "eth0", true }},
		{"a port", func(s *v1beta2.BGPPeerSpec) { s.Port = 1790 }, func(p *Peer) { p.Port = 1790 }},
		{"a source", func(s *v1beta2.BGPPeerSpec) { s.SrcAddress = "10.0.0.8" }, func(p *Peer) { p.Source = netip.MustParseAddr("10.0.0.8") }},
		{"a router ID", func(s *v1beta2.BGPPeerSpec) { s.RouterID = "10.9.9.9" }, func(p *Peer) { p.RouterID = netip.MustParseAddr("10.9.9.9") }},
		{"a VRF", func(s *v1beta2.BGPPeerSpec) { s.VRFName = "red" }, func(p *Peer) { p.Device = "red" }},
		{"graceful restart", func(s *v1beta2.BGPPeerSpec) { s.EnableGracefulRestart = true }, func(p *Peer) { p.GracefulRestart = true }},
		{"a password", func(s *v1beta2.BGPPeerSpec) { s.Password = "secret" }, func(p *Peer) { p.Password = "secret" }},
		{"a Secret", func(s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Name = "tor" }, func(p *Peer) { p.PasswordSecret = "tor" }},
		{"a Secret of the same namespace", func(s *v1beta2.BGPPeerSpec) {
			s.PasswordSecret = corev1.SecretReference{Name: "tor", Namespace: "berth-system"}
		}, func(p *Peer) { p.PasswordSecret = "tor" }},
		{"a namespace without a Secret", func(s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Namespace = "other" }, func(*Peer) {}},

		{"both times", func(s *v1beta2.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = seconds(9), seconds(9) },
			func(p *Peer) { p.HoldTime, p.KeepaliveTime = 9*time.Second, 9*time.Second }},
		{"hold time alone", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(10) },
			func(p *Peer) { p.HoldTime, p.KeepaliveTime = 10*time.Second, 3*time.Second }},
		{"keepalive time alone", func(s *v1beta2.BGPPeerSpec) { s.KeepaliveTime = seconds(5) },
			func(p *Peer) { p.HoldTime, p.KeepaliveTime = 15*time.Second, 5*time.Second }},
		{"no keepalives at all", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(0) }, func(p *Peer) { p.HoldTime, p.KeepaliveTime = 0, 0 }},
		{"none, the other way round", func(s *v1beta2.BGPPeerSpec) { s.KeepaliveTime = seconds(0) }, func(p *Peer) { p.HoldTime, p.KeepaliveTime = 0, 0 }},
		{"the shortest", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(3) }, func(p *Peer) { p.HoldTime, p.KeepaliveTime = 3*time.Second, time.Second }},
		{"the longest", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(65535) },
			func(p *Peer) { p.HoldTime, p.KeepaliveTime = 65535*time.Second, 21845*time.Second }},
		{"a time to connect", func(s *v1beta2.BGPPeerSpec) { s.ConnectTime = seconds(10) }, func(p *Peer) { p.ConnectTime = 10 * time.Second }},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			want := simplest()
			tc.want(&want)
			got, problems := onePeer(peer("r1", "10.0.0.1", tc.change))
			checkProblems(t, problems)
			if len(got) != 1 || got[0] != want {
				t.Errorf("got  %#v\nwant %#v", got, want)
			}
		})
	}
}

// TestPeerRefused: no session comes of these, and the field at fault is named.
func TestPeerRefused(t *testing.T) {
	for _, tc := range []struct {
		reason         string
		change         func(*v1beta2.BGPPeerSpec)
		field, message string
	}{
		{"no AS of ours", func(s *v1beta2.BGPPeerSpec) { s.MyASN = 0 }, "spec.myASN", "allowed are 1 to"},
		{"none with localASN either", func(s *v1beta2.BGPPeerSpec) { s.MyASN, s.LocalASN = 0, 64999 }, "spec.myASN", "allowed are 1 to"},
		{"no AS of the router's", func(s *v1beta2.BGPPeerSpec) { s.ASN = 0 }, "spec.peerASN", "or spec.dynamicASN"},
		{"two answers", func(s *v1beta2.BGPPeerSpec) { s.DynamicASN = v1beta2.InternalASNMode }, "spec.dynamicASN", `"internal" beside spec.peerASN 64513`},
		{"no such mode", func(s *v1beta2.BGPPeerSpec) { s.ASN, s.DynamicASN = 0, "both" }, "spec.dynamicASN", `"both": allowed are internal and external`},
		{"hops within the AS", func(s *v1beta2.BGPPeerSpec) { s.ASN, s.EBGPMultiHop = 64512, true }, "spec.ebgpMultiHop", "AS 64512 is on both ends"},

		{"no place", func(s *v1beta2.BGPPeerSpec) { s.Address = "" }, "spec.peerAddress", "or spec.interface"},
		{"two places", func(s *v1beta2.BGPPeerSpec) { s.Interface = "eth0" }, "spec.interface", `"eth0" beside spec.peerAddress "10.0.0.1"`},
		{"a name", func(s *v1beta2.BGPPeerSpec) { s.Address = "router" }, "spec.peerAddress", `"router": allowed is the address of one host`},
		{"a prefix", func(s *v1beta2.BGPPeerSpec) { s.Address = "10.0.0.0/24" }, "spec.peerAddress", `"10.0.0.0/24": allowed`},
		{"many hosts", func(s *v1beta2.BGPPeerSpec) { s.Address = "224.0.0.5" }, "spec.peerAddress", `"224.0.0.5": allowed`},
		{"no host", func(s *v1beta2.BGPPeerSpec) { s.Address = "::" }, "spec.peerAddress", `"::": allowed`},
		{"a zone", func(s *v1beta2.BGPPeerSpec) { s.Address = "fe80::1%eth0" }, "spec.peerAddress", "without a zone"},
		{"link-local, on no link", func(s *v1beta2.BGPPeerSpec) { s.Address = "fe80::1" }, "spec.peerAddress", "allowed is spec.interface"},
		{"no name of an interface", func(s *v1beta2.BGPPeerSpec) { s.Address, s.Interface = "", "eth0/1" }, "spec.interface", `"eth0/1" is no name`},
		{"a name too long", func(s *v1beta2.BGPPeerSpec) { s.VRFName = "sixteenletters00" }, "spec.vrf", "up to 15 characters"},
		{"a source of the other family", func(s *v1beta2.BGPPeerSpec) { s.SrcAddress = "2001:db8::9" }, "spec.sourceAddress", "can't reach 10.0.0.1: allowed is an IPv4 address"},
		{"a source that is none", func(s *v1beta2.BGPPeerSpec) { s.SrcAddress = "eth0" }, "spec.sourceAddress", `"eth0": allowed`},
		{"a router ID of 128 bits", func(s *v1beta2.BGPPeerSpec) { s.RouterID = "2001:db8::9" }, "spec.routerID", "allowed are IPv4 addresses"},
		{"a router ID of 0", func(s *v1beta2.BGPPeerSpec) { s.RouterID = "0.0.0.0" }, "spec.routerID", "but 0.0.0.0"},
		{"a router ID that is a number", func(s *v1beta2.BGPPeerSpec) { s.RouterID = "1" }, "spec.routerID", `"1": allowed`},

		{"a hold time between", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(2) }, "spec.holdTime", "2s makes a hold time of 2s: allowed are 0 and 3s"},
		{"a hold time that derives from too short a time", func(s *v1beta2.BGPPeerSpec) { s.KeepaliveTime = seconds(-1) }, "spec.keepaliveTime", "allowed are 0 and 3s"},
		{"a hold time without end", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(65536) }, "spec.holdTime", "to 18h12m15s"},
		{"a derived one without end", func(s *v1beta2.BGPPeerSpec) { s.KeepaliveTime = seconds(30000) }, "spec.keepaliveTime", "8h20m0s makes a hold time of 25h"},
		{"a negative one", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(-90) }, "spec.holdTime", "-1m30s"},
		{"keepalives too late", func(s *v1beta2.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = seconds(9), seconds(10) }, "spec.keepaliveTime", "10s: allowed are 0 to the hold time, 9s"},
		{"keepalives where there are none", func(s *v1beta2.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = seconds(0), seconds(1) }, "spec.keepaliveTime", "to the hold time, 0s"},
		{"keepalives in the past", func(s *v1beta2.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = seconds(9), seconds(-1) }, "spec.keepaliveTime", "-1s"},
		{"no pause at all", func(s *v1beta2.BGPPeerSpec) { s.ConnectTime = seconds(0) }, "spec.connectTime", "0s: allowed are 1s to"},
		{"too long a pause", func(s *v1beta2.BGPPeerSpec) { s.ConnectTime = seconds(65536) }, "spec.connectTime", "allowed are 1s to"},

		{"two passwords", func(s *v1beta2.BGPPeerSpec) { s.Password, s.PasswordSecret.Name = "hunter2", "tor" }, "spec.passwordSecret", `"tor" beside spec.password: allowed is one`},
		{"a password longer than Linux takes", func(s *v1beta2.BGPPeerSpec) { s.Password = strings.Repeat("hunter2", 12) }, "spec.password", "84 bytes: allowed are up to 80"},
		{"BFD where no packet of it comes through", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile, s.VRFName = "fast", "red" }, "spec.bfdProfile", `"fast" beside spec.vrf "red"`},
		{"no such profile", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "fast" }, "spec.bfdProfile", `"fast" is no BFDProfile`},
		{"selectors that are none", atNodes(metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "rack", Operator: "Is"}}}),
			"spec.nodeSelectors[0]", "not a label selector"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, _ := routed()
			c.BGPPeers[0] = peer("r1", "10.0.0.1", tc.change)
			v, problems := Compile(c)
			checkProblems(t, problems, "BGPPeer r1", tc.field, tc.message)
			if got := v.Peers(); len(got) != 1 || got[0].Name != "r2" {
				t.Errorf("r2 alone is left: got %v", got)
			}
			if strings.Contains(fmt.Sprintf("%+v", problems), "hunter2") {
				t.Error("the password is told")
			}
		})
	}
}

// TestPeerTold: something is wrong with these, and the rest is followed.
func TestPeerTold(t *testing.T) {
	for _, tc := range []struct {
		reason         string
		change         func(*v1beta2.BGPPeerSpec)
		want           func(*Peer)
		field, message string
	}{
		{"parts of a second", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(9.5) },
			func(p *Peer) { p.HoldTime, p.KeepaliveTime = 9*time.Second, 3*time.Second }, "spec.holdTime", "9.5s is taken as 9s"},
		{"no keepalives in a hold time", func(s *v1beta2.BGPPeerSpec) { s.HoldTime, s.KeepaliveTime = seconds(9), seconds(0) },
			func(p *Peer) { p.HoldTime, p.KeepaliveTime = 9*time.Second, 3*time.Second }, "spec.keepaliveTime", "3s is taken"},
		{"a connect time in parts", func(s *v1beta2.BGPPeerSpec) { s.ConnectTime = seconds(1.25) },
			func(p *Peer) { p.ConnectTime = time.Second }, "spec.connectTime", "1.25s is taken as 1s"},
		{"a source on an unnumbered link", func(s *v1beta2.BGPPeerSpec) { s.Address, s.Interface, s.SrcAddress = "", "eth0", "10.0.0.8" },
			func(p *Peer) { p.Address, p.Interface, p.IPv6 = netip.Addr{}, "eth0", true }, "spec.sourceAddress", "not used with spec.interface"},
		{"a Secret elsewhere", func(s *v1beta2.BGPPeerSpec) {
			s.PasswordSecret = corev1.SecretReference{Name: "tor", Namespace: "other"}
		},
			func(p *Peer) { p.PasswordSecret = "tor" }, "spec.passwordSecret.namespace", `"other": Secret "tor" is read from namespace "berth-system"`},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			want := simplest()
			tc.want(&want)
			got, problems := onePeer(peer("r1", "10.0.0.1", tc.change))
			checkProblems(t, problems, "BGPPeer r1", tc.field, tc.message)
			if len(got) != 1 || got[0] != want {
				t.Errorf("got  %#v\nwant %#v", got, want)
			}
		})
	}
}

func TestHalfASecondIsNoHoldTime(t *testing.T) {
	got, problems := onePeer(peer("r1", "10.0.0.1", func(s *v1beta2.BGPPeerSpec) { s.HoldTime = seconds(0.5) }))
	checkProblems(t, problems,
		"BGPPeer r1", "spec.holdTime", "500ms is taken as 0s",
		"BGPPeer r1", "spec.holdTime", "500ms makes a hold time of 0s: allowed are 0 and 3s")
	if len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

// TestPeersOfNode tells which peers n1 has.
func TestPeersOfNode(t *testing.T) {
	onN1, onN2 := atNodes(match("name", "n1")), atNodes(match("name", "n2"))
	unnumbered := func(name, link string) *v1beta2.BGPPeer {
		return peer(name, "", func(s *v1beta2.BGPPeerSpec) { s.Interface = link })
	}
	red := func(s *v1beta2.BGPPeerSpec) { s.VRFName = "red" }
	for _, tc := range []struct {
		reason   string
		peers    []*v1beta2.BGPPeer
		want     string
		problems []string
	}{
		{"none", nil, "", nil},
		{"by name", []*v1beta2.BGPPeer{peer("b", "10.0.0.2"), peer("a", "10.0.0.1")}, "a b", nil},
		{"those that select it", []*v1beta2.BGPPeer{peer("a", "10.0.0.1", onN2), peer("b", "10.0.0.2", onN1), peer("c", "10.0.0.3", atNodes(match("name", "n2"), match("name", "n1")))}, "b c", nil},
		{"two with one address: the first by name", []*v1beta2.BGPPeer{peer("b", "10.0.0.1"), peer("a", "10.0.0.1")}, "a",
			[]string{"BGPPeer b", "spec.peerAddress", `"10.0.0.1" is that of BGPPeer "a" too, which has the session from node "n1"`}},
		{"one address in each VRF", []*v1beta2.BGPPeer{peer("a", "10.0.0.1"), peer("b", "10.0.0.1", red)}, "a b", nil},
		{"twice in one VRF", []*v1beta2.BGPPeer{peer("a", "10.0.0.1", red), peer("b", "10.0.0.1", red)}, "a",
			[]string{"BGPPeer b", "spec.peerAddress", `BGPPeer "a" too`}},
		{"one interface, which is in one VRF", []*v1beta2.BGPPeer{unnumbered("a", "eth0"), peer("b", "", red, func(s *v1beta2.BGPPeerSpec) { s.Interface = "eth0" })}, "a",
			[]string{"BGPPeer b", "spec.interface", `BGPPeer "a" too`}},
		{"one interface", []*v1beta2.BGPPeer{unnumbered("a", "eth0"), unnumbered("b", "eth0"), unnumbered("c", "eth1")}, "a c",
			[]string{"BGPPeer b", "spec.interface", `"eth0" is that of BGPPeer "a" too`}},
		{"one address on different nodes", []*v1beta2.BGPPeer{peer("a", "10.0.0.1", onN2), peer("b", "10.0.0.1", onN1)}, "b", nil},
		{"another node's quarrel", []*v1beta2.BGPPeer{peer("a", "10.0.0.1", onN2), peer("b", "10.0.0.1", onN2), peer("c", "10.0.0.1", onN1)}, "c", nil},
		{"one that is refused has no place", []*v1beta2.BGPPeer{peer("a", "10.0.0.1", func(s *v1beta2.BGPPeerSpec) { s.MyASN = 0 }), peer("b", "10.0.0.1")}, "b",
			[]string{"BGPPeer a", "spec.myASN", "allowed"}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c, _ := routed()
			c.BGPPeers = tc.peers
			v, problems := Compile(c)
			checkProblems(t, problems, tc.problems...)
			var got []string
			for _, p := range v.Peers() {
				got = append(got, p.Name)
			}
			if names := strings.Join(got, " "); names != tc.want {
				t.Errorf("got %q, want %q", names, tc.want)
			}
		})
	}
}

func TestNoNodeHasNoPeers(t *testing.T) {
	c, _ := routed()
	c.Self = ""
	if v, _ := Compile(c); len(v.Peers()) != 0 {
		t.Errorf("got %v", v.Peers())
	}
}

// TestRouterID: without an IPv4 address in the cluster it is made from the
// name, and must not move: routers compare it with that of the last session.
func TestRouterID(t *testing.T) {
	seen := map[netip.Addr]string{}
	for i := range 2000 {
		name := fmt.Sprint("node-", i)
		n := compileNodes([]Node{host(name)})[0]
		id := n.routerID()
		if !id.Is4() || id.As4()[0] == 0 || id.IsLoopback() || id.As4()[0] >= 224 {
			t.Errorf("%s: %s looks like no unicast address", name, id)
		}
		if other := seen[id]; other != "" {
			t.Errorf("%s and %s have %s", name, other, id)
		}
		seen[id] = name
	}
	if n := compileNodes([]Node{host("n1")})[0]; n.routerID().String() != "191.235.175.199" {
		t.Errorf("n1 moved to %s", n.routerID())
	}
}

func TestBFDProfile(t *testing.T) {
	plainBFD := BFD{Profile: "p", Transmit: 300 * time.Millisecond, Receive: 300 * time.Millisecond, Multiplier: 3}
	for _, tc := range []struct {
		reason   string
		change   func(*metallb.BFDProfileSpec)
		want     func(*BFD)
		problems []string
	}{
		{"says nothing", func(*metallb.BFDProfileSpec) {}, func(*BFD) {}, nil},
		{"says everything", func(s *metallb.BFDProfileSpec) {
			s.TransmitInterval, s.ReceiveInterval, s.DetectMultiplier = ptr.To[uint32](10), ptr.To[uint32](60000), ptr.To[uint32](255)
			s.PassiveMode, s.MinimumTTL, s.EchoInterval, s.EchoMode = ptr.To(true), ptr.To[uint32](254), ptr.To[uint32](50), ptr.To(false)
		}, func(b *BFD) {
			b.Transmit, b.Receive, b.Multiplier, b.Passive, b.MinTTL = 10*time.Millisecond, time.Minute, 255, true, 254
		}, nil},
		{"echo is told, the rest followed", func(s *metallb.BFDProfileSpec) { s.EchoMode, s.TransmitInterval = ptr.To(true), ptr.To[uint32](50) },
			func(b *BFD) { b.Transmit = 50 * time.Millisecond },
			[]string{"BFDProfile p", "spec.echoMode", "failures are detected by control packets at transmitInterval and receiveInterval, 50ms and 300ms"}},
		{"too fast", func(s *metallb.BFDProfileSpec) { s.ReceiveInterval = ptr.To[uint32](9) }, nil,
			[]string{"BFDProfile p", "spec.receiveInterval", "9: allowed are 10 to 60000"}},
		{"too slow", func(s *metallb.BFDProfileSpec) { s.TransmitInterval = ptr.To[uint32](60001) }, nil,
			[]string{"BFDProfile p", "spec.transmitInterval", "60001: allowed are 10 to 60000"}},
		{"at the first loss", func(s *metallb.BFDProfileSpec) { s.DetectMultiplier = ptr.To[uint32](1) }, nil,
			[]string{"BFDProfile p", "spec.detectMultiplier", "1: allowed are 2 to 255"}},
		{"no such TTL", func(s *metallb.BFDProfileSpec) { s.MinimumTTL = ptr.To[uint32](255) }, nil,
			[]string{"BFDProfile p", "spec.minimumTtl", "255: allowed are 1 to 254"}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			got, problems := onePeer(peer("r1", "10.0.0.1", func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "p" }), profile("p", tc.change))
			if tc.want == nil {
				tc.problems = append(tc.problems, "BGPPeer r1", "spec.bfdProfile", `"p" is a BFDProfile that can't be followed`)
				checkProblems(t, problems, tc.problems...)
				if len(got) != 0 {
					t.Errorf("a session without the detection that was asked for: %v", got)
				}
				return
			}
			checkProblems(t, problems, tc.problems...)
			want := plainBFD
			tc.want(&want)
			if len(got) != 1 || !reflect.DeepEqual(got[0].BFD, &want) {
				t.Errorf("got %+v, want %+v", got[0].BFD, want)
			}
		})
	}
}

func TestNoPasswordInLogs(t *testing.T) {
	p := Peer{Name: "r1", Password: "hunter2"}
	if text := fmt.Sprintf("%v %+v %s %v", p, p, dump(p), []Peer{p}); strings.Contains(text, "hunter2") {
		t.Error(text)
	}
}
