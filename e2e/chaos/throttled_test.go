package chaos

import (
	"net/http"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/apiproxy"
	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// perChange is how many writes the controller may try for each that is needed,
// where about one of three fails.
const perChange = 2.5

// The API server throttles some writes, refuses others as conflicts, without
// anything having changed, and fails at others. Nothing is lost, and the
// controller does not make up for it by writing more.
func TestThrottledAndConflicted(t *testing.T) {
	const size = 300
	l := newLab(t, cluster.Options{})
	ctx := t.Context()
	check.Must(t, setPool(ctx, l.client, "main", true, span(steady4, size)))
	check.Must(t, setPool(ctx, l.client, "named", false, span(named4, size)))
	proxy, kubeconfig := l.proxy()
	writes := func(r apiproxy.Request) bool { return r.Write() && r.Resource != "leases" && r.Resource != "events" }
	proxy.SetFaults(
		apiproxy.Fault{Only: writes, Rate: 0.15, Status: http.StatusTooManyRequests, RetryAfter: time.Second},
		apiproxy.Fault{Only: writes, Rate: 0.12, Status: http.StatusConflict},
		apiproxy.Fault{Only: writes, Rate: 0.12, Status: http.StatusInternalServerError},
	)
	l.run(flags(kubeconfig, "--leader-elect=false")...)

	names := l.createMany("web", size)
	a := l.calm(2*time.Minute, "created")
	for i := range a.services {
		if len(addressesOf(&a.services[i])) == 0 {
			t.Errorf("%s has no address", a.services[i].Name)
		}
	}
	checkWrites(t, proxy, size)

	for i, name := range names {
		svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name}}
		var err error
		switch i % 3 {
		case 0:
			err = l.client.Delete(ctx, svc)
		case 1:
			err = l.client.Patch(ctx, svc, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"`+wantsPool+`":"named"}}}`)))
		case 2:
			err = l.client.Patch(ctx, svc, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"type":"ClusterIP","allocateLoadBalancerNodePorts":null}}`)))
		}
		check.Must(t, err)
	}
	if a := l.calm(2*time.Minute, "changed"); len(a.services) != size-size/3 {
		t.Errorf("%d Services are left, want %d", len(a.services), size-size/3)
	}
	checkWrites(t, proxy, size)
}

// checkWrites asks that what was written since the last time is in proportion
// to n changes of Services.
func checkWrites(t *testing.T, proxy *apiproxy.Proxy, n int) {
	t.Helper()
	writes := proxy.Reset().Writes("leases", "events")
	t.Logf("for %d changes: %s", n, writes)
	sum := 0
	for call, times := range writes {
		if call.Resource == "services" || call.Resource == "services/status" {
			sum += times
		}
	}
	if limit := int(perChange * float64(n)); sum > limit {
		t.Errorf("%d writes to Services for %d changes, more than %d", sum, n, limit)
	}
}
