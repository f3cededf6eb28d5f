package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/berth-lb/berth/e2e/site"
)

// measureBGPSpeaker has three nodes announce the addresses of a large cluster to
// four routers, and says what the speaker takes that takes the most.
func measureBGPSpeaker(ctx context.Context, b *bench) error {
	return withRouters(ctx, b, 3, slices.Concat(both, both), func(s *site.Site, g *ground) error {
		if err := g.gather(ctx, b, s); err != nil {
			return err
		}
		began := time.Now()
		if err := runSpeakers(ctx, s, s.Nodes...); err != nil {
			return err
		}
		if err := awaitAllRoutes(ctx, b, s); err != nil {
			return err
		}
		progress("  %d routers have %d routes by %d nodes after %v", len(s.Routers), b.large, len(s.Nodes), time.Since(began).Round(time.Second))
		if err := pause(ctx, settled); err != nil {
			return err
		}
		rest, err := worst(s, func() error { return pause(ctx, b.watch) })
		if err != nil {
			return err
		}
		what := fmt.Sprintf("%d BGP peers", len(s.Routers))
		b.add(loadFigure(fmt.Sprintf("%s: CPU at rest over %v", what, b.watch), b.large, rest, 1))
		return measureMemory(ctx, b, s, what+": ", 150)
	})
}

// awaitAllRoutes returns when every router sends what is for any address to all
// nodes.
func awaitAllRoutes(ctx context.Context, b *bench, s *site.Site) error {
	var prefixes []netip.Prefix
	for i := range b.large {
		prefixes = append(prefixes, single(addressOf(i)))
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for _, r := range s.Routers {
		if _, err := r.AwaitRoutes(ctx, prefixes, hops(netip.IPv4Unspecified(), s.Nodes...)...); err != nil {
			return err
		}
	}
	return nil
}
