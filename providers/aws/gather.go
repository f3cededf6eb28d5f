package aws

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// quiet is how long no node may have come or gone before targets follow, so
	// that nodes that come together are registered together.
	quiet = time.Second
	// longestGather bounds how long that may take.
	longestGather = 5 * time.Second
)

// nodeSets holds back a changing set of nodes until it rests.
type nodeSets struct {
	mu sync.Mutex
	// begun says that there was a first set, which counts at once, and moving that
	// another one is coming.
	begun, moving   bool
	settled, coming nodeSet
	// first and last are when coming began to differ, and when it changed last.
	first, last time.Time
	// sums are of the nodes that were there last, by name.
	sums map[string]nodeSum
}

// nodeSet may be empty.
type nodeSet struct {
	nodes []*corev1.Node
	sum   uint64
}

// nodeSum is of one version of a node.
type nodeSum struct {
	uid     types.UID
	version string
	sum     uint64
}

// settle returns the nodes to use in place of those that there are. Where that
// is not the same, it says when to ask again.
func (s *nodeSets) settle(nodes []*corev1.Node) (use []*corev1.Node, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, sum := time.Now(), s.sumOf(nodes)
	switch {
	case !s.begun, sum == s.settled.sum:
		s.begun, s.moving, s.settled, s.coming = true, false, nodeSet{nodes, sum}, nodeSet{}
		return nodes, time.Time{}
	case !s.moving:
		s.moving, s.coming, s.first, s.last = true, nodeSet{nodes, sum}, now, now
	case sum != s.coming.sum:
		s.coming, s.last = nodeSet{nodes, sum}, now
	}
	if due := s.due(); now.Before(due) {
		return s.settled.nodes, due
	}
	s.settled, s.coming, s.moving = nodeSet{nodes, sum}, nodeSet{}, false
	return nodes, time.Time{}
}

func (s *nodeSets) due() time.Time {
	due, latest := s.last.Add(quiet), s.first.Add(longestGather)
	if latest.Before(due) {
		return latest
	}
	return due
}

// sumOf is of all that may decide whether a node is a target. What did not change
// is not looked at again: every Service asks, for every event.
func (s *nodeSets) sumOf(nodes []*corev1.Node) uint64 {
	if s.sums == nil || len(s.sums) > len(nodes) {
		s.sums = s.sumsOf(nodes) // without those that are gone
	}
	sum, part := fnv.New64a(), make([]byte, 8)
	for _, n := range nodes {
		known := s.sums[n.Name]
		if n.ResourceVersion == "" || known.uid != n.UID || known.version != n.ResourceVersion {
			known = nodeSum{n.UID, n.ResourceVersion, sumOf(n)}
			s.sums[n.Name] = known
		}
		binary.BigEndian.PutUint64(part, known.sum)
		_, _ = sum.Write(part) // does not fail
	}
	return sum.Sum64()
}

// sumsOf are the sums that are known of nodes.
func (s *nodeSets) sumsOf(nodes []*corev1.Node) map[string]nodeSum {
	sums := make(map[string]nodeSum, len(nodes))
	for _, n := range nodes {
		if known, ok := s.sums[n.Name]; ok {
			sums[n.Name] = known
		}
	}
	return sums
}

func sumOf(n *corev1.Node) uint64 {
	sum := fnv.New64a()
	fmt.Fprintf(sum, "%s\x00%s\x00", n.Name, n.Spec.ProviderID)
	for _, key := range slices.Sorted(maps.Keys(n.Labels)) {
		fmt.Fprintf(sum, "%s=%s\x00", key, n.Labels[key])
	}
	return sum.Sum64()
}
