// Package conformance is the suite that every backend passes: what the
// contract in package providers promises to the controller.
package conformance

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

// Backend is a state of the world outside, without load balancers, and how to
// run processes over it. There must be room for 32 Services at a time.
type Backend struct {
	// Start starts a process over the state that is there. It is called once
	// at first and again for each restart; the process before has had its last
	// call by then. Restore is called by the suite.
	Start func(Cluster) providers.Provider
	// Changes counts what has changed outside, where the backend can tell.
	Changes func() uint64
	// Serve gives a Service what it needs in order to be served, where it
	// needs something: a class, annotations.
	Serve func(*corev1.Service)
	// Refuse makes a Service one that is refused for good, where there is such
	// a thing.
	Refuse func(*corev1.Service)
	// Nodes to use instead of the suite's own, sorted by name: at least two.
	Nodes []*corev1.Node
}

// Cluster is what a process sees of the cluster.
type Cluster struct {
	Wake providers.Wake
	// Service returns the Service of a key, as a cache would: to be read only.
	Service func(providers.Key) (*corev1.Service, bool)
}

// Run runs the suite. Each case has a backend of its own.
func Run(t *testing.T, newBackend func(t *testing.T) Backend) {
	for _, story := range stories {
		t.Run(story.name, func(t *testing.T) { story.tell(t, newController(t, newBackend(t))) })
	}
}
