package speaker

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// syncTimeout is how long a start waits for the API server: it has nothing
// better to do.
const syncTimeout = 24 * time.Hour

// taskSubject is what a task is about.
type taskSubject int

const (
	theConfiguration taskSubject = iota
	aService
	// allServices are looked at after the configuration changed, and
	// turnedAddresses when layer 2 told of them: each is one task for many, done
	// in batches, since the queue never gives back what it once held.
	allServices
	turnedAddresses
	ownReport
	// thePeers are looked at when a password changed, and theSessions when BGP
	// told of them.
	thePeers
	theSessions
)

// batch is how many Services are looked at in one go: whatever is fresh waits
// no longer than for those.
const batch = 50

func (s taskSubject) String() string {
	return []string{"configuration", "service", "services", "addresses", "report", "peers", "sessions"}[s]
}

// task is something to be looked at again.
type task struct {
	subject taskSubject
	service types.NamespacedName
}

type queue = workqueue.TypedRateLimitingInterface[task]

// waker is the way into the queue for whoever is no watch. Until the queue
// exists it forgets what it is told: a start looks at everything.
type waker struct{ queue atomic.Pointer[queue] }

func (w *waker) start(_ context.Context, q queue) error {
	w.queue.Store(&q)
	q.Add(task{subject: theConfiguration})
	return nil
}

func (w *waker) wake(t task) {
	if q := w.queue.Load(); q != nil {
		(*q).Add(t)
	}
}

// wakeAfter has t done after wait, if that is not zero.
func (w *waker) wakeAfter(t task, wait time.Duration) {
	if q := w.queue.Load(); q != nil && wait > 0 {
		(*q).AddAfter(t, wait)
	}
}

// wakeLater has t done behind all that is fresh.
func (w *waker) wakeLater(t task) {
	q := w.queue.Load()
	if q == nil {
		return
	}
	if pq, ok := (*q).(priorityqueue.PriorityQueue[task]); ok {
		pq.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(canWait)}, t)
		return
	}
	(*q).Add(t)
}

// SetupWithManager has mgr run the speaker.
func (s *Speaker) SetupWithManager(mgr manager.Manager) error {
	c, err := controller.NewTyped("speaker", mgr, controller.TypedOptions[task]{
		Reconciler: s,
		// One worker, so that what it keeps needs no locks. A decision takes
		// microseconds, and nothing in its way waits for anything.
		MaxConcurrentReconciles: 1,
		CacheSyncTimeout:        syncTimeout,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[task](minRetry, maxRetry),
		LogConstructor: func(t *task) logr.Logger {
			if t == nil {
				return s.Log
			}
			return s.Log.WithValues("about", t.subject.String(), "service", t.service.String())
		},
	})
	if err != nil {
		return fmt.Errorf("making the controller of the speaker: %w", err)
	}
	for _, source := range s.sources(mgr.GetCache()) {
		if err := c.Watch(source); err != nil {
			return fmt.Errorf("watching for the speaker: %w", err)
		}
	}
	for _, run := range []manager.RunnableFunc{s.gate.run, s.outbox.run} {
		if err := mgr.Add(run); err != nil {
			return fmt.Errorf("setting up the speaker: %w", err)
		}
	}
	return nil
}

func (s *Speaker) sources(c cache.Cache) []source.TypedSource[task] {
	return append(s.sourcesOfBGP(c),
		source.TypedFunc[task](s.waker.start),
		source.TypedFunc[task](func(ctx context.Context, _ queue) error { s.secrets.ctx = ctx; return nil }),
		s.slices.follow(s.Live, "", func() client.ObjectList { return &discoveryv1.EndpointSliceList{} }),
		s.ledger.records.follow(s.Live, s.Namespace, func() client.ObjectList { return &metallb.ServiceL2StatusList{} }),
		source.TypedKind(c, &corev1.Service{}, on(serviceTask, nil)),
		source.TypedKind(c, &corev1.Node{}, on(configurationTask[*corev1.Node], nodeChanged)),
		source.TypedKind(c, &metallb.IPAddressPool{}, on(configurationTask[*metallb.IPAddressPool], poolChanged)),
		source.TypedKind(c, &metallb.L2Advertisement{}, on(configurationTask[*metallb.L2Advertisement], specChanged)),
		source.TypedKind(c, &metallb.ConfigurationState{}, on(s.stateTask, s.stateChanged)),
	)
}

// on queues the task that an object brings when it comes, goes or changes. What
// the first list holds brings no task: a start looks at everything.
func on[T client.Object](about func(T) task, changed func(before, after T) bool) handler.TypedEventHandler[T, task] {
	return handler.TypedFuncs[T, task]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[T], q queue) {
			if !e.IsInInitialList {
				q.Add(about(e.Object))
			}
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[T], q queue) {
			if e.ObjectOld.GetResourceVersion() == e.ObjectNew.GetResourceVersion() || changed != nil && !changed(e.ObjectOld, e.ObjectNew) {
				return
			}
			q.Add(about(e.ObjectNew))
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[T], q queue) {
			q.Add(about(e.Object))
		},
	}
}

func configurationTask[T client.Object](T) task { return task{subject: theConfiguration} }

func serviceTask(svc *corev1.Service) task {
	return task{subject: aService, service: client.ObjectKeyFromObject(svc)}
}

// wakeService has a Service looked at again.
func (s *Speaker) wakeService(service types.NamespacedName) {
	s.waker.wake(task{subject: aService, service: service})
}

// poolChanged passes over counts of addresses.
func poolChanged(before, after *metallb.IPAddressPool) bool {
	return before.UID != after.UID || before.Generation != after.Generation || !maps.Equal(before.Labels, after.Labels)
}

func specChanged[T client.Object](before, after T) bool {
	return before.GetUID() != after.GetUID() || before.GetGeneration() != after.GetGeneration()
}

// stateTask looks at our own state only to see whether it is as we want it.
func (s *Speaker) stateTask(o *metallb.ConfigurationState) task {
	if o.Name == stateName(s.Node) {
		return task{subject: ownReport}
	}
	return task{subject: theConfiguration}
}

// stateChanged passes over the statuses of others. Our own is looked at in
// case that somebody else wrote it.
func (s *Speaker) stateChanged(before, after *metallb.ConfigurationState) bool {
	return after.Name == stateName(s.Node) || !sameReport(before, after)
}

// endpointSlices returns those of a Service, sorted by name.
func (s *Speaker) endpointSlices(service types.NamespacedName) []*discoveryv1.EndpointSlice {
	kept := s.slices.of(service)
	all := make([]*discoveryv1.EndpointSlice, len(kept))
	for i, k := range kept {
		all[i] = sliceOf(k)
	}
	return all
}

var _ reconcile.TypedReconciler[task] = (*Speaker)(nil)
