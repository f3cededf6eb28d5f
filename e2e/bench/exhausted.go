package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waiting is how many Services find the pool exhausted.
const waiting = 1000

// measureExhausted fills a pool, has a thousand more Services wait, and deletes
// one that is served: one that waits gets the address, the oldest, and nobody
// else is looked at.
//
// The /16 is filled in the provider alone: the time that an API server takes to
// create a Service grows with their number, since it counts its cluster IPs
// each time, and 65,536 would take it more than an hour. Through the API server
// it is a /20.
func measureExhausted(ctx context.Context, b *bench) error {
	if err := exhaustProvider(ctx, b); err != nil {
		return err
	}
	const size = 1 << 12
	return withGround(ctx, b, func(g *ground) error {
		if err := g.pool(ctx, "10.128.0.0/20"); err != nil {
			return err
		}
		seen, err := g.watchServed(ctx)
		if err != nil {
			return err
		}
		defer seen.stop()
		p, proxy, err := g.serveCounted(ctx, b)
		if err != nil {
			return err
		}
		defer proxy.Close()
		if err := g.fill(ctx, 0, size); err != nil {
			return err
		}
		if err := seen.until(ctx, p.Done(), "the pool to be exhausted", func() bool { return seen.count() >= size }); err != nil {
			return err
		}
		if err := g.fill(ctx, size, size+waiting); err != nil {
			return err
		}
		if err := pause(ctx, 20*time.Second); err != nil {
			return err
		}
		oldest, err := g.oldestWaiting(ctx)
		if err != nil {
			return err
		}
		before := proxy.Counts()
		began := time.Now()
		if err := g.client.CoreV1().Services(namespace).Delete(ctx, name(471), metav1.DeleteOptions{}); err != nil {
			return err
		}
		if err := seen.until(ctx, p.Done(), "one of those that wait", func() bool { return seen.count() > size }); err != nil {
			return err
		}
		took := time.Since(began)
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
		var got []string
		for i := range waiting {
			if _, ok := seen.when(name(size + i)); ok {
				got = append(got, name(size+i))
			}
		}
		writes := 0
		for call, n := range proxy.Counts() {
			if call.Resource == "services/status" {
				writes += n - before[call]
			}
		}
		right := len(got) == 1 && got[0] == oldest
		b.add(figure{
			What:     fmt.Sprintf("a full /20 through the API server, %d waiting, one released", waiting),
			Measured: fmt.Sprintf("%d served after %s, the oldest: %t; %d status writes", len(got), ms(took), right, writes),
			Limit:    "1 write",
			Target:   "one wake-up, the oldest served",
			Met:      right && writes == 1,
		})
		return stop(ctx, p)
	})
}

// oldestWaiting returns the oldest that waits. The API server keeps whole
// seconds; within one the names decide.
func (g *ground) oldestWaiting(ctx context.Context) (string, error) {
	list, err := g.client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	var oldest *corev1.Service
	for i := range list.Items {
		svc := &list.Items[i]
		if svc.Spec.Type != corev1.ServiceTypeLoadBalancer || len(svc.Status.LoadBalancer.Ingress) > 0 {
			continue
		}
		if oldest == nil || svc.CreationTimestamp.Before(&oldest.CreationTimestamp) ||
			svc.CreationTimestamp.Equal(&oldest.CreationTimestamp) && svc.Name < oldest.Name {
			oldest = svc
		}
	}
	if oldest == nil {
		return "", errors.New("nobody waits")
	}
	return oldest.Name, nil
}
