//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

//go:embed routed.yaml
var routedYAML []byte

// routed is what the acts with a router are about.
type routed struct {
	visit
	router *lab.Router
	prefix netip.Prefix
	// nodes announce the address.
	nodes []*lab.Node
}

// routerSoftware is FRR where this machine has it, else BIRD, or why neither can
// be had.
func routerSoftware() (lab.Software, error) {
	missing := lab.Available(lab.RouterOptions{Software: lab.FRR})
	if missing == nil {
		return lab.FRR, nil
	}
	if lab.Available(lab.RouterOptions{Software: lab.BIRD}) == nil {
		return lab.BIRD, nil
	}
	return "", missing
}

// playRouted shows what can be shown with a router.
func (s *stage) playRouted(ctx context.Context) error {
	if len(s.lan.Routers) == 0 {
		fmt.Printf("\nNo router today, and nothing to see of BGP: %v.\n", s.noRouter)
		return nil
	}
	r, err := s.announce(ctx)
	if err != nil {
		return err
	}
	return inTurn(
		func() error { return r.cutPower(ctx, r.nodes[0]) },
		func() error { return r.restorePower(ctx, r.nodes[0]) },
		func() error { return r.restartSpeaker(ctx, r.nodes[1]) },
	)
}

// announce creates the Service and shows how the router gets to know of it.
func (s *stage) announce(ctx context.Context) (*routed, error) {
	router := s.lan.Routers[0]
	heading("A router is told of an address by every node")
	fmt.Printf("%s runs %s and has BGP sessions with all nodes, by IPv4 and by IPv6, watched by BFD:\n"+
		"%v x %d. %s is in a network behind it.\n", router.Name, s.software,
		lab.DefaultBFDInterval, lab.DefaultBFDMultiplier, router.Remote.Name)
	if _, err := s.awaitReports(ctx, nil); err != nil {
		return nil, err
	}
	began := time.Now()
	service, err := s.createRouted(ctx)
	if err != nil {
		return nil, err
	}
	had := time.Since(began)
	r := &routed{visit: s.visit(router.Remote, service), router: router, nodes: s.lan.Nodes[:len(s.lan.Nodes)-1]}
	r.prefix = netip.PrefixFrom(r.address, r.address.BitLen())
	known, err := r.awaitHops(ctx, r.nodes...)
	if err != nil {
		return nil, err
	}
	fmt.Printf("\nFrom the creation of the Service routed (e2e/demo/routed.yaml) to its address, %s: %d ms,\n"+
		"to a route by all nodes in the kernel of %s: %d ms.\n", r.address, had.Milliseconds(), router.Name, known.Sub(began).Milliseconds())
	return r, inTurn(
		func() error { return r.showSessions(ctx, r.nodes) },
		func() error { return r.showRoute(ctx, r.nodes...) },
		func() error { fmt.Println(); return r.get(ctx) },
	)
}

// createRouted returns the Service once it has an address.
func (s *stage) createRouted(ctx context.Context) (*corev1.Service, error) {
	objects, err := cluster.Decode(routedYAML)
	if err != nil {
		return nil, err
	}
	if err := s.api.Create(ctx, objects[0]); err != nil {
		return nil, fmt.Errorf("creating the Service routed: %w", err)
	}
	service := &corev1.Service{}
	return service, s.lan.Await(ctx, "the Service routed has an address", func(ctx context.Context) (bool, error) {
		err := s.api.Get(ctx, client.ObjectKeyFromObject(objects[0]), service)
		return err == nil && len(site.Addresses(service)) > 0, err
	})
}

// cutPower cuts that of one of the nodes that announce, under load.
func (r *routed) cutPower(ctx context.Context, node *lab.Node) error {
	heading("The power of " + node.Name + " is cut")
	fmt.Printf("One in %d requests goes through it.\n\n", len(r.nodes))
	rest := slices.DeleteFunc(slices.Clone(r.nodes), func(n *lab.Node) bool { return n == node })
	m := startMeter(r.client, r.url)
	var cut, changed time.Time
	err := inTurn(
		func() error { return m.watch(ctx, time.Second) },
		m.mark("power of "+node.Name+" cut"),
		func() error {
			cut = time.Now()
			return m.during(func() error { return r.lan.CutPower(node) })
		},
		func() error { return m.watch(ctx, 2*time.Second) },
		func() (err error) {
			changed, err = r.awaitHops(ctx, rest...)
			return err
		},
	)
	trace := m.stop()
	if err != nil {
		return err
	}
	showReroute(trace, node, cut, changed)
	if gap := changed.Sub(cut); gap > longestGap {
		return fmt.Errorf("%s sent packets to %s for %v after its power was cut, longer than %v", r.router.Name, node.Name, gap, longestGap)
	}
	return r.showRoute(ctx, rest...)
}

// restorePower has the dead node back.
func (r *routed) restorePower(ctx context.Context, node *lab.Node) error {
	heading("The power of " + node.Name + " is back")
	began := time.Now()
	if err := r.lan.RestorePower(ctx, node); err != nil {
		return err
	}
	since, err := r.awaitHops(ctx, r.nodes...)
	if err != nil {
		return err
	}
	fmt.Printf("It announces again, %.1f s after it was switched on.\n", since.Sub(began).Seconds())
	return inTurn(
		func() error { return r.awaitSpeaker(ctx, node) },
		func() error { return r.showSessions(ctx, r.nodes) },
		func() error { return r.showRoute(ctx, r.nodes...) },
	)
}

// restartSpeaker restarts that of a node that announces, under load.
func (r *routed) restartSpeaker(ctx context.Context, node *lab.Node) error {
	heading("The speaker of " + node.Name + " is restarted")
	fmt.Printf("Its sessions end with it. The router knows that it will be back: graceful restart (RFC 4724).\n\n")
	before := r.router.Routes()[r.prefix]
	speaker := r.lan.Speaker(node.Name)
	m := startMeter(r.client, r.url)
	err := inTurn(
		func() error { return m.watch(ctx, time.Second/2) },
		m.mark("berth-speaker on "+node.Name+" told to end"),
		func() error { return m.during(func() error { return speaker.Stop(ctx) }) },
		func() error { return m.during(func() error { return r.awaitSession(ctx, node, false) }) },
		m.mark("no session of "+node.Name+" with "+r.router.Name),
		func() error { return m.watch(ctx, time.Second) },
		m.mark("started again"),
		speaker.Start,
		func() error { return m.during(func() error { return r.awaitSession(ctx, node, true) }) },
		m.mark("session established"),
		func() error { return m.during(func() error { return r.awaitSpeaker(ctx, node) }) },
		m.mark("at work"),
		func() error { return m.watch(ctx, time.Second) },
	)
	trace := m.stop()
	if err != nil {
		return err
	}
	fmt.Println()
	showLoad(trace)
	return errors.Join(r.kept(before, trace), r.showRoute(ctx, r.nodes...))
}

// kept checks that the router has had the same route all the time, and that no
// request was lost. BIRD can't do the first: it takes the end of BFD for that of
// the node, and a request under way may be lost when next hops change.
func (r *routed) kept(before lab.Route, trace lab.Trace) error {
	same := r.router.Routes()[r.prefix].Since.Equal(before.Since)
	switch lost := trace.Lost(); {
	case !same && r.software == lab.BIRD:
		fmt.Println("BIRD takes the end of BFD for that of the node: the others served meanwhile. It is back:")
	case !same:
		return fmt.Errorf("%s had another route meanwhile, or none, and %d of %d requests were lost: look whether BFD failed, as on a machine that is too busy", r.router.Name, lost, trace.Sent())
	case lost > 0:
		return fmt.Errorf("%d of %d requests were lost", lost, trace.Sent())
	default:
		fmt.Printf("%s has had the same route all the time:\n", r.router.Name)
	}
	return nil
}
