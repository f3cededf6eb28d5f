package pool

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// TestOnPool: only what is in force afterwards is taken over anew.
func TestOnPool(t *testing.T) {
	of := func(uid types.UID, generation, free int64) *metallb.IPAddressPool {
		p := pool("a", "192.0.2.0/24")
		p.UID, p.Generation, p.Status.AvailableIPv4 = uid, generation, free
		return &p
	}
	for _, tc := range []struct {
		why         string
		before, now *metallb.IPAddressPool
		configured  bool
	}{
		{"addresses are given", of("1", 1, 9), of("1", 1, 8), false},
		{"its spec is another", of("1", 1, 9), of("1", 2, 9), true},
		{"it was made anew while nobody watched", of("1", 1, 9), of("2", 1, 9), true},
	} {
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[task]())
		onPool().Update(t.Context(), event.TypedUpdateEvent[*metallb.IPAddressPool]{ObjectOld: tc.before, ObjectNew: tc.now}, q)
		if got := q.Len() > 0; got != tc.configured {
			t.Errorf("%s: taken over is %t, want %t", tc.why, got, tc.configured)
		}
		q.ShutDown()
	}
}

// TestOnNamespace: the Services of a namespace are looked at when its labels are
// others than they were thought to be.
func TestOnNamespace(t *testing.T) {
	named := func(labels map[string]string) *corev1.Namespace {
		return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: labels}}
	}
	shop := named(map[string]string{"team": "shop"})
	for _, tc := range []struct {
		why    string
		happen func(*Provider)
		woken  bool
	}{
		{"it comes after its Services", func(p *Provider) {
			p.onNamespace().Create(t.Context(), event.TypedCreateEvent[*corev1.Namespace]{Object: shop}, nil)
		}, true},
		{"a start lists it", func(p *Provider) {
			p.onNamespace().Create(t.Context(), event.TypedCreateEvent[*corev1.Namespace]{Object: shop, IsInInitialList: true}, nil)
		}, false},
		{"it has other labels", func(p *Provider) {
			p.onNamespace().Update(t.Context(), event.TypedUpdateEvent[*corev1.Namespace]{ObjectOld: named(nil), ObjectNew: shop}, nil)
		}, true},
		{"it has the same labels", func(p *Provider) {
			p.onNamespace().Update(t.Context(), event.TypedUpdateEvent[*corev1.Namespace]{ObjectOld: shop, ObjectNew: shop}, nil)
		}, false},
	} {
		g := newGround(t, pool("a", "192.0.2.0/24"))
		if err := g.ensure(t, g.service("web")); err != nil {
			t.Fatal(err)
		}
		g.woken = nil
		tc.happen(g.Provider)
		if got := slices.Contains(g.woken, "default/web"); got != tc.woken {
			t.Errorf("%s: woken is %t, want %t", tc.why, got, tc.woken)
		}
	}
}

// TestOneRefusedCount: a status that is refused does not stop the others.
func TestOneRefusedCount(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := metallb.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	pools := []metallb.IPAddressPool{pool("a", "192.0.2.0/24"), pool("b", "198.51.100.0/24")}
	refused := errors.New("refused")
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&pools[0], &pools[1]).WithStatusSubresource(&metallb.IPAddressPool{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
			if o.GetName() == "a" {
				return refused
			}
			return c.SubResource(sub).Patch(ctx, o, patch, options...)
		}}).Build()
	g := newGround(t, pools...)
	g.client = api
	if err := g.writeCounts(t.Context(), pools); !errors.Is(err, refused) {
		t.Errorf("the error is %v", err)
	}
	var b metallb.IPAddressPool
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: "berth-system", Name: "b"}, &b); err != nil || b.Status.AvailableIPv4 != 256 {
		t.Errorf("b says %+v, %v", b.Status, err)
	}
}

// TestPoolsThatComeOneByOne: where a start finds no pool, the first that is created
// takes no address that the next one is for.
func TestPoolsThatComeOneByOne(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := metallb.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&metallb.IPAddressPool{}, &metallb.ConfigurationState{}).Build()
	g := newGround(t)
	old := g.service("old", annotationFrom, "b")
	old.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.7"}}
	g.start(t, old)
	g.client, g.live = api, api
	for _, step := range []struct {
		created string
		waits   bool
	}{{"", false}, {"192.0.2.0/24", true}, {"198.51.100.0/24", true}, {"", false}} {
		if step.created != "" {
			p := pool(step.created[:3], step.created)
			if err := api.Create(t.Context(), &p); err != nil {
				t.Fatal(err)
			}
		}
		next, err := g.reconcile(t.Context(), configure)
		if err != nil || (next.RequeueAfter > 0) != step.waits {
			t.Fatalf("with %q: looks again in %v, %v", step.created, next.RequeueAfter, err)
		}
		g.client = g.cluster
		if err := g.ensure(t, old); err != nil {
			t.Fatalf("with %q: %v", step.created, err)
		}
		mustShow(t, old, "198.51.100.7")
		g.client = api
	}
	if old.Annotations[annotationFrom] != "198" {
		t.Errorf("it is from %q", old.Annotations[annotationFrom])
	}
}

// TestCollect: only what is a pool to users is counted.
func TestCollect(t *testing.T) {
	count := func(g *ground) int {
		metrics := make(chan prometheus.Metric, 10)
		g.Collector(false).Collect(metrics)
		return len(metrics)
	}
	if got := count(newGround(t, pool("a", "192.0.2.0/24"))); got != 2 {
		t.Errorf("a pool has %d metrics", got)
	}
	if got := count(newGround(t)); got != 0 {
		t.Errorf("without a pool there are %d metrics", got)
	}
}

// TestCountsAreGathered: a storm of changes is written down once, a second after
// its first.
func TestCountsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[task]())
		defer q.ShutDown()
		w := &worker{}
		w.countSoon() // before it runs, which is forgotten
		if err := w.start(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		if first, _ := q.Get(); first != configure {
			t.Errorf("it starts with %s", first)
		}
		q.Done(configure)
		for range 9 {
			w.countSoon()
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := q.Len(); n > 0 {
			t.Errorf("there are %d tasks after 900 ms", n)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if n := q.Len(); n != 1 {
			t.Errorf("there are %d tasks after a second", n)
		}
		next, _ := q.Get()
		q.Done(next)
		time.Sleep(time.Minute)
		if n := q.Len(); next != count || n > 0 {
			t.Errorf("it is asked to %s, and then for %d more", next, n)
		}
	})
}
