package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/berth-lb/berth/providers"
)

// Call is one of the cloud's API.
type Call string

const (
	Describe Call = "Describe"
	List     Call = "List"
	// The calls below change something.
	Create Call = "Create"
	Update Call = "Update"
	Delete Call = "Delete"
)

// Fault makes calls fail.
type Fault struct {
	// Call and Key are those that fail; the zero value is any.
	Call Call
	Key  providers.Key
	// Err is what the call returns; nil is an error of no special kind.
	Err error
	// Lost has the call do its work all the same: only the answer is lost.
	Lost bool
	// Times is how often it happens; zero is until it is lifted.
	Times int
}

// Throttled is the error of calls above the rate that the cloud allows.
type Throttled struct{ RetryAfter time.Duration }

func (t Throttled) Error() string { return fmt.Sprintf("throttled for %v", t.RetryAfter) }

var errFault = errors.New("internal error of the cloud")

// Inject has calls fail from now on, and returns what lifts the fault.
func (c *Cloud) Inject(fault Fault) (lift func()) {
	if fault.Err == nil {
		fault.Err = errFault
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &fault
	c.faults = append(c.faults, f)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.lift(f)
	}
}

func (c *Cloud) lift(f *Fault) {
	c.faults = slices.DeleteFunc(c.faults, func(g *Fault) bool { return f == g })
}

// Count returns how many of calls have been made, failed ones included; with
// none given, of all.
func (c *Cloud) Count(calls ...Call) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n uint64
	for call, count := range c.counts {
		if len(calls) == 0 || slices.Contains(calls, call) {
			n += count
		}
	}
	return n
}

// Changes returns how many calls have been made that change something.
func (c *Cloud) Changes() uint64 { return c.Count(Create, Update, Delete) }

// do makes one call: it takes its time, may be throttled or fail, and does its
// work under the lock.
func (c *Cloud) do(ctx context.Context, call Call, key providers.Key, work func() error) error {
	if err := sleep(ctx, c.options.Latency); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[call]++
	if err := c.throttle(); err != nil {
		return err
	}
	fault := c.fault(call, key)
	if fault != nil && !fault.Lost {
		return fault.Err
	}
	if err := work(); err != nil {
		return err
	}
	if fault != nil {
		return fault.Err
	}
	return nil
}

func (c *Cloud) throttle() error {
	if c.options.CallsPerSecond == 0 {
		return nil
	}
	now := time.Now()
	if now.Sub(c.window) >= time.Second {
		c.window, c.inWindow = now, 0
	}
	if c.inWindow >= c.options.CallsPerSecond {
		return Throttled{RetryAfter: c.window.Add(time.Second).Sub(now)}
	}
	c.inWindow++
	return nil
}

func (c *Cloud) fault(call Call, key providers.Key) *Fault {
	for _, f := range c.faults {
		if (f.Call != "" && f.Call != call) || (f.Key != providers.Key{} && f.Key != key) {
			continue
		}
		if f.Times == 1 {
			c.lift(f)
		}
		f.Times--
		return f
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
