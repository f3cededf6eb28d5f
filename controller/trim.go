package controller

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/providers"
)

// CacheByObject says what the caches keep of the objects that the controller
// watches: what it reads, and nothing else, shared rather than copied. Backends
// that hand Nodes on want them whole.
func CacheByObject(wholeNodes bool) map[client.Object]cache.ByObject {
	node := func(o client.Object) { trimNode(o.(*corev1.Node)) }
	if wholeNodes {
		node = func(client.Object) {}
	}
	return map[client.Object]cache.ByObject{
		&corev1.Service{}:            keep(func(o client.Object) { trimService(o.(*corev1.Service)) }),
		&discoveryv1.EndpointSlice{}: keep(func(o client.Object) { trimSlice(o.(*discoveryv1.EndpointSlice)) }),
		&corev1.Node{}:               keep(node),
	}
}

// keep has a cache keep what trim leaves, and share it.
func keep(trim func(client.Object)) cache.ByObject {
	shared := true
	return cache.ByObject{UnsafeDisableDeepCopy: &shared, Transform: func(o any) (any, error) {
		if object, ok := o.(client.Object); ok {
			object.SetManagedFields(nil)
			trim(object)
		}
		return o, nil
	}}
}

// trimService drops the copy of the Service that kubectl apply leaves on it.
// Of one that is no load balancer and never was ours only the name remains.
func trimService(svc *corev1.Service) {
	delete(svc.Annotations, corev1.LastAppliedConfigAnnotation)
	if svc.Spec.Type == corev1.ServiceTypeLoadBalancer || wasOurs(svc) {
		return
	}
	*svc = corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name, UID: svc.UID, ResourceVersion: svc.ResourceVersion,
			DeletionTimestamp: svc.DeletionTimestamp, Finalizers: svc.Finalizers},
		Spec: corev1.ServiceSpec{Type: svc.Spec.Type},
	}
}

// wasOurs says whether anything of ours is on svc. kubectl replace takes off all but
// the conditions.
func wasOurs(svc *corev1.Service) bool {
	return svc.Annotations[providers.AnnotationBackend] != "" ||
		meta.FindStatusCondition(svc.Status.Conditions, providers.ConditionProvisioned) != nil
}

// trimSlice keeps addresses, nodes and conditions, and the pods that are not ready:
// backends may know why.
func trimSlice(slice *discoveryv1.EndpointSlice) {
	slice.Annotations, slice.OwnerReferences = nil, nil
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		*e = discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: e.Conditions, NodeName: e.NodeName, TargetRef: unready(e)}
	}
}

// unready names the pod of an endpoint that is not ready.
func unready(e *discoveryv1.Endpoint) *corev1.ObjectReference {
	if e.TargetRef == nil || e.Conditions.Ready == nil || *e.Conditions.Ready {
		return nil
	}
	return &corev1.ObjectReference{Kind: e.TargetRef.Kind, Name: e.TargetRef.Name, UID: e.TargetRef.UID}
}

// trimNode drops what the kubelet reports about itself.
func trimNode(node *corev1.Node) {
	node.Annotations = nil
	node.Status = corev1.NodeStatus{Addresses: node.Status.Addresses, Conditions: node.Status.Conditions}
}
