package aws

import (
	"context"
	"sync"
	"time"
)

// callPatience bounds a call that several wait for, retries included.
const callPatience = 2 * time.Minute

// crowd is who waits for a call. The call ends when nobody does any more, and
// not with the one who happened to begin it.
type crowd struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     *sync.Mutex
	size   *int
}

func newCrowd(ctx context.Context) crowd {
	c := crowd{mu: new(sync.Mutex), size: new(int)}
	c.ctx, c.cancel = context.WithTimeout(context.WithoutCancel(ctx), callPatience)
	return c
}

// join says whether the call still goes on.
func (c crowd) join() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	*c.size++
	return true
}

func (c crowd) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if *c.size--; *c.size == 0 {
		c.cancel()
	}
}
