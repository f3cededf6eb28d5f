//go:build linux

// Package bgp announces prefixes to routers: it keeps the sessions that it is
// told to, and makes what each router knows what it should.
package bgp

import (
	"net/netip"
	"time"
)

// Peer is a router to have a session with.
type Peer struct {
	// Name tells peers apart.
	Name string
	// MyASN is the AS number of this end. PeerASN is that of the router; 0 stands
	// for any but MyASN.
	MyASN, PeerASN uint32
	// Address is where the router is; where it is not set, it is the only router
	// on Interface, and found by its link-local address (RFC 4861, RFC 8950).
	Address   netip.Addr
	Interface string
	Port      uint16
	// RouterID is an IPv4 address that no other router has.
	RouterID netip.Addr
	// Source is the address to connect from, and Device the VRF device to connect
	// through; each may be left out.
	Source netip.Addr
	Device string
	// HoldTime, KeepaliveTime and ConnectTime are whole seconds. A HoldTime of 0
	// means that neither end sends keepalives (RFC 4271 section 4.2).
	HoldTime, KeepaliveTime, ConnectTime time.Duration
	IPv4, IPv6                           bool
	Multihop, GracefulRestart            bool
	// Password is for TCP MD5 signatures (RFC 2385), empty for none.
	Password string
	// BFD does not work through a Device.
	BFD *BFD
}

// BFD is how a router is watched besides.
type BFD struct {
	Transmit, Receive time.Duration
	Multiplier        uint8
	Passive           bool
	MinTTL            uint8
}

// Path is what some peers are told about a prefix.
type Path struct {
	Peers            []string
	LocalPref        uint32
	Prepend          uint8
	Communities      []uint32
	LargeCommunities [][3]uint32
}

// Session is what a session is like at one moment.
type Session struct {
	Peer string
	// Address is where the router is, the zero value while it is looked for.
	Address netip.Addr
	State   State
	// LacksIPv4 and LacksIPv6 say that it is Established and carries no such
	// prefixes, though they were asked for.
	LacksIPv4, LacksIPv6 bool
	// Since is when Established was reached or lost.
	Since time.Time
	// Error is why the session is not Established, lacks a family, or was lost
	// last, in words for users; never a secret.
	Error string
	// Prefixes is how many the router has been told of, and Updates how many UPDATE
	// messages were sent since the peer was first set, but for End-of-RIB.
	Prefixes int
	Updates  uint64
	// BFD is the state of that session, empty where there is none.
	BFD string
}

// State is that of the session by RFC 4271 section 8.2.2.
type State string

// The states of a session.
const (
	Idle        State = "Idle"
	Connect     State = "Connect"
	Active      State = "Active"
	OpenSent    State = "OpenSent"
	OpenConfirm State = "OpenConfirm"
	Established State = "Established"
)
