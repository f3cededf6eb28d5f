package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// served watches when Services get their address.
type served struct {
	mu    sync.Mutex
	at    map[string]time.Time
	news  chan struct{}
	watch watch.Interface
}

// watchServed watches from now on; those that are served already count.
func (g *ground) watchServed(ctx context.Context) (*served, error) {
	list, err := g.client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	w, err := g.client.CoreV1().Services(namespace).Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return nil, err
	}
	s := &served{at: map[string]time.Time{}, news: make(chan struct{}, 1), watch: w}
	for i := range list.Items {
		s.see(&list.Items[i])
	}
	go func() {
		for e := range w.ResultChan() {
			if svc, ok := e.Object.(*corev1.Service); ok && e.Type != watch.Deleted {
				s.see(svc)
			}
		}
	}()
	return s, nil
}

func (s *served) stop() { s.watch.Stop() }

func (s *served) see(svc *corev1.Service) {
	if len(svc.Status.LoadBalancer.Ingress) == 0 {
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
