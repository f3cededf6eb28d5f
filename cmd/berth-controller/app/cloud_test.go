package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	cloudprovider "k8s.io/cloud-provider"
	cloudfake "k8s.io/cloud-provider/fake"
)

// recordingCloud has nothing to give before it is initialized, like many, and says
// in what order it is used.
type recordingCloud struct {
	*cloudfake.Cloud
	calls []string
	none  bool
}

func (c *recordingCloud) Initialize(clients cloudprovider.ControllerClientBuilder, _ <-chan struct{}) {
	if clients.ClientOrDie("cloud") != nil {
		c.calls = append(c.calls, "Initialize")
	}
}

func (c *recordingCloud) SetInformers(factory informers.SharedInformerFactory) {
	if factory != nil {
		c.calls = append(c.calls, "SetInformers")
	}
}

func (c *recordingCloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) {
	c.calls = append(c.calls, "LoadBalancer")
	return c.Cloud, !c.none
}

// TestCloudStart: a cloud is asked for nothing before it is initialized.
func TestCloudStart(t *testing.T) {
	c := &recordingCloud{Cloud: &cloudfake.Cloud{}}
	start := newCloudStart(c, &rest.Config{Host: "https://127.0.0.1:1"})
	early, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if _, err := start.balancer(early); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a standby has a balancer: %v", err)
	}
	if len(c.calls) > 0 {
		t.Errorf("a standby has called %v", c.calls)
	}

	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- start.Start(ctx) }()
	if lb, err := start.balancer(t.Context()); err != nil || lb == nil {
		t.Errorf("the leader has no balancer: %v", err)
	}
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want := []string{"Initialize", "SetInformers", "LoadBalancer"}; !slices.Equal(c.calls, want) {
		t.Errorf("called: %v, want %v", c.calls, want)
	}

	without := newCloudStart(&recordingCloud{Cloud: &cloudfake.Cloud{}, none: true}, &rest.Config{})
	if err := without.Start(t.Context()); err == nil {
		t.Error("a cloud without load balancers will do")
	}
}
