package announce

import (
	"net/netip"
	"time"
)

// Peer is a router that Self is to have a BGP session with, as a BGPPeer asks
// for it, checked and with what is derived filled in.
type Peer struct {
	// Name is that of the BGPPeer.
	Name string
	// MyASN is the AS number of this end, the BGPPeer's localASN where that is
	// set. PeerASN is that of the router; 0, for dynamicASN external, stands for
	// any but MyASN.
	MyASN, PeerASN uint32
	// Address is where the router is, the zero value where Interface is set: the
	// only router there is meant then.
	Address   netip.Addr
	Interface string
	// Port is the router's TCP port.
	Port uint16
	// Source is the address to connect from, the zero value for any.
	Source netip.Addr
	// RouterID is an IPv4 address: the node's own unless the BGPPeer has one.
	RouterID netip.Addr
	// Device is the VRF device to connect through, empty for none.
	Device string
	// HoldTime, KeepaliveTime and ConnectTime are whole seconds. A HoldTime of 0
	// means that neither end sends keepalives (RFC 4271 section 4.2). ConnectTime,
	// that between attempts to connect, is never 0.
	HoldTime, KeepaliveTime, ConnectTime time.Duration
	// IPv4 and IPv6 are the families of prefixes that are exchanged.
	IPv4, IPv6 bool
	// Multihop is set for external sessions over more than one hop only: internal
	// ones go over any distance.
	Multihop bool
	// GracefulRestart asks the router to keep forwarding while the speaker is
	// started anew (RFC 4724).
	GracefulRestart bool
	// Password is for TCP MD5 signatures (RFC 2385). PasswordSecret names the
	// Secret that it is in, in the installation's namespace, and whoever has
	// Secrets fills in Password from there.
	Password       string `json:"-"`
	PasswordSecret string
	// BFD is how the router is watched besides, nil where it is not. It is shared
	// and must not be modified.
	BFD *BFD
}

// String is the name, so that no log shows a password.
func (p Peer) String() string { return p.Name }

// BFD is a BFDProfile with its defaults filled in.
type BFD struct {
	// Profile is the name of the BFDProfile.
	Profile           string
	Transmit, Receive time.Duration
	Multiplier        uint8
	Passive           bool
	// MinTTL counts for multihop only, 0 for any.
	MinTTL uint8
}

// Path is what some peers are told about a prefix. Paths are shared, and must
// not be modified.
type Path struct {
	// Peers are names of Peers of Self, sorted.
	Peers []string
	Attributes
}

// Attributes are those of a path that advertisements decide on.
type Attributes struct {
	// LocalPref is told to internal peers; 0 leaves the default.
	LocalPref uint32
	// Prepend is how often the AS number is put into the path in addition.
	Prepend uint8
	// Communities (RFC 1997) and LargeCommunities (RFC 8092) are sorted.
	Communities      []uint32
	LargeCommunities []LargeCommunity
	// Standby is set where another node comes first for what one node alone may
	// announce: LocalPref and Prepend see to it that routers send nothing here while
	// they have a path to that one.
	Standby bool
}

// LargeCommunity is the three parts of an RFC 8092 community.
type LargeCommunity [3]uint32

// BGP is what is decided about announcing one address by BGP from Self.
type BGP struct {
	Address netip.Addr
	// Pool is the one that the address is in, empty where none has it.
	Pool string
	// Routes are the prefixes that Self announces for the address, sorted:
	// several where advertisements aggregate differently.
	Routes []Route
	// Local is set where the Service is Local and Self announces the address
	// unless it answers the health check of the Service with a failure: whoever
	// decides has to ask for that answer. It does not depend on Input.Health.
	Local bool
	// Reason and Message say why there is no Route. They are empty where Self
	// is merely not among the nodes that announce.
	Reason, Message string
}

// Route is a prefix with what peers are told about it. No peer is named twice;
// the Paths are sorted by their first peer.
type Route struct {
	Prefix netip.Prefix
	Paths  []Path
}

// Reach is who announces one address by BGP, as everybody can see it: what the
// health checks of Services answer on their nodes is not known elsewhere.
type Reach struct {
	Address netip.Addr
	Pool    string
	// Announcers are sorted by node.
	Announcers []Announcer
	// Reason and Message say why there are none. ReasonNotAdvertised with an
	// empty Pool is an address of no pool. Whether sessions are up is not known
	// here: see ReasonNoSession.
	Reason, Message string
}

// Announcer is a node with the peers that it announces to, sorted. The list is
// shared, and must not be modified.
type Announcer struct {
	Node  string
	Peers []string
}
