package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// soon is what a speaker is given to take note of a Service and its endpoints,
// before the Service gets its address.
const soon = 30 * time.Millisecond

// measureRoute gives Services their addresses one by one, and says when routers
// have the route in the kernel, beside a GoBGP that is told of a prefix, the two
// taking turns.
//
// FRR adds 60 ms by itself: bgpd collects changes for 50 ms, zebra for 10 ms.
// What a speaker takes shows at BIRD, which has no such pauses.
func measureRoute(ctx context.Context, b *bench) error {
	return withRouters(ctx, b, 2, both, func(s *site.Site, g *ground) error {
		if err := runSpeakers(ctx, s, s.Nodes[0]); err != nil {
			return err
		}
		other, err := startBare(ctx, s, s.Nodes[1])
		if err != nil {
			return err
		}
		if err := other.connect(); err != nil {
			return err
		}
		if err := awaitSessions(ctx, s, s.Nodes...); err != nil {
			return err
		}
		took := map[*lab.Router]*legs{}
		for _, r := range s.Routers {
			took[r] = &legs{}
		}
		for i := range b.routes {
			if err := routeOnce(ctx, s, g, other, i, took); err != nil {
				return err
			}
			if (i+1)%50 == 0 {
				progress("  %d of %d Services: at BIRD %v", i+1, b.routes, took[s.Routers[1]].ours)
			}
		}
		for _, r := range s.Routers {
			b.add(took[r].figure(software(r)))
		}
		return nil
	})
}

// legs are the times to the routes of one router: from the answer to the write
// of the status, from its request, and from the call of a bare GoBGP.
type legs struct{ ours, sent, limit distribution }

func routeOnce(ctx context.Context, s *site.Site, g *ground, other *bare, i int, took map[*lab.Router]*legs) error {
	svc, err := g.lonely(ctx, s, i)
	if err != nil {
		return err
	}
	if err := pause(ctx, soon); err != nil {
		return err
	}
	sent := time.Now()
	if err := g.give(ctx, svc, addressOf(i)); err != nil {
		return err
	}
	written := time.Now()
	for _, r := range s.Routers {
		at, err := awaitRoute(ctx, r, single(addressOf(i)), s.Nodes[0].IPv4)
		if err != nil {
			return err
		}
		took[r].ours = append(took[r].ours, max(0, at.Sub(written)))
		took[r].sent = append(took[r].sent, at.Sub(sent))
	}
	if err := pause(ctx, soon); err != nil {
		return err
	}
	prefix := single(netip.AddrFrom4([4]byte{10, 100, byte(i >> 8), byte(i)}))
	called, err := other.announce(prefix)
	if err != nil {
		return err
	}
	for _, r := range s.Routers {
		at, err := awaitRoute(ctx, r, prefix, s.Nodes[1].IPv4)
		if err != nil {
			return err
		}
		took[r].limit = append(took[r].limit, at.Sub(called))
	}
	return nil
}

func awaitRoute(ctx context.Context, r *lab.Router, prefix netip.Prefix, hops ...netip.Addr) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, site.Patience)
	defer cancel()
	return r.AwaitRoute(ctx, prefix, hops...)
}

func (l *legs) figure(at lab.Software) figure {
	ratio := l.ours.p(99).Seconds() / l.limit.p(99).Seconds()
	return figure{
		What:     fmt.Sprintf("Service status written to route in %s's kernel table, %d Services", at, len(l.ours)),
		Measured: fmt.Sprintf("%v, p99 %.2f x; from the request to write it: %v", l.ours, ratio, l.sent),
		Limit:    fmt.Sprintf("bare GoBGP, call to route: %v", l.limit),
		Target:   "p99 under 50 ms, within 2 x",
		Met:      l.ours.p(99) < 50*time.Millisecond && ratio <= 2,
	}
}
