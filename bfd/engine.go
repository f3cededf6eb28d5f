//go:build linux

package bfd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/berth-lb/berth/epoll"
)

const (
	// defaultLinger is how long an accepted session stays when the peer is gone.
	defaultLinger = 10 * time.Second
	// defaultMaxAccepted is more than a node has watchers.
	defaultMaxAccepted = 1024
)

// ErrStopped is what Add returns after Run has ended.
var ErrStopped = errors.New("the BFD engine has stopped")

// Options are what an Engine is made with. The zero value is good for sessions
// with routers.
type Options struct {
	// Port is where single-hop packets go to and come in, 3784 if 0.
	Port uint16
	// MultihopPort is 4784 if 0. It is opened with the first multihop session.
	MultihopPort uint16
	// Listen are the addresses to listen on; all if there are none.
	Listen []netip.Addr

	// Accept is asked about a peer that speaks first, over one hop, and has no
	// passive session; iface is the index of the interface that it came by. With
	// true, a passive session is made of the Config, whose Peer, Local and Passive
	// the engine fills in. It ends by itself after Linger. Where Accept is nil, or
	// says false, the packet is for an active session or for none.
	//
	// It is called from the I/O thread: it must not block, nor call Sessions.
	Accept func(peer netip.Addr, iface int) (Config, bool)
	// MaxAccepted bounds the sessions so made; 1024 if 0.
	MaxAccepted int
	// Linger is how long such a session may be Down and without packets; 10 s if 0.
	Linger time.Duration

	// Gather is how long packets may lie in their sockets while every session is
	// Up, so that the thread wakes when it has to send rather than for each of
	// them; the kernel notes when they came. By so much a peer that ends its
	// session is noticed later, one that vanishes is not. 0 reads packets at once.
	Gather time.Duration

	// OnEvent is told each change of a session, in order, but not what this
	// side's own Remove or stop changes. It is called from the I/O thread: it must
	// not block, nor call Sessions. Add and Remove it may call.
	OnEvent func(Event)
	// OnProblem is told why packets of a session can't be sent or received, when
	// the session begins and whenever that is another reason than before; nil where
	// they can. It is called as OnEvent is.
	OnProblem func(Key, error)
}

// Engine holds sessions and does their I/O. Its methods may be called from any
// goroutine.
type Engine struct {
	opts Options

	mu    sync.Mutex
	phase phase
	todo  []func()   // for the I/O thread
	waker *epoll.Set // of the I/O thread; valid while running

	loop // of the I/O thread while it runs, guarded by mu before and after

	counts counts
}

type phase uint8

const (
	created phase = iota
	running
	stopped
)

// New returns an Engine without sessions. It opens nothing before Run.
func New(opts Options) *Engine {
	if opts.Port == 0 {
		opts.Port = 3784
	}
	if opts.MultihopPort == 0 {
		opts.MultihopPort = 4784
	}
	if opts.MaxAccepted == 0 {
		opts.MaxAccepted = defaultMaxAccepted
	}
	if opts.Linger == 0 {
		opts.Linger = defaultLinger
	}
	if opts.OnEvent == nil {
		opts.OnEvent = func(Event) {}
	}
	if opts.OnProblem == nil {
		opts.OnProblem = func(Key, error) {}
	}
	return &Engine{opts: opts, loop: newLoop()}
}

// Run does the I/O until ctx ends; then it tells every peer AdminDown, which
// takes less than 100 ms, and returns nil. An error means that the sockets could
// not be opened, or that the kernel refused to wait for them. It runs once.
//
// It keeps its goroutine on one thread. GOMAXPROCS above the number of
// processors keeps that from waiting for other goroutines.
func (e *Engine) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := e.start(); err != nil {
		return err
	}
	defer e.stop()
	defer context.AfterFunc(ctx, e.wake)()
	return e.serve(ctx)
}

func (e *Engine) start() (err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase != created {
		return errors.New("running the BFD engine: it ran before")
	}
	if e.listeners, err = listen(e.opts.Listen, e.opts.Port, false); err != nil {
		return err
	}
	if e.senders, err = openSenders(); err != nil {
		closeAll(e.listeners)
		return err
	}
	if e.waker, err = epoll.New(); err != nil {
		e.close()
		return err
	}
	e.phase = running
	for _, x := range e.keys {
		e.attach(x)
	}
	return nil
}

func (e *Engine) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.phase, e.stopping = stopped, true
	e.waker.Close()
	e.close()
	e.table = newTable()
	for _, f := range e.todo {
		f()
	}
	e.todo = nil
}

// Add makes a session, or changes the one with the same Key: new intervals are
// agreed on with the peer without an interruption. An error means that the
// configuration can't be. What turns out later, such as an interface that is not
// there, is in Status.Problem, and tried again with each packet to send; for a
// passive session, with the next Add.
func (e *Engine) Add(cfg Config) error {
	if err := cfg.validate(); err != nil {
		return fmt.Errorf("BFD session with %v: %w", cfg.Peer, err)
	}
	cfg = cfg.normal()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase == stopped {
		return fmt.Errorf("BFD session with %v: %w", cfg.Peer, ErrStopped)
	}
	e.do(func() { e.add(cfg) })
	return nil
}

// Remove ends a session and tells the peer that it was on purpose. One that does
// not exist is removed already.
func (e *Engine) Remove(k Key) {
	k = Config{Peer: k.Peer, Interface: k.Interface, Multihop: k.Multihop, Passive: k.Passive}.Key()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.do(func() { e.remove(k) })
}

// Sessions returns a snapshot, sorted by Key.
func (e *Engine) Sessions() []Status {
	var all []Status
	done := make(chan struct{})
	e.mu.Lock()
	e.do(func() { all = e.snapshot(); close(done) })
	e.mu.Unlock()
	<-done
	return all
}

// do has f done by whoever owns the loop now. It is called under mu.
func (e *Engine) do(f func()) {
	if e.phase != running {
		f()
		return
	}
	e.todo = append(e.todo, f)
	if len(e.todo) == 1 {
		e.waker.Wake()
	}
}

func (e *Engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase == running {
		e.waker.Wake()
	}
}

// takeTodo does what other goroutines asked for.
func (e *Engine) takeTodo() {
	e.mu.Lock()
	todo := e.todo
	e.todo = nil
	e.mu.Unlock()
	for _, f := range todo {
		f()
	}
}
