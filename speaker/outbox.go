package speaker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
)

const (
	// outboxWorkers is how many writes are under way at once.
	outboxWorkers = 8
	// Writes that fail are tried again, from minRetry on up to maxRetry.
	minRetry = 50 * time.Millisecond
	maxRetry = 10 * time.Second
	// complaintPace is how far apart lines in the log are that tell of writes that
	// fail.
	complaintPace = time.Minute
	// canWait is the priority of what nobody decides by.
	canWait = -100
)

// subject is what a write is about.
type subject int

const (
	aRecord subject = iota
	aStatus
	ownState
	ownSessions
	// aBGPStatus is about one ServiceBGPStatus, and oldBGPStatuses about all
	// that an earlier process left.
	aBGPStatus
	oldBGPStatuses
)

// letter is one write that is due. What it says is asked for when it is sent,
// so that the last word wins.
type letter struct {
	subject subject
	service types.NamespacedName // of the record or status
	name    string
}

// outbox sends letters to the API server, beside the work, until they arrive.
type outbox struct {
	queue priorityqueue.PriorityQueue[letter]
	// send writes what is due now, if anything. A positive wait has it called
	// again then.
	send func(ctx context.Context, l letter) (wait time.Duration, err error)
	log  logr.Logger
	// told is when a write was last said to have failed, in nanoseconds.
	told atomic.Int64
}

func newOutbox(log logr.Logger, send func(context.Context, letter) (time.Duration, error)) *outbox {
	return &outbox{log: log, send: send, queue: priorityqueue.New("outbox", func(o *priorityqueue.Opts[letter]) {
		o.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[letter](minRetry, maxRetry)
	})}
}

// post has l sent after wait.
func (o *outbox) post(l letter, wait time.Duration) {
	opts := priorityqueue.AddOpts{After: wait}
	if l.subject == aStatus || l.subject == aBGPStatus || l.subject == oldBGPStatuses {
		opts.Priority = ptr.To(canWait)
	}
	o.queue.AddWithOpts(opts, l)
}

// run sends until ctx ends.
func (o *outbox) run(ctx context.Context) error {
	var all sync.WaitGroup
	for range outboxWorkers {
		all.Go(func() {
			for o.sendNext(ctx) {
			}
		})
	}
	<-ctx.Done()
	o.queue.ShutDown()
	all.Wait()
	return nil
}

func (o *outbox) sendNext(ctx context.Context) bool {
	l, priority, shutdown := o.queue.GetWithPriority()
	if shutdown {
		return false
	}
	defer o.queue.Done(l)
	wait, err := o.send(ctx, l)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		o.complain(l, err)
		o.queue.AddWithOpts(priorityqueue.AddOpts{RateLimited: true, Priority: &priority}, l)
		return true
	case wait > 0:
		o.queue.AddWithOpts(priorityqueue.AddOpts{After: wait, Priority: &priority}, l)
	}
	o.queue.Forget(l)
	return true
}

// complain tells of a write that failed, now and then: while the API server is
// away all of them do.
func (o *outbox) complain(l letter, err error) {
	now, last := time.Now().UnixNano(), o.told.Load()
	if now-last >= int64(complaintPace) && o.told.CompareAndSwap(last, now) {
		o.log.Info("A write is tried again, as are others that fail within a minute", "object", l.name, "error", err.Error())
	}
}
