package app

import (
	"context"
	"runtime/debug"
	"time"
)

// tidyPace is how often memory is given back that is not needed any more. The
// Go runtime by itself keeps for long what the lists of a start, and what a
// storm took. A collection a minute costs a thousandth of a core.
const tidyPace = time.Minute

// startTime is how long a start takes, usually; the pace slows down to tidyPace
// from there.
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
		wait = min(2*wait, tidyPace)
	}
}
