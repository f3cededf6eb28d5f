//go:build linux

package l2

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// leaves has a node give up the addresses of the Service under load because of
// a change, and checks that it does not take them again when that is undone.
func (g *ground) leaves(change func(node string) (undo func())) {
	g.t.Helper()
	before := g.settled(g.web)
	gone := before.nodes()[0]
	l := g.pagesOnly(g.web)
	undo := change(gone)
	after := g.elsewhere(before, gone)
	l.pass(time.Second)
	back := g.watch(g.web, after)
	undo()
	l.pass(2 * time.Second)
	l.nothingLost()
	back.oneOwner()
}

// An administrator takes a node out of service.
func excludesOwner(g *ground) {
	g.leaves(func(node string) func() {
		return g.changeNode(node, func(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" })
	})
}

// kube-proxy says so where the node is about to be deleted (KEP-3836). Others
// learn it from the report of the node's speaker.
func closesGate(g *ground) {
	g.leaves(func(node string) func() {
		return g.changeNode(node, func(n *corev1.Node) {
			n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: "ToBeDeletedByClusterAutoscaler", Effect: corev1.TaintEffectNoSchedule})
		})
	})
}

// Rules stay in the kernel when kube-proxy is gone: silence is reported, and
// moves nothing.
func losesKubeProxy(g *ground) {
	w, l := g.guard(g.web), g.load(g.web)
	node := g.Node(w.before.nodes()[0])
	node.KubeProxy().Kill()
	g.kubeProxy(node.Name, metav1.ConditionUnknown)
	l.pass(rest)
	g.must(node.KubeProxy().Start())
	g.kubeProxy(node.Name, metav1.ConditionTrue)
	l.nothingLost()
	w.nothingMoved()
}

// kubeProxy returns when the speaker of a node says so of its kube-proxy.
func (g *ground) kubeProxy(node string, status metav1.ConditionStatus) {
	g.t.Helper()
	g.until(fmt.Sprintf("%s says %s of its kube-proxy", node, status), func(ctx context.Context) (bool, error) {
		state := &metallb.ConfigurationState{}
		err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: "speaker-" + node}, state)
		c := meta.FindStatusCondition(state.Status.Conditions, "berth-lb.dev/KubeProxyHealthy")
		return c != nil && c.Status == status, err
	})
}

// pods starts one on each of these nodes, until the story ends.
func (g *ground) pods(app string, nodes ...string) map[string]*lab.Pod {
	g.t.Helper()
	all := map[string]*lab.Pod{}
	for _, node := range nodes {
		pod, err := g.Node(node).StartPod(g.ctx, "default", app+"-"+node, app)
		g.must(err)
		g.t.Cleanup(func() { _ = pod.Delete(context.Background()) })
		all[node] = pod
	}
	return all
}

func local(s *corev1.Service) {
	s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
}

// grace is more than a story takes.
const grace = time.Minute

// Pods that are told to end while others are ready: with Cluster the address
// stays where it is, with Local it goes to where pods are ready.
func drainsOwner(g *ground) {
	pods := g.pods("drained", candidates()...)
	cluster, local := g.serve("drained", "drained"), g.serve("drained-local", "drained", local)
	w := g.guard(cluster)
	before := g.settled(local)
	gone := before.nodes()[0]
	loads := []*load{g.pagesOnly(cluster), g.pagesOnly(local)}
	defer g.changeNode(gone, func(n *corev1.Node) { n.Spec.Unschedulable = true })()
	g.must(pods[gone].Terminate(g.ctx, grace))
	g.settledWhere(local, "no address is at "+gone, func(_ netip.Addr, owner string) bool { return owner != gone })
	for _, l := range loads {
		l.pass(rest)
	}
	g.must(pods[gone].Delete(g.ctx))
	for _, l := range loads {
		l.pass(rest)
		l.nothingLost()
	}
	w.nothingMoved()
}

// An address of a Local Service is where a pod is: it follows, and the pod that
// ends serves those who come before that.
func followsLocalPods(g *ground) {
	pods := g.pods("mover", "node1")
	svc := g.serve("mover", "mover", local)
	at := func(node string) func(netip.Addr, string) bool {
		return func(_ netip.Addr, owner string) bool { return owner == node }
	}
	g.settledWhere(svc, "it is announced from where its pod is", at("node1"))
	l := g.pagesOnly(svc)
	g.pods("mover", "node2")
	g.must(pods["node1"].Terminate(g.ctx, grace))
	g.settledWhere(svc, "it follows its pods", at("node2"))
	l.pass(rest)
	g.must(pods["node1"].Delete(g.ctx))
	l.pass(rest)
	l.nothingLost()

	// The client is seen as it is.
	from, err := g.Clients[0].SeenAs(g.ctx, url(site.Addresses(svc)[0]))
	g.must(err)
	if from != g.Clients[0].IPv4 && from != g.Clients[0].IPv6 {
		g.t.Errorf("a client was seen as %s", from)
	}
}

// advertise changes the advertisement that there is; undo takes that back.
func (g *ground) advertise(change func(*metallb.L2AdvertisementSpec)) (undo func()) {
	g.t.Helper()
	set := func(ctx context.Context, spec metallb.L2AdvertisementSpec) error {
		a := &metallb.L2Advertisement{}
		err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: "all"}, a)
		if err != nil {
			return err
		}
		a.Spec = spec
		return g.API.Update(ctx, a)
	}
	var spec metallb.L2AdvertisementSpec
	change(&spec)
	g.must(set(g.ctx, spec))
	return func() {
		if err := set(context.Background(), metallb.L2AdvertisementSpec{}); err != nil {
			g.t.Error(err)
		}
	}
}

func labelled(key, value string) []metav1.LabelSelector {
	return []metav1.LabelSelector{{MatchLabels: map[string]string{key: value}}}
}

// A user says where an address should be; it goes there without loss.
func selectsNodes(g *ground) {
	before := g.settled(g.web)
	to := candidates(before.nodes()...)[0]
	l := g.pagesOnly(g.web)
	undo := g.advertise(func(s *metallb.L2AdvertisementSpec) { s.NodeSelectors = labelled(corev1.LabelHostname, to) })
	after := g.settledWhere(g.web, "all is at "+to, func(_ netip.Addr, owner string) bool { return owner == to })
	l.pass(time.Second)
	back := g.watch(g.web, after)
	undo()
	l.pass(rest)
	l.nothingLost()
	back.oneOwner()
}
