// Package providers is the contract between the controller and the backends
// that make load balancers exist, and the errors that they share.
package providers

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Provider makes load balancers exist in one backend. All methods may be
// called concurrently, but never twice at once for the same Key.
type Provider interface {
	// Needs says which objects, besides the Service, Ensure has to be given
	// and called again for. It is asked once.
	Needs() Needs

	// Ensure makes what req asks for true, and says what it got. Repeating it
	// with the same req is free of calls that change anything.
	//
	// With a *Refusal the Service can't be served as it is; Result then says
	// what it holds meanwhile, possibly nothing: a backend that could not look
	// repeats what the status of req shows. With any other error, an ended ctx
	// included, Result is ignored, the Service keeps the status that it has,
	// and Ensure is called again after a growing delay. A Result belongs to
	// the caller.
	Ensure(ctx context.Context, req Request) (Result, error)

	// Release gives back all that the backend holds for key. Already gone is
	// success; ErrPending means call again.
	Release(ctx context.Context, key Key) error

	// Owned lists what this cluster holds in the backend, so that leaks are
	// found: sorted by namespace, name and UID, and including what an earlier
	// process left. What others made in the name of this cluster may be among it.
	// A key has no UID where the backend does not know it.
	// A backend that has no way to list returns an error that wraps
	// errors.ErrUnsupported.
	Owned(ctx context.Context) ([]Key, error)
}

// Local is a Provider whose only record is the status of the Services: it
// holds nothing outside the API server, so that nothing can leak there.
//
// The order of writing and holding is therefore the reverse of that of any
// other Provider. For a remote one the finalizer is written before Ensure, and
// removed after Release. A local one is asked first, so that what is written
// is held, and released once the status no longer shows it.
type Local interface {
	Provider

	// Restore tells what the statuses of all Services of this backend say, as
	// the API server has them. It is called, again if it fails, before the
	// first Ensure, and may serve at once, in order of age, those that wait.
	// Services on their way out, deleted or of another type by now, keep what
	// they show until Release, and get nothing new.
	Restore(ctx context.Context, services []*corev1.Service) error
}

// Wake has the controller look at a Service again: an address came free, a
// target turned healthy, a load balancer became active. A backend is given it
// at start. It never blocks, and may be called while locks are held.
type Wake func(Key)

// Needs says what a backend wants of the controller.
type Needs struct {
	// Nodes and EndpointSlices say what Request has to carry, and that Ensure
	// has to be called when it changes.
	Nodes          bool
	EndpointSlices bool
	// Announced says that speakers announce the addresses: once they report,
	// the condition Serving depends on what they say.
	Announced bool
	// Annotations are the keys that a Result may set on a Service, for the
	// controller to remove those that it no longer sets.
	Annotations []string
	// Finalizers are those of other controllers that the backend replaces: they
	// go from a Service when it is released.
	Finalizers []string
}

// Key names one life of a Service: one deleted and created anew has another
// UID.
type Key struct {
	Namespace, Name string
	UID             types.UID
}

// KeyOf returns the key of svc.
func KeyOf(svc *corev1.Service) Key {
	return Key{Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID}
}

// String returns namespace/name, as users write it.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Request is one Service and what it is to be served with. Everything in it is
// shared with caches and must not be changed.
type Request struct {
	Service *corev1.Service
	// Nodes are the eligible ones, sorted by name; nil unless the backend
	// needs them.
	Nodes []*corev1.Node
	// EndpointSlices are those of the Service, sorted by name; nil unless the
	// backend needs them.
	EndpointSlices []*discoveryv1.EndpointSlice
}

// Key returns the key of the Service that is asked for.
func (r Request) Key() Key { return KeyOf(r.Service) }

// Result is what a Service got.
type Result struct {
	// Ingress is written to the Service's status as it is, ipMode and errors
	// of single ports included.
	Ingress []corev1.LoadBalancerIngress
	// Annotations are written to the Service; those of Needs.Annotations that
	// are not among them are removed.
	Annotations map[string]string
	// Conditions replace what the controller would say of its own accord.
	Conditions []metav1.Condition
}
