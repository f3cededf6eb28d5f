package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/pool"
)

// onePool is all that the provider reads: a /16, and namespaces without labels.
type onePool struct{ client.Client }

func (onePool) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return nil
}

func (onePool) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*metallb.IPAddressPoolList).Items = []metallb.IPAddressPool{{
		ObjectMeta: metav1.ObjectMeta{Name: "bench"},
		Spec:       metallb.IPAddressPoolSpec{Addresses: []string{"10.128.0.0/16"}},
	}}
	return nil
}

// exhaustProvider does to the provider what measureExhausted does to the whole.
func exhaustProvider(ctx context.Context, b *bench) error {
	const size = 1 << 16
	var woken []string
	p := pool.New(onePool{}, "berth-system", func(key providers.Key) { woken = append(woken, key.Name) })
	if err := p.Restore(ctx, nil); err != nil {
		return err
	}
	ask := func(i int) error {
		_, err := p.Ensure(ctx, providers.Request{Service: aged(i)})
		return err
	}
	for i := range size {
		if err := ask(i); err != nil {
			return fmt.Errorf("filling the pool with number %d: %w", i, err)
		}
	}
	began := time.Now()
	for i := size + waiting - 1; i >= size; i-- { // the oldest last
		var full *providers.Refusal
		if err := ask(i); !errors.As(err, &full) || full.Reason != providers.ReasonPoolExhausted {
			return fmt.Errorf("number %d should wait: %v", i, err)
		}
	}
	refused := time.Since(began) / waiting
	began = time.Now()
	if err := p.Release(ctx, providers.KeyOf(aged(size/2))); err != nil {
		return err
	}
	took := time.Since(began)
	right := len(woken) == 1 && woken[0] == name(size)
	b.add(figure{
		What:     fmt.Sprintf("a full /16 in the provider, %d waiting, one released", waiting),
		Measured: fmt.Sprintf("%d woken, the oldest: %t, after %v; a refusal takes %v", len(woken), right, took.Round(time.Microsecond), refused.Round(100*time.Nanosecond)),
		Limit:    "1",
		Target:   "one wake-up, the oldest served",
		Met:      right,
	})
	return nil
}

// aged returns the i-th Service, as old as its number says.
func aged(i int) *corev1.Service {
	svc := service(name(i), nil)
	svc.UID = types.UID(name(i))
	svc.CreationTimestamp = metav1.NewTime(time.Unix(int64(i), 0))
	svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	return svc
}
