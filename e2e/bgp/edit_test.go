//go:build linux

package bgp

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: site.Namespace, Name: name}
}

// create makes objects until the story ends.
func (g *ground) create(objects ...client.Object) {
	g.t.Helper()
	for _, o := range objects {
		g.must(g.API.Create(g.ctx, o))
		g.t.Cleanup(func() { g.drop(o) })
	}
}

// drop deletes an object; no matter if it is gone already.
func (g *ground) drop(o client.Object) {
	g.t.Helper()
	if err := client.IgnoreNotFound(g.API.Delete(context.Background(), o)); err != nil {
		g.t.Error(err)
	}
}

// writer is how a change of an object is sent.
type writer func(ctx context.Context, o client.Object, patch client.Patch) error

func (g *ground) writeSpec(ctx context.Context, o client.Object, patch client.Patch) error {
	return g.API.Patch(ctx, o, patch)
}

func (g *ground) writeStatus(ctx context.Context, o client.Object, patch client.Patch) error {
	return g.API.Status().Patch(ctx, o, patch)
}

// edit changes an object of that name until undo is called or the story ends.
func edit[T client.Object](g *ground, write writer, o T, change func(T)) (undo func()) {
	g.t.Helper()
	g.must(g.API.Get(g.ctx, client.ObjectKeyFromObject(o), o))
	before := o.DeepCopyObject().(T)
	change(o)
	// From the change alone: others write too.
	there, err := client.MergeFrom(before).Data(o)
	g.must(err)
	back, err := client.MergeFrom(o).Data(before)
	g.must(err)
	g.must(write(g.ctx, o, client.RawPatch(types.MergePatchType, there)))
	var once sync.Once
	undo = func() {
		once.Do(func() {
			if err := write(context.Background(), o, client.RawPatch(types.MergePatchType, back)); err != nil {
				g.t.Error(err)
			}
		})
	}
	g.t.Cleanup(undo)
	return undo
}

// advertise changes the BGPAdvertisement of the routed pool.
func (g *ground) advertise(change func(*metallb.BGPAdvertisementSpec)) (undo func()) {
	g.t.Helper()
	return edit(g, g.writeSpec, &metallb.BGPAdvertisement{ObjectMeta: named(site.RoutedPool)},
		func(a *metallb.BGPAdvertisement) { change(&a.Spec) })
}

// peer changes a BGPPeer.
func (g *ground) peer(name string, change func(*v1beta2.BGPPeerSpec)) (undo func()) {
	g.t.Helper()
	return edit(g, g.writeSpec, &v1beta2.BGPPeer{ObjectMeta: named(name)}, func(p *v1beta2.BGPPeer) { change(&p.Spec) })
}

// node changes the object of a node but for its status.
func (g *ground) node(n *lab.Node, change func(*corev1.Node)) (undo func()) {
	g.t.Helper()
	return edit(g, g.writeSpec, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}, change)
}

// exclude has a node carry no Service by its label.
func exclude(g *ground, n *lab.Node) (undo func()) {
	return g.node(n, func(o *corev1.Node) { o.Labels[corev1.LabelNodeExcludeBalancers] = "" })
}

func on(nodes ...*lab.Node) []metav1.LabelSelector {
	var all []metav1.LabelSelector
	for _, n := range nodes {
		all = append(all, metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: n.Name}})
	}
	return all
}

// pod runs one for app on a node until the story ends.
func (g *ground) pod(app string, n *lab.Node) *lab.Pod {
	g.t.Helper()
	p, err := n.StartPod(g.ctx, "default", app+"-"+n.Name, app)
	g.must(err)
	g.t.Cleanup(func() { _ = p.Delete(context.Background()) })
	return p
}

// ip has the network of a station changed.
func (g *ground) ip(at *lab.Station, command string) {
	g.t.Helper()
	args := append([]string{"-n", filepath.Base(at.Netns())}, strings.Fields(command)...)
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		g.t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// readLogs fails the test for what must never be in a log, and shows which
// sessions were lost where the test has failed.
func (g *ground) readLogs() {
	check.Logs(g.t, g.Logs()...)
	for _, path := range g.Logs() {
		log, _ := os.ReadFile(path)
		for line := range strings.Lines(string(log)) {
			if g.t.Failed() && strings.Contains(line, "is lost") {
				g.t.Logf("%s: %s", filepath.Base(path), line)
			}
		}
	}
}
