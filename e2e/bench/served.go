package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// served watches when Services get their address.
type served struct {
	mu   sync.Mutex
	at   map[string]time.Time
	news chan struct{}
	stop func()
}

// watchServed watches from now on; those that are served already count. An
// informer does the watching: the API server drops watchers that a busy machine
// keeps from reading.
func (g *ground) watchServed(ctx context.Context) (*served, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &served{at: map[string]time.Time{}, news: make(chan struct{}, 1), stop: stop}
	factory := informers.NewSharedInformerFactoryWithOptions(g.client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Services().Informer()
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.see(o) },
		UpdateFunc: func(_, o any) { s.see(o) },
	})
	if err != nil {
		stop()
		return nil, err
	}
	factory.StartWithContext(ctx)
	factory.WaitForCacheSyncWithContext(ctx)
	return s, nil
}

func (s *served) see(object any) {
	svc, ok := object.(*corev1.Service)
	if !ok || len(svc.Status.LoadBalancer.Ingress) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, seen := s.at[svc.Name]; !seen {
		s.at[svc.Name] = time.Now()
	}
	select {
	case s.news <- struct{}{}:
	default:
	}
}

func (s *served) when(name string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.at[name]
	return at, ok
}

func (s *served) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.at)
}

// until returns when enough says so, or fails after a while or when the
// controller ends.
func (s *served) until(ctx context.Context, gone <-chan struct{}, what string, enough func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for !enough() {
		select {
		case <-s.news:
		case <-gone:
			return fmt.Errorf("the controller ended while waiting for %s", what)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
	return nil
}
