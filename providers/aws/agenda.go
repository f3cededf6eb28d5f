package aws

import (
	"context"
	"maps"
	"sync"
	"time"
)

// agenda says what is to be done when. It may be changed while it is waited for.
type agenda[K comparable] struct {
	mu      sync.Mutex
	due     map[K]time.Time
	changed chan struct{}
}

func newAgenda[K comparable]() *agenda[K] {
	return &agenda[K]{due: map[K]time.Time{}, changed: make(chan struct{}, 1)}
}

// by has key be due at that time, or earlier if it is already.
func (a *agenda[K]) by(key K, at time.Time) {
	a.mu.Lock()
	if was, ok := a.due[key]; ok && was.Before(at) {
		at = was
	}
	a.due[key] = at
	a.mu.Unlock()
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

func (a *agenda[K]) drop(key K) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.due, key)
}

// next waits until something is due, and takes off all that is. It returns
// nothing once ctx ends.
func (a *agenda[K]) next(ctx context.Context) []K {
	for {
		taken, wait := a.take()
		if len(taken) > 0 {
			return taken
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-a.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// take takes off what is due, or says how long there is nothing to do.
func (a *agenda[K]) take() ([]K, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, wait := time.Now(), time.Hour
	var taken []K
	for key, at := range a.due {
		if left := at.Sub(now); left <= 0 {
			taken = append(taken, key)
		} else {
			wait = min(wait, left)
		}
	}
	maps.DeleteFunc(a.due, func(_ K, at time.Time) bool { return !at.After(now) })
	return taken, wait
}
