//go:build linux

package bgp

import (
	"net/netip"
	"testing"

	"github.com/berth-lb/berth/bfd"
)

// A router that nobody relies on any more is not watched again when BFD that
// failed is begun anew.
func TestWatchForgetsWhileBFDIsAway(t *testing.T) {
	k := bfd.Config{Peer: netip.MustParseAddr("192.0.2.1")}.Key()
	one, other := &link{}, &link{}
	w := watch{watched: map[bfd.Key]bfd.Config{k: {}}, users: map[bfd.Key]map[*link]struct{}{k: {one: {}, other: {}}}}
	w.remove(one, k)
	if len(w.watched) != 1 {
		t.Error("it is not watched for the other one")
	}
	w.remove(other, k)
	if len(w.watched)+len(w.users) != 0 {
		t.Errorf("%v is still watched", w.watched)
	}
}

// What kept BFD from running is no trouble of today once it runs.
func TestWatchForgetsWhyBFDWasAway(t *testing.T) {
	k := bfd.Config{Peer: netip.MustParseAddr("192.0.2.1")}.Key()
	l := &link{}
	w := watch{problem: "BFD does not run: address already in use", users: map[bfd.Key]map[*link]struct{}{k: {l: {}}}}
	w.trouble(k, nil)
	if w.problem != "" || l.bfdProblem != "" {
		t.Errorf("it is %q, and %q", w.problem, l.bfdProblem)
	}
}
