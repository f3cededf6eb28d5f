package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
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
	start := newCloudStart(c, &rest.Config{Host: "https://127.0.0.1:1"}, nil)
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

	without := newCloudStart(&recordingCloud{Cloud: &cloudfake.Cloud{}, none: true}, &rest.Config{}, nil)
	if err := without.Start(t.Context()); err == nil {
		t.Error("a cloud without load balancers will do")
	}
}

// TestCloudBehindTheFence: a process that was frozen, and may not lead any more,
// calls no cloud.
func TestCloudBehindTheFence(t *testing.T) {
	f := &fence{Interface: &lease{}, valid: time.Hour}
	start := newCloudStart(&recordingCloud{Cloud: &cloudfake.Cloud{}}, &rest.Config{}, f)
	close(start.started)
	if _, err := start.balancer(t.Context()); !errors.Is(err, errFenced) {
		t.Errorf("who does not lead is told %v", err)
	}
	if err := f.Update(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "me"}); err != nil {
		t.Fatal(err)
	}
	if _, err := start.balancer(t.Context()); err != nil {
		t.Errorf("the leader is told %v", err)
	}
}
