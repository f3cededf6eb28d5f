//go:build linux

package bgp

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	good := Peer{MyASN: 1, PeerASN: 2, RouterID: ourID, Address: netip.MustParseAddr("192.0.2.1"), HoldTime: 90 * time.Second, IPv4: true}
	cases := []struct {
		why    string
		change func(*Peer)
		want   string // part of the error, empty for none
	}{
		{"good", func(*Peer) {}, ""},
		{"no keepalives", func(p *Peer) { p.HoldTime = 0 }, ""},
		{"not allowed on the wire", func(p *Peer) { p.HoldTime = 2 * time.Second }, "less than 3s"},
		{"nothing to exchange", func(p *Peer) { p.IPv4 = false }, "no address family"},
		{"nowhere", func(p *Peer) { p.Address = netip.Addr{} }, "neither an address nor an interface"},
		{"16 bytes do not fit", func(p *Peer) { p.RouterID = netip.IPv6Loopback() }, "router ID"},
		{"more than the kernel takes", func(p *Peer) { p.Password = strings.Repeat("x", 81) }, "longer than 80"},
		{"can't be bound", func(p *Peer) { p.Source = netip.IPv6Loopback() }, "different families"},
		{"on which interface?", func(p *Peer) { p.Address = netip.MustParseAddr("fe80::1") }, "link-local"},
	}
	for _, c := range cases {
		p := good
		c.change(&p)
		err := check(p)
		if got := err != nil; got != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.why, err, c.want)
		}
	}
}

func TestHops(t *testing.T) {
	four, six := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")
	self4, self6 := netip.IPv4Unspecified(), netip.IPv6Unspecified()
	both := locals{four, six}
	cases := []struct {
		why     string
		address string
		on      locals
		want    nextHops
	}{
		{"the address of the session, and the other of the interface", "192.0.2.1", both, nextHops{self4, six}},
		{"no IPv6 there: none is announced", "192.0.2.1", locals{v4: four}, nextHops{v4: self4}},
		{"a router without RFC 8950 understands the IPv4 address", "2001:db8::1", both, nextHops{four, self6}},
		{"there is none", "2001:db8::1", locals{v6: six}, nextHops{self4, self6}},
		{"unnumbered: an IPv4 address would not be on the link", "fe80::1%eth0", both, nextHops{self4, self6}},
	}
	for _, c := range cases {
		if got := hopsFor(netip.MustParseAddr(c.address), c.on); got != c.want {
			t.Errorf("%s: got %v, want %v", c.why, got, c.want)
		}
	}
}

func TestBFDHops(t *testing.T) {
	cases := []struct {
		why              string
		peerASN          uint32
		multihop, direct bool
		want             bool
	}{
		{"external, so next door", 2, false, true, false},
		{"external, though the route goes through a router", 2, false, false, false},
		{"external and far", 2, true, false, true},
		{"internal on a common network", 1, false, true, false},
		{"internal elsewhere", 1, false, false, true},
	}
	for _, c := range cases {
		p := Peer{MyASN: 1, PeerASN: c.peerASN, Multihop: c.multihop, BFD: &BFD{}}
		got := bfdConfig(p, netip.MustParseAddr("192.0.2.1"), route{via: "eth1", direct: c.direct})
		if got.Multihop != c.want {
			t.Errorf("%s: multihop %v", c.why, got.Multihop)
		}
	}
}
