package aws

import (
	"sync"
	"time"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// memory is what this process knows of the Services that it was asked for, by
// namespace/name: what AWS has belongs to a name, not to one life of a Service,
// so that a Service created anew takes over what is there.
type memory struct {
	mu      sync.Mutex
	records map[string]*record
	busy    map[string]bool
}

// record is what is known of one Service. What its pointers and maps lead to is
// replaced, never modified.
type record struct {
	// key is the life of the Service that asked last.
	key providers.Key
	// request is what it asked for, without Existing.
	request plan.Request
	// outdated says that it asks for something else by now, which was refused before
	// that could be decided.
	outdated bool
	// hash is of what was applied with success; empty while anything is left to do.
	hash string
	// stack is what AWS holds; nil means look.
	stack *plan.Stack
	// name is that of the load balancer that is wanted, and wanted the targets, by
	// Key of their group.
	name   string
	wanted map[string][]plan.Target
	// gated are the addresses in wanted, and others, whose pods wait for readiness
	// gates.
	gated map[string]bool
	// held says since when, by ARN of a target group, targets are kept in it that
	// are not wanted.
	held map[string]time.Time
	// leftOut are the targets that AWS did not take, by ID.
	leftOut map[string]leftOut
	// foreign are names of others' things that ours would be called.
	foreign []string
	// failures counts how often applying has failed in a row, looks how often
	// health or state was looked at since something changed.
	failures, looks int
	// version counts what was put in by those who change AWS.
	version int
	// doubted says that stack turned out to be wrong while somebody worked by it.
	doubted bool
}

func newMemory() *memory {
	return &memory{records: map[string]*record{}, busy: map[string]bool{}}
}

// claim keeps others from working on a stack at the same time: two lives of a
// Service are two keys to the controller. It says whether it succeeded.
func (m *memory) claim(stack string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[stack] {
		return false
	}
	m.busy[stack] = true
	return true
}

// unclaim lets others work on a stack. Where what is known of it was doubted
// meanwhile it is forgotten, and the key to be woken is returned.
func (m *memory) unclaim(stack string) (providers.Key, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.busy, stack)
	if r := m.records[stack]; r != nil && r.doubted {
		return r.forget(), true
	}
	return providers.Key{}, false
}

// get returns what is known of a stack, false if nothing is.
func (m *memory) get(stack string) (record, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[stack]; ok {
		return *r, true
	}
	return record{}, false
}

// update changes what is known, and begins to know something.
func (m *memory) update(stack string, change func(*record)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[stack]
	if r == nil {
		r = &record{}
		m.records[stack] = r
	}
	change(r)
}

// forget has the next Ensure look at AWS, unless what is known has changed since
// it had this version. It returns the key to be woken; if somebody is at work,
// unclaim does.
func (m *memory) forget(stack string, version int) (providers.Key, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[stack]
	if r == nil || r.version != version {
		return providers.Key{}, false
	}
	if m.busy[stack] {
		r.doubted = true
		return providers.Key{}, false
	}
	return r.forget(), true
}

// forget leaves nothing that an Ensure could go by.
func (r *record) forget() providers.Key {
	r.stack, r.hash, r.doubted = nil, "", false
	r.version++ // nor is what an earlier process left on the Service good any more
	return r.key
}

// drop forgets a Service altogether.
func (m *memory) drop(stack string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, stack)
}

// all returns the records by stack.
func (m *memory) all() map[string]record {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]record, len(m.records))
	for stack, r := range m.records {
		out[stack] = *r
	}
	return out
}
