package aws

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// directory remembers which security groups something has.
type directory struct {
	doing string
	// age is how old an answer may be. That something is not there is believed no
	// longer than topologyAge, since it may have been too new to be found.
	age   time.Duration
	fetch func(context.Context, []string) (map[string][]string, error)
	// asking is taken by who makes calls, for all who wait.
	asking chan struct{}

	mu    sync.Mutex
	known map[string]groupsOf
	// wanted is what somebody waits for, and used what was asked since the last
	// renewal.
	wanted, used map[string]bool
}

// groupsOf is an answer about one thing.
type groupsOf struct {
	at     time.Time
	there  bool
	groups []string
}

func newDirectory(doing string, age time.Duration, fetch func(context.Context, []string) (map[string][]string, error)) *directory {
	return &directory{
		doing: doing, age: age, fetch: fetch, asking: make(chan struct{}, 1),
		known: map[string]groupsOf{}, wanted: map[string]bool{}, used: map[string]bool{},
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
		has, asked := d.known[id]
		switch age := time.Since(has.at); {
		case !asked, age >= d.age, !has.there && age >= topologyAge:
			d.wanted[id], complete = true, false
		case has.there:
			known[id] = has.groups
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
		delete(d.wanted, id) // who waits meanwhile finds it
		groups, there := found[id]
		d.known[id] = groupsOf{time.Now(), there, groups}
	}
}
