package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

// TestFloors: until the cache has what restore saw, it is not believed, not
// even that a Service is gone.
func TestFloors(t *testing.T) {
	at := func(version string) *corev1.Service {
		svc := holding()
		svc.UID, svc.ResourceVersion = "uid", version
		return svc
	}
	key := providers.KeyOf(at(""))
	var f floors
	if f.above(key, nil) || f.above(key, at("1")) {
		t.Error("a floor where none was set")
	}
	f.set(at("100"))
	for _, behind := range []*corev1.Service{nil, at("99"), at("9")} {
		if !f.above(key, behind) {
			t.Errorf("%v is believed", behind)
		}
	}
	if f.above(key, at("100")) || f.above(key, at("99")) {
		t.Error("a cache that has caught up is not believed")
	}
}
