package speaker

import (
	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/api/v1beta1"
)

// cacheOfBGP is the part of CacheByObject that only BGP depends on.
func cacheOfBGP(namespace, node string) map[client.Object]cache.ByObject {
	shared := true
	here := map[string]cache.Config{namespace: {}}
	return map[client.Object]cache.ByObject{
		&metallb.BGPAdvertisement{}: {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trimMetadata},
		&v1beta2.BGPPeer{}:          {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trimMetadata},
		&metallb.BFDProfile{}:       {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trimMetadata},
		&metallb.Community{}:        {UnsafeDisableDeepCopy: &shared, Namespaces: here, Transform: trimMetadata},
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
