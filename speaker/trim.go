package speaker

import (
	"maps"
	"unique"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CacheByObject says what the caches keep of the objects that a speaker
// watches: what it reads, and nothing else, shared rather than copied. There is
// one on each node, and the whole cluster passes by.
func CacheByObject(namespace, node string) map[client.Object]cache.ByObject {
	shared := true
	here := map[string]cache.Config{namespace: {}}
	all := map[client.Object]cache.ByObject{
		&corev1.Service{}:          {UnsafeDisableDeepCopy: &shared, Transform: trim(trimService)},
		&corev1.Node{}:             {UnsafeDisableDeepCopy: &shared, Transform: trim(trimNode)},
		&metallb.IPAddressPool{}:   {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trim(trimPool)},
		&metallb.L2Advertisement{}: {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trim(trimAdvertisement)},
		&metallb.ConfigurationState{}: {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trim(stateTrimmer(node)),
			Label: labels.SelectorFromSet(labels.Set{labelComponent: componentSpeaker})},
	}
	maps.Copy(all, cacheOfBGP(namespace, node))
	return all
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
	svc.Spec.SessionAffinity = old.Spec.SessionAffinity
	for _, in := range old.Status.LoadBalancer.Ingress {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: in.IP})
	}
}

// trimNode keeps labels, addresses, what says that the node is on its way out,
// and the conditions that decide, without the heartbeats in them.
func trimNode(node *corev1.Node) {
	old := *node
	*node = corev1.Node{ObjectMeta: named(old.ObjectMeta), Spec: corev1.NodeSpec{ProviderID: old.Spec.ProviderID, Unschedulable: old.Spec.Unschedulable}}
	node.Labels, node.DeletionTimestamp = old.Labels, old.DeletionTimestamp
	for _, t := range old.Spec.Taints {
		if partingTaint(t) {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: t.Key, Effect: t.Effect})
		}
	}
	node.Status.Addresses = old.Status.Addresses
	for _, c := range old.Status.Conditions {
		if c.Type != corev1.NodeReady && c.Type != corev1.NodeNetworkUnavailable {
			continue
		}
		kept := corev1.NodeCondition{Type: c.Type, Status: c.Status}
		if shuttingDown(c) {
			kept.Message = shutdownMessage
		}
		node.Status.Conditions = append(node.Status.Conditions, kept)
	}
}

func trimPool(pool *metallb.IPAddressPool) {
	kept := pool.Labels
	pool.ObjectMeta = named(pool.ObjectMeta)
	pool.Labels, pool.Status = kept, metallb.IPAddressPoolStatus{}
}

func trimAdvertisement(a *metallb.L2Advertisement) { a.ObjectMeta = named(a.ObjectMeta) }

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
