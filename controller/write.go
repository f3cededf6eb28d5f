package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// errStale says that a Service is not the one that was read. Backends have conflicts
// of their own, which are no reason to ask again at once.
var errStale = errors.New("the Service has changed")

// write makes next the record of svc and returns the Service as it is then. It
// costs one call where something differs, and none where nothing does.
//
// One call suffices because the API server takes metadata through the status
// subresource of Services; one that dropped it would be told again through the
// Service itself. The exception is the finalizer that holds back a deletion:
// older API servers forget to free the cluster IP of a Service whose last
// finalizer goes through its status.
func (r *Reconciler) write(ctx context.Context, svc *corev1.Service, next record) (*corev1.Service, error) {
	before := recordOf(svc)
	if before.equal(next) {
		return svc, nil
	}
	if svc.DeletionTimestamp != nil && len(next.finalizers) == 0 {
		next.status = before.status
		return patch(ctx, r.cached, svc, before, next)
	}
	after, err := patch(ctx, r.cached.Status(), svc, before, next)
	if err != nil || arrived(after, before, next) {
		return after, err
	}
	return patch(ctx, r.cached, after, before, next)
}

// arrived says whether the metadata that next changes is on svc.
func arrived(svc *corev1.Service, before, next record) bool {
	for _, f := range before.finalizers {
		if slices.Contains(svc.Finalizers, f) && !slices.Contains(next.finalizers, f) {
			return false
		}
	}
	for _, f := range next.finalizers {
		if !slices.Contains(svc.Finalizers, f) {
			return false
		}
	}
	for key, value := range next.annotations {
		if before.annotations[key] != value && svc.Annotations[key] != value {
			return false
		}
	}
	return true
}

// patcher is a client.Client or its status writer.
type patcher[O any] interface {
	Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...O) error
}

// patch sends what differs between before and next. Of lists that others
// write to as well only our own entries are sent.
func patch[O any](ctx context.Context, w patcher[O], svc *corev1.Service, before, next record) (*corev1.Service, error) {
	// UID and version are in the difference, and so preconditions: a Service
	// that was created anew under the same name, or written by somebody else,
	// answers with a conflict. A difference to anything but what was read could
	// leave half a condition behind, or come late and show an address again
	// that somebody else has by now.
	data, err := client.StrategicMergeFrom(before.on(&corev1.Service{})).Data(next.on(svc))
	if err != nil {
		return nil, fmt.Errorf("computing the patch of Service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	after := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name}}
	err = w.Patch(ctx, after, client.RawPatch(types.StrategicMergePatchType, data))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		err = fmt.Errorf("%w: %w", errStale, err)
	}
	if err != nil {
		return nil, fmt.Errorf("writing to Service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	return after, nil
}

// on puts the record on a Service that is that version of svc and otherwise
// empty.
func (r record) on(svc *corev1.Service) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{UID: svc.UID, ResourceVersion: svc.ResourceVersion, Finalizers: r.finalizers, Annotations: r.annotations},
		Status:     r.status,
	}
}
