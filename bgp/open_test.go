//go:build linux

package bgp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

var (
	ourID   = netip.MustParseAddr("10.0.0.1")
	theirID = netip.MustParseAddr("10.0.0.2")
)

func ours() Peer {
	return Peer{
		MyASN: 64512, PeerASN: 64600, RouterID: ourID, HoldTime: 90 * time.Second, KeepaliveTime: 30 * time.Second, IPv4: true, IPv6: true,
	}
}

// offer is the body of an OPEN.
func offer(asn uint16, hold uint16, id netip.Addr, caps ...bgp.ParameterCapabilityInterface) []byte {
	m, err := bgp.NewBGPOpenMessage(asn, hold, id, []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)})
	if err != nil {
		panic(err)
	}
	return wire(m)[headerLength:]
}

func TestAgree(t *testing.T) {
	v4, v6, four := bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC), bgp.NewCapFourOctetASNumber(64600)
	graceful := bgp.NewCapGracefulRestart(false, false, 120, nil)
	extended := bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6)})
	whole := agreement{asn: 64600, families: families{true, true}, hold: 90 * time.Second, keepalive: 30 * time.Second, fourOctets: true}
	but := func(change func(*agreement)) agreement {
		a := whole
		change(&a)
		return a
	}
	cases := []struct {
		why  string
		peer func(*Peer)
		open []byte
		want agreement
	}{
		{"all", nil, offer(64600, 90, theirID, v4, v6, four), whole},
		{"without capabilities it is IPv4, and short numbers", nil, offer(64600, 90, theirID),
			but(func(a *agreement) { a.families.v6, a.fourOctets = false, false })},
		{"one family", nil, offer(64600, 90, theirID, v6, four), but(func(a *agreement) { a.families.v4 = false })},
		{"none in common", func(p *Peer) { p.IPv4 = false }, offer(64600, 90, theirID, v4, four), but(func(a *agreement) { a.families = families{} })},
		{"a long number", func(p *Peer) { p.PeerASN = 4200000000 }, offer(bgp.AS_TRANS, 90, theirID, v4, v6, bgp.NewCapFourOctetASNumber(4200000000)),
			but(func(a *agreement) { a.asn = 4200000000 })},
		{"any number but the own one", func(p *Peer) { p.PeerASN = 0 }, offer(64600, 90, theirID, v4, v6, four), whole},
		{"the shorter hold time: theirs", nil, offer(64600, 9, theirID, v4, v6, four),
			but(func(a *agreement) { a.hold, a.keepalive = 9*time.Second, 3*time.Second })},
		{"the shorter hold time: ours", func(p *Peer) { p.HoldTime = 60 * time.Second }, offer(64600, 180, theirID, v4, v6, four),
			but(func(a *agreement) { a.hold, a.keepalive = 60*time.Second, 20*time.Second })},
		{"keepalives more often than need be", func(p *Peer) { p.KeepaliveTime = 2 * time.Second }, offer(64600, 90, theirID, v4, v6, four),
			but(func(a *agreement) { a.keepalive = 2 * time.Second })},
		{"no keepalives, since they want none", nil, offer(64600, 0, theirID, v4, v6, four), but(func(a *agreement) { a.hold, a.keepalive = 0, 0 })},
		{"no keepalives, since none are wanted here", func(p *Peer) { p.HoldTime = 0 }, offer(64600, 90, theirID, v4, v6, four),
			but(func(a *agreement) { a.hold, a.keepalive = 0, 0 })},
		{"they would help", nil, offer(64600, 90, theirID, v4, v6, four, graceful), whole},
		{"they help", func(p *Peer) { p.GracefulRestart = true }, offer(64600, 90, theirID, v4, v6, four, graceful),
			but(func(a *agreement) { a.graceful = true })},
		{"they don't", func(p *Peer) { p.GracefulRestart = true }, offer(64600, 90, theirID, v4, v6, four), whole},
		{"IPv6 next hops", nil, offer(64600, 90, theirID, v4, v6, four, extended), but(func(a *agreement) { a.extended = true })},
		{"one router ID in two ASes (RFC 6286)", nil, offer(64600, 90, ourID, v4, v6, four), whole},
	}
	for _, c := range cases {
		p := ours()
		if c.peer != nil {
			c.peer(&p)
		}
		if got, no := agree(p, c.open); no != nil || got != c.want {
			t.Errorf("%s: got %+v, %+v, want %+v", c.why, got, no, c.want)
		}
	}
}

func TestRefuse(t *testing.T) {
	other := offer(64600, 90, theirID)
	other[0] = 3
	broken := offer(64600, 90, theirID, bgp.NewCapFourOctetASNumber(64600))
	broken[len(broken)-5]-- // the length of the capability
	cases := []struct {
		why     string
		peer    func(*Peer)
		open    []byte
		subcode uint8
		data    string
		problem string
	}{
		{"another version", nil, other, 1, "\x00\x04", "version 3"},
		{"another AS", nil, offer(64999, 90, theirID), 2, "", "in AS 64999, not in 64600"},
		{"no AS (RFC 7607)", func(p *Peer) { p.PeerASN = 0 }, offer(0, 90, theirID), 2, "", "in AS 0"},
		{"the own AS, where another one is wanted", func(p *Peer) { p.PeerASN = 0 }, offer(64512, 90, theirID), 2, "", "has to be in another one"},
		{"no router ID", nil, offer(64600, 90, netip.IPv4Unspecified()), 3, "", "router ID 0.0.0.0"},
		{"the own router ID inside an AS", func(p *Peer) { p.PeerASN = p.MyASN }, offer(64512, 90, ourID), 3, "", "router ID 10.0.0.1"},
		{"a hold time that there isn't", nil, offer(64600, 2, theirID), 6, "", "hold time of 2s"},
		{"a capability that is cut off", nil, broken, 0, "", "not BGP"},
	}
	for _, c := range cases {
		p := ours()
		if c.peer != nil {
			c.peer(&p)
		}
		_, no := agree(p, c.open)
		if no == nil || no.code != bgp.BGP_ERROR_OPEN_MESSAGE_ERROR || no.subcode != c.subcode || string(no.data) != c.data ||
			!strings.Contains(no.problem, c.problem) {
			t.Errorf("%s: got %+v, want 2/%d %q", c.why, no, c.subcode, c.problem)
		}
	}
}

// What this end offers is what routers have to agree to.
func TestOpen(t *testing.T) {
	cases := []struct {
		why     string
		peer    func(*Peer)
		address string
		want    []bgp.BGPCapabilityCode
		asn     uint16
	}{
		{"both families over IPv4", nil, "192.0.2.1", []bgp.BGPCapabilityCode{1, 1, 2, 65}, 64512},
		{"IPv4 over IPv6", nil, "2001:db8::1", []bgp.BGPCapabilityCode{1, 1, 2, 5, 65}, 64512},
		{"IPv6 alone", func(p *Peer) { p.IPv4 = false }, "2001:db8::1", []bgp.BGPCapabilityCode{1, 2, 65}, 64512},
		{"restarts", func(p *Peer) { p.GracefulRestart = true }, "192.0.2.1", []bgp.BGPCapabilityCode{1, 1, 2, 64, 65}, 64512},
		{"a long number", func(p *Peer) { p.MyASN = 4200000000 }, "192.0.2.1", []bgp.BGPCapabilityCode{1, 1, 2, 65}, bgp.AS_TRANS},
	}
	for _, c := range cases {
		p := ours()
		if c.peer != nil {
			c.peer(&p)
		}
		data, err := openMessage(p, netip.MustParseAddr(c.address))
		if err != nil {
			t.Fatal(err)
		}
		var open bgp.BGPOpen
		if err := open.DecodeFromBytes(data[headerLength:]); err != nil {
			t.Fatal(err)
		}
		var got []bgp.BGPCapabilityCode
		for _, one := range capabilities(&open) {
			got = append(got, one.Code())
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) || open.MyAS != c.asn || open.HoldTime != 90 || open.ID != ourID {
			t.Errorf("%s: got %v in %+v, want %v", c.why, got, open, c.want)
		}
		if a := offered(&open); a.asn != p.MyASN || a.families != (families{p.IPv4, p.IPv6}) || a.graceful != p.GracefulRestart {
			t.Errorf("%s: read back it is %+v", c.why, a)
		}
	}
}

// Whatever an OPEN says, what comes of it can be kept.
func FuzzAgree(f *testing.F) {
	f.Add(offer(64600, 90, theirID))
	f.Add(offer(64600, 3, theirID, bgp.NewCapFourOctetASNumber(64600), bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC),
		bgp.NewCapGracefulRestart(true, true, 120, []*bgp.CapGracefulRestartTuple{bgp.NewCapGracefulRestartTuple(bgp.RF_IPv4_UC, true)}),
		bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6)}),
		bgp.NewCapFQDN("router", "example"), bgp.NewCapSoftwareVersion("1.0")))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > maxMessage-headerLength {
			return
		}
		a, no := agree(ours(), body)
		if no != nil {
			if no.code != bgp.BGP_ERROR_OPEN_MESSAGE_ERROR || len(no.problem) > 300 || strings.ContainsAny(no.problem, "\x00\x1b\n") {
				t.Errorf("%+v", no)
			}
			return
		}
		if a.asn != 64600 || a.hold != 0 && (a.hold < leastHold || a.hold > 90*time.Second || a.keepalive > a.hold/3) {
			t.Errorf("%+v", a)
		}
	})
}
