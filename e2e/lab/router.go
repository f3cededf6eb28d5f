//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
)

// RouterOptions say what a router is.
type RouterOptions struct {
	// Software is FRR if empty.
	Software Software
	// Change is made to the configuration that the router starts with, which
	// is that of DefaultBGP. It may be nil.
	Change func(*BGPConfig)
}

// Router is a router on the segment, with a network of its own behind it. It
// forwards whatever BGP says, and spreads flows by address and port where there
// are several next hops.
type Router struct {
	Station
	*Routing
	// Number counts from 1.
	Number int
	// Remote is a client behind the router, which is its way to everything. It
	// is not on the segment: what is said there of interfaces and neighbours
	// holds in its own network, and it can't be unplugged.
	Remote *Client

	lab    *Lab
	opts   RouterOptions
	routes *routeTable
}

func newRouter(l *Lab, number int, opts RouterOptions) *Router {
	return &Router{
		Station: routerStation(number, l.prefix), Number: number,
		Remote: &Client{Station: remoteStation(number, l.prefix)},
		lab:    l, opts: opts,
	}
}

// DefaultBGP is a configuration of a router that has a session with each node
// of the lab by each of its addresses, once the node opens it, watched by BFD.
func (r *Router) DefaultBGP() BGPConfig {
	c := BGPConfig{
		ASN:      uint32(routerASNs + r.Number),
		RouterID: r.IPv4,
		BFD:      BFDTimers{Interval: DefaultBFDInterval, Multiplier: DefaultBFDMultiplier},
	}
	for _, n := range r.lab.Nodes {
		for _, addr := range []netip.Addr{n.IPv4, n.IPv6} {
			c.Neighbours = append(c.Neighbours, BGPNeighbour{Address: addr, ASN: NodeASN, Passive: true, BFD: true})
		}
	}
	return c
}

// DefaultBGP is the other end of that: a session from each address of the node
// to each router, as those are configured now, and prefixes to announce.
func (n *Node) DefaultBGP(announce ...netip.Prefix) BGPConfig {
	c := BGPConfig{ASN: NodeASN, RouterID: n.IPv4, Announce: announce}
	for _, r := range n.lab.Routers {
		there := r.Config()
		c.BFD = there.BFD
		for _, addr := range []netip.Addr{r.IPv4, r.IPv6} {
			c.Neighbours = append(c.Neighbours, BGPNeighbour{Address: addr, ASN: there.ASN, Port: there.Port, BFD: true})
		}
	}
	return c
}

func (r *Router) prepare() error {
	if err := r.ns.sysctls(everyStation); err != nil {
		return err
	}
	return r.ns.sysctls(everyRouter)
}

// connectRemote makes the network behind the router. The router is on the
// segment.
func (r *Router) connectRemote() error {
	remote := r.Remote.ns
	create := commands{"netns add " + remote.name}
	cable := commands{fmt.Sprintf("link add name eth0 address %s netns %s type veth peer name eth1 netns %s",
		r.Remote.MAC, remote.name, r.ns.name)}
	inside := commands{"link set dev lo up", "link set dev eth0 up"}
	outside := commands{"link set dev eth1 up"}
	for i, addr := range []netip.Addr{r.Remote.IPv4, r.Remote.IPv6} {
		net := remoteNets(r.Number)[i]
		inside.add("addr add %s/%d dev eth0", addr, net.Bits())
		inside.add("route add default via %s", nth(net, 1))
		outside.add("addr add %s/%d dev eth1", nth(net, 1), net.Bits())
	}
	steps := []func() error{
		create.run,
		func() error { return remote.sysctls(everyStation) },
		cable.run,
		func() error { return r.ns.ip(outside) },
		func() error { return remote.ip(inside) },
		func() error { return r.ns.awaitLinks("eth1") },
		func() error { return remote.awaitAddress(r.Remote.IPv6) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("building what is behind %s: %w", r.Name, err)
		}
	}
	return nil
}

// startRouters returns when all of them listen.
func (l *Lab) startRouters(ctx context.Context) error {
	errs := make([]error, len(l.Routers))
	var starting sync.WaitGroup
	for i, r := range l.Routers {
		starting.Go(func() { errs[i] = r.begin(ctx) })
	}
	starting.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// begin makes a router of the station.
func (r *Router) begin(ctx context.Context) (err error) {
	if err := r.connectRemote(); err != nil {
		return err
	}
	if r.routes, err = watchRoutes(r.ns); err != nil {
		return fmt.Errorf("watching the routes of %s: %w", r.Name, err)
	}
	config := r.DefaultBGP()
	if r.opts.Change != nil {
		r.opts.Change(&config)
	}
	r.Routing, err = newRouting(r.opts.Software, r.Name, r.ns, config, func(binary string, args ...string) (*Program, error) {
		return r.lab.run(r.Name, r.ns, nil, binary, args...)
	})
	if err != nil {
		return err
	}
	return r.Start(ctx)
}

// end leaves nothing of the router but its namespaces.
func (r *Router) end() {
	if r.Routing != nil {
		r.Kill()
		r.remove()
	}
	if r.routes != nil {
		r.routes.close()
	}
}

// RunBGP has a node announce by FRR or BIRD, as other speakers do. It ends with
// the lab at the latest, and a power cut kills it; afterwards Restart makes sure
// of it.
func (n *Node) RunBGP(ctx context.Context, with Software, config BGPConfig) (*Routing, error) {
	r, err := newRouting(with, n.Name, n.ns, config, n.Run)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	n.routings = append(n.routings, r)
	n.mu.Unlock()
	return r, r.Start(ctx)
}
