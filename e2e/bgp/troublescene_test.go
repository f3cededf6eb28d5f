//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// scene is a ground with a Service that every node announces to all routers.
type scene struct {
	*ground
	web *corev1.Service
	// bfd is the state of BFD with all peers, empty where it is not used.
	bfd string
	// reports knows BGPNodeStatuses.
	reports client.Client
}

// in is the scene as a story uses it. The story ends when all is as it was.
func (g *scene) in(t *testing.T) *scene {
	own := *g
	own.ground = &ground{Site: g.Site, t: t, ctx: t.Context()}
	t.Cleanup(func() {
		own.ctx = context.Background()
		for _, p := range g.Speakers {
			own.must(p.Start()) // if it ended
		}
		own.asBefore()
	})
	return &own
}

// asBefore returns when all sessions stand, BFD is as it should be, no others are
// reported, nothing is wrong and the Service is announced by every node.
func (g *scene) asBefore() {
	g.t.Helper()
	for _, n := range g.Nodes {
		g.until("all sessions of "+n.Name+" stand", func(ctx context.Context) (bool, error) {
			all, err := g.sessions(ctx, n.Name)
			up := 0
			for _, s := range all {
				if s.State == v1beta1.Established && s.BFD == g.bfd {
					up++
				}
			}
			return orElse(len(all) == 2*len(g.Routers) && up == len(all), err, "they are %+v", all)
		})
		g.complains(n.Name, "")
	}
	g.announced(g.web, g.Nodes...)
}

// sessions are those that a node reports, by the name of the peer.
func (g *scene) sessions(ctx context.Context, node string) (map[string]v1beta1.BGPSession, error) {
	status := &v1beta1.BGPNodeStatus{}
	if err := g.reports.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: node}, status); err != nil {
		return nil, err
	}
	all := map[string]v1beta1.BGPSession{}
	for _, s := range status.Status.Sessions {
		all[s.Peer] = s
	}
	return all, nil
}

// stands returns the session of a node with a peer once it is established.
func (g *scene) stands(node, peer string) (session v1beta1.BGPSession) {
	g.t.Helper()
	g.until(fmt.Sprintf("%s has a session with %s", node, peer), func(ctx context.Context) (bool, error) {
		all, err := g.sessions(ctx, node)
		session = all[peer]
		return settled(session.State == v1beta1.Established, err, session)
	})
	return session
}

func settled(ok bool, err error, s v1beta1.BGPSession) (bool, error) {
	return orElse(ok, err, "it is %s, %q", s.State, s.Error)
}

// orElse says how it is where that is not as it should be.
func orElse(ok bool, err error, format string, args ...any) (bool, error) {
	if err != nil || ok {
		return ok, err
	}
	return false, fmt.Errorf(format, args...)
}

// explains returns when a node has no session with a peer and says why, to those
// who list the sessions too.
func (g *scene) explains(node, peer, why string) {
	g.t.Helper()
	g.until(fmt.Sprintf("%s says of %s: %s", node, peer, why), func(ctx context.Context) (bool, error) {
		status := &v1beta1.BGPNodeStatus{}
		if err := g.reports.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: node}, status); err != nil {
			return false, err
		}
		i := slices.IndexFunc(status.Status.Sessions, func(s v1beta1.BGPSession) bool { return s.Peer == peer })
		if i < 0 {
			return false, fmt.Errorf("there is no session with %s", peer)
		}
		s := status.Status.Sessions[i]
		if s.State == v1beta1.Established || !strings.Contains(s.Error, why) {
			return settled(false, nil, s)
		}
		return orElse(status.Status.Trouble != "", nil, "there is no trouble")
	})
}

// complains returns when the ConfigurationState of a node says that; nothing is
// wrong if it is empty.
func (g *scene) complains(node, what string) {
	g.t.Helper()
	g.until(fmt.Sprintf("the configuration of %s is refused for %q", node, what), func(ctx context.Context) (bool, error) {
		state := &metallb.ConfigurationState{}
		err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: "speaker-" + node}, state)
		if err != nil {
			return false, err
		}
		said := state.Status.ErrorSummary
		return orElse(strings.Contains(said, what) && (said == "") == (what == ""), nil, "it says %q", said)
	})
}

// others begins a time in which no session is lost but those of some peers, and
// those of some nodes: the check is its end.
func (g *scene) others(but ...string) (undisturbed func()) {
	g.t.Helper()
	before := g.standing(but)
	return func() {
		g.t.Helper()
		after := g.standing(but)
		for name, since := range before {
			if after[name] != since {
				g.t.Errorf("the session of %s that stood since %s stands since %q now", name, since, after[name])
			}
		}
	}
}

// standing says since when each session of the others stands.
func (g *scene) standing(but []string) map[string]string {
	g.t.Helper()
	all := map[string]string{}
	for _, n := range g.Nodes {
		sessions, err := g.sessions(g.ctx, n.Name)
		g.must(err)
		for peer, s := range sessions {
			if s.State == v1beta1.Established && !slices.Contains(but, peer) && !slices.Contains(but, n.Name) {
				all[n.Name+" with "+peer] = s.Since.UTC().Format(time.RFC3339)
			}
		}
	}
	return all
}

// changePeer changes a BGPPeer until the story ends or undo is called.
func (g *scene) changePeer(name string, change func(*v1beta2.BGPPeerSpec)) (undo func()) {
	g.t.Helper()
	peer := &v1beta2.BGPPeer{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: name}}
	return changeObject(g, peer, func() { change(&peer.Spec) }, func(from client.Object) { peer.Spec = from.(*v1beta2.BGPPeer).Spec })
}

// changeProfile changes the BFDProfile of all peers until then.
func (g *scene) changeProfile(change func(*metallb.BFDProfileSpec)) (undo func()) {
	g.t.Helper()
	p := &metallb.BFDProfile{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: site.BFDProfile}}
	return changeObject(g, p, func() { change(&p.Spec) }, func(from client.Object) { p.Spec = from.(*metallb.BFDProfile).Spec })
}

// alterNode changes a node until then.
func (g *scene) alterNode(name string, change func(*corev1.Node)) (undo func()) {
	g.t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	return changeObject(g, n, func() { change(n) }, func(from client.Object) {
		n.Labels, n.Spec = from.GetLabels(), from.(*corev1.Node).Spec
	})
}

func changeObject(g *scene, o client.Object, change func(), restore func(from client.Object)) (undo func()) {
	g.t.Helper()
	g.must(g.API.Get(g.ctx, client.ObjectKeyFromObject(o), o))
	before := o.DeepCopyObject().(client.Object)
	change()
	g.must(g.API.Patch(g.ctx, o, client.MergeFrom(before)))
	done := false
	undo = func() {
		if done {
			return
		}
		done = true
		changed := o.DeepCopyObject().(client.Object)
		restore(before)
		if err := g.API.Patch(context.Background(), o, client.MergeFrom(changed)); err != nil {
			g.t.Error(err)
		}
	}
	g.t.Cleanup(undo)
	return undo
}

// create makes an object until the story ends.
func (g *scene) create(o client.Object) {
	g.t.Helper()
	o.SetNamespace(site.Namespace)
	g.must(g.API.Create(g.ctx, o))
	g.t.Cleanup(func() {
		if err := client.IgnoreNotFound(g.API.Delete(context.Background(), o)); err != nil {
			g.t.Error(err)
		}
	})
}

// meet has node1 have one more peer until the story ends, and returns its name.
func (g *scene) meet(name string, spec v1beta2.BGPPeerSpec) string {
	g.t.Helper()
	spec.MyASN = lab.NodeASN
	spec.NodeSelectors = []metav1.LabelSelector{{MatchLabels: map[string]string{corev1.LabelHostname: "node1"}}}
	g.create(&v1beta2.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec})
	return name
}

// allPeers are the names of those that the site has.
func (g *scene) allPeers() (names []string) {
	for _, r := range g.Routers {
		names = append(names, sessionsWith(r)...)
	}
	return names
}

func sessionsWith(r *lab.Router) []string {
	return []string{site.PeerName(r, corev1.IPv4Protocol), site.PeerName(r, corev1.IPv6Protocol)}
}

// isReady returns when a node's speaker says so: where routers are to be reached,
// they were.
func (g *scene) isReady(node string) {
	g.t.Helper()
	g.until("the speaker of "+node+" is ready", func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		status, said, err := g.Node(node).Get(ctx, "http://127.0.0.1:7474/readyz?verbose")
		return orElse(status == http.StatusOK, err, "it says %s", said)
	})
}

// stop ends a speaker as Kubernetes does, and returns when it is gone.
func (g *scene) stop(p *lab.Program) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.ctx, lab.Patience)
	defer cancel()
	if err := p.Stop(ctx); err != nil {
		g.t.Errorf("a speaker should exit with status 0 when it is asked to stop: %v\n%s", err, p.Tail(5))
	}
}

// logs are what all programs of the site said.
func (g *scene) logs() map[string]string {
	g.t.Helper()
	all := map[string]string{}
	for _, path := range g.Logs() {
		log, err := os.ReadFile(path)
		g.must(err)
		all[path] = string(log)
	}
	return all
}

func listOf(version, kind string) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(version)
	list.SetKind(kind)
	return list
}
