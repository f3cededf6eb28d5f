//go:build linux

package l2

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

const (
	// standInLimit is the speakers' here: long enough for one to start again,
	// be it on a busy machine, short enough to wait for.
	standInLimit = 20 * time.Second
	// brief is what counts as a short silence, where clients that nobody told
	// anything would ask again after 5 s and more. It leaves room for a machine
	// that has other work; the benchmark has the figures.
	brief = 3 * time.Second
	// soon is what waits for the API server, too, and is seen by asking.
	soon = 10 * time.Second
	// window is how long answers to one question are awaited.
	window = 60 * time.Millisecond
)

// ground is what the stories share: four nodes, the last of which announces
// nothing and has the pods, so that none dies with an owner; two clients; and a
// Service of those pods.
type ground struct {
	*site.Site
	t *testing.T
	// ctx ends with the story.
	ctx      context.Context
	web      *corev1.Service
	sniffers []*lab.Sniffer
}

func newGround(t *testing.T) *ground {
	s := site.New(t, site.Options{
		Nodes: 4, Clients: 2, Suffix: ".race",
		SpeakerFlags: []string{"--stand-in-limit=" + standInLimit.String()},
	})
	g := &ground{Site: s, t: t, ctx: t.Context()}
	t.Cleanup(func() { check.Logs(t, g.Logs()...) })
	g.changeNode("node4", func(n *corev1.Node) { n.Labels[corev1.LabelNodeExcludeBalancers] = "" })
	for _, c := range s.Clients {
		sniffer, err := c.Sniff()
		g.must(err)
		t.Cleanup(sniffer.Close)
		g.sniffers = append(g.sniffers, sniffer)
	}
	for i := range 2 {
		_, err := s.Node("node4").StartPod(t.Context(), "default", fmt.Sprint("web", i+1), "web")
		g.must(err)
	}
	g.web = g.serve("web", "web")
	return g
}

// in is the ground as a story uses it.
func (g *ground) in(t *testing.T) *ground {
	own := *g
	own.t, own.ctx = t, t.Context()
	return &own
}

func (g *ground) must(err error) {
	g.t.Helper()
	check.Must(g.t, err)
}

// until returns when what is described holds.
func (g *ground) until(what string, holds func(ctx context.Context) (bool, error)) {
	g.t.Helper()
	g.must(g.Await(g.ctx, what, holds))
}

// serve has a Service until the story ends. It returns when all clients reach
// pods by it.
func (g *ground) serve(name, app string, change ...func(*corev1.Service)) *corev1.Service {
	g.t.Helper()
	svc, err := g.Serve(g.ctx, name, app, change...)
	g.t.Cleanup(func() { g.remove(name) })
	g.must(err)
	g.reached(svc)
	return svc
}

// remove deletes a Service, and returns when nothing is on record of it.
func (g *ground) remove(name string) {
	ctx := context.Background()
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	if err := g.API.Delete(ctx, svc); err != nil {
		return // it is gone already, or all is
	}
	_ = g.Await(ctx, name+" is gone", func(ctx context.Context) (bool, error) {
		records, err := g.records(ctx, name)
		return len(records) == 0, err
	})
}

// reached returns when every client gets a page at every address of svc.
func (g *ground) reached(svc *corev1.Service) {
	g.t.Helper()
	for _, c := range g.Clients {
		for _, address := range site.Addresses(svc) {
			g.until(fmt.Sprint(c.Name, " gets a page from ", address), func(ctx context.Context) (bool, error) {
				return g.page(ctx, c, address)
			})
		}
	}
}

// page says whether a client gets one from an address within a second.
func (g *ground) page(ctx context.Context, c *lab.Client, address netip.Addr) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, _, err := c.Get(ctx, url(address))
	return status == http.StatusOK, err
}

func url(address netip.Addr) string {
	return "http://" + netip.AddrPortFrom(address, lab.HTTPPort).String() + "/"
}

func echo(address netip.Addr) netip.AddrPort { return netip.AddrPortFrom(address, lab.EchoPort) }

// answering names who answers a client's question for an address, sorted: the
// stations that the answers name, whoever sends them.
func (g *ground) answering(c *lab.Client, address netip.Addr) []string {
	g.t.Helper()
	answers, err := c.WhoHas(address, window)
	g.must(err)
	names := map[string]bool{}
	for _, answer := range answers {
		names[g.StationOf(answer.MAC)] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// owners is the node at which each address is.
type owners map[netip.Addr]string

// settled returns who owns the addresses of svc, when each has one owner, the
// same for every client and on record.
func (g *ground) settled(svc *corev1.Service) owners {
	g.t.Helper()
	return g.settledWhere(svc, "each address has one owner, the one on record", func(netip.Addr, string) bool { return true })
}

// settledWhere is settled when the owners are as they should be.
func (g *ground) settledWhere(svc *corev1.Service, what string, right func(address netip.Addr, owner string) bool) owners {
	g.t.Helper()
	all := owners{}
	g.until(what, func(ctx context.Context) (bool, error) {
		recorded, err := g.Owners(ctx)
		if err != nil {
			return false, err
		}
		for _, address := range site.Addresses(svc) {
			for _, c := range g.Clients {
				if seen := g.answering(c, address); len(seen) != 1 || seen[0] != recorded[address] || !right(address, seen[0]) {
					return false, fmt.Errorf("%s sees %s at %v, on record it is at %s", c.Name, address, seen, recorded[address])
				}
			}
			all[address] = recorded[address]
		}
		return true, nil
	})
	return all
}

// nodes are the owners, each once, sorted.
func (o owners) nodes() []string {
	return slices.Compact(slices.Sorted(maps.Values(o)))
}

// of are the addresses that a node owns, sorted.
func (o owners) of(node string) (addresses []netip.Addr) {
	for address, owner := range o {
		if owner == node {
			addresses = append(addresses, address)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return addresses
}

// candidates are the nodes that may announce, but for those named.
func candidates(but ...string) []string {
	return slices.DeleteFunc([]string{"node1", "node2", "node3"}, func(n string) bool { return slices.Contains(but, n) })
}

// ready returns when the speaker of a node may announce.
func (g *ground) ready(node string) {
	g.t.Helper()
	n := g.Node(node)
	g.until("the speaker of "+node+" is ready", func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		status, _, err := n.Get(ctx, "http://127.0.0.1:7474/readyz")
		return status == http.StatusOK, err
	})
}

// changeNode changes the object of a node; undo takes the change back.
func (g *ground) changeNode(name string, change func(*corev1.Node)) (undo func()) {
	g.t.Helper()
	node := &corev1.Node{}
	g.must(g.API.Get(g.ctx, client.ObjectKey{Name: name}, node))
	before := node.DeepCopy()
	change(node)
	g.must(g.API.Patch(g.ctx, node, client.MergeFrom(before)))
	return func() {
		// Built from the change alone: the status has gone on.
		after := node.DeepCopy()
		after.Labels, after.Spec = before.Labels, before.Spec
		if err := g.API.Patch(context.Background(), after, client.MergeFrom(node)); err != nil {
			g.t.Error(err)
		}
	}
}
