package controller

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
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
	return providers.Result{}, fmt.Errorf("request %d failed", f.asked)
}

func (f *failing) Release(context.Context, providers.Key) error {
	if f.asked++; f.asked >= f.enough {
		return nil
	}
	return fmt.Errorf("request %d failed", f.asked)
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
