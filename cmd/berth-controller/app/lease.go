package app

import (
	"fmt"
	"os"

	"github.com/google/uuid"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

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
