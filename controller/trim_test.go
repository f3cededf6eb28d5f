package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
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
