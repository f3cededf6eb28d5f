package controller

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	clientfake "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/fake"
)

// byName is a cloud that knows Services by their names alone, as one with tags
// does.
type byName struct{ *fake.Provider }

func (b byName) Owned(ctx context.Context) ([]providers.Key, error) {
	keys, err := b.Provider.Owned(ctx)
	for i := range keys {
		keys[i].UID = ""
	}
	return keys, err
}

func (b byName) Release(ctx context.Context, key providers.Key) error {
	key.UID = web.UID
	return b.Provider.Release(ctx, key)
}

func (byName) Needs() providers.Needs {
	return providers.Needs{Finalizers: []string{"example.com/theirs"}}
}

var web = providers.Key{Namespace: "apps", Name: "web", UID: "1"}

// What a backend lists may be of other controllers, and of other installations:
// one that exists is only given up by who has it on the books.
func TestSweep(t *testing.T) {
	service := func(change func(*corev1.Service)) *corev1.Service {
		svc := theirs()
		change(svc)
		return svc
	}
	of := func(record string) func(*corev1.Service) {
		return func(svc *corev1.Service) {
			svc.Annotations, svc.Finalizers = map[string]string{providers.AnnotationBackend: record}, []string{finalizer}
		}
	}
	for _, tc := range []struct {
		why string
		// cached and live are the Service as the cache and the API server have it.
		cached, live *corev1.Service
		stays        bool
	}{
		{"the Service is gone", nil, nil, false},
		{"it has another class: somebody else serves it", service(func(*corev1.Service) {}), service(func(*corev1.Service) {}), true},
		{"so it is while that one releases it", service(deleting), service(deleting), true},
		{"another installation serves it", service(of("other-system/cloud")), service(of("other-system/cloud")), true},
		{"it is new, and the cache does not have it yet", nil, service(func(*corev1.Service) {}), true},
		{"we served it, before it was changed to a class that is not ours", service(of("berth-system/cloud")), service(of("berth-system/cloud")), false},
	} {
		for name, wrap := range map[string]func(*fake.Provider) providers.Provider{
			"by UID":  func(p *fake.Provider) providers.Provider { return p },
			"by name": func(p *fake.Provider) providers.Provider { return byName{p} },
		} {
			t.Run(tc.why+", known "+name, func(t *testing.T) {
				cloud := fake.NewCloud(fake.Options{})
				p := fake.New(cloud, func(providers.Key) {})
				if _, err := p.Ensure(t.Context(), providers.Request{Service: service(func(*corev1.Service) {})}); err != nil {
					t.Fatal(err)
				}
				r := sweeper(t, wrap(p), tc.cached, tc.live)
				r.sweep(t.Context())
				r.work(t)
				if stays := holds(cloud); stays != tc.stays {
					t.Errorf("the load balancer stays: %t, want %t", stays, tc.stays)
				}
				if svc := tc.live; svc != nil && tc.stays && !unchanged(t, r.live, svc) {
					t.Error("the Service was changed")
				}
			})
		}
	}
}

// What was found while the Service was gone is not released once there is
// another one of that name.
func TestSweepTooLate(t *testing.T) {
	cloud := fake.NewCloud(fake.Options{})
	p := fake.New(cloud, func(providers.Key) {})
	if _, err := p.Ensure(t.Context(), providers.Request{Service: theirs()}); err != nil {
		t.Fatal(err)
	}
	r := sweeper(t, byName{p}, nil, nil)
	r.sweep(t.Context())
	if err := r.live.(client.Client).Create(t.Context(), theirs()); err != nil {
		t.Fatal(err)
	}
	r.work(t)
	if !holds(cloud) {
		t.Error("the load balancer of the new Service is gone")
	}
	if key := (providers.Key{Namespace: web.Namespace, Name: web.Name}); r.holdings.of(key) != "" {
		t.Error("it stays on the books")
	}
}

// theirs is a Service of a class that is not ours.
func theirs() *corev1.Service {
	svc := loadBalancer(new("x/theirs"))
	svc.ObjectMeta = metav1.ObjectMeta{Namespace: web.Namespace, Name: web.Name, UID: web.UID}
	svc.Spec.Ports = []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80}}
	return &svc
}

func deleting(svc *corev1.Service) {
	svc.DeletionTimestamp, svc.Finalizers = new(metav1.Now()), []string{"example.com/theirs"}
}

func holds(cloud *fake.Cloud) bool { return len(cloud.LoadBalancers()) > 0 }

// swept is a Reconciler whose queue the test stands in for.
type swept struct{ *Reconciler }

func sweeper(t *testing.T, p providers.Provider, cached, live *corev1.Service) swept {
	t.Helper()
	backends, err := NewBackends("berth-system", "", Backend{Name: "cloud", Class: "x/ours", Provider: p})
	if err != nil {
		t.Fatal(err)
	}
	api := func(svc *corev1.Service) client.Client {
		b := clientfake.NewClientBuilder().WithStatusSubresource(&corev1.Service{})
		if svc != nil {
			b = b.WithObjects(svc.DeepCopy())
		}
		return b.Build()
	}
	r := New(Options{Backends: backends, Client: api(cached), Live: api(live), Waker: &Waker{}})
	close(r.restored)
	return swept{r}
}

// work reconciles what is on the books, and what an event would bring.
func (r swept) work(t *testing.T) {
	t.Helper()
	keys := r.holdings.with(func(string) bool { return true })
	if !slices.Contains(keys, web) {
		keys = append(keys, web)
	}
	for _, key := range keys {
		if _, err := r.Reconcile(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
}

func unchanged(t *testing.T, from client.Reader, want *corev1.Service) bool {
	t.Helper()
	svc := &corev1.Service{}
	if err := from.Get(t.Context(), client.ObjectKeyFromObject(want), svc); err != nil {
		t.Fatal(err)
	}
	return recordOf(svc).equal(recordOf(want))
}
