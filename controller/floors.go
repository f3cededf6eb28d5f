package controller

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/berth-lb/berth/providers"
)

// floors are the versions of the Services that the API server had when restore
// read them and the cache had not: until the cache has them too, it would show
// addresses as free that are not.
type floors struct {
	mu    sync.Mutex
	byKey map[providers.Key]string
}

func (f *floors) set(svc *corev1.Service) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byKey == nil {
		f.byKey = map[providers.Key]string{}
	}
	f.byKey[providers.KeyOf(svc)] = svc.ResourceVersion
}

// above says whether the cache, which has svc for key or nothing, is behind.
func (f *floors) above(key providers.Key, svc *corev1.Service) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	floor, ok := f.byKey[key]
	if !ok {
		return false
	}
	if svc != nil {
		if order, err := resourceversion.CompareResourceVersion(svc.ResourceVersion, floor); err == nil && order >= 0 {
			delete(f.byKey, key)
			return false
		}
	}
	return true
}

func (f *floors) drop(key providers.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byKey, key)
}
