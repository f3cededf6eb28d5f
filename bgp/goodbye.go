//go:build linux

package bgp

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"
)

// goodbye follows a withdrawal of everything from one router to its end.
type goodbye struct {
	peer string
	conn connection

	mu   sync.Mutex
	left map[netip.Prefix]struct{}
	// heldBack: the session was so new that nothing had been sent. The End-of-RIB
	// of an empty table comes in place of the withdrawals.
	heldBack bool
	done     bool
	all      chan struct{} // closed when nothing is left
}

func newGoodbye(peer string, conn connection, prefixes []netip.Prefix) *goodbye {
	g := &goodbye{peer: peer, conn: conn, left: map[netip.Prefix]struct{}{}, all: make(chan struct{})}
	for _, p := range prefixes {
		g.left[p] = struct{}{}
	}
	g.hear(note{})
	return g
}

// hear notes what was written to the connection.
func (g *goodbye) hear(n note) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heldBack = g.heldBack || n.kind == heldBack
	for _, p := range n.withdrawn {
		delete(g.left, p)
	}
	if g.heldBack && n.endOfRIB != 0 {
		maps.DeleteFunc(g.left, func(p netip.Prefix, _ struct{}) bool { return family(p) == n.endOfRIB })
	}
	if len(g.left) == 0 && !g.done {
		g.done = true
		close(g.all)
	}
}

// lost says that the session has gone, and every route with it.
func (g *goodbye) lost() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.left)
	if !g.done {
		g.done = true
		close(g.all)
	}
}

// wait returns when the router's TCP has acknowledged all, or when ctx ends.
func (g *goodbye) wait(ctx context.Context) error {
	select {
	case <-g.all:
	case <-ctx.Done():
		return g.late(ctx, "not sent yet")
	}
	// The kernel tells nobody when a queue is empty.
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		waiting, err := g.conn.unacknowledged()
		if err != nil {
			return err
		}
		if waiting == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return g.late(ctx, "not acknowledged")
		}
	}
}

func (g *goodbye) late(ctx context.Context, what string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return fmt.Errorf("%d prefixes, %s: %w", len(g.left), what, ctx.Err())
}
