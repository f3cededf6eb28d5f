package speaker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

// write sends the intent about a record, if it is due.
func (l *ledger) write(ctx context.Context, about letter) (wait time.Duration, err error) {
	l.mu.Lock()
	var in *intent
	if a := l.open[about.service][about.name]; a != nil {
		in = a.intent
	}
	l.mu.Unlock()
	if in == nil {
		return 0, nil
	}
	if wait := time.Until(in.due); wait > 0 {
		return wait, nil
	}
	after, err := l.send(ctx, about.name, *in, l.known(about.name))
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		// That was out of date: once more upon what the API server has.
		after, err = l.sendAnew(ctx, about.name, *in)
	}
	if err != nil {
		return 0, err
	}
	l.sent(about, in, after)
	return 0, nil
}

// known returns the record of that name as it is kept, nil for none.
func (l *ledger) known(name string) *filed {
	k := l.records.get(types.NamespacedName{Namespace: l.namespace, Name: name})
	if k == nil {
		return nil
	}
	return &k.value
}

// sendAnew makes an attempt at the intent upon what the API server has.
func (l *ledger) sendAnew(ctx context.Context, name string, in intent) (*metallb.ServiceL2Status, error) {
	object := &metallb.ServiceL2Status{}
	err := l.live.Get(ctx, client.ObjectKey{Namespace: l.namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return l.send(ctx, name, in, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("reading ServiceL2Status %s: %w", name, err)
	}
	has, _ := file(object)
	return l.send(ctx, name, in, &has)
}

// sent notes what came of the intent: after is the record as written, nil where
// nothing was.
func (l *ledger) sent(about letter, in *intent, after *metallb.ServiceL2Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.close(about.service, about.name)
	a := l.account(about.service, about.name)
	if a.intent == in {
		a.intent = nil
	}
	if after == nil {
		return
	}
	a.echo = &echo{record: in.record, version: after.ResourceVersion, at: time.Now()}
	l.state(a, about.name, statement{in.record, after.ResourceVersion})
}

// send makes one attempt at the intent, upon has, nil where there is no such
// record. It returns the record if it was written.
func (l *ledger) send(ctx context.Context, name string, in intent, has *filed) (*metallb.ServiceL2Status, error) {
	if in.purpose == dropIt {
		return nil, l.remove(ctx, name, in, has)
	}
	if has == nil {
		object := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: name,
			Labels: in.record.Labels(), Annotations: in.record.Annotations()}}
		if err := l.client.Create(ctx, object); err != nil {
			return nil, fmt.Errorf("creating ServiceL2Status %s: %w", name, err)
		}
		return object, nil
	}
	if r := has.record; r.UID != "" && (r == in.record || lost(r, in)) {
		return nil, nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": has.uid, "resourceVersion": has.version,
		"labels":      changes(recordLabels, in.record.Labels()),
		"annotations": changes(recordAnnotations, in.record.Annotations()),
	}})
	if err != nil {
		return nil, fmt.Errorf("computing the patch of ServiceL2Status %s: %w", name, err)
	}
	object := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: name}}
	if err := l.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return nil, fmt.Errorf("writing ServiceL2Status %s: %w", name, err)
	}
	return object, nil
}

var (
	recordLabels      = []string{announce.LabelNode, announce.LabelServiceName, announce.LabelServiceNamespace}
	recordAnnotations = []string{announce.AnnotationService, announce.AnnotationAddress, announce.AnnotationNode, announce.AnnotationReason, announce.AnnotationMessage}
)

// changes is a merge patch that leaves exactly want of the keys that are ours.
func changes(keys []string, want map[string]string) map[string]*string {
	all := make(map[string]*string, len(keys))
	for _, key := range keys {
		all[key] = nil
		if value, ok := want[key]; ok {
			all[key] = &value
		}
	}
	return all
}

// remove deletes a record whose Service, or whose address, is gone. Caches lag
// behind each other: a record may be seen before the Service that it is about.
func (l *ledger) remove(ctx context.Context, name string, in intent, has *filed) error {
	if has == nil {
		return nil
	}
	behind, err := l.behind(ctx, in.record)
	if err != nil || behind {
		return err
	}
	object := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: name}}
	err = l.client.Delete(ctx, object, client.Preconditions{UID: &has.uid, ResourceVersion: &has.version})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting ServiceL2Status %s: %w", name, err)
	}
	return nil
}

// behind says whether the API server has a Service that the record is about and
// that the cache doesn't know as it is.
func (l *ledger) behind(ctx context.Context, r announce.Record) (bool, error) {
	key := client.ObjectKey{Namespace: r.Service.Namespace, Name: r.Service.Name}
	var now, cached corev1.Service
	err := l.live.Get(ctx, key, &now)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading Service %s: %w", r.Service, err)
	}
	if now.UID != r.UID || !slices.Contains(addressesOf(&now), r.Address) {
		return false, nil
	}
	err = l.cache.Get(ctx, key, &cached)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading Service %s: %w", r.Service, err)
	}
	return cached.ResourceVersion != now.ResourceVersion, nil
}
