package conformance_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/conformance"
)

// ledger is the least that a local backend can be: it knows who has which
// address, and knew nothing before Restore.
type ledger struct {
	mu   sync.Mutex
	held map[providers.Key]string
}

var _ providers.Local = (*ledger)(nil)

func (l *ledger) Needs() providers.Needs { return providers.Needs{} }

func (l *ledger) Restore(_ context.Context, services []*corev1.Service) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = map[providers.Key]string{}
	for _, svc := range services {
		for _, i := range svc.Status.LoadBalancer.Ingress {
			l.held[providers.KeyOf(svc)] = i.IP
		}
	}
	return nil
}

func (l *ledger) Ensure(_ context.Context, req providers.Request) (providers.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := req.Key()
	for n := 1; l.held[key] == ""; n++ {
		address := fmt.Sprintf("192.0.2.%d", n)
		if !slices.Contains(slices.Collect(maps.Values(l.held)), address) {
			l.held[key] = address
		}
	}
	return providers.Result{Ingress: []corev1.LoadBalancerIngress{{IP: l.held[key]}}}, nil
}

func (l *ledger) Release(_ context.Context, key providers.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, key)
	return nil
}

func (l *ledger) Owned(context.Context) ([]providers.Key, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Keys(l.held), func(a, b providers.Key) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	}), nil
}

func TestLocal(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Backend {
		return conformance.Backend{Start: func(conformance.Cluster) providers.Provider { return &ledger{} }}
	})
}
