package speaker

import (
	"maps"
	"net/netip"
	"slices"
)

// maxOrder is how many nodes of the order of an address are passed on: who
// announces it, the standbys, and some in case that several nodes are lost at
// once.
const maxOrder = 5

// Claim is what this node knows about one address.
type Claim struct {
	// Order names the nodes that may announce the address, the one that should
	// first, at most maxOrder of them. It is empty where nobody may.
	Order []string
	// Recorded is the node on record as announcing it, empty where none is.
	Recorded string
	// Interfaces are those of this node that may be used, sorted; nil stands
	// for all.
	Interfaces []string
}

func (c Claim) equal(d Claim) bool {
	return c.Recorded == d.Recorded && slices.Equal(c.Order, d.Order) &&
		(c.Interfaces == nil) == (d.Interfaces == nil) && slices.Equal(c.Interfaces, d.Interfaces)
}

// Host is a node as layer 2 reaches it.
type Host struct {
	Addresses []netip.Addr
	// Hardware is the hardware addresses of the interfaces on which it announces,
	// by their names, as far as they are reported.
	Hardware map[string]string
}

func (h Host) equal(other Host) bool {
	return slices.Equal(h.Addresses, other.Addresses) && maps.Equal(h.Hardware, other.Hardware)
}

// Layer2 announces addresses by ARP and NDP. Its methods return at once and
// are called by one goroutine. Neither side changes what they are given.
//
// It tells through Speaker.Held when this node begins or ceases to announce an
// address, and through Speaker.Interfaces which interfaces there are, the first
// time before anything is claimed, even if there is none.
type Layer2 interface {
	// Claim says who may announce the address. Repeating it changes nothing.
	Claim(address netip.Addr, c Claim)
	// Unclaim says that nothing is served under the address any more: it falls
	// silent at once. One that was never claimed is no mistake.
	Unclaim(address netip.Addr)
	// SetPeers tells of all nodes by name, this one included.
	SetPeers(peers map[string]Host)
	// Synced says that all claims have been made once, so that announcing may
	// begin. It is called once.
	Synced()
}
