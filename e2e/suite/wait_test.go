package suite

import (
	"context"
	"time"
)

// background outlives a test that is being cleaned up.
var background = context.Background()

// patience is how long something may take that takes a fraction of a second
// on a machine with nothing else to do.
const patience = 20 * time.Second

// anotherSecond returns when objects made from now on are younger than those
// made before: the API server counts age in seconds.
func anotherSecond() {
	now := time.Now()
	time.Sleep(now.Truncate(time.Second).Add(time.Second + 10*time.Millisecond).Sub(now))
}
