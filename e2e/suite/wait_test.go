package suite

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// background outlives a test that is being cleaned up.
var background = context.Background()

// patience is how long something may take that takes a fraction of a second
// on a machine with nothing else to do.
const patience = 20 * time.Second

// eventually returns once check passes, and fails the test with what it said
// last if that takes longer than within.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still after %v: %v", within, err)
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// quiet lets time pass in which nothing is to happen; what says that nothing
// did is up to the caller. It is short: enough for any reaction of a
// controller that answers within milliseconds.
func quiet() { time.Sleep(1500 * time.Millisecond) }

// anotherSecond returns when objects made from now on are younger than those
// made before: the API server counts age in seconds.
func anotherSecond() {
	now := time.Now()
	time.Sleep(now.Truncate(time.Second).Add(time.Second + 10*time.Millisecond).Sub(now))
}

// is tells what differs.
func is[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}
