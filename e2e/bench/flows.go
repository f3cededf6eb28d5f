package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
)

// flows are questions by UDP from ports of their own, so that a router that
// spreads flows by port sends each its own way.
type flows []*lab.Probes

// startFlows asks each target from as many ports.
func startFlows(from *lab.Client, each int, targets ...netip.AddrPort) (flows, error) {
	var all flows
	for _, target := range targets {
		for range each {
			one, err := from.Probe(lab.ProbeOptions{Every: probePace}, target)
			if err != nil {
				all.stop()
				return nil, err
			}
			all = append(all, one)
		}
	}
	return all, nil
}

// await returns when all flows have been answered for a while.
func (f flows) await(ctx context.Context) error {
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
		silent := 0
		for _, one := range f {
			if one.Progress(0).Silence > broken {
				silent++
			}
		}
		if silent > 0 {
			good = time.Now()
		}
		if time.Since(began) > hopeless {
			return fmt.Errorf("%d of %d flows are not answered after %v", silent, len(f), hopeless)
		}
	}
	return nil
}

func (f flows) stop() (traces []lab.Trace) {
	for _, one := range f {
		traces = append(traces, one.Stop()...)
	}
	return traces
}

// broken is a silence that only those flows have that went by a dead node: it
// is less than any router takes to notice, and more than anything else takes.
const broken = 100 * time.Millisecond

// gapsAfter are those of the flows that were broken then.
func gapsAfter(traces []lab.Trace, at time.Time) (gaps distribution) {
	for _, trace := range traces {
		if gap := gapAfter(trace, at); gap > broken {
			gaps = append(gaps, gap)
		}
	}
	return gaps
}
