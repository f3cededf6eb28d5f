package speaker

import (
	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/api/v1beta1"
)

// cacheOfBGP is the part of CacheByObject that only BGP depends on. Of Secrets
// the API server sends those alone that a BGPPeer can name.
func cacheOfBGP(namespace, node string) map[client.Object]cache.ByObject {
	shared := true
	here := map[string]cache.Config{namespace: {}}
	return map[client.Object]cache.ByObject{
		&metallb.BGPAdvertisement{}: {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trimMetadata},
		&v1beta2.BGPPeer{}:          {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trimMetadata},
		&metallb.BFDProfile{}:       {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trimMetadata},
		&metallb.Community{}:        {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trimMetadata},
		&corev1.Secret{}: {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trim(trimSecret),
			Field: fields.SelectorFromSet(fields.Set{"type": string(corev1.SecretTypeBasicAuth)})},
		&v1beta1.BGPNodeStatus{}: {UnsafeDisableDeepCopy: &shared, Namespaces: here,
			Field: fields.SelectorFromSet(fields.Set{"metadata.name": node})},
	}
}

// trimMetadata keeps of an object its name and all that is not metadata.
func trimMetadata(o any) (any, error) {
	switch o := o.(type) {
	case *metallb.BGPAdvertisement:
		o.ObjectMeta = named(o.ObjectMeta)
	case *v1beta2.BGPPeer:
		o.ObjectMeta = named(o.ObjectMeta)
	case *metallb.BFDProfile:
		o.ObjectMeta = named(o.ObjectMeta)
	case *metallb.Community:
		o.ObjectMeta = named(o.ObjectMeta)
	}
	return o, nil
}

// trimSecret keeps the password.
func trimSecret(secret *corev1.Secret) {
	old := *secret
	*secret = corev1.Secret{ObjectMeta: named(old.ObjectMeta), Type: old.Type}
	if password, ok := old.Data[corev1.BasicAuthPasswordKey]; ok {
		secret.Data = map[string][]byte{corev1.BasicAuthPasswordKey: password}
	}
}
