package controller

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/berth-lb/berth/providers"
)

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

// due says how long the write of next must wait; zero for not at all. Only one
// that repeats the one before is a repair.
func (r *repairs) due(key providers.Key, svc *corev1.Service, next record) time.Duration {
	if sameIngress(svc, next) {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.byKey[key]
	if !one.repeats(next) || one.times < freeRepairs {
		return 0
	}
	delay := min(time.Second<<min(one.times-freeRepairs, 10), maxRepairDelay)
	return max(delay-time.Since(one.last), 0)
}

// wrote remembers that next has been written over svc.
func (r *repairs) wrote(key providers.Key, svc *corev1.Service, next record) {
	if sameIngress(svc, next) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = map[providers.Key]*repair{}
	}
	one := r.byKey[key]
	if !one.repeats(next) {
		r.byKey[key] = &repair{wrote: next.status.LoadBalancer.Ingress, last: time.Now()}
		return
	}
	one.times++
	one.last = time.Now()
}

func (one *repair) repeats(next record) bool {
	return one != nil && time.Since(one.last) <= repairWindow &&
		equality.Semantic.DeepEqual(one.wrote, next.status.LoadBalancer.Ingress)
}

func sameIngress(svc *corev1.Service, next record) bool {
	return equality.Semantic.DeepEqual(svc.Status.LoadBalancer.Ingress, next.status.LoadBalancer.Ingress)
}

func (r *repairs) forget(key providers.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.byKey, key)
}
