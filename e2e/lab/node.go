//go:build linux

package lab

import (
	"fmt"
	"strings"
	"sync"
)

// Node is a machine of the cluster.
type Node struct {
	Station
	// Number counts from 1.
	Number int

	lab *Lab
	// Both are nil without a cluster.
	api   *gateway
	proxy *Program

	mu       sync.Mutex
	programs []*Program
	routings []*Routing
	pods     []*Pod
	lastPod  int
	dark     bool       // its power is cut
	lost     []*Program // those that it ended
}

func newNode(l *Lab, number int) *Node {
	return &Node{Station: nodeStation(number, l.prefix), Number: number, lab: l}
}

// commands that give the node its addresses, and the routes to the pods of the
// others and to what is behind routers.
func (n *Node) commands() (c commands) {
	c = n.Station.commands()
	for _, other := range n.lab.Nodes {
		if other != n {
			subnets := podNets(other.Number)
			c.add("route add %s via %s", subnets[0], other.IPv4)
			c.add("route add %s via %s", subnets[1], other.IPv6)
		}
	}
	for _, r := range n.lab.Routers {
		behind := remoteNets(r.Number)
		c.add("route add %s via %s", behind[0], r.IPv4)
		c.add("route add %s via %s", behind[1], r.IPv6)
	}
	return c
}

// Readdress gives the node the addresses and routes back that its kernel forgot
// while eth0 was down, and returns when they are in use.
func (n *Node) Readdress() error {
	c := n.commands()
	for i := range c {
		c[i] = strings.Replace(c[i], " add ", " replace ", 1)
	}
	if err := n.ns.ip(c); err != nil {
		return fmt.Errorf("giving %s its addresses again: %w", n.Name, err)
	}
	return n.lab.segment.awaitStations(&n.Station)
}

// commands that give a station its addresses on the segment.
func (s *Station) commands() (c commands) {
	c.add("link set dev lo up")
	c.add("link set dev eth0 up")
	c.add("addr add %s/%d dev eth0", s.IPv4, prefix4)
	c.add("addr add %s/%d dev eth0", s.IPv6, prefix6)
	return c
}

// namespaces are those of the node and of its pods.
func (n *Node) namespaces() []namespace {
	out := []namespace{n.ns}
	for _, pod := range n.pods {
		out = append(out, pod.ns)
	}
	return out
}

// prepare sets what a namespace of a node has before it has interfaces.
func (n *Node) prepare() error {
	if err := n.ns.sysctls(everyStation); err != nil {
		return err
	}
	return n.ns.sysctls(everyNode)
}

// build makes the node's namespace and its place on the segment.
func (n *Node) build() error {
	steps := []func() error{
		func() error { return commands{"netns add " + n.ns.name}.run() },
		n.prepare,
		func() error { return n.lab.segment.connect(&n.Station) },
		func() error { return n.ns.ip(n.commands()) },
		func() error { return n.lab.segment.awaitStations(&n.Station) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("building %s: %w", n.Name, err)
		}
	}
	return nil
}
