//go:build linux

package l2

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/lab"
)

// Nodes may have their own addresses on another network than that of the
// Services: they watch each other there, and tell owners from strangers here.
func servesAnotherSegment(g *ground) {
	undo := g.advertise(func(s *metallb.L2AdvertisementSpec) { s.Interfaces = []string{"eth0"} })
	defer undo()
	hub := g.Clients[1]
	g.must(hub.IP("link add name hub type bridge", "link set dev hub up"))
	defer func() { g.must(hub.IP("link delete dev hub")) }()
	for i, n := range g.Nodes {
		g.must(g.connect(i))
		defer func() { g.must(g.disconnect(i)) }()
		defer g.readdress(n, management(i))()
	}
	g.watched()
	// New interfaces are told of the addresses, until they are not allowed there.
	g.quiet(g.web)
	killsSpeaker(g)

	before := g.settled(g.web)
	gone := before.nodes()[0]
	i := slices.Index(g.Nodes, g.Node(gone))
	w := g.watch(g.web, before)
	g.must(g.disconnect(i))
	g.must(g.CutPower(g.Node(gone)))
	after := g.elsewhere(before, gone)
	g.quiet(g.web)
	w.movedOnce(after)
	g.must(g.RestorePower(g.ctx, g.Node(gone)))
	g.must(g.connect(i))
	g.ready(gone)
}

// management is the address of a node on the network that nodes have for
// themselves, a bridge at a client.
func management(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}) }

func (g *ground) connect(i int) error {
	n := g.Nodes[i]
	err := g.Clients[1].IP(
		fmt.Sprintf("link add name hub%d type veth peer name mgmt netns %d", i, g.Speaker(n.Name).PID()),
		fmt.Sprintf("link set dev hub%d master hub up", i),
	)
	return errors.Join(err, n.IP(fmt.Sprintf("addr add %s/24 dev mgmt", management(i)), "link set dev mgmt up"))
}

func (g *ground) disconnect(i int) error {
	return g.Clients[1].IP(fmt.Sprintf("link delete dev hub%d", i))
}

// readdress has the API say that the node has this address alone.
func (g *ground) readdress(n *lab.Node, address netip.Addr) (undo func()) {
	set := func(ctx context.Context, to []corev1.NodeAddress) ([]corev1.NodeAddress, error) {
		node := &corev1.Node{}
		if err := g.API.Get(ctx, client.ObjectKey{Name: n.Name}, node); err != nil {
			return nil, err
		}
		before := node.DeepCopy()
		node.Status.Addresses = to
		return before.Status.Addresses, g.API.Status().Update(ctx, node)
	}
	before, err := set(g.ctx, []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address.String()}})
	g.must(err)
	return func() {
		if _, err := set(context.Background(), before); err != nil {
			g.t.Error(err)
		}
	}
}

// watched returns when no candidate is in doubt about another one, and was not
// for a while.
func (g *ground) watched() {
	g.t.Helper()
	l := g.load(g.web)
	for range 2 {
		l.pass(rest)
		for _, name := range candidates() {
			g.until(name+" hears those that it watches", func(ctx context.Context) (bool, error) {
				_, page, err := g.Node(name).Get(ctx, "http://127.0.0.1:7472/metrics")
				all := peersLine.FindAllStringSubmatch(page, -1)
				doubt := slices.ContainsFunc(all, func(found []string) bool { return found[1] != "alive" && found[2] != "0" })
				return len(all) > 0 && !doubt, err
			})
		}
	}
	l.nothingLost()
}

var peersLine = regexp.MustCompile(`(?m)^berth_layer2_peers\{state="([a-z]+)"\} (\d+)$`)

// movedOnce fails the story unless of what moved only the new owners told.
func (w *guard) movedOnce(after owners) {
	w.g.t.Helper()
	for address, owner := range after {
		told := map[string]bool{}
		for _, s := range w.claims(address) {
			if s.Gratuitous {
				told[w.g.StationOf(s.MAC)] = true
			}
		}
		if owner != w.before[address] && !maps.Equal(told, map[string]bool{owner: true}) {
			w.g.t.Errorf("%s moved from %s to %s, and %v told that they have it", address, w.before[address], owner, slices.Sorted(maps.Keys(told)))
		}
	}
}
