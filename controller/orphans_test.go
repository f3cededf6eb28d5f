package controller

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/berth-lb/berth/providers"
)

// stub is a provider that owns what it is told to and notes what it releases.
type stub struct {
	providers.Provider
	owned    []providers.Key
	released []providers.Key
}

func (s *stub) Needs() providers.Needs                         { return providers.Needs{} }
func (s *stub) Owned(context.Context) ([]providers.Key, error) { return s.owned, nil }
func (s *stub) Release(_ context.Context, key providers.Key) error {
	s.released = append(s.released, key)
	return nil
}

// apiWith is an API server, or a cache, that has those objects.
func apiWith(t *testing.T, objects ...client.Object) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
}

// TestOrphans: what is gone is released though it is on the books, and what is
// served is left alone without asking the API server.
func TestOrphans(t *testing.T) {
	svc := loadBalancer(nil)
	svc.ObjectMeta = metav1.ObjectMeta{Namespace: web.Namespace, Name: web.Name, UID: web.UID}
	for _, tc := range []struct {
		why      string
		cached   []client.Object
		asked    int
		released bool
	}{
		{"it was restored, and went before the cache saw it", nil, 1, true},
		{"it is served", []client.Object{&svc}, 0, false},
	} {
		t.Run(tc.why, func(t *testing.T) {
			backend := &stub{owned: []providers.Key{web}}
			backends, err := NewBackends("berth-system", "cloud", Backend{Name: "cloud", Class: "x/cloud", Provider: backend})
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			live := interceptor.NewClient(apiWith(t).(client.WithWatch), interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
					asked++
					return c.Get(ctx, key, o, options...)
				}})
			cache := apiWith(t, tc.cached...)
			r := New(Options{Backends: backends, Client: cache, Cache: cache, Live: live, Waker: &Waker{}})
			close(r.restored)
			q := newQueue(t)
			r.waker.start(q)
			r.holdings.put(web, "cloud")
			r.sweep(t.Context())
			for _, key := range drain(q) {
				if _, err := r.Reconcile(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
			if got := slices.Contains(backend.released, web); got != tc.released || asked != tc.asked {
				t.Errorf("released is %t, want %t; the API server was asked %d times, want %d", got, tc.released, asked, tc.asked)
			}
		})
	}
}

// TestRunAwaitsTheQueue: an orphan that is found before there is a queue is not
// forgotten.
func TestRunAwaitsTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backends, err := NewBackends("berth-system", "cloud", Backend{Name: "cloud", Class: "x/cloud", Provider: &stub{owned: []providers.Key{web}}})
		if err != nil {
			t.Fatal(err)
		}
		api := apiWith(t)
		r := New(Options{Backends: backends, Client: api, Cache: api, Live: api, Waker: &Waker{}})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = r.Run(ctx) }()
		synctest.Wait()
		q := newQueue(t)
		if err := r.begin(ctx, q); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := drain(q); !slices.Equal(got, []providers.Key{web}) {
			t.Errorf("queued are %v, want %v", got, web)
		}
	})
}
