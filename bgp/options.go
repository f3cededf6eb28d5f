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
