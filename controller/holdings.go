package controller

import (
	"sync"

	"github.com/berth-lb/berth/providers"
)

// holdings remembers which backend was asked for which Service by this
// process. What was asked earlier is recorded on the Service; this covers the
// time before that record is written and after the Service is gone.
type holdings struct {
	mu    sync.Mutex
	byKey map[providers.Key]string
}

func (h *holdings) put(key providers.Key, backend string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byKey == nil {
		h.byKey = map[providers.Key]string{}
	}
	h.byKey[key] = backend
}

func (h *holdings) of(key providers.Key) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byKey[key]
}

func (h *holdings) drop(key providers.Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byKey, key)
}

// with returns the keys whose backend pick chooses.
func (h *holdings) with(pick func(backend string) bool) []providers.Key {
	h.mu.Lock()
	defer h.mu.Unlock()
	var keys []providers.Key
	for key, backend := range h.byKey {
		if pick(backend) {
			keys = append(keys, key)
		}
	}
	return keys
}
