//go:build linux

package lab

import (
	"fmt"
	"net"
	"sync"
)

// gateway takes what connects to one port of a node's loopback to the same
// port of the machine's.
type gateway struct {
	address string
	ln      net.Listener

	mu    sync.Mutex
	open  chan struct{} // closed while bytes may pass
	ended chan struct{}
	conns map[net.Conn]bool
}

// newGateway listens in the namespace until close.
func newGateway(ns namespace, address string) (*gateway, error) {
	g := &gateway{
		address: address,
		open:    make(chan struct{}),
		ended:   make(chan struct{}),
		conns:   map[net.Conn]bool{},
	}
	close(g.open)
	err := ns.do(func() (err error) {
		g.ln, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening the way to the API server: %w", err)
	}
	go g.serve()
	return g, nil
}

func (g *gateway) serve() {
	for {
		near, err := g.ln.Accept()
		if err != nil {
			return
		}
		go g.join(near)
	}
}

func (g *gateway) join(near net.Conn) {
	if !g.keep(near) || !g.pass() {
		return
	}
	far, err := net.Dial("tcp", g.address)
	if err != nil || !g.keep(far) {
		g.drop(near)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { g.copy(far, near) })
	both.Go(func() { g.copy(near, far) })
	both.Wait()
}

// copy ends both connections with the first of them.
func (g *gateway) copy(to, from net.Conn) {
	defer g.drop(from)
	defer g.drop(to)
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		// An end is news too: it waits as bytes do.
		if !g.pass() {
			return
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}

// keep notes a connection as one to close at the end, unless that has come.
func (g *gateway) keep(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.ended:
		conn.Close()
		return false
	default:
		g.conns[conn] = true
		return true
	}
}

func (g *gateway) drop(conn net.Conn) {
	conn.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, conn)
}

// pass waits while the way is cut. It tells whether the gateway goes on.
func (g *gateway) pass() bool {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	select {
	case <-open:
		return true
	case <-g.ended:
		return false
	}
}

func (g *gateway) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
		g.open = make(chan struct{})
	default:
	}
}

func (g *gateway) restore() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.open:
	default:
		close(g.open)
	}
}

func (g *gateway) close() {
	g.ln.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.ended:
		return
	default:
		close(g.ended)
	}
	for conn := range g.conns {
		conn.Close()
	}
}

// CutAPI has nothing come through between the node and the API server, as when
// packets are dropped: connections stay, and hear nothing. What was sent comes
// through after RestoreAPI.
func (n *Node) CutAPI() { n.api.cut() }

// RestoreAPI ends CutAPI.
func (n *Node) RestoreAPI() { n.api.restore() }
