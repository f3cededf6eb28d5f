//go:build linux

package l2

import (
	"context"
	"fmt"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// A standby that alone misses the owner is the one that is cut off.
func partitionsPairs(g *ground) {
	w, l := g.guard(g.web), g.load(g.web)
	defer g.heal()
	for _, owner := range w.before.nodes() {
		for _, other := range candidates(owner) {
			g.must(g.Partition(g.Node(owner), g.Node(other)))
			l.pass(rest)
			g.must(g.Heal())
			l.pass(rest)
		}
	}
	l.nothingLost()
	w.nothingMoved()
}

func (g *ground) heal() {
	if err := g.Heal(); err != nil {
		g.t.Error(err)
	}
}

// healing is how long two halves may take to agree.
const healing = 10 * time.Second

// Whoever can still be served is, on either side; afterwards there is one owner
// again, soon, and nobody is left with the other.
func splitsSegment(g *ground) {
	before := g.settled(g.web)
	owner := before[site.Addresses(g.web)[0]]
	near := []lab.Stationed{g.Node(owner), g.Clients[0]}
	far := []lab.Stationed{g.Clients[1]}
	for _, node := range candidates(owner) {
		far = append(far, g.Node(node))
	}
	probes := []*lab.Probes{g.probe(g.Clients[0]), g.probe(g.Clients[1])}
	defer g.heal()
	g.must(g.Split(near, far))
	g.until("each half has an owner of its own", func(context.Context) (bool, error) {
		for address := range before {
			here, there := g.answering(g.Clients[0], address), g.answering(g.Clients[1], address)
			if len(here) != 1 || len(there) != 1 || here[0] != owner || there[0] == owner {
				return false, fmt.Errorf("%s is at %v here and at %v there", address, here, there)
			}
		}
		return true, nil
	})
	for i, p := range probes {
		g.flowing(p)
		g.gaps(p, brief)
		probes[i] = g.probe(g.Clients[i])
	}

	g.must(g.Heal())
	began := time.Now()
	g.until("all clients see one owner", func(context.Context) (bool, error) {
		for address := range before {
			here, there := g.answering(g.Clients[0], address), g.answering(g.Clients[1], address)
			if len(here) != 1 || len(there) != 1 || here[0] != there[0] {
				return false, fmt.Errorf("%s is at %v here and at %v there", address, here, there)
			}
		}
		return true, nil
	})
	if took := time.Since(began); took > healing {
		g.t.Errorf("that took %s, should be at most %s", took, healing)
	}
	after := g.settled(g.web)
	w := g.watch(g.web, after)
	for _, p := range probes {
		g.flowing(p)
		g.gaps(p, healing)
	}
	g.quiet(g.web)
	w.oneOwner()
}
