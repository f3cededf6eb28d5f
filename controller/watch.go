package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/trafficpolicy"
)

// Retries start at minRetry and double up to maxRetry.
const (
	minRetry = 50 * time.Millisecond
	maxRetry = 30 * time.Second
)

// sliceServiceField indexes EndpointSlices by the Service that they are of.
const sliceServiceField = "service"

// queue is the work queue of this controller.
type queue = workqueue.TypedRateLimitingInterface[providers.Key]

// SetupWithManager has mgr run the controller. concurrency is the number of
// Services that are worked on at once.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr manager.Manager, concurrency int) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &discoveryv1.EndpointSlice{}, sliceServiceField, func(o client.Object) []string {
		return []string{o.GetLabels()[discoveryv1.LabelServiceName]}
	})
	if err != nil {
		return fmt.Errorf("indexing EndpointSlices: %w", err)
	}
	if r.watchSpeakers() {
		if err := indexRecords(ctx, mgr.GetFieldIndexer()); err != nil {
			return err
		}
	}
	c, err := controller.NewTyped("service", mgr, controller.TypedOptions[providers.Key]{
		Reconciler:              r,
		MaxConcurrentReconciles: concurrency,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[providers.Key](minRetry, maxRetry),
		LogConstructor: func(key *providers.Key) logr.Logger {
			log := mgr.GetLogger().WithValues("controller", "service")
			if key != nil {
				log = log.WithValues("service", key.String())
			}
			return log
		},
	})
	if err != nil {
		return fmt.Errorf("making the Service controller: %w", err)
	}
	if err := mgr.Add(follower{mgr.GetCache(), r.followed()}); err != nil {
		return err
	}
	for _, s := range r.sources(mgr.GetCache()) {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watching for the Service controller: %w", err)
		}
	}
	r.beginBGP = func() error {
		for _, s := range r.bgpSources(mgr.GetCache()) {
			if err := c.Watch(s); err != nil {
				return fmt.Errorf("watching what BGP depends on: %w", err)
			}
		}
		return nil
	}
	if r.watchBGP() {
		if err := mgr.Add(manager.RunnableFunc(r.lookout.Run)); err != nil {
			return err
		}
	}
	return mgr.Add(manager.RunnableFunc(r.Run))
}

func (r *Reconciler) sources(c cache.Cache) []source.TypedSource[providers.Key] {
	all := []source.TypedSource[providers.Key]{
		source.TypedFunc[providers.Key](r.begin),
		source.TypedKind(c, &corev1.Service{}, r.onService()),
		source.TypedKind(c, &discoveryv1.EndpointSlice{}, r.onEndpointSlice()),
	}
	if r.backends.needs().Nodes {
		all = append(all, source.TypedKind(c, &corev1.Node{}, r.onNode()))
	}
	if r.watchSpeakers() {
		all = append(all, r.speakerSources(c)...)
	}
	if r.watchBGP() {
		all = append(all, r.advertisementSource(c))
	}
	return all
}

// begin takes over the queue, which there is once this process leads.
func (r *Reconciler) begin(_ context.Context, q queue) error {
	r.waker.start(q)
	close(r.begun)
	return nil
}

// followed are the kinds that have to be in the cache when this process comes to
// lead.
func (r *Reconciler) followed() []client.Object {
	all := []client.Object{&corev1.Service{}, &discoveryv1.EndpointSlice{}}
	if r.backends.needs().Nodes {
		all = append(all, &corev1.Node{})
	}
	if r.watchSpeakers() {
		all = append(all, &metallb.ConfigurationState{}, &metallb.ServiceL2Status{})
	}
	if r.watchBGP() {
		all = append(all, &metallb.BGPAdvertisement{})
	}
	return all
}

// follower fills the cache of a standby. It has no queue, which would grow
// without anybody who works on it: what the cache has when the process comes to
// lead is all that there is to do.
type follower struct {
	cache cache.Cache
	kinds []client.Object
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (follower) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable. What fails is tried again, and waited for,
// when the process leads.
func (f follower) Start(ctx context.Context) error {
	for _, kind := range f.kinds {
		if _, err := f.cache.GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			logr.FromContextOrDiscard(ctx).Error(err, "filling the cache", "kind", fmt.Sprintf("%T", kind))
		}
	}
	return nil
}

// Waker is the way into the controller's queue for backends, which have to be
// there before it. Until the queue exists it forgets what it is told: the first
// list of Services brings everything into the queue anyway.
type Waker struct{ queue atomic.Pointer[queue] }

func (w *Waker) start(q queue) { w.queue.Store(&q) }

// Wake has a Service looked at again. It is a providers.Wake.
func (w *Waker) Wake(key providers.Key) {
	if q := w.queue.Load(); q != nil {
		(*q).Add(key)
	}
}

// concerns says whether svc is, or was, ours to serve.
func (r *Reconciler) concerns(svc *corev1.Service) bool {
	return r.backends.Choose(svc) != "" || r.holder(svc) != ""
}

func (r *Reconciler) onService() handler.TypedEventHandler[*corev1.Service, providers.Key] {
	return handler.TypedFuncs[*corev1.Service, providers.Key]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.Service], q queue) {
			if r.concerns(e.Object) {
				served := len(e.Object.Status.LoadBalancer.Ingress) > 0
				add(q, providers.KeyOf(e.Object), e.IsInInitialList && served)
			}
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.Service], q queue) {
			if e.ObjectOld.UID != e.ObjectNew.UID {
				q.Add(providers.KeyOf(e.ObjectOld))
			}
			if r.concerns(e.ObjectNew) && !toldFailure(e.ObjectOld, e.ObjectNew) {
				q.Add(providers.KeyOf(e.ObjectNew))
			}
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*corev1.Service], q queue) {
			q.Add(providers.KeyOf(e.Object))
		},
	}
}

// toldFailure says whether all that is new about a Service is what its conditions
// say, and that is a failure. What comes next of it has its own time: were the
// backend asked at once, an error that is worded otherwise each time, by the ID
// of a request for one, would have it asked without a pause.
func toldFailure(before, now *corev1.Service) bool {
	c := meta.FindStatusCondition(now.Status.Conditions, providers.ConditionProvisioned)
	if c == nil || c.Status == metav1.ConditionTrue || equality.Semantic.DeepEqual(before.Status.Conditions, now.Status.Conditions) {
		return false
	}
	was, is := *before, *now
	for _, svc := range []*corev1.Service{&was, &is} {
		svc.ResourceVersion, svc.Status.Conditions = "", nil
	}
	return equality.Semantic.DeepEqual(was, is)
}

// WakeLater has a Service looked at again behind all that is fresh.
func (w *Waker) WakeLater(key providers.Key) {
	if q := w.queue.Load(); q != nil {
		add(*q, key, true)
	}
}

// add puts what can wait behind the rest: a start finds all that is served
// already, and what is not must not queue behind it.
func add(q queue, key providers.Key, canWait bool) {
	if pq, ok := q.(priorityqueue.PriorityQueue[providers.Key]); ok && canWait {
		low := handler.LowPriority
		pq.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, key)
		return
	}
	q.Add(key)
}

func (r *Reconciler) onEndpointSlice() handler.TypedEventHandler[*discoveryv1.EndpointSlice, providers.Key] {
	look := func(ctx context.Context, slice *discoveryv1.EndpointSlice, q queue) {
		svc := &corev1.Service{}
		name := client.ObjectKey{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
		// A Service that isn't there yet brings its slices along when it comes.
		if r.informed.Get(ctx, name, svc) == nil && r.concerns(svc) {
			q.Add(providers.KeyOf(svc))
		}
	}
	return handler.TypedFuncs[*discoveryv1.EndpointSlice, providers.Key]{
		CreateFunc: func(ctx context.Context, e event.TypedCreateEvent[*discoveryv1.EndpointSlice], q queue) {
			if !e.IsInInitialList {
				look(ctx, e.Object, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.TypedUpdateEvent[*discoveryv1.EndpointSlice], q queue) {
			if e.ObjectOld.Labels[discoveryv1.LabelServiceName] != e.ObjectNew.Labels[discoveryv1.LabelServiceName] {
				look(ctx, e.ObjectOld, q)
			}
			look(ctx, e.ObjectNew, q)
		},
		DeleteFunc: func(ctx context.Context, e event.TypedDeleteEvent[*discoveryv1.EndpointSlice], q queue) {
			look(ctx, e.Object, q)
		},
	}
}

// onNode has the Services of those backends looked at that need nodes, when
// the nodes that are eligible, or something that matters about them, change.
func (r *Reconciler) onNode() handler.TypedEventHandler[*corev1.Node, providers.Key] {
	wake := func(q queue) {
		for _, key := range r.holdings.with(func(name string) bool {
			b := r.backends.named[name]
			return b != nil && b.needs.Nodes
		}) {
			q.Add(key)
		}
	}
	eligible := func(n *corev1.Node) bool { return trafficpolicy.MayReceive(n) == trafficpolicy.NoObstacle }
	return handler.TypedFuncs[*corev1.Node, providers.Key]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.Node], q queue) {
			r.eligible.forget()
			if !e.IsInInitialList && eligible(e.Object) {
				wake(q)
			}
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.Node], q queue) {
			r.eligible.forget() // also by a heartbeat: what it has are the objects themselves
			if trafficpolicy.NodeChanged(e.ObjectOld, e.ObjectNew) && (eligible(e.ObjectOld) || eligible(e.ObjectNew)) {
				wake(q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*corev1.Node], q queue) {
			r.eligible.forget()
			if eligible(e.Object) {
				wake(q)
			}
		},
	}
}

// endpointSlices returns those of svc, sorted by name.
func (r *Reconciler) endpointSlices(ctx context.Context, svc *corev1.Service) ([]*discoveryv1.EndpointSlice, error) {
	var list discoveryv1.EndpointSliceList
	if err := r.informed.List(ctx, &list, client.InNamespace(svc.Namespace), client.MatchingFields{sliceServiceField: svc.Name}); err != nil {
		return nil, fmt.Errorf("listing EndpointSlices of Service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	all := pointers(list.Items)
	slices.SortFunc(all, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// eligibleNodes returns those that load balancers may send to, sorted by name.
func (r *Reconciler) eligibleNodes(ctx context.Context) ([]*corev1.Node, error) {
	return r.eligible.get(func() ([]*corev1.Node, error) {
		var list corev1.NodeList
		if err := r.informed.List(ctx, &list); err != nil {
			return nil, fmt.Errorf("listing Nodes: %w", err)
		}
		return trafficpolicy.EligibleNodes(pointers(list.Items)), nil
	})
}
