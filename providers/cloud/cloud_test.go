package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudprovider "k8s.io/cloud-provider"
	cloudapi "k8s.io/cloud-provider/api"
	cloudfake "k8s.io/cloud-provider/fake"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/cloud"
	"github.com/berth-lb/berth/providers/conformance"
)

// someCloud makes upstream's fake one that keeps its books: an address per load
// balancer, deletion, a count of changes; and one as rude as real ones are.
type someCloud struct {
	*cloudfake.Cloud

	mu      sync.Mutex
	ready   bool // has been initialized
	numbers map[string]byte
	changes uint64
	err     error                      // of the next calls
	status  *corev1.LoadBalancerStatus // instead of what the fake says
	deleted []*corev1.Service
}

func newCloud() *someCloud {
	return &someCloud{
		Cloud:   &cloudfake.Cloud{Balancers: map[string]cloudfake.Balancer{}},
		numbers: map[string]byte{},
	}
}

// initialized is the balancer of a cloud that is used as it is meant to be.
func (c *someCloud) initialized(context.Context) (cloudprovider.LoadBalancer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
	return c, nil
}

// errEarly is what clouds say, in better cases, that are used too early.
var errEarly = errors.New("the cloud has not been initialized")

func (c *someCloud) EnsureLoadBalancer(ctx context.Context, cluster string, svc *corev1.Service, nodes []*corev1.Node) (*corev1.LoadBalancerStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready {
		return nil, errEarly
	}
	name := c.GetLoadBalancerName(ctx, cluster, svc)
	if _, ok := c.numbers[name]; !ok {
		c.numbers[name] = byte(len(c.numbers) + 1)
	}
	before, existed := c.Balancers[name]
	c.ExternalIP = net.IPv4(198, 51, 100, c.numbers[name])
	status, err := c.Cloud.EnsureLoadBalancer(ctx, cluster, svc.DeepCopy(), slices.Clone(nodes))
	if after := c.Balancers[name]; !existed || !reflect.DeepEqual(before, after) {
		c.changes++
	}
	spoil(svc, nodes)
	if c.err != nil {
		return nil, c.err
	}
	if c.status != nil {
		return c.status, nil
	}
	return status, err
}

func (c *someCloud) UpdateLoadBalancer(ctx context.Context, cluster string, svc *corev1.Service, nodes []*corev1.Node) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready {
		return errEarly
	}
	c.changes++
	_ = c.Cloud.UpdateLoadBalancer(ctx, cluster, svc, nodes)
	spoil(svc, nodes)
	return c.err
}

func (c *someCloud) EnsureLoadBalancerDeleted(ctx context.Context, cluster string, svc *corev1.Service) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready {
		return errEarly
	}
	c.deleted = append(c.deleted, svc)
	delete(c.Balancers, c.GetLoadBalancerName(ctx, cluster, svc))
	return c.err
}

// spoil writes where it should not.
func spoil(svc *corev1.Service, nodes []*corev1.Node) {
	svc.Spec.Ports[0].NodePort = 1
	metav1.SetMetaDataAnnotation(&svc.ObjectMeta, "cloud.example/id", "1")
	for i := range nodes {
		nodes[i] = nil
	}
}

func (c *someCloud) calls() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var calls []string
	for _, call := range c.Calls {
		if call != "get-zone" {
			calls = append(calls, call)
		}
	}
	c.ClearCalls()
	return strings.Join(calls, " ")
}

func TestConformance(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Backend {
		c := newCloud()
		return conformance.Backend{
			Start: func(cluster conformance.Cluster) providers.Provider {
				return cloud.New(c.initialized, "test", cluster.Service)
			},
			Changes: func() uint64 {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.changes
			},
		}
	})
}

func service(change ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "web", UID: "1", Annotations: map[string]string{"cloud.example/type": "fast"}},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": "web"},
			Ports:    []corev1.ServicePort{{Port: 80, NodePort: 30080}},
		},
	}
	for _, f := range change {
		f(svc)
	}
	return svc
}

func nodes(names ...string) []*corev1.Node {
	var out []*corev1.Node
	for _, name := range names {
		out = append(out, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: "cloud://" + name}})
	}
	return out
}

func unknown(providers.Key) (*corev1.Service, bool) { return nil, false }

func TestCalls(t *testing.T) {
	annotate := func(name string) func(*corev1.Service) {
		return func(svc *corev1.Service) { svc.Annotations[name] = "new" }
	}
	moved := nodes("a", "b")
	moved[1].Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.9"}}
	renamed := nodes("a", "b")
	renamed[1].Spec.ProviderID = "cloud://other"
	busy := nodes("a", "b")
	busy[0].Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse}}

	for _, tc := range []struct {
		reason string
		svc    *corev1.Service
		nodes  []*corev1.Node
		calls  string
	}{
		{"nothing changed", service(), nodes("a", "b"), ""},
		{"other pods are selected", service(func(s *corev1.Service) { s.Spec.Selector["app"] = "green" }), nodes("a", "b"), ""},
		{"our own annotation", service(annotate("berth-lb.dev/backend")), nodes("a", "b"), ""},
		{"kubectl's own annotation", service(annotate(corev1.LastAppliedConfigAnnotation)), nodes("a", "b"), ""},
		{"a status is written", service(func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "1.2.3.4"}} }), nodes("a", "b"), ""},
		{"a heartbeat of a node", service(), busy, ""},
		{"an annotation", service(annotate("cloud.example/type")), nodes("a", "b"), "create"},
		{"a port", service(func(s *corev1.Service) { s.Spec.Ports[0].Port = 81 }), nodes("a", "b"), "create"},
		{"a node goes", service(), nodes("a"), "update"},
		{"a node is another machine", service(), renamed, "update"},
		{"a node has another address", service(), moved, "update"},
		{"both", service(annotate("cloud.example/type")), nodes("a"), "create"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c := newCloud()
			p := cloud.New(c.initialized, "test", unknown)
			first, err := p.Ensure(t.Context(), providers.Request{Service: service(), Nodes: nodes("a", "b")})
			if err != nil || c.calls() != "create" {
				t.Fatalf("first Ensure: %v", err)
			}
			first.Ingress[0].IP = "spoilt by the caller"
			for _, want := range []string{tc.calls, ""} {
				got, err := p.Ensure(t.Context(), providers.Request{Service: tc.svc, Nodes: tc.nodes})
				if err != nil || got.Ingress[0].IP != "198.51.100.1" {
					t.Errorf("got %+v, %v", got, err)
				}
				if calls := c.calls(); calls != want {
					t.Errorf("calls %q, want %q", calls, want)
				}
			}
		})
	}
}

func TestErrors(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		reason string
		err    error
		want   *providers.Refusal // without message
	}{
		{"an error of the cloud is retried by the controller", broken, nil},
		{"not done yet", fmt.Errorf("wrapped: %w", cloudapi.NewRetryError("creating", 7*time.Second)),
			&providers.Refusal{Reason: providers.ReasonProvisioning, RetryAfter: 7 * time.Second}},
		{"a wait of zero would be for ever", cloudapi.NewRetryError("creating", 0),
			&providers.Refusal{Reason: providers.ReasonProvisioning, RetryAfter: time.Second}},
		{"another controller's", cloudprovider.ImplementedElsewhere, &providers.Refusal{Reason: providers.ReasonInvalidRequest}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c := newCloud()
			p := cloud.New(c.initialized, "test", unknown)
			svc := service(func(s *corev1.Service) {
				s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}
			})
			for _, nodes := range [][]*corev1.Node{nodes("a"), nodes("b")} { // by EnsureLoadBalancer, by UpdateLoadBalancer
				c.err = tc.err
				got, err := p.Ensure(t.Context(), providers.Request{Service: svc, Nodes: nodes})
				refusal, refused := errors.AsType[*providers.Refusal](err)
				switch {
				case tc.want == nil && (refused || !errors.Is(err, broken)):
					t.Errorf("got %v", err)
				case tc.want != nil && (!refused || refusal.Reason != tc.want.Reason || refusal.RetryAfter != tc.want.RetryAfter):
					t.Errorf("got %#v, want %+v", err, tc.want)
				case refused && !reflect.DeepEqual(got.Ingress, svc.Status.LoadBalancer.Ingress):
					t.Errorf("the refusal took away what the status shows: %+v", got)
				}
				c.calls()

				c.err = nil
				if _, err := p.Ensure(t.Context(), providers.Request{Service: svc, Nodes: nodes}); err != nil || c.calls() != "create" {
					t.Errorf("after a failure everything is to be ensured again: %v", err)
				}
			}
		})
	}
}

func TestNoAddressYet(t *testing.T) {
	c := newCloud()
	c.status = &corev1.LoadBalancerStatus{}
	p := cloud.New(c.initialized, "test", unknown)
	req := providers.Request{Service: service(), Nodes: nodes("a")}
	_, err := p.Ensure(t.Context(), req)
	if r, ok := errors.AsType[*providers.Refusal](err); !ok || r.Reason != providers.ReasonProvisioning || r.RetryAfter == 0 {
		t.Errorf("got %v", err)
	}
	c.status = nil
	if got, err := p.Ensure(t.Context(), req); err != nil || len(got.Ingress) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestStatusIsTheClouds(t *testing.T) {
	c := newCloud()
	proxy, problem := corev1.LoadBalancerIPModeProxy, "cloud.example/NoUDP"
	c.status = &corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{
		IP: "198.51.100.9", IPMode: &proxy, Ports: []corev1.PortStatus{{Port: 80, Protocol: corev1.ProtocolUDP, Error: &problem}},
	}}}
	got, err := cloud.New(c.initialized, "test", unknown).Ensure(t.Context(), providers.Request{Service: service()})
	if err != nil || !reflect.DeepEqual(got.Ingress, c.status.Ingress) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRelease(t *testing.T) {
	key := providers.Key{Namespace: "ns", Name: "web", UID: "1"}
	known := func(providers.Key) (*corev1.Service, bool) { return service(), true }
	broken := errors.New("broken")

	for _, tc := range []struct {
		reason string
		lookup func(providers.Key) (*corev1.Service, bool)
		err    error
		want   error
		sees   string // of the annotation
	}{
		{"the cloud sees the annotations", known, nil, nil, "fast"},
		{"a Service that is gone", unknown, nil, nil, ""},
		{"another controller's", known, cloudprovider.ImplementedElsewhere, nil, "fast"},
		{"not done yet", known, cloudapi.NewRetryError("deleting", time.Second), providers.ErrPending, "fast"},
		{"an error of the cloud", known, broken, broken, "fast"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			c := newCloud()
			p := cloud.New(c.initialized, "test", tc.lookup)
			req := providers.Request{Service: service(), Nodes: nodes("a")}
			if _, err := p.Ensure(t.Context(), req); err != nil {
				t.Fatal(err)
			}
			c.err = tc.err
			if err := p.Release(t.Context(), key); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			svc := c.deleted[0]
			if providers.KeyOf(svc) != key || svc.Annotations["cloud.example/type"] != tc.sees {
				t.Errorf("the cloud was shown %+v", svc.ObjectMeta)
			}
			c.err = nil
			c.calls()
			if _, err := p.Ensure(t.Context(), req); err != nil || c.calls() != "create" {
				t.Errorf("after a release everything is to be ensured again: %v", err)
			}
		})
	}
}

func TestOwnedIsUnsupported(t *testing.T) {
	if _, err := cloud.New(newCloud().initialized, "test", unknown).Owned(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}
