package process

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
)

// FindAPIServer returns how to reach it: by the kubeconfig at that path or, if
// that is empty, as a Pod or a user does.
//
// It sets no client-side rate: the API server's own priority and fairness tells
// a client to slow down, and client-go listens.
func FindAPIServer(kubeconfig, userAgent string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the API server: %w", err)
	}
	config.QPS = -1
	// Compressing the lists of a start costs the API server more time than
	// sending them does.
	config.DisableCompression = true
	config.UserAgent = userAgent
	return config, nil
}

// AwaitAPIServer returns when the API server answers. A process that ended
// instead would come back later and later, as crash loops do, and so long after
// the API server itself.
func AwaitAPIServer(ctx context.Context, config *rest.Config, log logr.Logger) error {
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

// NewRecorder returns a recorder of events of the component, and what ends it.
// Events are written one after the other, beside the work and behind it: in a
// storm the queue overflows and the newest are dropped, while statuses, which
// say the same, are not.
func NewRecorder(config *rest.Config, scheme *runtime.Scheme, component string) (record.EventRecorder, func(), error) {
	core, err := typedcorev1.NewForConfig(rest.AddUserAgent(rest.CopyConfig(config), "events"))
	if err != nil {
		return nil, nil, fmt.Errorf("making the client for events: %w", err)
	}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: core.Events("")})
	return broadcaster.NewRecorder(scheme, corev1.EventSource{Component: component}), broadcaster.Shutdown, nil
}
