package aws

import (
	"context"
	"sync"
	"time"
)

// cached is a value that is loaded when somebody asks and what there is has
// become too old. Those who ask meanwhile share one load.
type cached[T any] struct {
	load func(context.Context) (T, error)

	mu      sync.Mutex
	value   T
	at      time.Time // zero before the first
	loading *load
}

type load struct {
	done chan struct{}
	err  error // set when done is closed
	crowd
}

// get returns the value, which is no older than age.
func (c *cached[T]) get(ctx context.Context, age time.Duration) (T, error) {
	asked := time.Now()
	for {
		c.mu.Lock()
		if !c.at.IsZero() && asked.Sub(c.at) <= age {
			defer c.mu.Unlock()
			return c.value, nil
		}
		l := c.begin(ctx)
		c.mu.Unlock()
		if err := l.wait(ctx); err != nil {
			return *new(T), err
		}
	}
}

// begin starts a load, unless one is on its way. The lock is held.
func (c *cached[T]) begin(ctx context.Context) *load {
	if c.loading == nil || !c.loading.join() {
		c.loading = &load{done: make(chan struct{}), crowd: newCrowd(ctx)}
		c.loading.join()
		go c.run(c.loading)
	}
	return c.loading
}

// wait waits with others for the load.
func (l *load) wait(ctx context.Context) error {
	defer l.leave()
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *cached[T]) run(l *load) {
	at := time.Now()
	value, err := c.load(l.ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.err = err; c.loading == l {
		c.loading = nil
		if err == nil {
			c.value, c.at = value, at
		}
	}
	close(l.done)
}

// forget has the next who asks cause a load: what is on its way is out of date.
func (c *cached[T]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.loading = time.Time{}, nil
}

// age is how old the value is, false if there is none.
func (c *cached[T]) age() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.at), !c.at.IsZero()
}
