//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"time"
)

// TellBFD is Tell for FRR's bfdd, such as "bfd", "profile lab" and "shutdown".
func (r *Routing) TellBFD(ctx context.Context, lines ...string) error {
	if _, ok := r.engine.(frr); !ok {
		return fmt.Errorf("telling %s: it is not FRR", r.on)
	}
	questions := append([]string{"enable", "configure terminal"}, lines...)
	if _, err := askVTY(ctx, filepath.Join(r.dir, "bfdd.vty"), questions...); err != nil {
		return fmt.Errorf("telling BFD on %s: %w", r.on, err)
	}
	return nil
}

// BFDRemote is what neighbours last said of their own timers, with FRR only: the
// interval is the one at which they would transmit.
func (r *Routing) BFDRemote(ctx context.Context) (map[netip.Addr]BFDTimers, error) {
	if _, ok := r.engine.(frr); !ok {
		return nil, fmt.Errorf("asking %s for BFD timers: it is not FRR", r.on)
	}
	var seen []struct {
		Peer       netip.Addr
		Interval   int64 `json:"remote-transmit-interval"`
		Multiplier int   `json:"remote-detect-multiplier"`
	}
	if err := askJSON(ctx, filepath.Join(r.dir, "bfdd.vty"), "show bfd peers json", &seen); err != nil {
		return nil, fmt.Errorf("asking %s for BFD timers: %w", r.on, err)
	}
	all := map[netip.Addr]BFDTimers{}
	for _, s := range seen {
		all[s.Peer] = BFDTimers{Interval: time.Duration(s.Interval) * time.Millisecond, Multiplier: s.Multiplier}
	}
	return all, nil
}
