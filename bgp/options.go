//go:build linux

package bgp

import "github.com/go-logr/logr"

// Options are what an Announcer is made with.
type Options struct {
	Log logr.Logger
	// OnChange is told the name of a peer whose Session changed, came or went. It
	// is called without locks and must not block.
	OnChange func(peer string)
	// BFDPort and BFDMultihopPort are the UDP ports of BFD, 3784 and 4784 if 0.
	BFDPort, BFDMultihopPort uint16
}

// Counters are what was done for a peer since it was first set.
type Counters struct {
	// Updates is how many UPDATE messages were sent, but for End-of-RIB.
	Updates uint64
	// Prefixes is how many the router has been told of, 0 while it is down.
	Prefixes int
	// Up and BFDUp say whether the sessions stand.
	Up, BFDUp bool
	// Lost is how often the session was lost.
	Lost uint64
}
