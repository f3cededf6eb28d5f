package app

import (
	"context"
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/berth-lb/berth/cmd/internal/process"
	"github.com/berth-lb/berth/controller"
)

// leaseName is that of the leader's lease.
const leaseName = "berth-controller"

// run builds the process and runs it until ctx ends.
func run(ctx context.Context, o *options) error {
	log, err := o.log.Start()
	if err != nil {
		return err
	}
	if err := process.Identify(log); err != nil {
		return err
	}
	config, err := process.FindAPIServer(o.kubeconfig, "berth-controller")
	if err != nil {
		return err
	}
	if err := process.AwaitAPIServer(ctx, config, log); err != nil {
		return err
	}
	reports := &reports{namespace: o.namespace}
	mgr, err := newManager(config, log, o, reports.newCache)
	if err != nil {
		return err
	}
	recorder, stopEvents, err := process.NewRecorder(config, mgr.GetScheme(), "berth-controller")
	if err != nil {
		return err
	}
	defer stopEvents()

	waker := &controller.Waker{}
	backends, err := newBackends(ctx, mgr, waker.Wake, o)
	if err != nil {
		return err
	}
	reconciler := controller.New(controller.Options{
		Backends: backends,
		Reported: reports.missing == "",
		Routed:   reports.missingBGP == "",
		Client:   mgr.GetClient(),
		Cache:    mgr.GetCache(),
		Live:     mgr.GetAPIReader(),
		Events:   recorder,
		Waker:    waker,
	})
	if err := reconciler.SetupWithManager(ctx, mgr, o.concurrency); err != nil {
		return err
	}
	if o.defaultBackend == "" {
		log.Info("Services without spec.loadBalancerClass are left alone, since --default-backend names no backend")
	}
	if reports.missing != "" && backends.Announced() {
		log.Info("Whether speakers announce an address is not told, since the API server lacks a kind that they report by: "+
			"install Berth's CRDs and restart berth-controller", "kind", reports.missing)
	} else if reports.missingBGP != "" && backends.Announced() {
		log.Info("Whether an address is announced by BGP is not told, since the API server lacks a kind: "+
			"install Berth's CRDs and restart berth-controller", "kind", reports.missingBGP)
	}
	return mgr.Start(logr.NewContext(ctx, log))
}

func newManager(config *rest.Config, log logr.Logger, o *options, newCache cache.NewCacheFunc) (manager.Manager, error) {
	scheme, err := process.NewScheme()
	if err != nil {
		return nil, err
	}
	lock, err := newLease(config, o)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		fence := &fence{Interface: lock, valid: o.renewDeadline}
		lock, config, o.aws.fence = fence, rest.CopyConfig(config), fence
		config.Wrap(fence.wrap)
	}
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme:                              scheme,
		Logger:                              log,
		Cache:                               cache.Options{ByObject: cacheByObject(o)},
		NewCache:                            newCache,
		Client:                              client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}},
		LeaderElection:                      o.leaderElect,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       &o.leaseDuration,
		RenewDeadline:                       &o.renewDeadline,
		RetryPeriod:                         &o.retryPeriod,
		Metrics:                             metricsserver.Options{BindAddress: o.endpoints.Metrics},
		HealthProbeBindAddress:              o.endpoints.Probes,
		PprofBindAddress:                    o.endpoints.Profiles,
	})
	if err != nil {
		return nil, fmt.Errorf("setting up: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("ping", healthz.Ping)
}
