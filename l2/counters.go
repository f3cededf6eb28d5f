//go:build linux

package l2

import "sync/atomic"

// counters are what happened since the start.
type counters struct {
	frames     atomic.Uint64
	faults     [faults]atomic.Uint64
	answered   atomic.Uint64
	gratuitous atomic.Uint64
	heard      atomic.Uint64
	unsent     atomic.Uint64
}

func (c *counters) received(f fault) {
	c.frames.Add(1)
	if f != noFault {
		c.faults[f].Add(1)
	}
}

// Counters are totals since the start, of frames where nothing else is said.
type Counters struct {
	// Received passed the filters; Dropped of these were malformed, by fault.
	Received uint64
	Dropped  map[string]uint64
	// Answered are questions that were answered, Gratuitous what was told
	// unasked, and Heard what other nodes told so.
	Answered, Gratuitous, Heard uint64
	Unsent                      uint64
}

// Counters returns a snapshot. It never waits.
func (a *Announcer) Counters() Counters {
	c := Counters{
		Received: a.counts.frames.Load(), Dropped: map[string]uint64{},
		Answered: a.counts.answered.Load(), Gratuitous: a.counts.gratuitous.Load(),
		Heard: a.counts.heard.Load(), Unsent: a.counts.unsent.Load(),
	}
	for f := range faults {
		if n := a.counts.faults[f].Load(); n > 0 {
			c.Dropped[f.String()] = n
		}
	}
	return c
}
