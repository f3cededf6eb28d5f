package announce

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
)

// router is a BGPPeer that is followed.
type router struct {
	// Peer lacks a RouterID where that of the node is meant.
	Peer
	// nodes are those that have a session with it, as indexes of View.nodes,
	// whether a speaker runs there or not.
	nodes []int
}

// Peers are the routers that Self is to have a session with, sorted by name.
func (v *View) Peers() []Peer { return slices.Clone(v.peers) }

// addPeers resolves all against the nodes.
func (v *View) addPeers(all []*v1beta2.BGPPeer, profiles []*metallb.BFDProfile) []Problem {
	known, problems := bfdProfiles(profiles)
	for _, p := range sorted(all, func(p *v1beta2.BGPPeer) string { return p.Name }) {
		r := reader{object: "BGPPeer " + p.Name}
		nodes := r.selectors("spec.nodeSelectors", p.Spec.NodeSelectors)
		peer := r.peer(p, known)
		if !r.refused {
			v.addRouter(router{Peer: peer, nodes: v.selectedNodes(nodes)}, &r)
		}
		problems = append(problems, r.problems...)
	}
	v.classify()
	v.peers = v.ownPeers()
	return problems
}

func (v *View) selectedNodes(s selectors) []int {
	var selected []int
	for i := range v.nodes {
		if s.match(v.nodes[i].Labels) {
			selected = append(selected, i)
		}
	}
	return selected
}

// addRouter adds one, but for the nodes where another has its place already: a
// node has one session with an address, or one in each VRF.
func (v *View) addRouter(added router, r *reader) {
	for _, before := range v.routers {
		if !before.sameRouter(&added.Peer) {
			continue
		}
		if contains(before.nodes, v.own) && contains(added.nodes, v.own) {
			field, value := "spec.peerAddress", added.Address.String()
			if added.Interface != "" {
				field, value = "spec.interface", added.Interface
			}
			r.tell(field, "%q is that of BGPPeer %q too, which has the session from node %q: allowed is one for a node, so let spec.nodeSelectors part them", value, before.Name, v.self)
		}
		added.nodes = slices.DeleteFunc(added.nodes, func(i int) bool { return contains(before.nodes, i) })
	}
	v.routers = append(v.routers, added)
}

// sameRouter says that both are where one router is. An interface is in one VRF,
// whatever is said of it.
func (p *Peer) sameRouter(other *Peer) bool {
	if p.Interface != "" || other.Interface != "" {
		return p.Interface == other.Interface
	}
	return p.Address == other.Address && p.Device == other.Device
}

// contains says whether i is in sorted.
func contains(sorted []int, i int) bool {
	_, found := slices.BinarySearch(sorted, i)
	return found
}

// classify finds the nodes that have the same routers: mostly there is one
// class, or one for each rack.
func (v *View) classify() {
	lists := make([][]int, len(v.nodes))
	for i := range v.routers {
		for _, n := range v.routers[i].nodes {
			lists[n] = append(lists[n], i)
		}
	}
	classes := map[string]int{}
	var key []byte
	for i, list := range lists {
		key = key[:0]
		for _, router := range list {
			key = binary.AppendUvarint(key, uint64(router))
		}
		class, known := classes[string(key)]
		if !known {
			class = len(v.classes)
			classes[string(key)] = class
			v.classes = append(v.classes, list)
		}
		v.nodes[i].class = class
	}
}

func (v *View) ownPeers() []Peer {
	if v.own == absent {
		return nil
	}
	var peers []Peer
	for _, i := range v.classes[v.nodes[v.own].class] {
		peer := v.routers[i].Peer
		if !peer.RouterID.IsValid() {
			peer.RouterID = v.nodes[v.own].routerID()
		}
		peers = append(peers, peer)
	}
	return peers
}

// routerID is the IPv4 address of n in the cluster, or where it has none a
// number made from its name that looks like a unicast address: RFC 6286 asks
// only that it is unique in the AS and not 0, older routers for more.
func (n *node) routerID() netip.Addr {
	for _, a := range n.Status.Addresses {
		address, err := netip.ParseAddr(a.Address)
		if a.Type == corev1.NodeInternalIP && err == nil && address.Is4() && !address.IsUnspecified() {
			return address
		}
	}
	const loopback, multicast = 127, 224
	var id [4]byte
	binary.BigEndian.PutUint32(id[:], uint32(n.hash^n.hash>>32))
	id[0] = 1 + id[0]%(multicast-2)
	if id[0] >= loopback {
		id[0]++
	}
	return netip.AddrFrom4(id)
}

// routerNames are those of all BGPPeers that are followed.
func (v *View) routerNames() []string {
	names := make([]string, len(v.routers))
	for i := range v.routers {
		names[i] = v.routers[i].Name
	}
	return names
}

func noSuchPeer(name string, known []string) string {
	if len(known) == 0 {
		return fmt.Sprintf("%q is no BGPPeer, and there is none: create it", name)
	}
	return fmt.Sprintf("%q is no BGPPeer: allowed are %s", name, list(known))
}
