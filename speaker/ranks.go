package speaker

import (
	"cmp"
	"hash/fnv"
	"slices"
	"time"
)

const (
	// writers is how many speakers look after a record that nobody owns, one
	// after the other: enough for four of them to be down.
	writers = 5
	// writerDelay is what each leaves to the one before it.
	writerDelay = 200 * time.Millisecond
)

// peer is a node where a speaker runs, as far as is known.
type peer struct {
	name string
	// down is set while its kubelet does not report.
	down bool
}

// rank is the place of self among those that write a record which belongs to no
// node that announces: the node on record is first, if its speaker may still be
// there, then all others in an order that each record shuffles anew, so that
// the work is spread. Speakers that are likely to be down come last. ok is
// false where self need not write at all.
func rank(self, record, recorded string, peers []peer) (place int, ok bool) {
	me, found := peer{}, false
	for _, p := range peers {
		if p.name == self {
			me, found = p, true
		}
	}
	if !found {
		return 0, false
	}
	for _, p := range peers {
		if p.name != self && before(p, me, record, recorded) {
			place++
		}
	}
	return place, place < writers
}

// before says whether a writes before b.
func before(a, b peer, record, recorded string) bool {
	if a.down != b.down {
		return b.down
	}
	if (a.name == recorded) != (b.name == recorded) {
		return a.name == recorded
	}
	return cmp.Or(cmp.Compare(weight(a.name, record), weight(b.name, record)), cmp.Compare(a.name, b.name)) < 0
}

// weight is the place of a node in the order of a record.
func weight(node, record string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(record))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(node))
	// The last letters of the name have not reached all bits yet.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}

// sortPeers makes peers comparable.
func sortPeers(peers []peer) {
	slices.SortFunc(peers, func(a, b peer) int { return cmp.Compare(a.name, b.name) })
}
