//go:build linux

package l2

import "time"

// again is when the kernel is asked once more for what it refused, after a pause
// that grows: memory may be short for a while.
type again struct {
	at    time.Time
	pause time.Duration
	// failed is set since the last time.
	failed bool
}

// retryFirst and retryLast are the pauses.
const (
	retryFirst = time.Second
	retryLast  = time.Minute
)

// failed notes that the kernel refused something. Of a series the first failures
// are told.
func (t *thread) failed(err error, message string, about ...any) {
	t.again.failed = true
	if t.again.pause == 0 {
		t.log.Error(err, message, about...)
	}
}

// retry asks again when it is time, for all that there should be.
func (t *thread) retry(now time.Time) {
	a := &t.again
	if reached(a.at, now) {
		a.at, a.failed = time.Time{}, false
		t.setLinks(now, t.links)
		for _, p := range t.ports {
			t.joinAll(p)
		}
		t.stale = true
		t.refilter()
		if !a.failed {
			a.pause = 0
		}
	}
	if a.failed && a.at.IsZero() {
		a.pause = min(max(2*a.pause, retryFirst), retryLast)
		a.at, a.failed = now.Add(a.pause), false
	}
}
