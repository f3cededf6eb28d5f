package app

import (
	"context"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/bgp"
	"github.com/berth-lb/berth/speaker"
)

// What announce says of a peer reaches bgp whole: a field that is new there has
// to be passed on.
func TestPeersArePassedOnWhole(t *testing.T) {
	from := announce.Peer{
		Name: "tor", MyASN: 1, PeerASN: 2, Address: netip.MustParseAddr("10.0.0.1"), Interface: "eth0", Port: 1179,
		Source: netip.MustParseAddr("10.0.0.2"), RouterID: netip.MustParseAddr("10.0.0.3"), Device: "red",
		HoldTime: 3 * time.Second, KeepaliveTime: time.Second, ConnectTime: 2 * time.Second,
		IPv4: true, IPv6: true, Multihop: true, GracefulRestart: true, Password: "s3cret",
		BFD: &announce.BFD{Transmit: 1, Receive: 2, Multiplier: 3, Passive: true, MinTTL: 4},
	}
	to := peerOf(from)
	for _, at := range []reflect.Value{reflect.ValueOf(to), reflect.ValueOf(*to.BFD)} {
		for i := range at.NumField() {
			if at.Field(i).IsZero() {
				t.Errorf("%s of %s is not passed on", at.Type().Field(i).Name, at.Type())
			}
		}
	}
	if to.Source != from.Source || to.RouterID != from.RouterID || to.HoldTime != from.HoldTime || to.KeepaliveTime != from.KeepaliveTime ||
		to.ConnectTime != from.ConnectTime || to.MyASN != 1 || to.PeerASN != 2 || *to.BFD != (bgp.BFD{Transmit: 1, Receive: 2, Multiplier: 3, Passive: true, MinTTL: 4}) {
		t.Errorf("got %+v", to)
	}
	if again := peerOf(announce.Peer{}); again.BFD != nil {
		t.Error("BFD out of nothing")
	}
}

func TestPathsAreSharedByPrefixes(t *testing.T) {
	r := newRouters(logr.Discard(), &listener{})
	paths := []announce.Path{{Peers: []string{"tor"}, Attributes: announce.Attributes{
		LocalPref: 200, Prepend: 2, Communities: []uint32{1}, LargeCommunities: []announce.LargeCommunity{{1, 2, 3}}}}}
	want := []bgp.Path{{Peers: []string{"tor"}, LocalPref: 200, Prepend: 2, Communities: []uint32{1}, LargeCommunities: [][3]uint32{{1, 2, 3}}}}
	first := r.convert(paths)
	if !reflect.DeepEqual(first, want) {
		t.Errorf("got %+v, want %+v", first, want)
	}
	if again := r.convert(paths); &again[0] != &first[0] {
		t.Error("the same paths are kept twice")
	}
	for range 3 * maxConverted {
		r.convert([]announce.Path{{Peers: []string{"tor"}}})
	}
	if len(r.converted) > maxConverted {
		t.Errorf("%d are remembered", len(r.converted))
	}
	if r.convert(nil) != nil {
		t.Error("paths out of nothing")
	}
}

// A speaker that has announced nothing ends at once.
func TestRoutersEnd(t *testing.T) {
	told := &listener{}
	r := newRouters(logr.Discard(), told)
	r.speaker = speaker.New(speaker.Options{Node: "a", BGP: r, Log: logr.Discard()})
	told.Speaker = r.speaker
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.run(ctx); err != nil {
		t.Error(err)
	}
}
