package controller

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/berth-lb/berth/providers"
)

// failing is a provider whose errors are each worded otherwise.
type failing struct {
	stub
	refuses bool
	asked   int
	// because is what all errors are because of, nil for nothing known.
	because error
	// enough is when it stops, so that a loop without pauses comes to an end.
	enough int
}

func (f *failing) Ensure(context.Context, providers.Request) (providers.Result, error) {
	if f.asked++; f.asked >= f.enough {
		return providers.Result{Ingress: ingress("192.0.2.1")}, nil
	}
	if f.refuses {
		return providers.Result{}, &providers.Refusal{Reason: providers.ReasonThrottled,
			Message: fmt.Sprintf("request %d is one too many", f.asked), RetryAfter: 10 * time.Second}
	}
	return providers.Result{}, f.failure()
}

func (f *failing) failure() error {
	if f.because != nil {
		return fmt.Errorf("request %d failed: %w", f.asked, f.because)
	}
	return fmt.Errorf("request %d failed", f.asked)
}

func (f *failing) Release(context.Context, providers.Key) error {
	if f.asked++; f.asked >= f.enough {
		return nil
	}
	return f.failure()
}

// runWatched runs r with the queue and the retries that it has in the process, over
// an API server whose watch tells it of its own writes.
func runWatched(t *testing.T, svc *corev1.Service, backends Backends) {
	t.Helper()
	var r *Reconciler
	var q queue
	watched := func(ctx context.Context, c client.Client, o client.Object, write func() error) error {
		before, now := &corev1.Service{}, &corev1.Service{}
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), before); err != nil {
			return err
		}
		if err := write(); err != nil {
			return err
		}
		if err := c.Get(ctx, client.ObjectKeyFromObject(o), now); err != nil {
			return client.IgnoreNotFound(err)
		}
		r.onService().Update(ctx, event.TypedUpdateEvent[*corev1.Service]{ObjectOld: before, ObjectNew: now}, q)
		return nil
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(svc).WithStatusSubresource(svc).
		WithIndex(&discoveryv1.EndpointSlice{}, sliceServiceField, func(client.Object) []string { return nil }).
		WithInterceptorFuncs(interceptor.Funcs{
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, options ...client.PatchOption) error {
				return watched(ctx, c, o, func() error { return c.Patch(ctx, o, patch, options...) })
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
				return watched(ctx, c, o, func() error { return c.SubResource(sub).Patch(ctx, o, patch, options...) })
			},
		}).Build()
	r = New(Options{Backends: backends, Client: api, Cache: api, Live: api, Waker: &Waker{}, Events: deaf{}})
	close(r.restored)
	c, err := controller.NewTypedUnmanaged("service", controller.TypedOptions[providers.Key]{
		Reconciler:         r,
		RateLimiter:        workqueue.NewTypedItemExponentialFailureRateLimiter[providers.Key](minRetry, maxRetry),
		SkipNameValidation: ptr.To(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Watch(source.TypedFunc[providers.Key](func(_ context.Context, into queue) error {
		q = into
		q.Add(providers.KeyOf(svc))
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() { _ = c.Start(ctx) }()
}

// deaf is an EventRecorder that tells nobody.
type deaf struct{}

func (deaf) Event(runtime.Object, string, string, string) {}

// TestPausesBetweenFailures: what the controller writes about a failure does not
// have the backend asked before its time, however the failure is worded.
func TestPausesBetweenFailures(t *testing.T) {
	for _, tc := range []struct {
		why     string
		backend failing
		deleted bool
		// most is how often it may be asked in a minute: pauses of 50 ms that
		// double, or of 10 s, and once more for what marks the Service.
		most int
	}{
		{"it can't be made", failing{}, false, 13},
		{"it is refused for a time", failing{refuses: true}, false, 8},
		{"it can't be released", failing{}, true, 13},
		{"something else that it needs is gone", failing{because: apierrors.NewNotFound(corev1.Resource("secrets"), "token")}, false, 13},
		{"it is at odds with itself", failing{because: apierrors.NewConflict(corev1.Resource("nodes"), "a", nil)}, true, 13},
		{"it gave up a call of its own", failing{because: context.Canceled}, false, 13},
	} {
		t.Run(tc.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				backend := &tc.backend
				backend.enough = 1000
				backends, err := NewBackends("berth-system", "cloud", Backend{Name: "cloud", Class: "x/cloud", Provider: backend})
				if err != nil {
					t.Fatal(err)
				}
				svc := loadBalancer(nil)
				svc.ObjectMeta = metav1.ObjectMeta{Namespace: "apps", Name: "web", UID: "1"}
				if tc.deleted {
					svc.DeletionTimestamp = ptr.To(metav1.Now())
					svc.Finalizers = []string{finalizer}
					svc.Annotations = map[string]string{providers.AnnotationBackend: "berth-system/cloud"}
				}
				runWatched(t, &svc, backends)
				time.Sleep(time.Minute)
				synctest.Wait()
				if backend.asked < tc.most/2 || backend.asked > tc.most {
					t.Errorf("asked %d times, want %d at most", backend.asked, tc.most)
				}
			})
		})
	}
}

// TestSliceOfAnother: one that is given another Service is news for both.
func TestSliceOfAnother(t *testing.T) {
	var services []client.Object
	for _, name := range []string{"first", "second"} {
		svc := loadBalancer(nil)
		svc.ObjectMeta = metav1.ObjectMeta{Namespace: "apps", Name: name, UID: types.UID(name)}
		services = append(services, &svc)
	}
	backends, err := NewBackends("berth-system", "cloud", Backend{Name: "cloud", Class: "x/cloud", Provider: &stub{}})
	if err != nil {
		t.Fatal(err)
	}
	r := New(Options{Backends: backends, Cache: apiWith(t, services...)})
	of := func(service string) *discoveryv1.EndpointSlice {
		return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "x", Labels: map[string]string{discoveryv1.LabelServiceName: service}}}
	}
	for _, tc := range []struct {
		why           string
		before, after string
		woken         int
	}{
		{"its endpoints change", "first", "first", 1},
		{"it is another's now", "first", "second", 2},
		{"it is nobody's now", "first", "", 1},
	} {
		q := newQueue(t)
		r.onEndpointSlice().Update(t.Context(), event.TypedUpdateEvent[*discoveryv1.EndpointSlice]{ObjectOld: of(tc.before), ObjectNew: of(tc.after)}, q)
		if got := drain(q); len(got) != tc.woken {
			t.Errorf("%s: woken are %v, want %d", tc.why, got, tc.woken)
		}
	}
}

// TestHandOver: what one backend has released the next one is asked for, although
// there was nothing to write in between.
func TestHandOver(t *testing.T) {
	svc := loadBalancer(nil)
	svc.ObjectMeta = metav1.ObjectMeta{Namespace: "apps", Name: "web", UID: "1"}
	before, after := &stub{}, &stub{}
	backends, err := NewBackends("berth-system", "after",
		Backend{Name: "before", Class: "x/1", Provider: before}, Backend{Name: "after", Class: "x/2", Provider: after})
	if err != nil {
		t.Fatal(err)
	}
	api := apiWith(t, &svc)
	r := New(Options{Backends: backends, Client: api, Cache: api, Live: api, Waker: &Waker{}, Events: deaf{}})
	close(r.restored)
	key := providers.KeyOf(&svc)
	r.holdings.put(key, "before")
	next, err := r.Reconcile(t.Context(), key)
	if err != nil || len(before.released) != 1 || next.RequeueAfter == 0 {
		t.Errorf("released are %v, looked at again in %v: %v", before.released, next.RequeueAfter, err)
	}
}

// TestFollower: a standby has the cache filled with all that its queue is made of
// once it leads.
func TestFollower(t *testing.T) {
	r, _ := routedWorld(t, nil)
	sources := r.sources(nil)
	if kinds := r.followed(); len(kinds) != len(sources)-1 { // one is the waker
		t.Errorf("follows %d kinds, and has %d sources", len(kinds), len(sources))
	}
	informers := &informertest.FakeInformers{}
	if f := (follower{informers, r.followed()}); f.NeedLeaderElection() || f.Start(t.Context()) != nil {
		t.Error("does not follow")
	}
	if len(informers.InformersByGVK) == 0 {
		t.Error("nothing is followed")
	}
}
