//go:build linux

package l2

import (
	"context"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/site"
)

// An address more is nothing to talk about.
func addsAddress(g *ground) {
	w, l := g.guard(g.web), g.load(g.web)
	for _, node := range w.before.nodes() {
		n := g.Node(node)
		g.must(n.IP("addr add 172.30.0.77/16 dev eth0", "addr add fd00:30::77/64 dev eth0"))
		l.pass(rest)
		g.must(n.IP("addr del 172.30.0.77/16 dev eth0", "addr del fd00:30::77/64 dev eth0"))
		l.pass(rest)
	}
	l.nothingLost()
	w.nothingMoved()
}

// A node without the interface can't announce; with it again it stands by.
func losesInterface(g *ground) {
	before := g.settled(g.web)
	gone := before.nodes()[0]
	n := g.Node(gone)
	probes := g.probe(g.Clients[0])
	g.must(n.IP("link set dev eth0 down"))
	after := g.elsewhere(before, gone)
	g.flowing(probes)
	g.gaps(probes, brief)

	back, l := g.watch(g.web, after), g.load(g.web)
	g.must(n.Readdress())
	g.reports(gone, "eth0")
	l.pass(2 * time.Second)
	l.nothingLost()
	back.oneOwner()
}

// reports returns when the speaker of a node reports these interfaces.
func (g *ground) reports(node, interfaces string) {
	g.t.Helper()
	g.until(node+" reports "+interfaces, func(ctx context.Context) (bool, error) {
		state := &metallb.ConfigurationState{}
		err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: "speaker-" + node}, state)
		return state.Annotations["berth-lb.dev/interfaces"] == interfaces, err
	})
}

// An interface is what it is, not how it is called.
func renamesInterface(g *ground) {
	owner := g.settled(g.web).nodes()[0]
	n := g.Node(owner)
	rename := func(from, to string) {
		g.must(n.IP("link set dev "+from+" down", "link set dev "+from+" name "+to, "link set dev "+to+" up"))
	}
	rename("eth0", "lan0")
	g.reports(owner, "lan0")
	// Whoever announces now: the kernel dropped the node's routes to pods, so
	// nothing need get through it.
	g.settled(g.web)

	rename("lan0", "eth0")
	g.must(n.Readdress())
	g.reports(owner, "eth0")
	g.settled(g.web)
	g.reached(g.web)
}

// A cable that is pulled is seen at its other end only.
func unplugsOwner(g *ground) {
	before := g.settled(g.web)
	gone := before.nodes()[0]
	probes := g.probe(g.Clients[0])
	g.must(g.Unplug(g.Node(gone)))
	after := g.elsewhere(before, gone)
	g.flowing(probes)
	g.gaps(probes, brief)

	back, l := g.watch(g.web, after), g.load(g.web)
	g.must(g.Plug(g.Node(gone)))
	g.reports(gone, "eth0")
	l.pass(2 * time.Second)
	l.nothingLost()
	back.oneOwner()
}
