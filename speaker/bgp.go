package speaker

import (
	"net/netip"
	"time"

	"github.com/berth-lb/berth/announce"
)

// BGP announces prefixes to routers. Its methods return at once. All but
// Sessions are called by one goroutine.
//
// It tells through Speaker.SessionChanged when a session is another one than
// before. There is no session, and no server of any kind, while there is no
// peer.
type BGP interface {
	// SetPeers says which routers to have sessions with, sorted by name, from now
	// on. What is given belongs to BGP.
	SetPeers(peers []announce.Peer)
	// Announce says what peers are told of the prefix, in place of what was said
	// before. Peers that are named and not among those of SetPeers are passed
	// over until they are. The paths are shared by prefixes and stay unchanged.
	Announce(prefix netip.Prefix, paths []announce.Path)
	// Withdraw says that nobody is told of the prefix any more.
	Withdraw(prefix netip.Prefix)
	// Synced says that everything has been announced once, so that sessions may
	// begin. It is called once.
	Synced()
	// Sessions are those that there are, sorted by peer.
	Sessions() []Session
}

// Session is what a session is like at one moment.
type Session struct {
	Peer string
	// Address is where the router is, the zero value while it is looked for.
	Address     netip.Addr
	Established bool
	// LacksIPv4 and LacksIPv6 say that the session is established and carries no
	// such prefixes, though the peer asks for them.
	LacksIPv4, LacksIPv6 bool
	// Since is when the session was established or lost, the zero value where it
	// has been neither.
	Since time.Time
	// Error is why the session is not established, lacks a family, or was lost
	// last, in words for users; never a secret.
	Error string
	// Prefixes is how many the router has been told of, and Updates how many
	// messages it took since the process began.
	Prefixes int
	Updates  uint64
	// BFD is the state of that session, empty where there is none.
	BFD string
}
