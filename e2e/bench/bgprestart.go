package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// talksEach is how many connections there are with each address, so that all
// nodes have some.
const talksEach = 6

// measureBGPRestart takes speakers and nodes out by intention, while a client
// behind a router asks for a page each 5 ms and keeps connections.
func measureBGPRestart(ctx context.Context, b *bench) error {
	return withSite(ctx, site.Options{Nodes: 4, Clients: -1, Routers: both}, func(s *site.Site) error {
		if err := bySession4(ctx, s); err != nil {
			return err
		}
		// Its pods stay.
		last := s.Nodes[3]
		if err := exclude(ctx, s, last, true); err != nil {
			return err
		}
		for i := range 2 {
			if _, err := last.StartPod(ctx, namespace, fmt.Sprint(app, i+1), app); err != nil {
				return err
			}
		}
		rounds := 0
		for _, w := range routedWays() {
			for _, r := range s.Routers {
				t := routedToll{}
				for range b.restarts {
					rounds++
					if err := t.round(ctx, s, w, r, rounds); err != nil {
						return fmt.Errorf("%s: %w", w.name, err)
					}
				}
				b.add(t.figure(w, software(r), b.restarts))
			}
		}
		return nil
	})
}

// routedWays are those of layer 2 as far as they are anything else here: a way
// that moves changes routes.
func routedWays() []way {
	nothing := func(context.Context, *site.Site, *lab.Node) error { return nil }
	again := func(end func(context.Context, *lab.Program) error) func(context.Context, *site.Site, *lab.Node) error {
		return func(ctx context.Context, s *site.Site, n *lab.Node) error {
			err := restart(ctx, s, n, func(p *lab.Program) error { return end(ctx, p) })
			return errors.Join(err, awaitSessions(ctx, s, n))
		}
	}
	return []way{
		{name: "a speaker: SIGTERM, start after 1 s", undo: nothing,
			do: again(func(ctx context.Context, p *lab.Program) error { return p.Stop(ctx) })},
		{name: "a speaker: SIGKILL, start after 1 s", undo: nothing,
			do: again(func(_ context.Context, p *lab.Program) error { p.Kill(); return nil })},
		{name: "all speakers, one after the other: SIGTERM, start", undo: nothing,
			do: func(ctx context.Context, s *site.Site, _ *lab.Node) error {
				return errors.Join(restartAll(ctx, s, nil), awaitSessions(ctx, s, s.Nodes...))
			}},
		{name: "a node excluded from load balancers", moves: true,
			do:   func(ctx context.Context, s *site.Site, n *lab.Node) error { return exclude(ctx, s, n, true) },
			undo: func(ctx context.Context, s *site.Site, n *lab.Node) error { return exclude(ctx, s, n, false) }},
		{name: "a node drained, externalTrafficPolicy Local", drains: true, local: true, moves: true, do: drain, undo: uncordon},
	}
}

// routedToll is a toll with what became of routes.
type routedToll struct {
	toll
	// kept of the routes were not touched.
	routes, kept int
}

// round takes out the first node, or its speaker.
func (t *routedToll) round(ctx context.Context, s *site.Site, w way, r *lab.Router, number int) error {
	svc, err := serveRound(ctx, s, w, number, site.Routed)
	if err != nil {
		return err
	}
	addrs, nodes := site.Addresses(svc), s.Nodes[:3]
	if w.drains {
		nodes = s.Nodes[:2]
	}
	before, err := routesOf(ctx, r, addrs, nodes)
	if err != nil {
		return err
	}
	if err := awaitPages(ctx, s, r.Remote, addrs); err != nil {
		return err
	}
	load, err := startRoutedLoad(ctx, r.Remote, addrs, w)
	if err != nil {
		return err
	}
	err = errors.Join(pause(ctx, aside), w.do(ctx, s, nodes[0]), pause(ctx, aside))
	if err := errors.Join(err, load.stop(&t.toll)); err != nil {
		return err
	}
	if w.moves {
		nodes = nodes[1:]
	}
	after, err := routesOf(ctx, r, addrs, nodes)
	if err != nil {
		return err
	}
	for i := range before {
		t.routes++
		if before[i].Equal(after[i]) {
			t.kept++
		}
	}
	return errors.Join(w.undo(ctx, s, s.Nodes[0]), s.API.Delete(ctx, svc))
}

// routesOf says since when the router sends packets for the addresses to exactly
// these nodes, once it does.
func routesOf(ctx context.Context, r *lab.Router, addrs []netip.Addr, nodes []*lab.Node) (since []time.Time, err error) {
	for _, addr := range addrs {
		at, err := awaitRoute(ctx, r, single(addr), hops(addr, nodes...)...)
		if err != nil {
			return nil, err
		}
		since = append(since, at)
	}
	return since, nil
}

// startRoutedLoad keeps connections where routes stay: one that another node
// gets in the middle is unknown there.
func startRoutedLoad(ctx context.Context, from *lab.Client, addrs []netip.Addr, w way) (*load, error) {
	l := &load{}
	for _, addr := range addrs {
		for range talksEach {
			if w.moves {
				break
			}
			talk, err := from.Converse(ctx, netip.AddrPortFrom(addr, lab.EchoPort), probePace)
			if err != nil {
				return nil, errors.Join(err, l.stop(&toll{}))
			}
			l.talks = append(l.talks, talk)
		}
		l.requests = append(l.requests, from.Request(pageOf(addr), probePace, patient))
	}
	return l, nil
}

func (t *routedToll) figure(w way, at lab.Software, rounds int) figure {
	lost := fmt.Sprint(t.lost)
	if t.cutShort > 0 {
		lost += fmt.Sprintf(" (%d under way at a change of next hops)", t.cutShort)
	}
	f := figure{
		What:     fmt.Sprintf("BGP, %s router: %s, %d rounds: requests lost", at, w.name, rounds),
		Measured: fmt.Sprintf("%s of %d, slowest %s", lost, t.requests, brieflyMS(t.slowest)),
		Limit:    "a request each 5 ms and family, from behind the router",
		Target:   "0 lost",
		Met:      t.lost == 0,
	}
	if !w.moves {
		f.Measured += fmt.Sprintf("; %d of %d connections survived, %d of %d routes not touched", t.survived, t.talks, t.kept, t.routes)
		// BIRD takes a node out that BFD does not find, whatever was agreed.
		if at == lab.FRR {
			f.Target, f.Met = "0 lost, all connections survive", f.Met && t.survived == t.talks
		}
	}
	return f
}
