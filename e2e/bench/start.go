package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// measureStart measures how long a controller that starts takes until all the
// Services that wait are served, beside a bare client that makes two writes for
// each of as many.
func measureStart(ctx context.Context, b *bench) error {
	for _, n := range []int{3000, b.large} {
		var ours, limits []time.Duration
		var ratios []float64
		for range b.rounds {
			limit, err := bareStart(ctx, b, n)
			if err != nil {
				return err
			}
			took, err := controllerStart(ctx, b, n)
			if err != nil {
				return err
			}
			progress("  %d Services: %v, bare %v", n, took.Round(time.Millisecond), limit.Round(time.Millisecond))
			ours, limits = append(ours, took), append(limits, limit)
			ratios = append(ratios, took.Seconds()/limit.Seconds())
		}
		ratio := median(ratios)
		b.add(figure{
			What:     fmt.Sprintf("%d waiting Services served after the start", n),
			Measured: fmt.Sprintf("%.1f s, %.2f x", median(ours).Seconds(), ratio),
			Limit:    fmt.Sprintf("bare client, %d workers, 2 writes each: %.1f s", b.workers, median(limits).Seconds()),
			Target:   "within 1.25 x",
			Met:      ratio <= 1.25,
		})
	}
	return nil
}

func bareStart(ctx context.Context, b *bench, n int) (took time.Duration, err error) {
	err = withGround(ctx, b, func(g *ground) error {
		if err := g.fill(ctx, 0, n); err != nil {
			return err
		}
		began := time.Now()
		err := g.each(n, func(i int) error { return g.bare(ctx, i, name(i)) })
		took = time.Since(began)
		return err
	})
	return took, err
}

func controllerStart(ctx context.Context, b *bench, n int) (took time.Duration, err error) {
	err = withGround(ctx, b, func(g *ground) error {
		if err := g.pool(ctx, "10.128.0.0/12"); err != nil {
			return err
		}
		if err := g.fill(ctx, 0, n); err != nil {
			return err
		}
		seen, err := g.watchServed(ctx)
		if err != nil {
			return err
		}
		defer seen.stop()
		began := time.Now()
		p, err := g.serve(ctx, b, g.Kubeconfig())
		if err != nil {
			return err
		}
		err = seen.until(ctx, p.Done(), "all to be served", func() bool { return seen.count() >= n })
		took = time.Since(began)
		return err
	})
	return took, err
}

type ordered interface{ ~int64 | ~float64 }

func median[T ordered](values []T) T { return percentile(values, 50) }

// percentile returns the smallest value that p percent do not exceed.
func percentile[T ordered](values []T, p int) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}
