package announce

import (
	"slices"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

// View is a Config made ready for decisions. None of them changes another, and it
// may be shared; it reads from the objects that it was made of, which must not change
// either.
type View struct {
	self string
	// own is the index of the node that asks, or absent.
	own   int
	nodes []node // by name
	pools []pool // by name
	spans []span
	// routers are the BGPPeers that are followed, by name, and classes the
	// different lists of them that nodes have.
	routers []router
	classes [][]int
	peers   []Peer
	// invalid names the advertisements that are left out, by kind.
	invalid map[string][]string
	memo    memo
}

// absent stands for no index.
const absent = -1

// node is a node with what decisions ask of it again and again.
type node struct {
	*corev1.Node
	speaker  *SpeakerReport
	obstacle trafficpolicy.Obstacle
	// late is set where the node controller believes it dead.
	late bool
	hash uint64
	// class is the index in View.classes of the routers that it has.
	class int
}

// pool is an IPAddressPool with what announces it. Each protocol has its own
// list.
type pool struct {
	name string
	l2   []*l2Advertisement // by name
	bgp  [families]offer
}

// Compile reads a Config. An object that breaks a rule is left out alone, and
// named in a Problem; where only a part of it can't be followed, a Problem says
// so, and the rest is. Entries of pools that are no ranges are passed over: who
// gives addresses reports them.
func Compile(c Config) (*View, []Problem) {
	v := &View{self: c.Self, nodes: compileNodes(c.Nodes), spans: compileSpans(c.Pools), invalid: map[string][]string{}}
	v.memo.plans = map[string]*plan{}
	v.own = slices.IndexFunc(v.nodes, func(n node) bool { return n.Name == c.Self })
	pools := sorted(c.Pools, func(p *metallb.IPAddressPool) string { return p.Name })
	for _, p := range pools {
		v.pools = append(v.pools, pool{name: p.Name})
	}
	var problems []Problem
	for _, a := range sorted(c.L2Advertisements, func(a *metallb.L2Advertisement) string { return a.Name }) {
		problems = append(problems, v.addL2(a, pools)...)
	}
	problems = append(problems, v.addPeers(c.BGPPeers, c.BFDProfiles)...)
	return v, append(problems, v.addBGPAdvertisements(c, pools)...)
}

func compileNodes(all []Node) []node {
	nodes := make([]node, 0, len(all))
	for _, n := range all {
		nodes = append(nodes, node{
			Node:     n.Node,
			speaker:  n.Speaker,
			obstacle: trafficpolicy.MayAnnounce(n.Node),
			late:     BelievedDead(n.Node),
			hash:     hashName(n.Name),
		})
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.Name, b.Name) })
	return nodes
}

// BelievedDead says whether the condition Ready is False or Unknown. A node
// that has none yet is new.
func BelievedDead(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status != corev1.ConditionTrue
		}
	}
	return false
}

// sorted returns a copy of all by name.
func sorted[T any](all []T, name func(T) string) []T {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	return all
}

// distinct returns names sorted and without duplicates, nil where there are
// none.
func distinct(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}
