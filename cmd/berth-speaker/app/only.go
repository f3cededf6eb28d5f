package app

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

// onlyOne makes sure that no second speaker runs on the node, by a name that
// the kernel keeps for as long as the process lives, in the network namespace
// that is the node's.
func onlyOne(node string) (io.Closer, error) {
	lock, err := net.Listen("unix", "@berth-speaker-"+node)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another speaker runs on node %s already: stop it first, or let it be", node)
	}
	if err != nil {
		return nil, fmt.Errorf("making sure that no other speaker runs on node %s: %w", node, err)
	}
	return lock, nil
}
