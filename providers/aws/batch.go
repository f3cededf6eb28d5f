package aws

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// gathering is how long a question waits for others to share its call.
const gathering = 10 * time.Millisecond

// batch answers questions about single objects by calls about many. An object
// that is not there is absent from the answer, and no error.
type batch[V any] struct {
	// size is how many a call may ask for.
	size int
	// fetch makes one call. It may fail with NotFound for one of the keys.
	fetch func(ctx context.Context, keys []string) (map[string]V, error)

	mu      sync.Mutex
	forming *round[V]
}

// round is one call that is being gathered or made.
type round[V any] struct {
	keys []string
	full chan struct{}
	done chan struct{}
	crowd
	// found and err are set when done is closed.
	found map[string]V
	err   error
}

// get asks for keys, which are distinct.
func (b *batch[V]) get(ctx context.Context, keys ...string) (map[string]V, error) {
	all := make(map[string]V, len(keys))
	rounds := b.join(ctx, keys)
	for _, r := range rounds {
		defer r.leave()
	}
	for _, r := range rounds {
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if r.err != nil {
			return nil, r.err
		}
		for _, key := range keys {
			if v, ok := r.found[key]; ok {
				all[key] = v
			}
		}
	}
	return all, nil
}

// join puts keys into rounds, and has those made that it begins.
func (b *batch[V]) join(ctx context.Context, keys []string) []*round[V] {
	b.mu.Lock()
	defer b.mu.Unlock()
	var joined []*round[V]
	for _, key := range keys {
		r := b.forming
		if !slices.Contains(joined, r) {
			if r == nil || !r.join() {
				r = b.begin(ctx)
			}
			joined = append(joined, r)
		}
		if !slices.Contains(r.keys, key) {
			r.keys = append(r.keys, key)
		}
		if len(r.keys) == b.size {
			close(r.full)
			b.forming = nil
		}
	}
	return joined
}

// begin forms a round, with whom ctx is of. The lock is held.
func (b *batch[V]) begin(ctx context.Context) *round[V] {
	b.forming = &round[V]{full: make(chan struct{}), done: make(chan struct{}), crowd: newCrowd(ctx)}
	b.forming.join()
	go b.run(b.forming)
	return b.forming
}

// run waits for r to fill, makes the call and ends.
func (b *batch[V]) run(r *round[V]) {
	wait := time.NewTimer(gathering)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-r.full:
	case <-r.ctx.Done():
	}
	b.mu.Lock()
	if b.forming == r {
		b.forming = nil
	}
	b.mu.Unlock()
	r.found, r.err = b.look(r.ctx, r.keys)
	close(r.done)
}

// look finds out which keys are there where AWS only says that one is not.
func (b *batch[V]) look(ctx context.Context, keys []string) (map[string]V, error) {
	found, err := b.fetch(ctx, keys)
	if !isNotFound(err) {
		return found, err
	}
	if len(keys) == 1 {
		return nil, nil
	}
	half := len(keys) / 2
	first, err := b.look(ctx, keys[:half])
	if err != nil {
		return nil, err
	}
	second, err := b.look(ctx, keys[half:])
	if err != nil {
		return nil, err
	}
	all := make(map[string]V, len(first)+len(second))
	maps.Copy(all, first)
	maps.Copy(all, second)
	return all, nil
}
