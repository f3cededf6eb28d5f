package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

const (
	// announcing nodes have speakers; as many others have FRR.
	announcing = 3
	// flowsEach is how many flows each address has.
	flowsEach = 9
)

// measureBGPCut cuts the power of one of three nodes that announce the addresses
// of a Service by speakers, and then of one of three others that announce those
// of another Service by FRR, to the same router with the same timers. Pods are
// on a node of their own.
func measureBGPCut(ctx context.Context, b *bench) error {
	opts := site.Options{Nodes: 2*announcing + 1, Clients: -1, Routers: both[:1], WithoutSpeakers: true}
	return withSite(ctx, opts, func(s *site.Site) error {
		speakers, rivals, err := announceTwice(ctx, s)
		if err != nil {
			return err
		}
		for i := range b.bgpCuts {
			for _, side := range []*side{speakers, rivals} {
				if err := side.cut(ctx, s, side.nodes[i%announcing]); err != nil {
					return err
				}
			}
			// Nothing starts while gaps are measured.
			for _, side := range []*side{speakers, rivals} {
				if err := side.restore(ctx, s, side.nodes[i%announcing]); err != nil {
					return err
				}
			}
			if (i+1)%10 == 0 {
				progress("  %d of %d cuts: %v; FRR: %v", i+1, b.bgpCuts, speakers.gaps, rivals.gaps)
			}
		}
		ratio := speakers.gaps.p(99).Seconds() / rivals.gaps.p(99).Seconds()
		b.add(figure{
			What: fmt.Sprintf("power cut of one of %d announcing nodes, BFD %d x %v, %d cuts, %d flows that went there: no answer for",
				announcing, lab.DefaultBFDMultiplier, lab.DefaultBFDInterval, b.bgpCuts, len(speakers.gaps)),
			Measured: fmt.Sprintf("%v, p99 %.2f x", speakers.gaps, ratio),
			Limit:    fmt.Sprintf("FRR announces, %d flows: %v", len(rivals.gaps), rivals.gaps),
			Target:   "p99 within 1.2 x",
			Met:      len(speakers.gaps) > 0 && ratio <= 1.2,
		})
		return nil
	})
}

// side is three nodes that announce addresses by the same means.
type side struct {
	nodes     []*lab.Node
	addresses []netip.Addr
	gaps      distribution
	// linkLocal is where FRR has routers send what is of IPv6 (RFC 2545).
	linkLocal bool
	// back has a node announce again that has power again.
	back func(ctx context.Context, n *lab.Node) error
}

func announceTwice(ctx context.Context, s *site.Site) (speakers, rivals *side, err error) {
	if err := bySession4(ctx, s); err != nil {
		return nil, nil, err
	}
	last := s.Nodes[2*announcing]
	for i := range 2 {
		if _, err := last.StartPod(ctx, namespace, fmt.Sprint(app, i+1), app); err != nil {
			return nil, nil, err
		}
	}
	if speakers, err = bySpeakers(ctx, s, s.Nodes[:announcing]); err != nil {
		return nil, nil, err
	}
	if rivals, err = byFRR(ctx, s, s.Nodes[announcing:2*announcing]); err != nil {
		return nil, nil, err
	}
	for _, side := range []*side{speakers, rivals} {
		if err := side.announced(ctx, s); err != nil {
			return nil, nil, err
		}
	}
	return speakers, rivals, nil
}

func bySpeakers(ctx context.Context, s *site.Site, nodes []*lab.Node) (*side, error) {
	if err := runSpeakers(ctx, s, nodes...); err != nil {
		return nil, err
	}
	svc, err := s.Serve(ctx, "cut", app, site.Routed)
	if err != nil {
		return nil, err
	}
	return &side{
		nodes: nodes, addresses: site.Addresses(svc),
		back: func(ctx context.Context, n *lab.Node) error { return ready(ctx, s, n) },
	}, nil
}

// byFRR announces the addresses of a Service of another class, which are in no
// pool.
func byFRR(ctx context.Context, s *site.Site, nodes []*lab.Node) (*side, error) {
	v := &side{nodes: nodes, linkLocal: true, addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:2::1")}}
	svc := lab.NewService(namespace, "frr", app)
	class, nodePorts := "example.com/frr", false
	svc.Spec.LoadBalancerClass, svc.Spec.AllocateLoadBalancerNodePorts = &class, &nodePorts
	if err := s.API.Create(ctx, svc); err != nil {
		return nil, err
	}
	if err := lab.GiveAddresses(ctx, s.API, svc, v.addresses...); err != nil {
		return nil, err
	}
	daemons := map[*lab.Node]*lab.Routing{}
	for _, n := range nodes {
		config := n.DefaultBGP(single(v.addresses[0]), single(v.addresses[1]))
		config.Neighbours = slices.DeleteFunc(config.Neighbours, func(n lab.BGPNeighbour) bool { return n.Address.Is6() })
		var err error
		if daemons[n], err = n.RunBGP(ctx, lab.FRR, config); err != nil {
			return nil, err
		}
	}
	v.back = func(ctx context.Context, n *lab.Node) error { return daemons[n].Restart(ctx) }
	return v, nil
}

// announced returns when the router sends flows to these nodes.
func (v *side) announced(ctx context.Context, s *site.Site) error {
	for _, addr := range v.addresses {
		by := hops(addr, v.nodes...)
		for i := range by {
			if addr.Is6() && v.linkLocal {
				by[i] = v.nodes[i].LinkLocal()
			}
		}
		if _, err := awaitRoute(ctx, s.Routers[0], single(addr), by...); err != nil {
			return err
		}
	}
	return nil
}

// cut takes the power from a node, and returns when all flows go another way.
func (v *side) cut(ctx context.Context, s *site.Site, n *lab.Node) error {
	asked, err := startFlows(s.Routers[0].Remote, flowsEach, echoes(v.addresses)...)
	if err != nil {
		return err
	}
	defer asked.stop()
	if err := asked.await(ctx); err != nil {
		return fmt.Errorf("before the power is cut: %w", err)
	}
	// At any phase of BFD's packets.
	if err := pause(ctx, rand.N(2*lab.DefaultBFDInterval)); err != nil {
		return err
	}
	at := time.Now()
	if err := s.CutPower(n); err != nil {
		return err
	}
	if err := asked.await(ctx); err != nil {
		return fmt.Errorf("after the power of %s was cut: %w", n.Name, err)
	}
	v.gaps = append(v.gaps, gapsAfter(asked.stop(), at)...)
	return nil
}

func (v *side) restore(ctx context.Context, s *site.Site, n *lab.Node) error {
	if err := s.RestorePower(ctx, n); err != nil {
		return err
	}
	if err := v.back(ctx, n); err != nil {
		return err
	}
	return v.announced(ctx, s)
}
