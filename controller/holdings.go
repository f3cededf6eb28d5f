package controller

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

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

// Repairs beyond freeRepairs within repairWindow wait, each twice as long as
// the one before, up to maxRepairDelay.
const (
	freeRepairs    = 3
	repairWindow   = 5 * time.Minute
	maxRepairDelay = time.Minute
)

// repairs keeps the controller from fighting at full speed with somebody else
// who writes the addresses of the same Service, another controller most likely.
type repairs struct {
	mu    sync.Mutex
	byKey map[providers.Key]*repair
}

// repair is what was last written for one Service, and how often it had to be
// written again.
type repair struct {
	wrote []corev1.LoadBalancerIngress
	times int
	last  time.Time
}

// due says how long next must wait; zero for not at all. Only a write that
// repeats the one before is a repair.
func (r *repairs) due(key providers.Key, svc *corev1.Service, next record) time.Duration {
	ingress := next.status.LoadBalancer.Ingress
	if equality.Semantic.DeepEqual(svc.Status.LoadBalancer.Ingress, ingress) {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = map[providers.Key]*repair{}
	}
	now := time.Now()
	one := r.byKey[key]
	if one == nil || !equality.Semantic.DeepEqual(one.wrote, ingress) || now.Sub(one.last) > repairWindow {
		r.byKey[key] = &repair{wrote: ingress, last: now}
		return 0
	}
	if one.times >= freeRepairs {
		delay := min(time.Second<<min(one.times-freeRepairs, 10), maxRepairDelay)
		if wait := delay - now.Sub(one.last); wait > 0 {
			return wait
		}
	}
	one.times++
	one.last = now
	return 0
}

func (r *repairs) forget(key providers.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byKey, key)
}
