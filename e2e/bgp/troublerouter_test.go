//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.universe.tf/metallb/api/v1beta2"

	"github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/e2e/lab"
)

var routerPlots = []plot{
	{"a router that starts anew has everything soon", (*scene).startsAnew},
	{"routers that are not there, say nothing, hang up or send what is not BGP disturb no other", (*scene).talksNonsense},
	{"a flood of routes does not make the speaker grow", (*scene).floods},
}

const (
	backWithin = 15 * time.Second
	// services is how many are announced besides, and each has two prefixes.
	services = 10
)

// A router is upgraded, or loses power for a moment.
func (g *scene) startsAnew() {
	for i := range services {
		g.serve(fmt.Sprint("more", i), "web")
	}
	for _, r := range g.Routers {
		undisturbed := g.others(sessionsWith(r)...)
		r.Kill()
		for _, peer := range sessionsWith(r) {
			g.until("the nodes notice", func(ctx context.Context) (bool, error) {
				all, err := g.sessions(ctx, "node1")
				return settled(all[peer].State != v1beta1.Established, err, all[peer])
			})
		}
		// Without power the kernel forgets, too. FRR leaves there for good what it finds
		// of IPv6 and can't read. Its routes go with the next hops that it made (11).
		g.ip(&r.Station, "nexthop flush proto 11")
		g.must(r.Start(g.ctx))
		began := time.Now()
		g.until(r.Name+" has everything", func(ctx context.Context) (bool, error) {
			all, err := r.Neighbours(ctx)
			for addr, n := range all {
				if want := services + 1; !n.Established() || n.Prefixes != want {
					return false, fmt.Errorf("%s is %s with %d of %d prefixes", addr, n.State, n.Prefixes, want)
				}
			}
			return len(all) == 2*len(g.Nodes), err
		})
		took := time.Since(began)
		g.t.Logf("%s had everything after %s", r.Name, took.Round(time.Millisecond))
		if took > backWithin {
			g.t.Errorf("%s had everything after %s, it should take %s", r.Name, took, backWithin)
		}
		g.announced(g.web, g.Nodes...)
		undisturbed()
	}
}

// Each of them shuts its own door only, the reason says which one, and it is open
// for who mends its ways. Whoever comes and goes all the time is not tried without
// end, and heard when it stays.
func (g *scene) talksNonsense() {
	const flaps = 6
	undisturbed := g.others()
	one, two := g.Clients[0], g.Clients[1]
	g.impersonate(two, two.IPv6, fickle(flaps))
	g.meetImpostor("fickle", two.IPv6)
	g.meetImpostor("nobody", nobody)
	// There is a host, but no router.
	g.meet("closed", v1beta2.BGPPeerSpec{ASN: impostorASN, Address: g.Nodes[1].IPv4.String()})
	impostors := []struct {
		name string
		at   *lab.Client
		addr netip.Addr
		do   func(net.Conn, int)
		why  string
	}{
		{"noise", one, one.IPv4, noise, "the router sent what is not BGP"},
		{"nonsense", one, one.IPv6, nonsense, "the router sent what is not BGP"},
		{"silence", two, two.IPv4, silence, "accepts the connection and says nothing: look whether it is BGP that listens there"},
	}
	for _, im := range impostors {
		end := g.impersonate(im.at, im.addr, im.do)
		g.meetImpostor(im.name, im.addr)
		g.explains("node1", im.name, im.why)
		end()
		g.impersonate(im.at, im.addr, fickle(0))
	}
	g.explains("node1", "nobody", nobody.String()+" is not reachable: nothing answers for it on its network")
	g.explains("node1", "closed", "port 179 refuses connections: look whether BGP runs there")
	for _, im := range impostors {
		g.stands("node1", im.name)
	}
	g.until("the fickle one stays", func(ctx context.Context) (bool, error) {
		all, err := g.sessions(ctx, "node1")
		s := all["fickle"]
		return settled(s.State == v1beta1.Established && time.Since(s.Since.Time) > 3*time.Second, err, s)
	})
	undisturbed()
}

// Nothing that routers tell is of use here, nor kept.
func (g *scene) floods() {
	undisturbed := g.others()
	before := g.memory("node1")
	at := g.Clients[0]
	sent := make(chan struct{})
	g.impersonate(at, at.IPv4, torrent(at.IPv4, sync.OnceFunc(func() { close(sent) })))
	g.meetImpostor("torrent", at.IPv4)
	g.until("100,000 routes are sent", func(context.Context) (bool, error) {
		select {
		case <-sent:
			return true, nil
		default:
			return false, nil
		}
	})
	g.stands("node1", "torrent")
	// With the race detector; what was read and dropped is returned later.
	g.until("100,000 routes have taken little memory", func(context.Context) (bool, error) {
		grown := g.memory("node1") - before
		return orElse(grown < 60<<20, nil, "the speaker grew by %d MB", grown>>20)
	})
	undisturbed()
}

// memory is what the speaker of a node occupies.
func (g *scene) memory(node string) int {
	g.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", g.Speaker(node).PID()))
	g.must(err)
	pages, err := strconv.Atoi(strings.Fields(string(status))[1])
	g.must(err)
	return pages * os.Getpagesize()
}
