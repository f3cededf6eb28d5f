package process

import (
	"fmt"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/berth-lb/berth/api/v1beta1"
)

// versions are those in which the commands know kinds that Kubernetes lacks.
var versions = map[string]schema.GroupVersion{
	"BGPPeer":       v1beta2.GroupVersion,
	"BGPNodeStatus": v1beta1.GroupVersion,
}

// NewScheme returns the kinds that the commands know.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, metallb.AddToScheme, v1beta2.AddToScheme, v1beta1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return scheme, nil
}

// MissingKind names the first of those kinds, MetalLB's or Berth's own, that the
// API server doesn't know, with its version; empty if it knows all.
func MissingKind(mapper meta.RESTMapper, kinds ...string) (string, error) {
	for _, kind := range kinds {
		version, ok := versions[kind]
		if !ok {
			version = metallb.GroupVersion
		}
		_, err := mapper.RESTMapping(version.WithKind(kind).GroupKind(), version.Version)
		if meta.IsNoMatchError(err) {
			return kind + " in " + version.String(), nil
		}
		if err != nil {
			return "", fmt.Errorf("looking for the kind %s: %w", kind, err)
		}
	}
	return "", nil
}

// RequireKinds says what to install where the API server doesn't know one of
// those kinds.
func RequireKinds(mapper meta.RESTMapper, kinds ...string) error {
	missing, err := MissingKind(mapper, kinds...)
	if missing != "" {
		return fmt.Errorf("the API server has no kind %s: install Berth's CRDs first (berth-controller apply-crds; the chart does it unless crds.enabled is false)", missing)
	}
	return err
}
