package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/berth-lb/berth/ipam"
)

const (
	// stateName is that of the ConfigurationState that the controller writes.
	stateName = "controller"
	// labelComponent says on a ConfigurationState whose it is.
	labelComponent = "metallb.io/component-type"
	// conditionPools is its condition for IPAddressPools.
	conditionPools = "berth-lb.dev/IPAddressPoolsValid"
	// countDelay gathers the changes of that long into one write per pool.
	countDelay = time.Second
	// gatherDelay is how long more pools are waited for where a start found none.
	gatherDelay = 2 * time.Second
	// maxTold bounds how many problems an error summary spells out.
	maxTold = 20
)

// task is what the reconciler is asked to do.
type task string

const (
	// configure takes over the pools as they are now.
	configure task = "configure"
	// count writes how many addresses of each pool are in use.
	count task = "count"
)

// queue is the reconciler's.
type queue = workqueue.TypedRateLimitingInterface[task]

// worker hands tasks to the reconciler. Before that runs it forgets them: both
// tasks are queued when it starts.
type worker struct{ queue atomic.Pointer[queue] }

func (w *worker) start(_ context.Context, q queue) error {
	w.queue.Store(&q)
	q.Add(configure)
	return nil
}

func (w *worker) configureSoon() {
	if q := w.queue.Load(); q != nil {
		(*q).Add(configure)
	}
}

func (w *worker) countSoon() {
	if q := w.queue.Load(); q != nil {
		(*q).AddAfter(count, countDelay)
	}
}

// SetupWithManager has mgr run what keeps the provider in step with the
// IPAddressPools, and them with it.
func (p *Provider) SetupWithManager(mgr manager.Manager) error {
	p.live = mgr.GetAPIReader()
	c, err := controller.NewTyped("ip-address-pool", mgr, controller.TypedOptions[task]{
		Reconciler:  reconcile.TypedFunc[task](p.reconcile),
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[task](100*time.Millisecond, 30*time.Second),
	})
	if err != nil {
		return fmt.Errorf("making the IPAddressPool controller: %w", err)
	}
	for _, s := range []source.TypedSource[task]{
		source.TypedFunc[task](p.work.start),
		source.TypedKind(mgr.GetCache(), &metallb.IPAddressPool{}, onPool()),
		source.TypedKind(mgr.GetCache(), &corev1.Namespace{}, p.onNamespace()),
	} {
		if err := c.Watch(s); err != nil {
			return fmt.Errorf("watching for the IPAddressPool controller: %w", err)
		}
	}
	return nil
}

// CacheByObject says what the caches keep for the provider.
func CacheByObject(namespace string) map[client.Object]cache.ByObject {
	here := map[string]cache.Config{namespace: {}}
	shared := true // nothing that is read is changed
	return map[client.Object]cache.ByObject{
		&metallb.IPAddressPool{}: {Namespaces: here, UnsafeDisableDeepCopy: &shared},
		&corev1.Namespace{}: {UnsafeDisableDeepCopy: &shared, Transform: func(o any) (any, error) {
			if ns, ok := o.(*corev1.Namespace); ok {
				ns.ManagedFields, ns.Annotations = nil, nil
			}
			return o, nil
		}},
	}
}

// onPool passes over what only the count of addresses changes.
func onPool() handler.TypedEventHandler[*metallb.IPAddressPool, task] {
	return handler.TypedFuncs[*metallb.IPAddressPool, task]{
		CreateFunc: func(_ context.Context, _ event.TypedCreateEvent[*metallb.IPAddressPool], q queue) { q.Add(configure) },
		DeleteFunc: func(_ context.Context, _ event.TypedDeleteEvent[*metallb.IPAddressPool], q queue) { q.Add(configure) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*metallb.IPAddressPool], q queue) {
			// One that is deleted and made anew begins to count afresh.
			if e.ObjectOld.UID != e.ObjectNew.UID || e.ObjectOld.Generation != e.ObjectNew.Generation {
				q.Add(configure)
			}
		},
	}
}

func (p *Provider) onNamespace() handler.TypedEventHandler[*corev1.Namespace, task] {
	return handler.TypedFuncs[*corev1.Namespace, task]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*corev1.Namespace], _ queue) {
			if !e.IsInInitialList { // its Services may have come before it
				p.wakeNamespace(e.Object.Name)
			}
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*corev1.Namespace], _ queue) {
			if !maps.Equal(e.ObjectOld.Labels, e.ObjectNew.Labels) {
				p.wakeNamespace(e.ObjectNew.Name)
			}
		},
	}
}

func (p *Provider) reconcile(ctx context.Context, t task) (reconcile.Result, error) {
	select {
	case <-p.restored:
	case <-ctx.Done():
		return reconcile.Result{}, ctx.Err()
	}
	objects, err := p.objects(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	if t == configure && p.gathers(objects) {
		return reconcile.Result{RequeueAfter: gatherDelay}, nil
	}
	if t == configure {
		if err := p.configure(ctx, objects); err != nil {
			return reconcile.Result{}, err
		}
	}
	return reconcile.Result{}, p.writeCounts(ctx, objects)
}

// gathers says whether more pools may be about to come, where a start found none and
// Services keep their addresses: whoever creates several means them all, and the
// first alone would take the addresses that are of the next.
func (p *Provider) gathers(objects []metallb.IPAddressPool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.addresses.Usage(unconfigured)
	came := len(objects) != p.seen
	p.seen = len(objects)
	return came && u.Assigned4+u.Assigned6 > 0
}

// configure has the pools rule as they are now, and reports those refused.
func (p *Provider) configure(ctx context.Context, objects []metallb.IPAddressPool) error {
	pools, problems := compile(objects)
	p.mu.Lock()
	p.setPools(keepFrozen(pools, p.pools))
	p.mu.Unlock()
	return p.writeState(ctx, problems)
}

// writeCounts writes the status of the pools whose numbers changed.
func (p *Provider) writeCounts(ctx context.Context, objects []metallb.IPAddressPool) error {
	var errs []error
	for i := range objects {
		p.mu.Lock()
		usage := p.addresses.Usage(objects[i].Name)
		p.mu.Unlock()
		errs = append(errs, p.writeCount(ctx, &objects[i], statusOf(usage)))
	}
	return errors.Join(errs...)
}

func (p *Provider) writeCount(ctx context.Context, object *metallb.IPAddressPool, status metallb.IPAddressPoolStatus) error {
	if object.Status == status {
		return nil
	}
	// All numbers are sent, also those that are zero and were: a status
	// that isn't there reads the same, and the CRD asks for every one.
	patch, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return fmt.Errorf("computing the status of IPAddressPool %s: %w", object.Name, err)
	}
	err = p.client.Status().Patch(ctx, object.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of IPAddressPool %s: %w", object.Name, err)
	}
	return nil
}

func statusOf(u ipam.Usage) metallb.IPAddressPoolStatus {
	return metallb.IPAddressPoolStatus{
		AssignedIPv4:  u.Assigned4,
		AssignedIPv6:  u.Assigned6,
		AvailableIPv4: u.Available4,
		AvailableIPv6: u.Available6,
	}
}

// writeState names the pools that are refused in the ConfigurationState. A
// cluster without that kind goes without. It is read so rarely that a cache of
// it would cost more.
func (p *Provider) writeState(ctx context.Context, problems []problem) error {
	state := &metallb.ConfigurationState{}
	err := p.live.Get(ctx, client.ObjectKey{Namespace: p.namespace, Name: stateName}, state)
	if apierrors.IsNotFound(err) {
		state = &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: stateName,
			Labels: map[string]string{labelComponent: stateName}}}
		err = p.client.Create(ctx, state, client.DisableReadYourWritesConsistency)
	}
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading ConfigurationState %s: %w", stateName, err)
	}
	next := state.DeepCopy()
	describe(&next.Status, problems)
	if equality.Semantic.DeepEqual(state.Status, next.Status) {
		return nil
	}
	if err := p.client.Status().Patch(ctx, next, client.MergeFrom(state), client.DisableReadYourWritesConsistency); err != nil {
		return fmt.Errorf("writing ConfigurationState %s: %w", stateName, err)
	}
	if len(problems) > 0 {
		logr.FromContextOrDiscard(ctx).Info("IPAddressPools are refused", "problems", next.Status.ErrorSummary)
	}
	return nil
}

// describe puts problems into status.
func describe(status *metallb.ConfigurationStateStatus, problems []problem) {
	c := metav1.Condition{Type: conditionPools, Status: metav1.ConditionTrue, Reason: "Valid", Message: "every IPAddressPool is in use"}
	status.Result = metallb.ConfigurationResultValid
	status.ErrorSummary = summary(problems)
	if len(problems) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Refused", status.ErrorSummary
		status.Result = metallb.ConfigurationResultInvalid
	}
	meta.SetStatusCondition(&status.Conditions, c)
}

func summary(problems []problem) string {
	var told []string
	for i, problem := range problems {
		if i == maxTold {
			told = append(told, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		told = append(told, fmt.Sprintf("%.500s", problem))
	}
	return strings.Join(told, "; ")
}
