package app

import (
	"context"
	"fmt"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	cloudprovider "k8s.io/cloud-provider"
)

// cloudStart initializes a cloud when this process comes to lead, as
// k8s.io/cloud-provider/app does: many have no client before that, or write on
// their own from then on.
type cloudStart struct {
	cloud   cloudprovider.Interface
	clients clients
	fence   *fence // nil where there is no lease
	started chan struct{}
	lb      cloudprovider.LoadBalancer // once started is closed
}

func newCloudStart(cloud cloudprovider.Interface, config *rest.Config, fence *fence) *cloudStart {
	return &cloudStart{cloud: cloud, clients: clients{config}, fence: fence, started: make(chan struct{})}
}

// Start is a manager.Runnable of the leader's.
func (s *cloudStart) Start(ctx context.Context) error {
	client, err := s.clients.Client("shared-informers")
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(client, 0)
	s.cloud.Initialize(s.clients, ctx.Done())
	if user, ok := s.cloud.(cloudprovider.InformerUser); ok {
		user.SetInformers(shared)
	}
	shared.Start(ctx.Done())
	defer shared.Shutdown()
	lb, ok := s.cloud.LoadBalancer()
	if !ok {
		return fmt.Errorf("the cloud %s makes no load balancers", s.cloud.ProviderName())
	}
	s.lb = lb
	close(s.started)
	<-ctx.Done()
	return nil
}

// balancer is a cloud.Balancer. All that is asked of it changes something, or may.
func (s *cloudStart) balancer(ctx context.Context) (cloudprovider.LoadBalancer, error) {
	select {
	case <-s.started:
		if s.fence != nil && !s.fence.open() {
			return nil, errFenced
		}
		return s.lb, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// clients are what a cloud reaches the API server by. It is a
// cloudprovider.ControllerClientBuilder.
type clients struct{ config *rest.Config }

func (c clients) Config(name string) (*rest.Config, error) {
	return rest.AddUserAgent(rest.CopyConfig(c.config), name), nil
}

func (c clients) ConfigOrDie(name string) *rest.Config {
	config, _ := c.Config(name)
	return config
}

func (c clients) Client(name string) (kubernetes.Interface, error) {
	client, err := kubernetes.NewForConfig(c.ConfigOrDie(name))
	if err != nil {
		return nil, fmt.Errorf("making the client %s for the cloud: %w", name, err)
	}
	return client, nil
}

func (c clients) ClientOrDie(name string) kubernetes.Interface {
	return kubernetes.NewForConfigOrDie(c.ConfigOrDie(name))
}
