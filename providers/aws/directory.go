package aws

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// directory remembers which security groups something has, which hardly ever
// changes. What is not there is remembered for a while, since it may have been too
// new to be found.
type directory struct {
	doing string
	fetch func(context.Context, []string) (map[string][]string, error)
	// asking is taken by who makes calls, for all who wait.
	asking chan struct{}

	mu      sync.Mutex
	known   map[string][]string
	missing map[string]time.Time
	// wanted is what somebody waits for, and used what was asked since the last
	// renewal.
	wanted, used map[string]bool
}

func newDirectory(doing string, fetch func(context.Context, []string) (map[string][]string, error)) *directory {
	return &directory{
		doing: doing, fetch: fetch, asking: make(chan struct{}, 1),
		known: map[string][]string{}, missing: map[string]time.Time{}, wanted: map[string]bool{}, used: map[string]bool{},
	}
}

// get returns the groups of all that are there.
func (d *directory) get(ctx context.Context, ids []string) (map[string][]string, error) {
	if out, complete := d.recall(ids); complete {
		return out, nil
	}
	leave, err := d.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	out, complete := d.recall(ids)
	if complete { // somebody asked for these as well
		return out, nil
	}
	asked := d.take()
	found, err := d.ask(ctx, asked)
	if err != nil {
		return nil, err
	}
	d.learn(asked, found)
	out, _ = d.recall(ids)
	return out, nil
}

// renew asks anew for all that was used since the last time, and forgets the rest.
func (d *directory) renew(ctx context.Context) error {
	leave, err := d.turn(ctx)
	if err != nil {
		return err
	}
	defer leave()
	d.mu.Lock()
	asked := sortedKeys(d.used)
	d.mu.Unlock()
	found, err := d.ask(ctx, asked)
	if err != nil {
		return err
	}
	d.mu.Lock()
	clear(d.known)
	clear(d.missing)
	clear(d.used)
	d.mu.Unlock()
	d.learn(asked, found)
	return nil
}

// turn waits for the turn to make calls, which ends with leave.
func (d *directory) turn(ctx context.Context) (leave func(), err error) {
	select {
	case d.asking <- struct{}{}:
		return func() { <-d.asking }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// recall returns what is known of ids. The rest is wanted, if there is any.
func (d *directory) recall(ids []string) (known map[string][]string, complete bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, complete = make(map[string][]string, len(ids)), true
	for _, id := range ids {
		d.used[id] = true
		groups, there := d.known[id]
		since, missed := d.missing[id]
		switch {
		case there:
			known[id] = groups
		case !missed || time.Since(since) >= topologyAge:
			d.wanted[id], complete = true, false
		}
	}
	return known, complete
}

// take returns all that is wanted, to be asked for by who has the turn.
func (d *directory) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := sortedKeys(d.wanted)
	clear(d.wanted)
	return ids
}

func (d *directory) ask(ctx context.Context, ids []string) (map[string][]string, error) {
	all := map[string][]string{}
	for some := range slices.Chunk(ids, ec2Batch) {
		found, err := d.fetch(ctx, some)
		if err != nil {
			return nil, explain(d.doing, err)
		}
		maps.Copy(all, found)
	}
	return all, nil
}

// learn notes what was found of what was asked for.
func (d *directory) learn(asked []string, found map[string][]string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range asked {
		if groups, there := found[id]; there {
			d.known[id] = groups
			delete(d.missing, id)
		} else {
			d.missing[id] = time.Now()
		}
	}
}
