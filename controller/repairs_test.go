package controller

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

// TestRepairsSlowDown: somebody else who writes the status as well is answered
// at once a few times, then more and more slowly, and at once again after a
// quiet time.
func TestRepairsSlowDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r repairs
		key := providers.Key{Namespace: "a", Name: "b", UID: "c"}
		ours := recordOf(holding("192.0.2.1"))
		theirs := holding("198.51.100.1")
		write := func(over *corev1.Service, next record) time.Duration {
			wait := r.due(key, over, next)
			time.Sleep(wait)
			if again := r.due(key, over, next); again != 0 {
				t.Fatalf("after its wait a write waits another %v", again)
			}
			r.wrote(key, over, next)
			return wait
		}
		if wait := write(holding(), ours); wait != 0 {
			t.Fatalf("the first write waits %v", wait)
		}
		for i := range freeRepairs {
			if wait := write(theirs, ours); wait != 0 {
				t.Fatalf("repair %d waits %v", i+1, wait)
			}
		}
		var last time.Duration
		for range 10 {
			wait := write(theirs, ours)
			if wait <= 0 || wait < last || wait > maxRepairDelay {
				t.Fatalf("after a wait of %v comes one of %v", last, wait)
			}
			last = wait
		}
		if last != maxRepairDelay {
			t.Errorf("the longest wait is %v, want %v", last, maxRepairDelay)
		}
		if wait := r.due(key, theirs, recordOf(holding("192.0.2.2"))); wait != 0 {
			t.Errorf("a new address is no repair, and waits %v", wait)
		}
		time.Sleep(repairWindow + time.Second)
		if wait := r.due(key, theirs, ours); wait != 0 {
			t.Errorf("after a quiet time a repair waits %v", wait)
		}
	})
}
