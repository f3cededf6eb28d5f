package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	metallb "go.universe.tf/metallb/api/v1beta1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/berth-lb/berth/controller"
)

// leaseName is that of the leader's lease.
const leaseName = "berth-controller"

// run builds the process and runs it until ctx ends.
func run(ctx context.Context, o *options) error {
	log, err := newLogger(o)
	if err != nil {
		return usageError{err}
	}
	ctrl.SetLogger(log)
	klog.SetLogger(log)

	config, err := restConfig(o)
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	if err := awaitAPIServer(ctx, config, log); err != nil {
		return err
	}
	mgr, err := newManager(config, log, o)
	if err != nil {
		return err
	}
	recorder, stopEvents, err := newRecorder(config, mgr.GetScheme())
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
	return mgr.Start(logr.NewContext(ctx, log))
}

// restConfig sets no client-side rate: the API server's own priority and
// fairness tells a client to slow down, and client-go listens.
func restConfig(o *options) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	// Compressing the lists of a start costs the API server more time than
	// sending them does.
	config.DisableCompression = true
	config.UserAgent = "berth-controller"
	return config, nil
}

// awaitAPIServer returns when the API server answers. A process that ended
// instead would come back later and later, as crash loops do, and so long after
// the API server itself.
func awaitAPIServer(ctx context.Context, config *rest.Config, log logr.Logger) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("making the client for %s: %w", config.Host, err)
	}
	backoff := wait.Backoff{Duration: 250 * time.Millisecond, Factor: 1.5, Steps: 10, Cap: 2 * time.Second}
	for {
		err := client.RESTClient().Get().AbsPath("/version").Do(ctx).Error()
		if err == nil || apierrors.IsUnauthorized(err) || apierrors.IsForbidden(err) {
			return err
		}
		log.Info("The API server does not answer yet", "server", config.Host, "error", err.Error())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(backoff.Step()):
		}
	}
}

func newManager(config *rest.Config, log logr.Logger, o *options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := metallb.AddToScheme(scheme); err != nil {
		return nil, err
	}
	lock, err := newLease(config, o)
	if err != nil {
		return nil, err
	}
	if lock != nil {
		fence := &fence{Interface: lock, valid: o.renewDeadline}
		lock, config = fence, rest.CopyConfig(config)
		config.Wrap(fence.wrap)
	}
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme:                              scheme,
		Logger:                              log,
		Cache:                               cache.Options{ByObject: cacheByObject(o)},
		Client:                              client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}},
		LeaderElection:                      o.leaderElect,
		LeaderElectionResourceLockInterface: lock,
		LeaderElectionReleaseOnCancel:       true,
		LeaseDuration:                       &o.leaseDuration,
		RenewDeadline:                       &o.renewDeadline,
		RetryPeriod:                         &o.retryPeriod,
		Metrics:                             metricsserver.Options{BindAddress: o.metricsAddress},
		HealthProbeBindAddress:              o.probeAddress,
		PprofBindAddress:                    o.pprofAddress,
	})
	if err != nil {
		return nil, fmt.Errorf("setting up: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("ping", healthz.Ping)
}

// requireKind says what to install where the API server doesn't know a kind
// that the process can't do without.
func requireKind(mgr manager.Manager, kind string) error {
	_, err := mgr.GetRESTMapper().RESTMapping(metallb.GroupVersion.WithKind(kind).GroupKind(), metallb.GroupVersion.Version)
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("the API server has no kind %s in %s: install Berth's CRDs first (kubectl apply --server-side -f charts/berth/crds)", kind, metallb.GroupVersion)
	}
	if err != nil {
		return fmt.Errorf("looking for the kind %s: %w", kind, err)
	}
	return nil
}

func newLogger(o *options) (logr.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return logr.Logger{}, fmt.Errorf("--log-level: %q; allowed are debug, info, warn and error", o.logLevel)
	}
	opts := &slog.HandlerOptions{Level: level}
	switch o.logFormat {
	case "text":
		return logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, opts)), nil
	case "json":
		return logr.FromSlogHandler(slog.NewJSONHandler(os.Stderr, opts)), nil
	}
	return logr.Logger{}, fmt.Errorf("--log-format: %q; allowed are text and json", o.logFormat)
}
