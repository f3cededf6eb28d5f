//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/berth-lb/berth/bfd"
)

// againBFD is the pause before sockets are asked for again that could not be
// had, because another BFD daemon has the port.
const againBFD = 5 * time.Second

// gatherBFD lets packets of routers wait for the next one that is sent to any.
// A router that ends a session says so by BGP as well, which nothing delays.
const gatherBFD = 100 * time.Millisecond

// watch keeps the BFD sessions with routers. Nothing runs before the first.
type watch struct {
	t       *thread
	engine  *bfd.Engine
	cancel  context.CancelFunc
	done    chan struct{}
	problem string
	// watched are the configurations, and who of the links relies on each:
	// several if routers share an address.
	watched map[bfd.Key]bfd.Config
	users   map[bfd.Key]map[*link]struct{}
}

// bfdConfig is the BFD session with a router. One hop is what FRR's bgpd expects
// but for external peers with ebgp-multihop and internal ones that are not on a
// common network.
func bfdConfig(p Peer, address netip.Addr, r route) bfd.Config {
	return bfd.Config{
		Peer: address, Local: p.Source,
		Transmit: p.BFD.Transmit, Receive: p.BFD.Receive, Multiplier: p.BFD.Multiplier,
		Passive: p.BFD.Passive, MinTTL: p.BFD.MinTTL,
		Multihop: p.Multihop || p.PeerASN == p.MyASN && !r.direct,
	}
}

// add has a router be watched for l, or watched differently.
func (w *watch) add(l *link, c bfd.Config) error {
	w.start()
	if err := w.engine.Add(c); err != nil {
		return err
	}
	k := c.Key()
	if w.users[k] == nil {
		w.users[k] = map[*link]struct{}{}
	}
	w.watched[k] = c
	w.users[k][l] = struct{}{}
	return nil
}

func (w *watch) remove(l *link, k bfd.Key) {
	delete(w.users[k], l)
	if len(w.users[k]) > 0 {
		return
	}
	delete(w.users, k)
	delete(w.watched, k)
	if w.engine != nil {
		w.engine.Remove(k)
	}
}

// start makes an engine, and another one where it failed.
func (w *watch) start() {
	if w.engine != nil {
		return
	}
	if w.watched == nil {
		w.watched, w.users = map[bfd.Key]bfd.Config{}, map[bfd.Key]map[*link]struct{}{}
	}
	t := w.t
	engine := bfd.New(bfd.Options{
		Port: t.opts.BFDPort, MultihopPort: t.opts.BFDMultihopPort, Gather: gatherBFD,
		Listen: t.bfdListen, OnEvent: func(e bfd.Event) { t.mail.post(func(t *thread) { t.watch.event(e) }) },
		OnProblem: func(k bfd.Key, err error) { t.mail.post(func(t *thread) { t.watch.trouble(k, err) }) },
	})
	t.engine.Store(engine)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	w.engine, w.cancel, w.done = engine, cancel, done
	for _, c := range w.watched {
		_ = engine.Add(c) // accepted before
	}
	go func() {
		defer close(done)
		if err := engine.Run(ctx); err != nil {
			t.mail.post(func(t *thread) { t.watch.failed(err) })
		}
	}()
}

func (w *watch) failed(err error) {
	w.cancel()
	w.engine, w.problem = nil, fmt.Sprintf("BFD does not run: %v", err)
	w.t.opts.Log.Error(err, "BFD does not run")
	for _, l := range w.t.links {
		l.bfdState, l.bfdProblem = "", ""
	}
	time.AfterFunc(againBFD, func() { w.t.mail.post(func(t *thread) { t.watch.start() }) })
}

// stop tells the routers that it is on purpose (RFC 5880 section 6.8.16).
func (w *watch) stop() {
	if w.engine == nil {
		return
	}
	w.cancel()
	<-w.done
	w.engine = nil
}

// trouble is of one session, and nil when it is over.
func (w *watch) trouble(k bfd.Key, err error) {
	w.problem = "" // it runs
	problem := ""
	if err != nil {
		problem = fmt.Sprintf("BFD does not work: %v", err)
	}
	for l := range w.users[k] {
		l.bfdProblem = problem
	}
}

func (w *watch) event(e bfd.Event) {
	w.problem = ""
	for l := range w.users[e.Key] {
		l.onBFD(e)
	}
}
