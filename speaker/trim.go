package speaker

import (
	"unique"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

// CacheByObject says what the caches keep of the objects that a speaker
// watches: what it reads, and nothing else, shared rather than copied. There is
// one on each node, and the whole cluster passes by.
func CacheByObject(namespace, node string) map[client.Object]cache.ByObject {
	shared := true
	here := map[string]cache.Config{namespace: {}}
	return map[client.Object]cache.ByObject{
		&corev1.Service{}:            {UnsafeDisableDeepCopy: &shared, Transform: trim(trimService)},
		&discoveryv1.EndpointSlice{}: {UnsafeDisableDeepCopy: &shared, Transform: trim(trimSlice)},
		&corev1.Node{}:               {UnsafeDisableDeepCopy: &shared, Transform: trim(trimNode)},
		&metallb.IPAddressPool{}:     {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trim(trimPool)},
		&metallb.L2Advertisement{}:   {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trim(trimAdvertisement)},
		&metallb.ServiceL2Status{}:   {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trim(recordTrimmer(node))},
		&metallb.ConfigurationState{}: {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trim(stateTrimmer(node)),
			Label: labels.SelectorFromSet(labels.Set{labelComponent: componentSpeaker})},
	}
}

// trim makes a transformation of objects of one kind; others pass.
func trim[T any](do func(*T)) func(any) (any, error) {
	return func(o any) (any, error) {
		if object, ok := o.(*T); ok {
			do(object)
		}
		return o, nil
	}
}

// named keeps of the metadata what tells one object, and one version of it,
// from another.
func named(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: one(m.Namespace), Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation}
}

// one returns the same string for equal ones: the names of nodes and namespaces
// come with each object anew.
func one(s string) string { return unique.Make(s).Value() }

// trimService keeps of a Service without an address its name alone.
func trimService(svc *corev1.Service) {
	old := *svc
	*svc = corev1.Service{ObjectMeta: named(old.ObjectMeta), Spec: corev1.ServiceSpec{Type: old.Spec.Type}}
	if old.Spec.Type != corev1.ServiceTypeLoadBalancer || len(old.Status.LoadBalancer.Ingress) == 0 {
		return
	}
	svc.Labels = old.Labels
	svc.Spec.Selector = old.Spec.Selector
	svc.Spec.ExternalTrafficPolicy = old.Spec.ExternalTrafficPolicy
	svc.Spec.HealthCheckNodePort = old.Spec.HealthCheckNodePort
	for _, in := range old.Status.LoadBalancer.Ingress {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: in.IP})
	}
}

// trimSlice keeps addresses, nodes and conditions.
func trimSlice(slice *discoveryv1.EndpointSlice) {
	service := slice.Labels[discoveryv1.LabelServiceName]
	slice.ObjectMeta = named(slice.ObjectMeta)
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	slice.Ports = nil
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		*e = discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: shareConditions(e.Conditions), NodeName: shareName(e.NodeName)}
	}
}

var yes, no = ptr.To(true), ptr.To(false)

func shareConditions(c discoveryv1.EndpointConditions) discoveryv1.EndpointConditions {
	return discoveryv1.EndpointConditions{Ready: share(c.Ready), Serving: share(c.Serving), Terminating: share(c.Terminating)}
}

func share(b *bool) *bool {
	switch {
	case b == nil:
		return nil
	case *b:
		return yes
	}
	return no
}

func shareName(name *string) *string {
	if name == nil {
		return nil
	}
	return ptr.To(one(*name))
}

// trimNode keeps labels, addresses, and the conditions that decide, without
// the heartbeats in them.
func trimNode(node *corev1.Node) {
	old := *node
	*node = corev1.Node{ObjectMeta: named(old.ObjectMeta), Spec: corev1.NodeSpec{ProviderID: old.Spec.ProviderID}}
	node.Labels, node.DeletionTimestamp = old.Labels, old.DeletionTimestamp
	node.Status.Addresses = old.Status.Addresses
	for _, c := range old.Status.Conditions {
		if c.Type == corev1.NodeReady || c.Type == corev1.NodeNetworkUnavailable {
			node.Status.Conditions = append(node.Status.Conditions, corev1.NodeCondition{Type: c.Type, Status: c.Status})
		}
	}
}

func trimPool(pool *metallb.IPAddressPool) {
	kept := pool.Labels
	pool.ObjectMeta = named(pool.ObjectMeta)
	pool.Labels, pool.Status = kept, metallb.IPAddressPoolStatus{}
}

func trimAdvertisement(a *metallb.L2Advertisement) { a.ObjectMeta = named(a.ObjectMeta) }

// recordTrimmer keeps what the record is in, and the status of those that
// self wrote: it compares them.
func recordTrimmer(self string) func(*metallb.ServiceL2Status) {
	return func(o *metallb.ServiceL2Status) {
		old := *o
		*o = metallb.ServiceL2Status{ObjectMeta: named(old.ObjectMeta)}
		o.Annotations = only(old.Annotations, recordAnnotations)
		if old.Annotations[announce.AnnotationNode] == self {
			o.Status.Interfaces = old.Status.Interfaces
		}
	}
}

// stateTrimmer keeps what speakers report to each other, and all that self
// says itself.
func stateTrimmer(self string) func(*metallb.ConfigurationState) {
	return func(o *metallb.ConfigurationState) {
		old := *o
		*o = metallb.ConfigurationState{ObjectMeta: named(old.ObjectMeta)}
		o.Annotations = only(old.Annotations, stateAnnotations)
		o.Labels = only(old.Labels, []string{labelComponent, labelNodeName})
		if old.Name == stateName(self) {
			o.Status, o.OwnerReferences = old.Status, old.OwnerReferences
		}
	}
}

// only returns what all has under keys.
func only(all map[string]string, keys []string) map[string]string {
	kept := make(map[string]string, len(keys))
	for _, key := range keys {
		if value, ok := all[key]; ok {
			kept[key] = value
		}
	}
	return kept
}
