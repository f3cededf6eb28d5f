package app

import (
	"fmt"
	"os"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
)

// newRecorder returns a recorder of events and what ends it. Events are written
// one after the other, beside the work and behind it: in a storm the queue
// overflows and the newest are dropped, while the conditions, which say the
// same, are not.
func newRecorder(config *rest.Config, scheme *runtime.Scheme) (record.EventRecorder, func(), error) {
	core, err := typedcorev1.NewForConfig(rest.AddUserAgent(rest.CopyConfig(config), "events"))
	if err != nil {
		return nil, nil, fmt.Errorf("making the client for events: %w", err)
	}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: core.Events("")})
	return broadcaster.NewRecorder(scheme, corev1.EventSource{Component: "berth-controller"}), broadcaster.Shutdown, nil
}

// newLease returns the leader's lease. Unlike the manager's own it sends no
// event when the leader changes: the lease names the leader, and a controller
// that finds nothing to do writes nothing.
func newLease(config *rest.Config, o *options) (resourcelock.Interface, error) {
	if !o.leaderElect {
		return nil, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this process in the lease: %w", err)
	}
	// A hung request must not cost the lease.
	config = rest.AddUserAgent(rest.CopyConfig(config), "lease")
	config.Timeout = o.renewDeadline / 2
	core, err := typedcorev1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for the lease: %w", err)
	}
	coordination, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the client for the lease: %w", err)
	}
	return resourcelock.New(resourcelock.LeasesResourceLock, o.namespace, leaseName, core, coordination,
		resourcelock.ResourceLockConfig{Identity: host + "_" + uuid.NewString()})
}
