package aws

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
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
	mu      sync.Mutex
	settled nodeSet
	coming  nodeSet
	// first and last are when coming began to differ, and when it changed last.
	first, last time.Time
}

type nodeSet struct {
	nodes []*corev1.Node
	sum   uint64
}

// settle returns the nodes to use in place of those that there are. Where that
// is not the same, it says when to ask again.
func (s *nodeSets) settle(nodes []*corev1.Node) (use []*corev1.Node, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, sum := time.Now(), sumOf(nodes)
	switch {
	case s.settled.nodes == nil, sum == s.settled.sum:
		s.settled = nodeSet{nodes, sum}
		return nodes, time.Time{}
	case sum != s.coming.sum || s.coming.nodes == nil:
		if s.coming.nodes == nil {
			s.first = now
		}
		s.coming, s.last = nodeSet{nodes, sum}, now
	}
	if due := s.due(); now.Before(due) {
		return s.settled.nodes, due
	}
	s.settled, s.coming = nodeSet{nodes, sum}, nodeSet{}
	return nodes, time.Time{}
}

func (s *nodeSets) due() time.Time {
	due, latest := s.last.Add(quiet), s.first.Add(longestGather)
	if latest.Before(due) {
		return latest
	}
	return due
}

// sumOf is of all that may decide whether a node is a target.
func sumOf(nodes []*corev1.Node) uint64 {
	sum := fnv.New64a()
	for _, n := range nodes {
		fmt.Fprintf(sum, "%s\x00%s\x00", n.Name, n.Spec.ProviderID)
		for _, key := range slices.Sorted(maps.Keys(n.Labels)) {
			fmt.Fprintf(sum, "%s=%s\x00", key, n.Labels[key])
		}
	}
	return sum.Sum64()
}
