package app

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// maxSocketName is the most that a name takes (unix(7), sun_path); those of nodes
// may be longer.
const maxSocketName = 107

// onlyOne makes sure that no second speaker runs on the node, by a name that
// the kernel keeps for as long as the process lives, in the network namespace
// that is the node's.
func onlyOne(node string) (io.Closer, error) {
	name := "@berth-speaker-" + node
	lock, err := net.Listen("unix", name[:min(len(name), maxSocketName)])
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another speaker runs on node %s already: stop it first, or let it be", node)
	}
	if err != nil {
		return nil, fmt.Errorf("making sure that no other speaker runs on node %s: %w", node, err)
	}
	return lock, nil
}
