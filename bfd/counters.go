//go:build linux

package bfd

import (
	"sync/atomic"
	"time"
)

// Counters are what an Engine did since it was made.
type Counters struct {
	Received, Sent uint64 // packets, whether good or not
	SendErrors     uint64
	// Dropped has the reasons that there were.
	Dropped map[Reason]uint64
	// Stalls is how often the engine came 20 ms or more too late to something,
	// because the process or its thread was kept from running. WorstDelay is the
	// longest of all delays.
	Stalls     uint64
	WorstDelay time.Duration
}

type counts struct {
	received, sent, sendErrors atomic.Uint64
	dropped                    [reasons]atomic.Uint64
	stalls                     atomic.Uint64
	worst                      atomic.Int64
}

// Counters returns a snapshot. It never waits.
func (e *Engine) Counters() Counters {
	c := Counters{
		Received: e.counts.received.Load(), Sent: e.counts.sent.Load(), SendErrors: e.counts.sendErrors.Load(),
		Dropped: map[Reason]uint64{},
		Stalls:  e.counts.stalls.Load(), WorstDelay: time.Duration(e.counts.worst.Load()),
	}
	for r := range reasons {
		if n := e.counts.dropped[r].Load(); n > 0 {
			c.Dropped[r] = n
		}
	}
	return c
}

func (e *Engine) drop(r Reason) { e.counts.dropped[r].Add(1) }

// delayed notes by how much a deadline was missed, and says whether that was a
// stall.
func (e *Engine) delayed(by time.Duration) bool {
	if by > time.Duration(e.counts.worst.Load()) {
		e.counts.worst.Store(int64(by))
	}
	if by < stall {
		return false
	}
	e.counts.stalls.Add(1)
	return true
}
