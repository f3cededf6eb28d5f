package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

const (
	// calm is how long all have to answer again before a cut is over.
	calm = 700 * time.Millisecond
	// hopeless is when nothing is expected to answer any more.
	hopeless = 20 * time.Second
)

// cut takes the power from the node that owns the addresses while a client asks
// all targets at that pace, and returns how long each of them did not answer.
// When it returns, another node owns the addresses, power is back, and the
// node's speaker ready.
func cut(ctx context.Context, s *site.Site, n *lab.Node, addrs []netip.Addr, every time.Duration, targets []netip.AddrPort) ([]time.Duration, error) {
	probes, err := s.Clients[0].Probe(lab.ProbeOptions{Every: every}, targets...)
	if err != nil {
		return nil, err
	}
	defer probes.Stop()
	if err := awaitAnswers(ctx, probes, len(targets), every); err != nil {
		return nil, fmt.Errorf("before the power is cut: %w", err)
	}
	// At any phase of the heartbeats.
	if err := pause(ctx, rand.N(200*time.Millisecond)); err != nil {
		return nil, err
	}
	at := time.Now()
	if err := s.CutPower(n); err != nil {
		return nil, err
	}
	if err := awaitAnswers(ctx, probes, len(targets), every); err != nil {
		return nil, fmt.Errorf("after the power of %s was cut: %w", n.Name, err)
	}
	var gaps []time.Duration
	for _, trace := range probes.Stop() {
		gaps = append(gaps, gapAfter(trace, at))
	}
	// A node that is back goes by the records.
	if _, err := awaitOwner(ctx, s, addrs, n); err != nil {
		return nil, err
	}
	if err := s.RestorePower(ctx, n); err != nil {
		return nil, err
	}
	return gaps, ready(ctx, s, n)
}

// awaitAnswers returns when all targets have answered for a while.
func awaitAnswers(ctx context.Context, probes *lab.Probes, targets int, every time.Duration) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	good := began // since when
	for time.Since(good) < calm {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if time.Since(began) > hopeless {
			return fmt.Errorf("not every address answers after %v", hopeless)
		}
		for i := range targets {
			if p := probes.Progress(i); p.Silence > max(100*time.Millisecond, 3*every) {
				good = time.Now()
				break
			}
		}
	}
	return nil
}

// gapAfter is the longest time without an answer that ends after that moment.
func gapAfter(t lab.Trace, at time.Time) time.Duration {
	var longest time.Duration
	for _, gap := range t.Gaps(0) {
		if gap.To > at.Sub(t.Began) {
			longest = max(longest, gap.Length())
		}
	}
	return longest
}
