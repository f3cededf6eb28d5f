package app

import (
	"context"
	"runtime/debug"
	"time"
)

// tidyPace is how often memory is given back that is not needed any more. The
// Go runtime by itself keeps for long what the lists of a start, and what a
// storm took; a collection every two minutes it makes anyway.
const tidyPace = 2 * time.Minute

// startTime is how long a start takes at the most, usually.
const startTime = 15 * time.Second

// tidy gives memory back until ctx ends.
func tidy(ctx context.Context) error {
	wait := startTime
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		debug.FreeOSMemory()
		wait = tidyPace
	}
}
