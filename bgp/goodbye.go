//go:build linux

package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// goodbye follows what a router is told last, up to its TCP.
type goodbye struct {
	peer   string
	conn   *net.TCPConn
	outbox *outbox
	// over is closed when the connection is gone, and every route with it.
	over <-chan struct{}
}

// await returns when all routers have acknowledged what they were told, or an
// error for those that had not when ctx ended.
func await(ctx context.Context, all []goodbye) error {
	var errs []error
	for _, g := range all {
		if err := g.wait(ctx); err != nil {
			errs = append(errs, fmt.Errorf("withdrawing from %s: %w", g.peer, err))
		}
	}
	return errors.Join(errs...)
}

func (g goodbye) wait(ctx context.Context) error {
	sent := g.outbox.allSent()
	// The kernel tells nobody when a queue is empty.
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := g.left(sent)
		if waiting == "" || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-g.over:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", waiting, ctx.Err())
		}
	}
}

// left says what is still to come, empty if there is nothing.
func (g goodbye) left(sent <-chan struct{}) (string, error) {
	select {
	case <-sent:
	default:
		return "not sent yet", nil
	}
	n, err := unacknowledged(g.conn)
	switch {
	case errors.Is(err, net.ErrClosed), err == nil && n == 0:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("looking whether it has arrived: %w", err)
	}
	return fmt.Sprintf("%d bytes not acknowledged", n), nil
}
