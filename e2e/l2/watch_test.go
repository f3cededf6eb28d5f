//go:build linux

package l2

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// lull is more than the longest pause between two gratuitous frames of a change
// of owner.
const lull = 4 * time.Second

// seen is what the clients have heard so far, by client.
func (g *ground) seen() [][]lab.Sighting {
	var all [][]lab.Sighting
	for _, sniffer := range g.sniffers {
		sightings, _ := sniffer.Seen()
		all = append(all, sightings)
	}
	return all
}

// quiet returns when the last change of owner is no longer told of, so that a
// gratuitous frame means a new one.
func (g *ground) quiet(svc *corev1.Service) {
	g.t.Helper()
	began := time.Now()
	addresses := site.Addresses(svc)
	g.until("nothing is told unasked", func(context.Context) (bool, error) {
		last := began.Add(-lull)
		for _, sightings := range g.seen() {
			for _, s := range sightings {
				if s.Gratuitous && slices.Contains(addresses, s.Addr) && s.At.After(last) {
					last = s.At
				}
			}
		}
		return time.Since(last) > lull, nil
	})
}

// guard is a time in which addresses must stay where they are.
type guard struct {
	g      *ground
	svc    *corev1.Service
	before owners
	from   []int // of what each client heard
}

// guard begins such a time, once nothing of the last change is on its way.
func (g *ground) guard(svc *corev1.Service) *guard {
	g.t.Helper()
	before := g.settled(svc)
	g.quiet(svc)
	return g.watch(svc, before)
}

// watch is a guard that begins at once: frames of the last change may follow.
func (g *ground) watch(svc *corev1.Service, before owners) *guard {
	w := &guard{g: g, svc: svc, before: before}
	for _, sightings := range g.seen() {
		w.from = append(w.from, len(sightings))
	}
	return w
}

// claims are what clients heard about an address since the guard began.
func (w *guard) claims(address netip.Addr) (all []lab.Sighting) {
	for i, sightings := range w.g.seen() {
		for _, s := range sightings[w.from[i]:] {
			if s.Addr == address {
				all = append(all, s)
			}
		}
	}
	return all
}

// nothingMoved fails the story if any frame told another owner than before, or
// told the owner unasked, or if there is another owner now.
func (w *guard) nothingMoved() {
	w.g.t.Helper()
	w.oneOwner()
	for address := range w.before {
		for _, s := range w.claims(address) {
			if s.Gratuitous {
				w.g.t.Errorf("%s was told unasked to be at %s, and nothing had moved", address, w.g.StationOf(s.MAC))
				break
			}
		}
	}
}

// oneOwner fails the story if any frame told another owner than before, or if
// there is another one now.
func (w *guard) oneOwner() {
	w.g.t.Helper()
	for address, owner := range w.before {
		for _, s := range w.claims(address) {
			if at := w.g.StationOf(s.MAC); at != owner {
				w.g.t.Errorf("%s was told to be at %s, its owner is %s", address, at, owner)
				break
			}
		}
	}
	for address, owner := range w.g.settled(w.svc) {
		if owner != w.before[address] {
			w.g.t.Errorf("%s moved from %s to %s", address, w.before[address], owner)
		}
	}
}

// load is what clients ask of a Service without end, with a neighbour entry that
// is forgotten every second.
type load struct {
	*lab.Load
	g         *ground
	addresses []netip.Addr
	from      []int // of what each client heard
	stops     []func() error
}

const (
	// forget is how often clients forget their neighbours, out of step with the
	// times when TCP tries again.
	forget = 950 * time.Millisecond
	// patient is how long a page may take: TCP tries again after 1, 3 and 7 s,
	// and a host whose neighbour does not answer gives up after 3.
	patient = 8 * time.Second
)

// load begins, and is under way when it returns.
func (g *ground) load(svc *corev1.Service) *load {
	g.t.Helper()
	return g.begin(svc, true)
}

// pagesOnly is a load without connections that last, for where their pod or
// their node goes away.
func (g *ground) pagesOnly(svc *corev1.Service) *load {
	g.t.Helper()
	return g.begin(svc, false)
}

func (g *ground) begin(svc *corev1.Service, talking bool) *load {
	g.t.Helper()
	l := &load{Load: lab.NewLoad(g.t, patient), g: g, addresses: site.Addresses(svc)}
	for _, sightings := range g.seen() {
		l.from = append(l.from, len(sightings))
	}
	g.t.Cleanup(l.stop)
	for i, address := range l.addresses {
		c := g.Clients[i%len(g.Clients)]
		l.Ask(c, address, talking)
		l.stops = append(l.stops, c.KeepFlushing(forget))
	}
	l.pass(time.Second)
	return l
}

// pass returns when the load has gone on for a while.
func (l *load) pass(d time.Duration) {
	l.g.t.Helper()
	l.Pass(d)
}

func (l *load) stop() {
	for _, stop := range l.stops {
		if err := stop(); err != nil {
			l.g.t.Error(err)
		}
	}
	l.stops = nil
}

// nothingLost ends the load, and fails the story if anything was lost but what
// was on its way while its address moved.
func (l *load) nothingLost() {
	l.g.t.Helper()
	l.stop()
	l.NothingLost(l.moves)
}

// moves are the times when the client that asks an address heard of it at
// another node than before.
func (l *load) moves(i int) (at []time.Time) {
	client := i % len(l.g.Clients)
	var last *lab.Sighting
	for n, s := range l.g.seen()[client] {
		if s.Addr != l.addresses[i] {
			continue
		}
		if n >= l.from[client] && last != nil && !bytes.Equal(last.MAC, s.MAC) {
			at = append(at, s.At)
		}
		last = &s
	}
	return at
}
