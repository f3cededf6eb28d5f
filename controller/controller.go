// Package controller is the Kubernetes side of the control plane: it decides
// which backend serves a Service, asks it, and writes to the Service what came
// of it. It knows no backend by name.
package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/berth-lb/berth/providers"
)

const (
	// pendingDelay is the pause before a backend is asked again whether
	// something that it is taking down is gone.
	pendingDelay = 5 * time.Second
	// staleDelay is the pause before a Service is looked at again that was
	// found to have changed; its event is likely to be faster.
	staleDelay = 200 * time.Millisecond
)

// Reconciler keeps Services and what their backends hold in step.
type Reconciler struct {
	backends Backends
	// cached reads Services as of our own last write at least; see Options.
	cached client.Client
	// informed reads from the same cache as it is: EndpointSlices and Nodes,
	// which nothing here writes.
	informed client.Reader
	// live reads from the API server itself.
	live   client.Reader
	events EventRecorder
	// reported says that what speakers report can be watched, and routed that
	// the kinds of BGP can be.
	reported, routed bool

	holdings holdings
	eligible eligible
	repairs  repairs
	floors   floors
	speakers speakers
	lookout  *lookout
	// beginBGP watches what the outlook is made of, once anything is advertised
	// by BGP; nil afterwards.
	beginBGP func() error
	waker    *Waker
	// restored is closed when the local backends hold what the statuses show, and
	// begun when there is a queue.
	restored, begun chan struct{}
}

// Options are what a Reconciler works with.
type Options struct {
	Backends Backends
	// Client reads its own writes (client.CacheOptions,
	// EnableReadYourWritesConsistency): without that, the event that a write
	// causes would be answered with the same write again.
	Client client.Client
	// Cache is the reader behind Client.
	Cache client.Reader
	// Live bypasses all caches.
	Live   client.Reader
	Events EventRecorder
	// Waker is the one that the backends were given.
	Waker *Waker
	// Reported says that the cluster has the kinds that speakers report by, and
	// Cache is set up for them (SpeakerCacheByObject). Without, the condition
	// Serving follows the endpoints alone.
	Reported bool
	// Routed says the same of the kinds of BGP (BGPCacheByObject). Without,
	// Serving follows layer 2 alone.
	Routed bool
}

// EventRecorder tells users what changed; client-go's recorders are one.
type EventRecorder interface {
	Event(object runtime.Object, eventtype, reason, message string)
}

// New returns a Reconciler that has yet to be set up with a manager.
func New(o Options) *Reconciler {
	r := &Reconciler{
		backends: o.Backends,
		cached:   o.Client,
		informed: o.Cache,
		live:     o.Live,
		events:   o.Events,
		reported: o.Reported,
		routed:   o.Routed,
		waker:    o.Waker,
		restored: make(chan struct{}),
		begun:    make(chan struct{}),
	}
	r.lookout = r.newLookout()
	return r
}

// Reconcile brings one Service, or what is left of one, to where it should be.
func (r *Reconciler) Reconcile(ctx context.Context, key providers.Key) (reconcile.Result, error) {
	select {
	case <-r.restored:
	case <-ctx.Done():
		return reconcile.Result{}, nil
	}
	next, err := r.reconcile(ctx, key)
	if ctx.Err() != nil {
		// The process stops; what fails because of that is nobody's to know.
		return reconcile.Result{}, nil
	}
	return next, err
}

func (r *Reconciler) reconcile(ctx context.Context, key providers.Key) (reconcile.Result, error) {
	svc, err := r.service(ctx, key)
	if err != nil {
		return again(err)
	}
	if svc == nil {
		return again(r.releaseGone(ctx, key))
	}
	want, held := r.backends.Choose(svc), r.holder(svc)
	switch {
	case held != "" && held != want:
		if err := r.release(ctx, svc, held); err != nil || want == "" {
			return again(err)
		}
		// The event of what was written is likely to be faster, if anything was.
		return reconcile.Result{RequeueAfter: staleDelay}, nil
	case want != "":
		return r.ensure(ctx, svc, r.backends.named[want])
	}
	return reconcile.Result{}, nil
}

// again tells the queue what an error means: a *providers.Refusal was already
// told to the user and waits for a wake-up, what is pending is looked at again,
// and anything else is tried again with a growing delay.
func again(err error) (reconcile.Result, error) {
	var refusal *providers.Refusal
	switch {
	case errors.Is(err, providers.ErrPending):
		return reconcile.Result{RequeueAfter: pendingDelay}, nil
	case errors.As(err, &refusal):
		return reconcile.Result{RequeueAfter: refusal.RetryAfter}, nil
	case errors.Is(err, errStale):
		return reconcile.Result{RequeueAfter: staleDelay}, nil
	}
	return reconcile.Result{}, err
}

// service returns the Service of exactly that life, nil when it is gone: at
// least as new as our own last write, and as what restore saw.
func (r *Reconciler) service(ctx context.Context, key providers.Key) (*corev1.Service, error) {
	svc, err := read(ctx, r.cached, key)
	if err == nil && r.floors.above(key, svc) {
		return read(ctx, r.live, key)
	}
	return svc, err
}

func read(ctx context.Context, from client.Reader, key providers.Key) (*corev1.Service, error) {
	svc := &corev1.Service{}
	err := from.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: key.Name}, svc)
	if apierrors.IsNotFound(err) || err == nil && svc.UID != key.UID {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Service %s: %w", key, err)
	}
	return svc, nil
}

// holder names the backend that may hold something for svc: the recorded one,
// the one that was asked but not recorded because the write failed, or the one
// that takes over from another controller.
func (r *Reconciler) holder(svc *corev1.Service) string {
	if recorded, ours := r.backends.recorded(svc); ours {
		return recorded
	}
	if name := r.holdings.of(providers.KeyOf(svc)); name != "" {
		return name
	}
	return r.backends.inherits(svc)
}

// ensure has the backend serve svc and writes what came of it.
func (r *Reconciler) ensure(ctx context.Context, svc *corev1.Service, b *Backend) (reconcile.Result, error) {
	key := providers.KeyOf(svc)
	eps, err := r.endpointSlices(ctx, svc)
	if err != nil {
		return again(err)
	}
	req := providers.Request{Service: svc}
	if b.needs.EndpointSlices {
		req.EndpointSlices = eps
	}
	if b.needs.Nodes {
		if req.Nodes, err = r.eligibleNodes(ctx); err != nil {
			return again(err)
		}
	}
	if !b.local {
		// The mark goes first, so that nothing outside can outlive a crash
		// unnoticed (KEP-980).
		if svc, err = r.write(ctx, svc, marked(svc, b)); err != nil {
			return again(err)
		}
		req.Service = svc
	}
	r.holdings.put(key, b.Name)
	got, failure := b.Provider.Ensure(ctx, req)
	if ctx.Err() != nil {
		return again(ctx.Err())
	}
	return r.conclude(ctx, svc, b, outcome{got, failure}, eps)
}

// conclude writes what follows from the answer of a backend and from what the
// endpoints and the speakers say.
func (r *Reconciler) conclude(ctx context.Context, svc *corev1.Service, b *Backend, o outcome, eps []*discoveryv1.EndpointSlice) (reconcile.Result, error) {
	key := providers.KeyOf(svc)
	endpoints := serving(svc, eps)
	w, unheard := r.hear(ctx, svc, b, o.shown(svc), endpoints, eps)
	next := served(svc, b, o, endpoints, w)
	if unheard != nil || w.unsure {
		// That nobody knows who announces an address is no reason to withhold it.
		next.keepServing(svc)
	}
	if wait := r.repairs.due(key, svc, next); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	var awaited time.Duration
	if o.err == nil {
		awaited = w.await(svc, next, time.Now())
	}
	if _, err := r.write(ctx, svc, next); err != nil {
		return again(err)
	}
	r.repairs.wrote(key, svc, next)
	r.tell(svc, next)
	if awaited > 0 {
		return reconcile.Result{RequeueAfter: awaited}, nil
	}
	return again(cmp.Or(o.err, unheard))
}

// hear returns what the speakers say of svc with those addresses, if that matters:
// without endpoints it does not.
func (r *Reconciler) hear(ctx context.Context, svc *corev1.Service, b *Backend, shown []corev1.LoadBalancerIngress, endpoints metav1.Condition, eps []*discoveryv1.EndpointSlice) (word, error) {
	if !b.needs.Announced || endpoints.Status != metav1.ConditionTrue {
		r.lookout.forget(providers.KeyOf(svc))
		return word{}, nil
	}
	return r.wordOn(ctx, svc, shown, eps)
}

// release has the backend give back what it holds for svc and takes our marks
// off it.
func (r *Reconciler) release(ctx context.Context, svc *corev1.Service, holder string) error {
	key := providers.KeyOf(svc)
	b, ok := r.backends.named[holder]
	if !ok {
		return r.refuseUnknownHolder(ctx, svc, holder)
	}
	if !b.local {
		if err := b.Provider.Release(ctx, key); err != nil {
			return r.retain(ctx, svc, b, fmt.Errorf("releasing what %s holds for Service %s: %w", b.Name, key, err))
		}
	}
	bare := unmarked(svc, b)
	if _, err := r.write(ctx, svc, bare); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if b.local {
		if err := b.Provider.Release(ctx, key); err != nil {
			return fmt.Errorf("releasing what %s holds for Service %s: %w", b.Name, key, err)
		}
	}
	r.holdings.drop(key)
	r.repairs.forget(key)
	r.lookout.forget(key)
	return nil
}

// retain says on the Service what keeps it from being released, and returns that.
func (r *Reconciler) retain(ctx context.Context, svc *corev1.Service, b *Backend, failure error) error {
	if ctx.Err() != nil {
		return failure
	}
	next := retained(svc, b, failure)
	if _, err := r.write(ctx, svc, next); err != nil && !apierrors.IsNotFound(err) {
		return errors.Join(failure, err)
	}
	r.tell(svc, next)
	return failure
}

// refuseUnknownHolder says on the Service that the backend which holds
// something for it is not part of this process.
func (r *Reconciler) refuseUnknownHolder(ctx context.Context, svc *corev1.Service, holder string) error {
	refusal := &providers.Refusal{
		Reason: providers.ReasonBackendError,
		Message: fmt.Sprintf("backend %q holds this Service's load balancer (annotation %s) and is not enabled: "+
			"start berth-controller with it in --backends so that it can be released, or remove the annotation if it is gone",
			holder, providers.AnnotationBackend),
	}
	next := refused(svc, refusal)
	if _, err := r.write(ctx, svc, next); err != nil {
		return err
	}
	r.tell(svc, next)
	return refusal
}

// releaseGone gives back what is held for a Service that no longer exists, or
// that has been created anew under the same name.
func (r *Reconciler) releaseGone(ctx context.Context, key providers.Key) error {
	r.repairs.forget(key)
	r.floors.drop(key)
	r.lookout.forget(key)
	b, ok := r.backends.named[r.holdings.of(key)]
	if !ok {
		return nil
	}
	if key.UID == "" {
		if gone, err := r.gone(ctx, key); err != nil {
			return err
		} else if !gone {
			r.holdings.drop(key) // one of that name has come since
			return nil
		}
	}
	if err := b.Provider.Release(ctx, key); err != nil {
		return fmt.Errorf("releasing what %s holds for vanished Service %s: %w", b.Name, key, err)
	}
	r.holdings.drop(key)
	return nil
}
