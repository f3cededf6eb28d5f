package app

import (
	"maps"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/berth-lb/berth/cmd/internal/process"
	"github.com/berth-lb/berth/controller"
)

// speakerKinds are those that speakers report by.
var speakerKinds = []string{"ServiceL2Status", "ConfigurationState"}

// bgpKinds are those that announcing by BGP depends on.
var bgpKinds = []string{"L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community", "BGPNodeStatus"}

// reports is the part of the caches that holds what speakers report.
type reports struct {
	namespace string
	// missing names a kind that the API server lacked when the cache was made;
	// nothing is watched then, since a cache can't be asked for it. missingBGP
	// is one of BGP.
	missing, missingBGP string
}

// newCache is a cache.NewCacheFunc.
func (r *reports) newCache(config *rest.Config, opts cache.Options) (cache.Cache, error) {
	var err error
	if r.missing, err = process.MissingKind(opts.Mapper, speakerKinds...); err != nil {
		return nil, err
	}
	if r.missingBGP, err = process.MissingKind(opts.Mapper, bgpKinds...); err != nil {
		return nil, err
	}
	opts.ByObject = maps.Clone(opts.ByObject)
	if r.missing == "" {
		maps.Copy(opts.ByObject, controller.SpeakerCacheByObject(r.namespace))
	}
	if r.missingBGP == "" {
		maps.Copy(opts.ByObject, controller.BGPCacheByObject(r.namespace))
	}
	return cache.New(config, opts)
}
