package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// waiting is how many Services find the pool exhausted.
const waiting = 1000

// measureExhausted fills a /16, has a thousand more Services wait, and deletes
// one that is served: one that waits gets the address, the oldest, and nobody
// else is looked at.
func measureExhausted(ctx context.Context, b *bench) error {
	const size = 1 << 16
	return withGround(ctx, b, func(g *ground) error {
		if err := g.pool(ctx, "10.128.0.0/16"); err != nil {
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
		// One by one, so that they differ in age as they are numbered.
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
		if err := g.client.CoreV1().Services(namespace).Delete(ctx, name(4711), metav1.DeleteOptions{}); err != nil {
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
		right := len(got) == 1 && slices.Contains(oldest, got[0])
		b.add(figure{
			What:     fmt.Sprintf("a full /16, %d waiting, one released", waiting),
			Measured: fmt.Sprintf("%d served after %s, the oldest: %t; %d status writes", len(got), ms(took), right, writes),
			Limit:    "1 write",
			Target:   "one wake-up, the oldest served",
			Met:      right && writes == 1,
		})
		return stop(ctx, p)
	})
}

// oldestWaiting returns those that wait and share the earliest creation time:
// the API server keeps whole seconds, and within one the names decide.
func (g *ground) oldestWaiting(ctx context.Context) ([]string, error) {
	list, err := g.client.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	var oldest []string
	var at metav1.Time
	for _, svc := range list.Items {
		if len(svc.Status.LoadBalancer.Ingress) > 0 {
			continue
		}
		switch created := svc.CreationTimestamp; {
		case len(oldest) == 0 || created.Before(&at) || created.Equal(&at) && svc.Name < oldest[0]:
			oldest, at = []string{svc.Name}, created
		}
	}
	return oldest, nil
}
