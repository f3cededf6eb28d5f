package speaker

import (
	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/berth-lb/berth/api/v1beta1"
)

// sourcesOfBGP are of what only BGP depends on.
func (s *Speaker) sourcesOfBGP(c cache.Cache) []source.TypedSource[task] {
	return []source.TypedSource[task]{
		source.TypedKind(c, &metallb.BGPAdvertisement{}, on(configurationTask[*metallb.BGPAdvertisement], specChanged)),
		source.TypedKind(c, &v1beta2.BGPPeer{}, on(configurationTask[*v1beta2.BGPPeer], specChanged)),
		source.TypedKind(c, &metallb.BFDProfile{}, on(configurationTask[*metallb.BFDProfile], specChanged)),
		source.TypedKind(c, &metallb.Community{}, on(configurationTask[*metallb.Community], specChanged)),
		source.TypedKind(c, &v1beta1.BGPNodeStatus{}, on(about[*v1beta1.BGPNodeStatus](theSessions), nil)),
	}
}

// about makes the same task of every object of a kind.
func about[T client.Object](subject taskSubject) func(T) task {
	return func(T) task { return task{subject: subject} }
}
