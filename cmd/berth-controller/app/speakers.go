package app

import (
	"fmt"
	"maps"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	berth "github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/cmd/internal/process"
	"github.com/berth-lb/berth/controller"
)

// speakerKinds are those that speakers report by.
var speakerKinds = []string{"ServiceL2Status", "ConfigurationState"}

// bgpKinds are those that announcing by BGP depends on.
var bgpKinds = []schema.GroupVersionKind{
	metallb.GroupVersion.WithKind("L2Advertisement"),
	metallb.GroupVersion.WithKind("BGPAdvertisement"),
	v1beta2.GroupVersion.WithKind("BGPPeer"),
	metallb.GroupVersion.WithKind("BFDProfile"),
	metallb.GroupVersion.WithKind("Community"),
	berth.GroupVersion.WithKind("BGPNodeStatus"),
}

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
	if r.missingBGP, err = missingKind(opts.Mapper, bgpKinds); err != nil {
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

// missingKind names the first of kinds that the API server doesn't know; empty
// if it knows all.
func missingKind(mapper meta.RESTMapper, kinds []schema.GroupVersionKind) (string, error) {
	for _, kind := range kinds {
		_, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			return kind.Kind + " in " + kind.GroupVersion().String(), nil
		}
		if err != nil {
			return "", fmt.Errorf("looking for the kind %s: %w", kind.Kind, err)
		}
	}
	return "", nil
}
