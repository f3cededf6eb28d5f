//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// ground is what the stories share: three nodes, a router of FRR and one of
// BIRD, each with a client behind it, and pods on the last node.
type ground struct {
	*site.Site
	t *testing.T
	// ctx ends with the story.
	ctx context.Context
}

func newGround(t *testing.T) *ground {
	s := site.New(t, site.Options{
		Suffix: ".race", Clients: -1, Values: []string{"speaker.serviceBGPStatus=true"},
		Routers: []lab.RouterOptions{{Software: lab.FRR, Change: patientBFD}, {Software: lab.BIRD, Change: patientBFD}},
	})
	g := &ground{Site: s, t: t, ctx: t.Context()}
	t.Cleanup(g.readLogs)
	for i := range 2 {
		_, err := s.Node("node3").StartPod(t.Context(), "default", fmt.Sprint("web", i+1), "web")
		g.must(err)
	}
	return g
}

// patientBFD lets a busy machine stall for a second without the loss of a
// session: how fast BFD is does not matter here.
func patientBFD(c *lab.BGPConfig) {
	c.BFD = lab.BFDTimers{Interval: 500 * time.Millisecond, Multiplier: 5}
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

// serve has a Service with routed addresses until the story ends. It returns
// when it is served.
func (g *ground) serve(name, app string, change ...func(*corev1.Service)) *corev1.Service {
	g.t.Helper()
	svc, err := g.Serve(g.ctx, name, app, append([]func(*corev1.Service){site.Routed}, change...)...)
	g.t.Cleanup(func() {
		g.remove(name)
		g.forgotten(svc)
	})
	g.must(err)
	return svc
}

// forgotten returns when the routers have no route to the addresses of a Service
// that is gone. The next one gets them, and a router that still has the old route
// may drop it after the new one was looked for.
func (g *ground) forgotten(svc *corev1.Service) {
	if svc == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), site.Patience)
	defer cancel()
	if err := g.AwaitRoutes(ctx, svc); err != nil {
		g.t.Error(err)
	}
}

// remove deletes a Service; no matter if it is gone already.
func (g *ground) remove(name string) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	if err := client.IgnoreNotFound(g.API.Delete(context.Background(), svc)); err != nil {
		g.t.Error(err)
	}
}

// announced returns when the routers send packets for a Service to exactly these
// nodes.
func (g *ground) announced(svc *corev1.Service, nodes ...*lab.Node) {
	g.t.Helper()
	g.must(g.AwaitRoutes(g.ctx, svc, nodes...))
}

// reached returns when the client behind every router gets a page of a pod of its
// app at every address of svc: for up to a second, kube-proxy sends it to pods of
// the Service that had the address before.
func (g *ground) reached(svc *corev1.Service) {
	g.t.Helper()
	for _, r := range g.Routers {
		for _, address := range site.Addresses(svc) {
			g.until(fmt.Sprint(r.Remote.Name, " gets a page from ", address), func(ctx context.Context) (bool, error) {
				return g.page(ctx, r.Remote, address, svc.Spec.Selector["app"])
			})
		}
	}
}

// page says whether a client gets one of a pod of an app from an address within
// a second.
func (g *ground) page(ctx context.Context, c *lab.Client, address netip.Addr, app string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	status, pod, err := c.Get(ctx, url(address))
	if err == nil && !strings.HasPrefix(pod, app) {
		err = fmt.Errorf("%s answered", pod)
	}
	return status == http.StatusOK, err
}

func url(address netip.Addr) string {
	return "http://" + netip.AddrPortFrom(address, lab.HTTPPort).String() + "/"
}
