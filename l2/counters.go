//go:build linux

package l2

import (
	"sync/atomic"
	"time"
)

// counters are what happened since the start.
type counters struct {
	frames     atomic.Uint64
	faults     [faults]atomic.Uint64
	answered   atomic.Uint64
	gratuitous atomic.Uint64
	heard      atomic.Uint64
	unsent     atomic.Uint64
	missed     atomic.Uint64
	peers      [peerStates]atomic.Int64
}

func (c *counters) received(f fault) {
	c.frames.Add(1)
	if f != noFault {
		c.faults[f].Add(1)
	}
}

// countPace is how often the kernel is asked what it dropped.
const countPace = time.Second

// count brings up to date what is not counted where it happens.
func (t *thread) count(now time.Time) {
	if t.protocol.turned {
		for s, n := range t.protocol.census() {
			t.counts.peers[s].Store(n)
		}
	}
	if now.Sub(t.counted) < countPace {
		return
	}
	t.counted = now
	for _, p := range t.ports {
		drops := p.drops()
		t.counts.missed.Add(drops - p.missed)
		p.missed = drops
	}
}

// Counters are totals since the start, of frames, where nothing else is said.
type Counters struct {
	// Received passed the filters; Dropped of these were malformed, by fault.
	Received uint64
	Dropped  map[string]uint64
	// Answered are questions that were answered, Gratuitous what was told
	// unasked, and Heard what other nodes told so.
	Answered, Gratuitous, Heard uint64
	Unsent                      uint64
	// Missed passed the filters and were not read in time.
	Missed uint64
	// Peers are the nodes that this one watches now, by what it knows of them.
	Peers map[string]int64
}

// Counters returns a snapshot. It never waits.
func (a *Announcer) Counters() Counters {
	c := Counters{
		Received: a.counts.frames.Load(), Dropped: map[string]uint64{},
		Answered: a.counts.answered.Load(), Gratuitous: a.counts.gratuitous.Load(),
		Heard: a.counts.heard.Load(), Unsent: a.counts.unsent.Load(), Missed: a.counts.missed.Load(), Peers: map[string]int64{},
	}
	for s := range peerStates {
		c.Peers[s.String()] = a.counts.peers[s].Load()
	}
	for f := range faults {
		if n := a.counts.faults[f].Load(); n > 0 {
			c.Dropped[f.String()] = n
		}
	}
	return c
}
