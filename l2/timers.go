package l2

import (
	"container/heap"
	"time"
)

// timed is something that wants to be looked at when a time has come.
type timed interface {
	// due returns that time, zero for never.
	due() time.Time
	place() *slot
}

// slot is the place of a timed in the heap.
type slot struct {
	at    time.Time
	index int // plus one; zero while it is not in there
}

func (s *slot) place() *slot { return s }

// timers finds who is due next, without looking at the rest.
type timers []timed

// update takes over a new due time of t.
func (h *timers) update(t timed) {
	s, at := t.place(), t.due()
	if s.at.Equal(at) && (s.index > 0 || at.IsZero()) {
		return
	}
	s.at = at
	switch {
	case s.index > 0 && at.IsZero():
		heap.Remove(h, s.index-1)
	case s.index > 0:
		heap.Fix(h, s.index-1)
	default:
		heap.Push(h, t)
	}
}

// remove forgets t.
func (h *timers) remove(t timed) {
	if s := t.place(); s.index > 0 {
		heap.Remove(h, s.index-1)
		s.at = time.Time{}
	}
}

// next returns the earliest due time, zero when nobody waits.
func (h timers) next() time.Time {
	if len(h) == 0 {
		return time.Time{}
	}
	return h[0].place().at
}

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].place().at.Before(h[j].place().at) }

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place().index, h[j].place().index = i+1, j+1
}

func (h *timers) Push(x any) {
	t := x.(timed)
	*h = append(*h, t)
	t.place().index = len(*h)
}

func (h *timers) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	t.place().index = 0
	return t
}

// earliest returns the first of the times that are set, zero if none is.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// reached says whether a time that is set has come.
func reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }
