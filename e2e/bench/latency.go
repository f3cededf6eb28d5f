package main

import (
	"context"
	"fmt"
	"time"
)

// measureLatency measures the time from the creation of one Service to the
// address seen by a watcher, beside two writes by a bare client, the two taking
// turns, on a small cluster and on a large one.
func measureLatency(ctx context.Context, b *bench) error {
	return withGround(ctx, b, func(g *ground) error {
		if err := g.pool(ctx, "10.128.0.0/12"); err != nil {
			return err
		}
		seen, err := g.watchServed(ctx)
		if err != nil {
			return err
		}
		defer seen.stop()
		p, err := g.serve(ctx, b, g.Kubeconfig())
		if err != nil {
			return err
		}
		before := 0
		var small, smallLimit time.Duration
		for _, n := range []int{100, b.large} {
			if err := g.fill(ctx, before, n); err != nil {
				return err
			}
			before = n
			if err := seen.until(ctx, p.Done(), "all to be served", func() bool { return seen.count() >= n }); err != nil {
				return err
			}
			// The events of the filling are still being written.
			if err := pause(ctx, 20*time.Second); err != nil {
				return err
			}
			ours, limits, err := g.alternate(ctx, b, n, seen, p.Done())
			if err != nil {
				return err
			}
			for _, pc := range []int{50, 99} {
				took, limit := percentile(ours, pc), percentile(limits, pc)
				ratio := took.Seconds() / limit.Seconds()
				b.add(figure{
					What:     fmt.Sprintf("one Service among %d: creation to address seen, p%d", n, pc),
					Measured: fmt.Sprintf("%s, %.2f x", ms(took), ratio),
					Limit:    "two writes by the bare client: " + ms(limit),
					Target:   "within 1.5 x",
					Met:      ratio <= 1.5,
				})
			}
			if n == 100 {
				small, smallLimit = median(ours), median(limits)
				continue
			}
			growth := median(ours).Seconds() / small.Seconds()
			limit := median(limits).Seconds() / smallLimit.Seconds()
			b.add(figure{
				What:     fmt.Sprintf("growth of that p50 from 100 to %d Services", n),
				Measured: fmt.Sprintf("%.2f x", growth),
				Limit:    fmt.Sprintf("that of the bare client: %.2f x", limit),
				Target:   "no growth",
				Met:      growth <= 1.1,
			})
		}
		return nil
	})
}

// alternate creates a Service for the controller and one for the bare client in
// turn, and returns how long each took.
func (g *ground) alternate(ctx context.Context, b *bench, round int, seen *served, gone <-chan struct{}) (ours, limits []time.Duration, err error) {
	foreign := "example.com/bare"
	for i := range b.samples {
		mine := fmt.Sprintf("one-%d-%d", round, i)
		if _, err := g.create(ctx, service(mine, nil)); err != nil {
			return nil, nil, err
		}
		created := time.Now()
		var at time.Time
		err := seen.until(ctx, gone, mine, func() (ok bool) { at, ok = seen.when(mine); return ok })
		if err != nil {
			return nil, nil, err
		}
		ours = append(ours, max(at.Sub(created), 0))

		bare := fmt.Sprintf("bare-%d-%d", round, i)
		if _, err := g.create(ctx, service(bare, &foreign)); err != nil {
			return nil, nil, err
		}
		began := time.Now()
		if err := g.bare(ctx, 1<<19+round+i, bare); err != nil {
			return nil, nil, err
		}
		limits = append(limits, time.Since(began))
	}
	return ours, limits, nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
