package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// measurePrefixes has a speaker start where there are thousands of Services, and
// says how long after its sessions are established routers have all routes,
// beside a GoBGP that knows as many prefixes when it connects, the two taking
// turns. What one Service's change costs then is counted in messages.
func measurePrefixes(ctx context.Context, b *bench) error {
	return withRouters(ctx, b, 2, both, func(s *site.Site, g *ground) error {
		if err := withoutGracefulRestart(ctx, s); err != nil {
			return err
		}
		if err := g.gather(ctx, b, s); err != nil {
			return err
		}
		var prefixes []netip.Prefix
		for i := range b.large {
			prefixes = append(prefixes, single(addressOf(i)))
		}
		race, err := newRace(ctx, s, prefixes)
		if err != nil {
			return err
		}
		defer race.close()
		for i := range b.rounds {
			limit, err := race.bare(ctx)
			if err != nil {
				return err
			}
			took, err := race.speaker(ctx)
			if err != nil {
				return err
			}
			progress("  round %d of %d: %v, bare %v", i+1, b.rounds, took, limit)
			if i == b.rounds-1 {
				break
			}
			if err := race.stop(ctx); err != nil {
				return err
			}
		}
		race.figures(b)
		return countUpdates(ctx, b, s, g)
	})
}

// race is of a speaker on the first node and GoBGP on the second.
type race struct {
	site     *site.Site
	prefixes []netip.Prefix
	other    *bare
	wires    []*establishments
	// ours and limits are by router; those of all routers come last.
	ours, limits []distribution
	// twice counts sessions that were lost again and had to be begun anew.
	twice int
}

func newRace(ctx context.Context, s *site.Site, prefixes []netip.Prefix) (*race, error) {
	r := &race{site: s, prefixes: prefixes}
	r.ours, r.limits = make([]distribution, len(s.Routers)+1), make([]distribution, len(s.Routers)+1)
	for _, n := range s.Nodes {
		wire, err := watchEstablishments(n)
		if err != nil {
			return nil, err
		}
		r.wires = append(r.wires, wire)
	}
	var err error
	if r.other, err = startBare(ctx, s, s.Nodes[1]); err != nil {
		return nil, err
	}
	_, err = r.other.announce(prefixes...)
	return r, err
}

func (r *race) close() {
	for _, wire := range r.wires {
		wire.close()
	}
}

func (r *race) bare(ctx context.Context) ([]time.Duration, error) {
	r.wires[1].forget()
	if err := r.other.connect(); err != nil {
		return nil, err
	}
	took, err := r.took(ctx, 1, r.limits)
	if err != nil {
		return nil, err
	}
	if err := r.other.disconnect(); err != nil {
		return nil, err
	}
	return took, r.gone(ctx)
}

func (r *race) speaker(ctx context.Context) ([]time.Duration, error) {
	r.wires[0].forget()
	if len(r.site.Speakers) > 0 {
		if err := r.site.Speakers[0].Start(); err != nil {
			return nil, err
		}
	} else if err := runSpeakers(ctx, r.site, r.site.Nodes[0]); err != nil {
		return nil, err
	}
	return r.took(ctx, 0, r.ours)
}

func (r *race) stop(ctx context.Context) error {
	if err := r.site.Speakers[0].Stop(ctx); err != nil {
		return err
	}
	return r.gone(ctx)
}

// took is how long it was from a session to the last route, at each router, and
// at the one where that took longer: sessions that are not established at one
// moment give the first of them a start on the other.
func (r *race) took(ctx context.Context, node int, to []distribution) (took []time.Duration, err error) {
	var longest time.Duration
	for i, router := range r.site.Routers {
		routed, err := r.await(ctx, router, r.site.Nodes[node].IPv4)
		if err != nil {
			return nil, err
		}
		up, times, err := r.wires[node].when(router.IPv4)
		if err != nil {
			return nil, err
		}
		if r.twice += times - 1; times > 1 {
			progress("  %s and %s began their session %d times", r.site.Nodes[node].Name, router.Name, times)
		}
		to[i] = append(to[i], routed.Sub(up))
		took = append(took, routed.Sub(up).Round(time.Millisecond))
		longest = max(longest, routed.Sub(up))
	}
	to[len(to)-1] = append(to[len(to)-1], longest)
	return append(took, longest.Round(time.Millisecond)), nil
}

func (r *race) await(ctx context.Context, router *lab.Router, hops ...netip.Addr) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return router.AwaitRoutes(ctx, r.prefixes, hops...)
}

func (r *race) gone(ctx context.Context) error {
	for _, router := range r.site.Routers {
		if _, err := r.await(ctx, router); err != nil {
			return err
		}
	}
	return nil
}

func (r *race) figures(b *bench) {
	for i, ours := range r.ours {
		at := "the slower of both"
		if i < len(r.site.Routers) {
			at = string(software(r.site.Routers[i]))
		}
		ratio := median(ours).Seconds() / median(r.limits[i]).Seconds()
		b.add(figure{
			What:     fmt.Sprintf("%d Services: session established to last route in the kernel table of %s", len(r.prefixes), at),
			Measured: fmt.Sprintf("%s, %.2f x, of %d rounds", brieflyMS(median(ours)), ratio, len(ours)) + r.lost(),
			Limit:    "bare GoBGP: " + brieflyMS(median(r.limits[i])),
			Target:   "within 1.5 x",
			Met:      ratio <= 1.5,
		})
	}
}

// lost says how many sessions were begun twice, if any were.
func (r *race) lost() string {
	if r.twice == 0 {
		return ""
	}
	return fmt.Sprintf("; %d sessions began twice", r.twice)
}

// countUpdates takes addresses away and gives them back, and counts the UPDATE
// messages that reach FRR.
func countUpdates(ctx context.Context, b *bench, s *site.Site, g *ground) error {
	before, err := updatesAt(ctx, s.Routers[0], s.Nodes[0])
	if err != nil {
		return err
	}
	for i := range b.changes {
		if err := changeOne(ctx, s, g, i/2, i%2 == 1); err != nil {
			return err
		}
	}
	after, err := updatesAt(ctx, s.Routers[0], s.Nodes[0])
	if err != nil {
		return err
	}
	b.add(figure{
		What:     fmt.Sprintf("UPDATE messages at FRR for %d changes of one Service each, among %d", b.changes, b.large),
		Measured: fmt.Sprint(after - before),
		Limit:    fmt.Sprint(b.changes),
		Target:   "one a change",
		Met:      after-before == b.changes,
	})
	return nil
}

func updatesAt(ctx context.Context, r *lab.Router, n *lab.Node) (int, error) {
	neighbours, err := r.Neighbours(ctx)
	return neighbours[n.IPv4].Updates, err
}

// changeOne returns when all routers know that the i-th Service has an address,
// or has none.
func changeOne(ctx context.Context, s *site.Site, g *ground, i int, has bool) error {
	svc, err := g.client.CoreV1().Services(namespace).Get(ctx, name(i), metav1.GetOptions{})
	if err != nil {
		return err
	}
	var addrs, want []netip.Addr
	if has {
		addrs, want = []netip.Addr{addressOf(i)}, []netip.Addr{s.Nodes[0].IPv4}
	}
	if err := g.give(ctx, svc, addrs...); err != nil {
		return fmt.Errorf("changing %s: %w", svc.Name, err)
	}
	for _, r := range s.Routers {
		if _, err := awaitRoute(ctx, r, single(addressOf(i)), want...); err != nil {
			return err
		}
	}
	return nil
}
