// Package announce decides what one node announces for one Service, by which
// protocol, or why it does not. It is pure: values in, values out, sorted,
// nothing modified.
package announce

import (
	"net/netip"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

// Reasons why an address is not announced, besides those of trafficpolicy.
const (
	// ReasonNotAdvertised: no configuration asks any node to announce it.
	ReasonNotAdvertised = "NotAdvertised"
	// ReasonNoSession: nodes announce it by BGP, and none of them has a session
	// with a router. Whoever sees the sessions says so; decisions here do not.
	ReasonNoSession = "NoSession"
)

// Config is what an installation and its cluster look like, apart from
// Services.
type Config struct {
	Pools             []*metallb.IPAddressPool
	L2Advertisements  []*metallb.L2Advertisement
	BGPAdvertisements []*metallb.BGPAdvertisement
	BGPPeers          []*v1beta2.BGPPeer
	BFDProfiles       []*metallb.BFDProfile
	Communities       []*metallb.Community
	Nodes             []Node
	// Self is the node that asks.
	Self string
}

// Node is a node as decisions see it.
type Node struct {
	*corev1.Node
	// Speaker is what the speaker there reported last, nil where none ever did:
	// such a node is no candidate.
	Speaker *SpeakerReport
}

// SpeakerReport is what a speaker says of its node.
type SpeakerReport struct {
	// Closed is set while kube-proxy there answers that it can't serve.
	Closed bool
	// Interfaces are the names of those that can announce, sorted, and Hardware
	// is their hardware addresses by name: whose frames are whose.
	Interfaces []string
	Hardware   map[string]string
}

// Problem is why a configuration object, or a part of it, is not followed.
type Problem struct {
	// Object is kind and name, Field the path to what is wrong.
	Object, Field, Message string
}

// Input is the rest that a decision is made from: one Service.
type Input struct {
	Service        *corev1.Service
	EndpointSlices []*discoveryv1.EndpointSlice
	// Owners names for each address the node that is on record as announcing
	// it, if any.
	Owners map[netip.Addr]string
	// Health is what Self answers to the health check of the Service. Whoever is
	// no node leaves it Silent.
	Health trafficpolicy.Answer
}

// Layer2 is what is decided about announcing one address by ARP or NDP.
type Layer2 struct {
	Address netip.Addr
	// Pool is the one that the address is in. It is empty where none has it:
	// the address is then not this installation's to announce.
	Pool string
	// Candidates are the nodes that may announce the address, in the order in
	// which they should: the owner on record first, whatever its rank. All nodes
	// agree on it, but for what Input.Health says of Self.
	Candidates []string
	// Interfaces are the names of those that Self may use, sorted, whether they
	// exist there or not; nil stands for all. They are told also while Self is
	// no candidate, for as long as it hands the address over.
	Interfaces []string
	// Reason and Message say why there is no candidate.
	Reason, Message string
}
