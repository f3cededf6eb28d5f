//go:build linux

package bgp

import (
	"context"
	"fmt"
	"maps"
	"net/netip"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// crowd is how many other Services there are.
const crowd = 50

// Among many Services, that one comes or goes is one UPDATE message to each
// peer, and nothing is told anew.
func updatesOnce(g *ground) {
	frr, bird := g.Routers[0], g.Routers[1]
	g.t.Cleanup(func() {
		err := g.Await(context.Background(), "the crowd is forgotten", func(context.Context) (bool, error) {
			return len(frr.Routes())+len(bird.Routes()) == 0, nil
		})
		if err != nil {
			g.t.Error(err)
		}
	})
	for i := range crowd {
		svc := lab.NewService("default", fmt.Sprint("crowd", i), "web")
		site.Routed(svc)
		nodePorts := false
		svc.Spec.AllocateLoadBalancerNodePorts = &nodePorts
		g.create(svc)
	}
	g.until("all are announced", func(context.Context) (bool, error) {
		return len(frr.Routes()) == 2*crowd && len(bird.Routes()) == 2*crowd, nil
	})
	before, told := g.updates(frr, crowd), g.updates(bird, crowd)
	svc := g.serve("one", "web")
	g.announced(svc, g.Nodes...)
	g.more(frr, "a Service came", before, g.updates(frr, crowd+1))
	g.more(bird, "a Service came", told, g.updates(bird, crowd+1))
	before = g.updates(frr, crowd+1)
	g.remove(svc.Name)
	g.announced(svc)
	g.more(frr, "a Service went", before, g.updates(frr, crowd))
	g.updates(bird, crowd)
}

// updates counts what came from each neighbour: messages with FRR, routes with
// BIRD, once it has so many prefixes from each: they don't come at once.
func (g *ground) updates(r *lab.Router, prefixes int) map[netip.Addr]int {
	g.t.Helper()
	all := map[netip.Addr]int{}
	g.until(fmt.Sprint(r.Name, " has all prefixes"), func(ctx context.Context) (bool, error) {
		neighbours, err := r.Neighbours(ctx)
		for addr, n := range neighbours {
			if all[addr] = n.Updates; n.Prefixes != prefixes {
				return false, fmt.Errorf("it has %d from %s, want %d", n.Prefixes, addr, prefixes)
			}
		}
		return err == nil, err
	})
	return all
}

// more fails the story unless each neighbour sent one more.
func (g *ground) more(r *lab.Router, when string, before, after map[netip.Addr]int) {
	g.t.Helper()
	want := maps.Clone(before)
	for addr := range want {
		want[addr]++
	}
	if !maps.Equal(want, after) {
		g.t.Errorf("%s: %s has counted updates by neighbour %v, and then %v: each should send one", when, r.Name, before, after)
	}
}
