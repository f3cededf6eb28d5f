//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Software is what speaks BGP.
type Software string

// What the lab has to speak BGP.
const (
	FRR  Software = "FRR"
	BIRD Software = "BIRD"
)

// Routing is FRR or BIRD at work, on a router or on a node.
type Routing struct {
	engine engine
	// on names the station.
	on  string
	dir string
	run func(binary string, args ...string) (*Program, error)

	mu       sync.Mutex
	config   BGPConfig
	programs []*Program
}

// engine is what differs from one software to the other. Its methods that ask
// the daemons take the folder that they were started in.
type engine interface {
	// daemons are what to run in that folder, in the order of their start.
	daemons(dir string, c BGPConfig) []daemon
	// files are the configuration.
	files(c BGPConfig) map[string]string
	neighbours(ctx context.Context, dir string) ([]NeighbourState, error)
	paths(ctx context.Context, dir string, prefix netip.Prefix) ([]Path, error)
	bfd(ctx context.Context, dir string) (map[netip.Addr]string, error)
}

// daemon is a program and the socket by which it answers once it has read its
// configuration.
type daemon struct {
	binary, socket string
	// command runs it.
	command []string
}

func newEngine(s Software) (engine, error) {
	switch s {
	case "", FRR:
		return frr{}, nil
	case BIRD:
		return bird{}, nil
	}
	return nil, fmt.Errorf("%q is neither %s nor %s", s, FRR, BIRD)
}

func (o RouterOptions) available() error {
	e, err := newEngine(o.Software)
	if err != nil {
		return err
	}
	for _, d := range e.daemons("", BGPConfig{}) {
		if _, err := exec.LookPath(d.binary); err != nil {
			return fmt.Errorf("%w: %s is missing; run e2e/prepare.sh lab frr bird, which says how to get it", ErrUnavailable, d.binary)
		}
	}
	return nil
}

func newRouting(s Software, on string, ns namespace, config BGPConfig, run func(string, ...string) (*Program, error)) (*Routing, error) {
	e, err := newEngine(s)
	if err != nil {
		return nil, err
	}
	// Not in the folder of the lab: the path of a socket has to be short.
	dir, err := os.MkdirTemp("", "berth-router-")
	if err != nil {
		return nil, err
	}
	return &Routing{engine: e, on: on, dir: dir, run: run, config: config}, nil
}

// Start starts what does not run, and returns when it has read its
// configuration.
func (r *Routing) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.write(); err != nil {
		return fmt.Errorf("configuring BGP on %s: %w", r.on, err)
	}
	for i, d := range r.engine.daemons(r.dir, r.config) {
		if err := r.startDaemon(ctx, i, d); err != nil {
			return fmt.Errorf("starting BGP on %s: %w", r.on, err)
		}
	}
	return nil
}

func (r *Routing) startDaemon(ctx context.Context, i int, d daemon) error {
	if i < len(r.programs) && r.programs[i].Running() {
		return nil
	}
	// That of an earlier life answers nothing, and stands in the way of BIRD.
	_ = os.Remove(d.socket)
	if i < len(r.programs) && slices.Equal(r.programs[i].spec.Args, d.command[1:]) {
		if err := r.programs[i].Start(); err != nil {
			return err
		}
		return awaitSocket(ctx, d.socket, r.programs[i])
	}
	// It is the first one, or the configuration has another command, as for the
	// port of FRR.
	p, err := r.run(d.command[0], d.command[1:]...)
	if err != nil {
		return err
	}
	r.programs = slices.Replace(r.programs, i, min(i+1, len(r.programs)), p)
	return awaitSocket(ctx, d.socket, p)
}

// awaitSocket returns when the program listens there.
func awaitSocket(ctx context.Context, socket string, p *Program) error {
	err := wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, Patience, true, func(context.Context) (bool, error) {
		if !p.Running() {
			return false, errors.New("it ended")
		}
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w; it said:\n%s", filepath.Base(socket), err, p.Tail(5))
	}
	return nil
}

func (r *Routing) write() error {
	for name, text := range r.engine.files(r.config) {
		path := filepath.Join(r.dir, name)
		// Passwords are in there.
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Stop asks the daemons to end, the one that speaks BGP first, which closes its
// sessions, and returns when they have: routes are gone from the kernel.
func (r *Routing) Stop(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.programs) - 1; i >= 0; i-- {
		proc := r.programs[i].process()
		proc.Term()
		if err := awaitEnd(ctx, proc.Done()); err != nil {
			return fmt.Errorf("stopping BGP on %s: %w", r.on, err)
		}
	}
	return nil
}

func awaitEnd(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Kill ends the daemons by SIGKILL. The kernel keeps their routes, and closes
// their connections.
func (r *Routing) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	// zebra would withdraw the routes of a bgpd that it outlives.
	for _, p := range r.programs {
		p.Kill()
	}
}

// Restart is Kill and Start.
func (r *Routing) Restart(ctx context.Context) error {
	r.Kill()
	return r.Start(ctx)
}

// Pause stops the daemons where they are until Resume. The kernel goes on to
// accept connections in their name.
func (r *Routing) Pause() { r.each((*Program).Pause) }

// Resume ends a pause.
func (r *Routing) Resume() { r.each((*Program).Resume) }

func (r *Routing) each(do func(*Program)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.programs {
		do(p)
	}
}

// Running tells whether all daemons run.
func (r *Routing) Running() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(running(r.programs)) == len(r.programs)
}

// Config is what it was configured to last.
func (r *Routing) Config() BGPConfig {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.config.clone()
}

// Reconfigure changes the configuration by stopping the daemons as Stop does
// and starting them with the new one.
func (r *Routing) Reconfigure(ctx context.Context, change func(*BGPConfig)) error {
	if err := r.Stop(ctx); err != nil {
		return err
	}
	config := r.Config()
	change(&config)
	r.mu.Lock()
	r.config = config
	r.mu.Unlock()
	return r.Start(ctx)
}

// Log is the end of what each daemon wrote.
func (r *Routing) Log(lines int) (all string) {
	r.each(func(p *Program) { all += p.Tail(lines) + "\n" })
	return all
}

// remove takes the folder away once the daemons are gone.
func (r *Routing) remove() { _ = os.RemoveAll(r.dir) }

// NeighbourState is how a router sees a neighbour.
type NeighbourState struct {
	Address netip.Addr
	// State is that of RFC 4271, such as "Established". BIRD has one more while
	// it waits: "Passive".
	State string
	// Up is for how long it is Established, to the second with FRR.
	Up time.Duration
	// Prefixes are those that it has from there now, of both families.
	Prefixes int
	// Updates counts the UPDATE messages that came in this session with FRR.
	// BIRD doesn't count messages: there it is the routes in them.
	Updates int
	// Withdrawals counts the routes withdrawn, with BIRD only.
	Withdrawals int
	// ID is the neighbour's router ID. Hold and Keepalive are as negotiated. All
	// are zero while there is no session.
	ID              netip.Addr
	Hold, Keepalive time.Duration
}

// Established tells whether the session is up.
func (n NeighbourState) Established() bool { return n.State == "Established" }

// Neighbours are all that are configured or connected, by address.
func (r *Routing) Neighbours(ctx context.Context) (map[netip.Addr]NeighbourState, error) {
	all, err := r.engine.neighbours(ctx, r.dir)
	if err != nil {
		return nil, fmt.Errorf("asking %s for its neighbours: %w", r.on, err)
	}
	byAddress := map[netip.Addr]NeighbourState{}
	for _, n := range all {
		byAddress[n.Address] = n
	}
	return byAddress, nil
}

// Path is one way to a prefix, as a neighbour told it.
type Path struct {
	From, NextHop netip.Addr
	ASPath        []uint32
	LocalPref     uint32
	// Communities are like 64500:1 and LargeCommunities like 64500:1:2, sorted.
	Communities, LargeCommunities []string
	Best                          bool
}

// Paths are those to exactly that prefix, by neighbour; none if it is unknown.
func (r *Routing) Paths(ctx context.Context, prefix netip.Prefix) (map[netip.Addr]Path, error) {
	all, err := r.engine.paths(ctx, r.dir, prefix)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", r.on, prefix, err)
	}
	from := map[netip.Addr]Path{}
	for _, p := range all {
		from[p.From] = p
	}
	return from, nil
}

// BFD are the states of BFD sessions by neighbour, in capitals with FRR and
// BIRD alike: UP, DOWN, INIT or ADMINDOWN.
func (r *Routing) BFD(ctx context.Context) (map[netip.Addr]string, error) {
	states, err := r.engine.bfd(ctx, r.dir)
	if err != nil {
		return nil, fmt.Errorf("asking %s for BFD: %w", r.on, err)
	}
	return states, nil
}
