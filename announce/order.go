package announce

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/berth-lb/berth/trafficpolicy"
)

// rank is what a candidate's place in the order comes from.
type rank struct {
	node int // index of View.nodes, which are by name
	tier tier
	// weight is what the advertisements prefer.
	weight int64
	// score spreads the addresses over the nodes.
	score uint64
}

// tier orders candidates before anything else does.
type tier uint8

const (
	// ownerTier comes first, believed dead or not: the segment tells sooner than
	// the node controller, and coming back is no reason to take over. Nor is that its
	// endpoints are going: they serve until the health check of the Service fails.
	ownerTier tier = iota
	plainTier
	// drainedTier are those whose endpoints are all terminating while others have
	// a ready one, under Local: that check fails there, or will before long.
	drainedTier
	// lateTier are those that the node controller believes dead.
	lateTier
)

// order returns the names of those places that may announce the address, who
// should first.
func (v *View) order(q question, places []place) []string {
	owner, moves := q.Owners[q.address], q.drains() && v.moves(q, nodesOf(places))
	ranks := make([]rank, 0, len(places))
	for _, p := range places {
		n := &v.nodes[p.node]
		if v.obstacle(q, n) == trafficpolicy.NoObstacle {
			ranks = append(ranks, rank{p.node, q.tier(n, owner, moves), p.weight, score(n.hash, q.address)})
		}
	}
	slices.SortFunc(ranks, compareRanks)
	if len(ranks) == 0 {
		return nil
	}
	names := make([]string, len(ranks))
	for i, r := range ranks {
		names[i] = v.nodes[r.node].Name
	}
	return names
}

// drains says whether pods terminate and that matters.
func (q question) drains() bool {
	return isLocal(q.Service) && slices.ContainsFunc(q.endpoints, terminating)
}

// moves says whether those of nodes whose endpoints are all terminating come after
// others, since there is a ready one where the address can be announced. What Self
// answers to the health check does not count, so that all nodes agree.
func (v *View) moves(q question, nodes []int) bool {
	q.Health = trafficpolicy.Silent
	return slices.ContainsFunc(nodes, func(i int) bool {
		n := &v.nodes[i]
		return !n.late && q.readyOn(n.Name) && v.obstacle(q, n) == trafficpolicy.NoObstacle
	})
}

func (q question) readyOn(name string) bool {
	return slices.ContainsFunc(q.on(name), func(e trafficpolicy.Endpoint) bool { return !e.Terminating })
}

func terminating(e trafficpolicy.Endpoint) bool { return e.Terminating }

func (q question) tier(n *node, owner string, moves bool) tier {
	switch {
	case n.Name == owner:
		return ownerTier
	case n.late:
		return lateTier
	case moves && !q.readyOn(n.Name):
		return drainedTier
	}
	return plainTier
}

func compareRanks(a, b rank) int {
	if c := cmp.Compare(a.tier, b.tier); c != 0 {
		return c
	}
	if c := cmp.Compare(b.weight, a.weight); c != 0 {
		return c
	}
	if c := cmp.Compare(b.score, a.score); c != 0 {
		return c
	}
	return cmp.Compare(a.node, b.node)
}

// Rendezvous hashing: each address goes to the node with the highest score for
// it, so that a node that comes or goes moves none but its own addresses. The
// scores are part of the protocol between speakers of different versions and
// must never change.
const (
	fnvOffset uint64 = 14695981039346656037
	fnvPrime  uint64 = 1099511628211
)

// hashName is FNV-1a; score goes on with the address.
func hashName(name string) uint64 {
	h := fnvOffset
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * fnvPrime
	}
	return h
}

// score hashes the name and the 16 bytes of address. FNV alone leaves addresses
// that differ in the last byte near each other, hence the finalizer, that of
// SplitMix64.
func score(name uint64, address netip.Addr) uint64 {
	h := name
	for _, b := range address.As16() {
		h = (h ^ uint64(b)) * fnvPrime
	}
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
