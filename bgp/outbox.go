//go:build linux

package bgp

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// outbox is what the router of one session knows, and what it has still to be
// told. However slow the router, it has room for two classes a prefix: what
// comes later takes the place of what has not been sent.
type outbox struct {
	mu sync.Mutex
	// told is what was sent or is being sent, pending what differs from it.
	told, pending map[netip.Prefix]class
	// announced is how many prefixes the router knows when nothing is pending.
	announced int
	// again are families to be told once more, ends those to be called complete.
	again, ends []bgp.Family
	// sent are closed when nothing is pending and all has been sent.
	sent    []chan struct{}
	writing bool
	// wake is for the one who sends.
	wake chan struct{}
}

func newOutbox() *outbox {
	return &outbox{told: map[netip.Prefix]class{}, pending: map[netip.Prefix]class{}, wake: make(chan struct{}, 1)}
}

// put leaves changes to be sent, and after them that these families are complete.
func (o *outbox) put(changes []change, ends ...bgp.Family) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range changes {
		o.set(c)
	}
	o.ends = append(o.ends, ends...)
	o.call()
}

// withdraw leaves all to be withdrawn that the router knows.
func (o *outbox) withdraw() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.pending)
	for p := range o.told {
		o.pending[p] = none
	}
	o.announced = 0
	o.call()
}

// repeat leaves all of a family to be sent once more (RFC 2918).
func (o *outbox) repeat(family bgp.Family) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(o.again, family) {
		o.again = append(o.again, family)
		o.call()
	}
}

// count is how many prefixes the router knows when nothing is pending.
func (o *outbox) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.announced
}

// allSent returns what is closed when all has been sent that was left so far.
func (o *outbox) allSent() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	done := make(chan struct{})
	if o.idle() {
		close(done)
	} else {
		o.sent = append(o.sent, done)
	}
	return done
}

// take returns what is to be sent now. Who calls it again has sent that; false
// says that there is nothing.
func (o *outbox) take() (batch, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	if o.idle() {
		for _, done := range o.sent {
			close(done)
		}
		o.sent = nil
		return batch{}, false
	}
	o.writing = true
	b := batch{changes: make([]change, 0, len(o.pending)), ends: o.ends}
	for _, f := range o.again {
		b.changes = o.appendUnchanged(b.changes, f)
	}
	for p, c := range o.pending {
		b.changes = append(b.changes, change{p, c})
		if c == none {
			delete(o.told, p)
		} else {
			o.told[p] = c
		}
	}
	// Not cleared: a map keeps the size that it once had.
	o.pending, o.again, o.ends = map[netip.Prefix]class{}, nil, nil
	return b, true
}

// appendUnchanged adds what of a family is not about to be sent anyway.
func (o *outbox) appendUnchanged(all []change, family bgp.Family) []change {
	for p, c := range o.told {
		if _, changes := o.pending[p]; !changes && familyOf(p) == family {
			all = append(all, change{p, c})
		}
	}
	return all
}

// set has the router know that, with as little as possible.
func (o *outbox) set(c change) {
	before := o.current(c.prefix)
	switch {
	case before == c.class:
		return
	case before == none:
		o.announced++
	case c.class == none:
		o.announced--
	}
	if o.told[c.prefix] == c.class {
		delete(o.pending, c.prefix)
	} else {
		o.pending[c.prefix] = c.class
	}
}

// current is what the router knows of a prefix when nothing is pending.
func (o *outbox) current(p netip.Prefix) class {
	if c, pending := o.pending[p]; pending {
		return c
	}
	return o.told[p]
}

func (o *outbox) idle() bool {
	return !o.writing && len(o.pending)+len(o.again)+len(o.ends) == 0
}

func (o *outbox) call() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
