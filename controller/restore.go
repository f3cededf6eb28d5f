package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/providers"
)

const (
	// pageSize bounds what one answer of the API server holds in memory.
	pageSize = 500
	// sweepInterval is how often backends are searched for what no Service
	// accounts for. It is a safety net: nothing else waits for it.
	sweepInterval = time.Hour
)

// Run restores the local backends, lets Reconcile begin, and then looks for
// orphans, at once and every hour. It returns when ctx ends.
func (r *Reconciler) Run(ctx context.Context) error {
	log := logr.FromContextOrDiscard(ctx)
	backoff := wait.Backoff{Duration: 100 * time.Millisecond, Factor: 2, Steps: 10, Cap: 5 * time.Second, Jitter: 0.1}
	for {
		err := r.restore(ctx)
		if err == nil {
			break
		}
		log.Error(err, "restoring what the Services' statuses say; nothing is served before that")
		if !sleep(ctx, backoff.Step()) {
			return nil
		}
	}
	close(r.restored)
	select {
	case <-r.begun: // nothing else brings an orphan into the queue
	case <-ctx.Done():
		return nil
	}
	for {
		r.sweep(ctx)
		if !sleep(ctx, sweepInterval) {
			return nil
		}
	}
}

// restore tells each local backend what the Services' statuses say. It reads
// them from the API server: the cache may not have seen yet what the leader
// before this one wrote last, and an address must not be given twice.
func (r *Reconciler) restore(ctx context.Context) error {
	byBackend := map[string][]*corev1.Service{}
	err := r.eachLive(ctx, func(svc *corev1.Service) {
		// One on its way out keeps what it shows until it is released.
		name := cmp.Or(r.holder(svc), r.backends.claims(svc))
		if b := r.backends.named[name]; b != nil && b.local {
			byBackend[name] = append(byBackend[name], r.cheapest(ctx, svc))
			r.holdings.put(providers.KeyOf(svc), name)
		}
	})
	if err != nil {
		return err
	}
	for _, name := range r.backends.Names() {
		if local, ok := r.backends.named[name].Provider.(providers.Local); ok {
			if err := local.Restore(ctx, byBackend[name]); err != nil {
				return fmt.Errorf("restoring backend %s: %w", name, err)
			}
		}
	}
	return nil
}

// cheapest returns svc as the cache has it, if it has it as it is: a start then
// holds no Service twice. If the cache is behind, that is remembered.
func (r *Reconciler) cheapest(ctx context.Context, svc *corev1.Service) *corev1.Service {
	cached := &corev1.Service{}
	err := r.informed.Get(ctx, client.ObjectKeyFromObject(svc), cached)
	if err == nil && cached.UID == svc.UID && cached.ResourceVersion == svc.ResourceVersion {
		return cached
	}
	r.floors.set(svc)
	alone := *svc // the page that it is in can go
	alone.ManagedFields = nil
	trimService(&alone)
	return &alone
}

// eachLive calls visit for all Services that the API server has, page by page.
func (r *Reconciler) eachLive(ctx context.Context, visit func(*corev1.Service)) error {
	page := client.ListOptions{Limit: pageSize}
	for {
		var list corev1.ServiceList
		if err := r.live.List(ctx, &list, &page); err != nil {
			if apierrors.IsResourceExpired(err) && page.Continue != "" {
				return fmt.Errorf("listing Services: the list took so long that its continuation expired: %w", err)
			}
			return fmt.Errorf("listing Services: %w", err)
		}
		for i := range list.Items {
			visit(&list.Items[i])
		}
		if page.Continue = list.Continue; page.Continue == "" {
			return nil
		}
	}
}

// sweep has everything released that a backend holds for Services that are
// gone. Those that exist account for theirs when they are reconciled.
func (r *Reconciler) sweep(ctx context.Context) {
	log := logr.FromContextOrDiscard(ctx)
	for _, name := range r.backends.Names() {
		owned, err := r.backends.named[name].Provider.Owned(ctx)
		if errors.Is(err, errors.ErrUnsupported) {
			continue
		}
		if err != nil {
			log.Error(err, "looking for orphans", "backend", name)
			continue
		}
		for _, key := range owned {
			if err := r.adoptOrphan(ctx, key, name); err != nil {
				log.Error(err, "looking for orphans", "backend", name, "service", key.String())
			}
		}
	}
}

// adoptOrphan has what a backend holds released if its Service is gone, whatever
// the books say: one that restore noted may have gone before the cache saw it, and
// then no event has told of that. One that exists without being on the books is
// served by somebody else, whose things the backend can't tell from its own.
func (r *Reconciler) adoptOrphan(ctx context.Context, key providers.Key, backend string) error {
	if gone, err := r.gone(ctx, key); err != nil || !gone {
		return err
	}
	r.holdings.put(key, backend)
	r.waker.Wake(key)
	return nil
}

// gone says whether a Service is no more. The API server has the last word: a
// cache may not have seen yet one that was made a moment ago.
func (r *Reconciler) gone(ctx context.Context, key providers.Key) (bool, error) {
	for _, from := range []client.Reader{r.cached, r.live} {
		if gone, err := Gone(ctx, from, key); err != nil || !gone {
			return false, err
		}
	}
	return true, nil
}

// Gone says whether a Service is no more. A key without UID is of any life that
// there may be: what backends hold by name is then whoever's serves that.
func Gone(ctx context.Context, from client.Reader, key providers.Key) (bool, error) {
	svc := &corev1.Service{}
	err := from.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: key.Name}, svc)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading Service %s: %w", key, err)
	}
	return key.UID != "" && svc.UID != key.UID, nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
