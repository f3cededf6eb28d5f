//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

func local(s *corev1.Service) {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

func sticky(s *corev1.Service) { s.Spec.SessionAffinity = corev1.ServiceAffinityClientIP }

// grace is more than a story takes.
const grace = time.Minute

// A Local Service is announced where its pods are ready, wherever they go; its
// pods see who asks, and a node that gets a pod is told of no sooner than its
// kube-proxy knows.
func followsLocalPods(g *ground) {
	first, second := g.Nodes[0], g.Nodes[1]
	one := g.pod("mover", first)
	svc := g.serve("mover", "mover", local)
	g.announced(svc, first)
	g.reached(svc)
	for _, r := range g.Routers {
		for _, addr := range site.Addresses(svc) {
			if from, err := r.Remote.SeenAs(g.ctx, url(addr)); err != nil || from != of(&r.Remote.Station, addr) {
				g.t.Errorf("a pod saw the client %s as %s (%v)", r.Remote.Name, from, err)
			}
		}
	}
	l := g.load(svc)
	two := g.pod("mover", second)
	g.announced(svc, first, second)
	l.pass(rest)
	l.nothingLost()
	g.must(one.Unready(g.ctx))
	g.announced(svc, second)
	g.must(one.Ready(g.ctx))
	g.announced(svc, first, second)
	g.must(two.Delete(g.ctx))
	g.announced(svc, first)
}

// Where clients must keep to one pod, one node announces, since each kube-proxy
// remembers them for itself; another one does where it may not.
func keepsToOneNode(g *ground) {
	svc := g.serve("sticky", "web", sticky)
	addrs := site.Addresses(svc)
	at := g.onlyNode(addrs[0], nil)
	g.onlyNode(addrs[1], nil)
	undo := exclude(g, at)
	if other := g.onlyNode(addrs[0], at); other == at {
		g.t.Errorf("%s is excluded and announces", at.Name)
	}
	g.reached(svc)
	undo()
	if back := g.onlyNode(addrs[0], nil); back == nil {
		g.t.Error("no node announces")
	}
}

// onlyNode returns the node that all routers send packets for an address to,
// once it is a single one, and not the one to avoid.
func (g *ground) onlyNode(addr netip.Addr, avoid *lab.Node) (at *lab.Node) {
	g.t.Helper()
	g.until(fmt.Sprint("one node has ", addr), func(context.Context) (bool, error) {
		at = nil
		for _, r := range g.Routers {
			hops := r.Routes()[whole(addr)].NextHops
			i := slices.IndexFunc(g.Nodes, func(n *lab.Node) bool { return slices.Equal(hops, []netip.Addr{of(&n.Station, addr)}) })
			if i < 0 || at != nil && at != g.Nodes[i] {
				return false, fmt.Errorf("%s has %v", r.Name, hops)
			}
			at = g.Nodes[i]
		}
		return at != avoid, nil
	})
	return at
}

// A node that must not carry traffic is out within a moment, whoever says so,
// and in again afterwards.
func withdrawsNodes(g *ground) {
	svc := g.serve("barred", "web")
	out := g.Nodes[0]
	g.announced(svc, g.Nodes...)
	for _, tc := range []struct {
		reason string
		bar    func() (undo func())
	}{
		{"its administrator excludes it (KEP-1143)", func() func() { return exclude(g, out) }},
		{"its network is not there yet", func() func() {
			return edit(g, g.writeStatus, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: out.Name}}, func(n *corev1.Node) {
				n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
					Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Reason: "NoRouteCreated",
				})
			})
		}},
		{"kube-proxy answers 503, since the node is about to be deleted (KEP-3836)", func() func() {
			return g.node(out, func(n *corev1.Node) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "ToBeDeletedByClusterAutoscaler", Effect: corev1.TaintEffectNoSchedule})
			})
		}},
	} {
		undo := tc.bar()
		began := time.Now()
		g.announced(svc, g.Nodes[1:]...)
		gone := time.Since(began)
		undo()
		began = time.Now()
		g.announced(svc, g.Nodes...)
		g.t.Logf("%s: gone after %s, back after %s", tc.reason, gone, time.Since(began))
	}
}

// Without a ready pod there is nothing to announce: the Service says why, and
// with the first pod it is back at once.
func withdrawsWithoutPods(g *ground) {
	pod := g.pod("hermit", g.Nodes[1])
	cluster, local := g.serve("hermit", "hermit"), g.serve("hermit-local", "hermit", local)
	g.announced(cluster, g.Nodes...)
	g.announced(local, g.Nodes[1])
	g.must(pod.Unready(g.ctx))
	for _, svc := range []*corev1.Service{cluster, local} {
		g.announced(svc)
		g.serving(svc, metav1.ConditionFalse, "NoReadyEndpoints")
	}
	began := time.Now()
	g.must(pod.Ready(g.ctx))
	g.announced(cluster, g.Nodes...)
	g.announced(local, g.Nodes[1])
	g.t.Logf("back at the routers after %s", time.Since(began))
	g.serving(cluster, metav1.ConditionTrue, "")
	g.serving(local, metav1.ConditionTrue, "")
}

// A node of a Local Service is drained: its route goes while its pods still
// serve, so that no client comes too late.
func drainsLocalNode(g *ground) {
	first, second := g.Nodes[0], g.Nodes[1]
	leaving := g.pod("drained", first)
	g.pod("drained", second)
	svc := g.serve("drained", "drained", local)
	g.announced(svc, first, second)
	g.reached(svc)
	l := g.load(svc)
	undo := g.node(first, func(n *corev1.Node) { n.Spec.Unschedulable = true })
	g.must(leaving.Terminate(g.ctx, grace))
	g.announced(svc, second)
	l.pass(rest)
	g.must(leaving.Delete(g.ctx))
	undo()
	l.pass(rest)
	l.nothingLost()
}

// A node is taken out of service and put back under load: no client notices.
func excludesUnderLoad(g *ground) {
	svc := g.serve("excluded", "web")
	g.announced(svc, g.Nodes...)
	g.reached(svc)
	l := g.load(svc)
	undo := exclude(g, g.Nodes[0])
	g.announced(svc, g.Nodes[1:]...)
	l.pass(rest)
	undo()
	g.announced(svc, g.Nodes...)
	l.pass(rest)
	l.nothingLost()
}
