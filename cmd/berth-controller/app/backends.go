package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	cloudprovider "k8s.io/cloud-provider"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/berth-lb/berth/cmd/internal/process"
	"github.com/berth-lb/berth/controller"
	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/cloud"
	"github.com/berth-lb/berth/providers/fake"
	"github.com/berth-lb/berth/providers/pool"
)

// makers make each backend. Each is given what the others are, takes what it
// needs, and adds to the manager what it runs.
var makers = map[string]func(context.Context, manager.Manager, providers.Wake, *options) (providers.Provider, error){
	"pool":  newPool,
	"cloud": newCloud,
	"fake":  newFake,
	"aws":   newAWS,
}

// claims are how Services ask for a backend that have no class.
var claims = map[string]func(*corev1.Service) bool{"aws": annotation.Wants}

func newBackends(ctx context.Context, mgr manager.Manager, wake providers.Wake, o *options) (controller.Backends, error) {
	var all []controller.Backend
	for _, name := range o.backends {
		p, err := makers[name](ctx, mgr, wake, o)
		if err != nil {
			return controller.Backends{}, fmt.Errorf("setting up backend %s: %w", name, err)
		}
		all = append(all, controller.Backend{Name: name, Class: o.class(name), Claims: claims[name], Provider: p})
	}
	backends, err := controller.NewBackends(o.namespace, o.defaultBackend, all...)
	if err != nil {
		return controller.Backends{}, process.Usage(err)
	}
	return backends, nil
}

func newPool(_ context.Context, mgr manager.Manager, wake providers.Wake, o *options) (providers.Provider, error) {
	if err := process.RequireKinds(mgr.GetRESTMapper(), "IPAddressPool"); err != nil {
		return nil, err
	}
	p := pool.New(mgr.GetClient(), o.namespace, wake)
	if err := metrics.Registry.Register(p.Collector(o.endpoints.MetalLBNames)); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return p, p.SetupWithManager(mgr)
}

func newCloud(ctx context.Context, mgr manager.Manager, _ providers.Wake, o *options) (providers.Provider, error) {
	c, err := cloudprovider.InitCloudProvider(o.cloudProvider, o.cloudConfig)
	if err != nil {
		return nil, err
	}
	start := newCloudStart(c, mgr.GetConfig(), o.aws.fence)
	if err := mgr.Add(start); err != nil {
		return nil, err
	}
	cached := mgr.GetClient()
	return cloud.New(start.balancer, o.clusterName, func(key providers.Key) (*corev1.Service, bool) {
		svc := &corev1.Service{}
		err := cached.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: key.Name}, svc)
		return svc, err == nil && svc.UID == key.UID
	}), nil
}

func newFake(_ context.Context, _ manager.Manager, wake providers.Wake, _ *options) (providers.Provider, error) {
	return fake.New(fake.NewCloud(fake.Options{}), wake), nil
}

// cacheByObject is what the parts of the process want cached, and how.
func cacheByObject(o *options) map[client.Object]cache.ByObject {
	all := controller.CacheByObject(slices.Contains(o.backends, "cloud"))
	if slices.Contains(o.backends, "pool") {
		maps.Copy(all, pool.CacheByObject(o.namespace))
	}
	return all
}
