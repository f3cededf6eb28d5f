package app

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/berth-lb/berth/cmd/internal/process"
	"github.com/berth-lb/berth/speaker"
)

// kinds are those that a speaker watches besides Kubernetes' own.
var kinds = []string{
	"IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community",
	"ServiceL2Status", "ConfigurationState", "BGPNodeStatus",
}

// run builds the process and runs it until ctx ends.
func run(ctx context.Context, o *options) error {
	log, err := o.log.Start()
	if err != nil {
		return err
	}
	if err := process.Identify(log); err != nil {
		return err
	}
	lock, err := onlyOne(o.nodeName)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	config, err := process.FindAPIServer(o.kubeconfig, "berth-speaker")
	if err != nil {
		return err
	}
	if err := process.AwaitAPIServer(ctx, config, log); err != nil {
		return err
	}
	mgr, err := newManager(config, log, o)
	if err != nil {
		return err
	}
	if err := process.RequireKinds(mgr.GetRESTMapper(), kinds...); err != nil {
		return err
	}
	recorder, stopEvents, err := process.NewRecorder(config, mgr.GetScheme(), "berth-speaker")
	if err != nil {
		return err
	}
	defer stopEvents()
	s, err := build(mgr, recorder, log, o)
	if err != nil {
		return err
	}
	running, stop := yielding(ctx, log, s)
	defer stop()
	return mgr.Start(logr.NewContext(running, log))
}

// build has mgr run a speaker with all that it works with.
func build(mgr manager.Manager, recorder speaker.EventRecorder, log logr.Logger, o *options) (*speaker.Speaker, error) {
	live, err := client.NewWithWatch(mgr.GetConfig(), client.Options{HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("setting up a client: %w", err)
	}
	told := &listener{}
	layer2, routers := newAnnouncer(o, log, told), newRouters(log, told)
	s := speaker.New(speaker.Options{
		Node:                o.nodeName,
		Namespace:           o.namespace,
		KubeProxyHealthPort: int32(o.healthPort),
		Layer2:              layer2,
		IPVS:                func(interfaces []string) speaker.IPVS { return ipvs(conf, interfaces) },
		BGP:                 routers,
		ServiceBGPStatus:    o.serviceBGPStatus,
		Cache:               mgr.GetCache(),
		Live:                live,
		Client:              mgr.GetClient(),
		Events:              recorder,
		Log:                 log,
	})
	told.Speaker, routers.speaker = s, s
	if err := s.SetupWithManager(mgr); err != nil {
		return nil, err
	}
	metallbNames := o.endpoints.MetalLBNames
	if err := register(s.Collector(metallbNames), newCollector(layer2.Counters, metallbNames), newBFDCollector(routers.BFDCounters)); err != nil {
		return nil, err
	}
	if err := mgr.AddReadyzCheck("synced", s.Ready); err != nil {
		return nil, err
	}
	for _, run := range []manager.RunnableFunc{layer2.Run, routers.run, tidy} {
		if err := mgr.Add(run); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func register(all ...prometheus.Collector) error {
	for _, c := range all {
		if err := metrics.Registry.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// yieldTime bounds how long other nodes are waited for that are to take over what
// this one announces at layer 2.
const yieldTime = 2 * time.Second

// yielding returns a context that ends when ctx has, and what this node announces
// at layer 2 is taken over where it is on its way out.
func yielding(ctx context.Context, log logr.Logger, s *speaker.Speaker) (running context.Context, stop func()) {
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		defer end()
		if why := s.Leaving(running); why != "" {
			log.Info("Having other nodes take over at layer 2 before the end", "because", why)
			limited, cancel := context.WithTimeout(running, yieldTime)
			defer cancel()
			s.Yield(limited)
		}
	})
	return running, func() { forget(); end() }
}

func newManager(config *rest.Config, log logr.Logger, o *options) (manager.Manager, error) {
	scheme, err := process.NewScheme()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme:                 scheme,
		Logger:                 log,
		Cache:                  cache.Options{ByObject: speaker.CacheByObject(o.namespace, o.nodeName)},
		Metrics:                metricsserver.Options{BindAddress: o.endpoints.Metrics},
		HealthProbeBindAddress: o.endpoints.Probes,
		PprofBindAddress:       o.endpoints.Profiles,
	})
	if err != nil {
		return nil, fmt.Errorf("setting up: %w", err)
	}
	return mgr, mgr.AddHealthzCheck("ping", healthz.Ping)
}
