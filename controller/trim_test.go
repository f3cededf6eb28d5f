package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/providers"
)

// Of endpoints that are ready it does not matter which pods they are; there are as
// many as pods.
func TestTrimSlice(t *testing.T) {
	ref := &corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web-1", UID: "1", ResourceVersion: "12"}
	for why, tc := range map[string]struct {
		ready *bool
		ref   *corev1.ObjectReference
		want  bool
	}{
		"ready":             {new(true), ref, false},
		"not told, so too":  {nil, ref, false},
		"not ready":         {new(false), ref, true},
		"written by a user": {new(false), nil, false},
	} {
		slice := &discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{"10.0.0.1"}, Conditions: discoveryv1.EndpointConditions{Ready: tc.ready}, TargetRef: tc.ref,
		}}}
		trimSlice(slice)
		got := slice.Endpoints[0].TargetRef
		if (got != nil) != tc.want || got != nil && *got != (corev1.ObjectReference{Kind: "Pod", Name: "web-1", UID: "1"}) {
			t.Errorf("%s: what is left of the pod is %v", why, got)
		}
	}
}

// TestReplacedAsClusterIP: kubectl replace takes annotations and finalizer off a
// Service along with its type, and the conditions stay for us to take off.
func TestReplacedAsClusterIP(t *testing.T) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "web", UID: "1"}}
	svc.Spec.Type = corev1.ServiceTypeClusterIP
	svc.Status.Conditions = []metav1.Condition{{Type: "example.com/Theirs"}, {Type: providers.ConditionProvisioned}, {Type: providers.ConditionServing}}
	trimService(svc)
	api := apiWith(t, svc)
	backend := &stub{}
	backends, err := NewBackends("berth-system", "cloud", Backend{Name: "cloud", Class: "x/1", Provider: backend})
	if err != nil {
		t.Fatal(err)
	}
	r := New(Options{Backends: backends, Client: api, Cache: api, Live: api, Waker: &Waker{}, Events: deaf{}})
	close(r.restored)
	r.holdings.put(providers.KeyOf(svc), "cloud")
	if _, err := r.Reconcile(t.Context(), providers.KeyOf(svc)); err != nil || len(backend.released) != 1 {
		t.Fatalf("released %v: %v", backend.released, err)
	}
	if err := api.Get(t.Context(), client.ObjectKeyFromObject(svc), svc); err != nil {
		t.Fatal(err)
	}
	if left := svc.Status.Conditions; len(left) != 1 || left[0].Type != "example.com/Theirs" {
		t.Errorf("left are %v", left)
	}
}
