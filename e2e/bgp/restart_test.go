//go:build linux

package bgp

import (
	"context"
	"slices"
	"time"

	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/lab"
)

var restartPlots = []plot{
	{"a rollout with BFD is not noticed by FRR, and leaves out one node after the other at BIRD", (*scene).rollsGracefully},
	{"without BFD neither a crash nor a restart is noticed", (*scene).restartsUnwatched},
	{"a crash with BFD is not noticed by FRR, and leaves the node out at BIRD until it is over", (*scene).crashesWatched},
	{"a rollout without graceful restart loses no page", (*scene).rollsOver},
	{"a speaker that stops for good withdraws first", (*scene).leaves},
}

// lull is how long the load goes on between two events.
const lull = 700 * time.Millisecond

// steadyRoutes begins a time in which no router's kernel has the routes changed,
// be it for a moment: the check is its end.
func (g *scene) steadyRoutes(routers ...*lab.Router) (unchanged func()) {
	g.t.Helper()
	var before [][]time.Time
	for _, r := range routers {
		before = append(before, g.byAt(r, g.Nodes...))
	}
	return func() {
		g.t.Helper()
		for i, r := range routers {
			if after := g.byAt(r, g.Nodes...); !slices.EqualFunc(after, before[i], time.Time.Equal) {
				g.t.Errorf("the routes of %s stood since %v, and stand since %v now", r.Name, before[i], after)
			}
		}
	}
}

// FRR keeps forwarding to a node whose speaker is away (RFC 4724), since its
// kernel serves all the same. BIRD takes the end of BFD for a failure even then,
// and sends to the others meanwhile.
func (g *scene) rollsGracefully() {
	frr, bird := g.Routers[0], g.Routers[1]
	unchanged := g.steadyRoutes(frr)
	l := g.pagesOnly(g.web)
	for i, n := range g.Nodes {
		p := g.Speaker(n.Name)
		g.stop(p)
		l.moved(g.byAt(bird, slices.Delete(slices.Clone(g.Nodes), i, i+1)...))
		l.pass(lull)
		g.must(p.Start())
		g.isReady(n.Name)
		l.moved(g.byAt(bird, g.Nodes...))
	}
	l.pass(lull)
	l.nothingLost()
	unchanged()
}

// eachPeer changes all BGPPeers of the site until the story ends.
func (g *scene) eachPeer(change func(*v1beta2.BGPPeerSpec)) {
	g.t.Helper()
	for _, peer := range g.allPeers() {
		g.changePeer(peer, change)
	}
}

// unwatched does without BFD until the story ends. FRR 8.4 and BIRD 2 take the end
// of BFD for a failure, though it says AdminDown, and end the sessions once.
func (g *scene) unwatched() {
	g.t.Helper()
	g.eachPeer(func(s *v1beta2.BGPPeerSpec) { s.BFDProfile = "" })
	for _, r := range g.Routers {
		g.until(r.Name+" does without BFD", func(ctx context.Context) (bool, error) {
			watched, err := r.BFD(ctx)
			if err != nil {
				return false, err
			}
			all, err := r.Neighbours(ctx)
			for addr, n := range all {
				if !n.Established() || watched[addr] == "UP" {
					return orElse(false, err, "%s is %s, BFD %s", addr, n.State, watched[addr])
				}
			}
			return len(all) > 0, err
		})
	}
	for _, n := range g.Nodes {
		for _, peer := range g.allPeers() {
			g.bfdIs(n.Name, peer, "")
			g.stands(n.Name, peer)
		}
	}
	g.announced(g.web, g.Nodes...)
}

// A connection that breaks off is how a restart begins that nobody planned.
// Without BFD routers know of nothing else.
func (g *scene) restartsUnwatched() {
	g.unwatched()
	unchanged := g.steadyRoutes(g.Routers...)
	l := g.load(g.web)
	for node, end := range map[string]func(*lab.Program){"node1": (*lab.Program).Kill, "node2": g.stop} {
		p := g.Speaker(node)
		end(p)
		l.pass(lull)
		g.must(p.Start())
		g.isReady(node)
	}
	l.pass(lull)
	l.nothingLost()
	unchanged()
}

// FRR sees the connection break before BFD goes down, and waits for the speaker
// all the same. BIRD can't tell that from a power cut, and sends to the others
// until the speaker is back.
func (g *scene) crashesWatched() {
	frr, bird := g.Routers[0], g.Routers[1]
	unchanged := g.steadyRoutes(frr)
	p := g.Speaker("node1")
	l := g.pagesOnly(g.web)
	p.Kill()
	l.moved(g.byAt(bird, g.Nodes[1:]...))
	l.pass(lull)
	g.must(p.Start())
	g.isReady("node1")
	l.moved(g.byAt(bird, g.Nodes...))
	l.pass(lull)
	l.nothingLost()
	unchanged()
}

// A rollout waits for each speaker to be ready, which it is when routers know
// of the node: the others announce meanwhile.
func (g *scene) rollsOver() {
	before := g.standing(nil)
	g.eachPeer(func(s *v1beta2.BGPPeerSpec) { s.EnableGracefulRestart = false })
	g.until("all sessions are new ones", func(context.Context) (bool, error) {
		for name, since := range g.standing(nil) {
			if since == before[name] {
				return orElse(false, nil, "%s stands since %s", name, since)
			}
		}
		return true, nil
	})
	g.asBefore()
	l := g.pagesOnly(g.web)
	for i, n := range g.Nodes {
		others := slices.Delete(slices.Clone(g.Nodes), i, i+1)
		p := g.Speaker(n.Name)
		g.stop(p)
		for _, r := range g.Routers {
			l.moved(g.byAt(r, others...))
		}
		g.must(p.Start())
		g.isReady(n.Name)
		for _, r := range g.Routers {
			l.moved(g.byAt(r, g.Nodes...))
		}
	}
	l.pass(lull)
	l.nothingLost()
}

// toldLate is what routers take at the most from an UPDATE to their kernel, on a
// machine that has other work; the restart time is 120 s.
const toldLate = 10 * time.Second

// A speaker that stops on a node on its way out is not expected back: routers
// have it before the process ends, though they agreed to wait for restarts.
func (g *scene) leaves() {
	g.create(&v1beta2.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "witness"}, Spec: v1beta2.BGPPeerSpec{
		MyASN: lab.NodeASN, ASN: 65000, Address: nobody.String(),
		NodeSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"changed": ""}}},
	}})
	taint := corev1.Taint{Key: "ToBeDeletedByClusterAutoscaler", Effect: corev1.TaintEffectNoSchedule}
	for _, c := range []struct {
		name   string
		change func(*corev1.Node)
	}{
		{"cordoned", func(n *corev1.Node) { n.Spec.Unschedulable = true }},
		{"excluded", func(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" }},
		{"about to be deleted by the cluster autoscaler", func(n *corev1.Node) { n.Spec.Taints = append(n.Spec.Taints, taint) }},
	} {
		undisturbed := g.others("node1")
		l := g.pagesOnly(g.web)
		undo := g.alterNode("node1", func(n *corev1.Node) {
			c.change(n)
			n.Labels["changed"] = ""
		})
		g.until("the speaker knows of that", func(ctx context.Context) (bool, error) {
			all, err := g.sessions(ctx, "node1")
			return all["witness"].Peer != "", err
		})
		p := g.Speaker("node1")
		g.stop(p)
		ended := time.Now()
		for _, r := range g.Routers {
			gone := g.byAt(r, g.Nodes[1:]...)
			for _, at := range gone {
				if at.After(ended.Add(toldLate)) {
					g.t.Errorf("%s: %s knows of it only %s after the speaker ended", c.name, r.Name, at.Sub(ended))
				}
			}
			l.moved(gone)
		}
		l.pass(lull / 2)
		undo()
		g.must(p.Start())
		g.isReady("node1")
		for _, r := range g.Routers {
			l.moved(g.byAt(r, g.Nodes...))
		}
		l.nothingLost()
		undisturbed()
	}
}
