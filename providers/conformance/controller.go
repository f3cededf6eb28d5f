package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/providers"
)

const (
	// patience is how long a backend may take for one Service.
	patience = 30 * time.Second
	// again is the delay before a call that the backend wants repeated.
	again = 5 * time.Millisecond
	// settles is after how many writes the status must stay as it is.
	settles = 5
)

// controller does what the real one does around a provider: it keeps the
// Services, writes results into their status, and calls in the order that the
// contract sets. It checks whatever holds for every call.
type controller struct {
	t        *testing.T
	backend  Backend
	provider providers.Provider
	nodes    []*corev1.Node

	mu       sync.Mutex
	services map[providers.Key]*corev1.Service // replaced, never modified
	woken    map[providers.Key]chan struct{}
}

func newController(t *testing.T, backend Backend) *controller {
	c := &controller{
		t:        t,
		backend:  backend,
		nodes:    backend.Nodes,
		services: map[providers.Key]*corev1.Service{},
		woken:    map[providers.Key]chan struct{}{},
	}
	if c.nodes == nil {
		c.nodes = []*corev1.Node{node("node-a", "10.0.0.1"), node("node-b", "10.0.0.2"), node("node-c", "10.0.0.3")}
	}
	c.start()
	return c
}

// start begins the life of a process; where one was before, it is a restart.
func (c *controller) start() {
	c.t.Helper()
	c.provider = c.backend.Start(Cluster{
		Wake: func(key providers.Key) {
			select {
			case c.bell(key) <- struct{}{}:
			default:
			}
		},
		Service: c.get,
	})
	if local, ok := c.provider.(providers.Local); ok {
		c.mu.Lock()
		services := slices.Collect(maps.Values(c.services))
		c.mu.Unlock()
		if err := local.Restore(c.t.Context(), services); err != nil {
			c.t.Fatalf("Restore: %v", err)
		}
	}
}

func (c *controller) bell(key providers.Key) chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.woken[key] == nil {
		c.woken[key] = make(chan struct{}, 1)
	}
	return c.woken[key]
}

func (c *controller) get(key providers.Key) (*corev1.Service, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	svc, ok := c.services[key]
	return svc, ok
}

// apply creates a Service, or changes it.
func (c *controller) apply(key providers.Key, change ...func(*corev1.Service)) providers.Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	svc, exists := c.services[key]
	if exists {
		svc = svc.DeepCopy()
	} else {
		svc = service(key)
		if c.backend.Serve != nil {
			c.backend.Serve(svc)
		}
	}
	for _, f := range change {
		f(svc)
	}
	c.services[key] = svc
	return key
}

func (c *controller) forget(key providers.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.services, key)
}

func (c *controller) request(key providers.Key) providers.Request {
	svc, _ := c.get(key)
	req := providers.Request{Service: svc}
	needs := c.provider.Needs()
	if needs.Nodes {
		req.Nodes = c.nodes
	}
	if needs.EndpointSlices {
		req.EndpointSlices = []*discoveryv1.EndpointSlice{endpointSlice(svc, c.nodes)}
	}
	return req
}

// ensure makes one call.
func (c *controller) ensure(ctx context.Context, key providers.Key) (providers.Result, error) {
	c.t.Helper()
	req := c.request(key)
	before := copyOf(req)
	result, err := c.provider.Ensure(ctx, req)
	if !reflect.DeepEqual(req, before) {
		c.t.Errorf("Ensure of %s modified what it was given", key)
	}
	if refusal, ok := errors.AsType[*providers.Refusal](err); ok {
		c.checkRefusal(key, refusal)
	}
	if err == nil && len(result.Ingress) == 0 {
		c.t.Errorf("Ensure of %s succeeded and gave no ingress", key)
	}
	c.checkIngress(req.Service, result.Ingress)
	for name := range result.Annotations {
		if !slices.Contains(c.provider.Needs().Annotations, name) {
			c.t.Errorf("Ensure of %s sets the annotation %s, which Needs does not name: nobody would remove it", key, name)
		}
	}
	return result, err
}

// serve calls Ensure, as often as the backend asks for it, until the Service is
// served and its status says so.
func (c *controller) serve(key providers.Key) ([]corev1.LoadBalancerIngress, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for writes := 0; ; {
		result, err := c.ensure(ctx, key)
		refusal, refused := errors.AsType[*providers.Refusal](err)
		if err != nil && !refused {
			return nil, fmt.Errorf("Ensure of %s: %w", key, err)
		}
		changed := c.write(key, result)
		if err == nil && !changed {
			return result.Ingress, nil
		}
		if err == nil {
			// What was written is a change of the Service.
			if writes++; writes > settles {
				return nil, fmt.Errorf("Ensure of %s gives something else each time it is repeated", key)
			}
			continue
		}
		var retry <-chan time.Time
		if refusal.RetryAfter > 0 {
			retry = time.After(refusal.RetryAfter)
		}
		select {
		case <-c.bell(key):
		case <-retry:
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is still refused, and was not woken: %w", key, refusal)
		}
	}
}

func (c *controller) mustServe(key providers.Key) []corev1.LoadBalancerIngress {
	c.t.Helper()
	ingress, err := c.serve(key)
	if err != nil {
		c.t.Fatal(err)
	}
	return ingress
}

// write puts a result into the Service, and says whether that changed it.
func (c *controller) write(key providers.Key, result providers.Result) bool {
	before, _ := c.get(key)
	c.apply(key, func(svc *corev1.Service) {
		svc.Status.LoadBalancer = *(&corev1.LoadBalancerStatus{Ingress: result.Ingress}).DeepCopy()
		for _, name := range c.provider.Needs().Annotations {
			delete(svc.Annotations, name)
		}
		for name, value := range result.Annotations {
			metav1.SetMetaDataAnnotation(&svc.ObjectMeta, name, value)
		}
	})
	after, _ := c.get(key)
	return !reflect.DeepEqual(before.Status, after.Status) || !maps.Equal(before.Annotations, after.Annotations)
}

// release calls Release until it is done. What a local backend holds is
// released once the status no longer shows it; for any other it is the reverse.
func (c *controller) release(key providers.Key) error {
	clear := func() {
		if _, exists := c.get(key); exists {
			c.write(key, providers.Result{})
		}
	}
	if _, local := c.provider.(providers.Local); local {
		clear()
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		err := c.provider.Release(ctx, key)
		if err == nil {
			clear()
			return nil
		}
		if !errors.Is(err, providers.ErrPending) {
			return fmt.Errorf("Release of %s: %w", key, err)
		}
		select {
		case <-c.bell(key):
		case <-time.After(again):
		case <-ctx.Done():
			return fmt.Errorf("Release of %s is still pending: %w", key, err)
		}
	}
}

func (c *controller) mustRelease(key providers.Key) {
	c.t.Helper()
	if err := c.release(key); err != nil {
		c.t.Fatal(err)
	}
}

// owned returns what the provider lists, or false where it can't.
func (c *controller) owned() ([]providers.Key, bool) {
	c.t.Helper()
	keys, err := c.provider.Owned(c.t.Context())
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, false
	}
	if err != nil {
		c.t.Fatalf("Owned: %v", err)
	}
	return keys, true
}

// unchanged runs step, which must not change anything outside.
func (c *controller) unchanged(what string, step func()) {
	c.t.Helper()
	if c.backend.Changes == nil {
		step()
		return
	}
	before := c.backend.Changes()
	step()
	if n := c.backend.Changes() - before; n != 0 {
		c.t.Errorf("%s made %d changes outside", what, n)
	}
}

var reasons = []string{
	providers.ReasonNoPool, providers.ReasonPoolExhausted, providers.ReasonAddressInUse, providers.ReasonAddressNotInPool,
	providers.ReasonInvalidRequest, providers.ReasonQuotaExceeded, providers.ReasonThrottled, providers.ReasonProvisioning,
	providers.ReasonBackendError,
}

func (c *controller) checkRefusal(key providers.Key, r *providers.Refusal) {
	c.t.Helper()
	if !slices.Contains(reasons, r.Reason) {
		c.t.Errorf("Ensure of %s: %q is no reason of the contract", key, r.Reason)
	}
	if r.Message == "" {
		c.t.Errorf("Ensure of %s: a refusal for %s without a message", key, r.Reason)
	}
	if r.RetryAfter < 0 {
		c.t.Errorf("Ensure of %s: RetryAfter is %v", key, r.RetryAfter)
	}
}

// portError is the form of ingress[].ports[].error: CamelCase, after a domain
// where the name is not one of Kubernetes' own (KEP-1435).
var portError = regexp.MustCompile(`^([a-z0-9.-]+/)?[A-Z][A-Za-z0-9]*$`)

// checkIngress checks what the API server would refuse in a status.
func (c *controller) checkIngress(svc *corev1.Service, ingress []corev1.LoadBalancerIngress) {
	c.t.Helper()
	for _, i := range ingress {
		if _, err := netip.ParseAddr(i.IP); (i.IP == "" && i.Hostname == "") || (i.IP != "" && err != nil) {
			c.t.Errorf("ingress of %s: neither an address nor a name: %+v", svc.Name, i)
		}
		if i.IP == "" && i.IPMode != nil {
			c.t.Errorf("ingress of %s: ipMode without an address: %+v", svc.Name, i)
		}
		if len(i.Ports) > 0 && len(i.Ports) != len(svc.Spec.Ports) {
			c.t.Errorf("ingress of %s lists %d of %d ports", svc.Name, len(i.Ports), len(svc.Spec.Ports))
		}
		for _, port := range i.Ports {
			if port.Error != nil && !portError.MatchString(*port.Error) {
				c.t.Errorf("ingress of %s: port %d: error %q is not in CamelCase", svc.Name, port.Port, *port.Error)
			}
		}
	}
}

func addresses(ingress []corev1.LoadBalancerIngress) []string {
	var out []string
	for _, i := range ingress {
		out = append(out, strings.TrimSpace(i.IP+" "+i.Hostname))
	}
	return out
}

func copyOf(req providers.Request) providers.Request {
	out := providers.Request{Service: req.Service.DeepCopy()}
	for _, n := range req.Nodes {
		out.Nodes = append(out.Nodes, n.DeepCopy())
	}
	for _, s := range req.EndpointSlices {
		out.EndpointSlices = append(out.EndpointSlices, s.DeepCopy())
	}
	return out
}

func key(namespace, name string) providers.Key {
	return providers.Key{Namespace: namespace, Name: name, UID: types.UID("uid-of-" + namespace + "-" + name)}
}

func service(key providers.Key) *corev1.Service {
	single := corev1.IPFamilyPolicySingleStack
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: key.UID},
		Spec: corev1.ServiceSpec{
			Type:                  corev1.ServiceTypeLoadBalancer,
			Selector:              map[string]string{"app": key.Name},
			ClusterIP:             "10.96.0.10",
			ClusterIPs:            []string{"10.96.0.10"},
			IPFamilies:            []corev1.IPFamily{corev1.IPv4Protocol},
			IPFamilyPolicy:        &single,
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster,
			Ports:                 []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080}},
		},
	}
}

func node(name, address string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.NodeSpec{ProviderID: "test:///" + name},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}},
	}
}

// endpointSlice has one ready endpoint on each node.
func endpointSlice(svc *corev1.Service, nodes []*corev1.Node) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: svc.Namespace, Name: svc.Name + "-1",
			Labels: map[string]string{discoveryv1.LabelServiceName: svc.Name},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for i := range svc.Spec.Ports {
		port := &svc.Spec.Ports[i]
		s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: &port.Name, Protocol: &port.Protocol, Port: &port.Port})
	}
	for i, n := range nodes {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.244.%d.2", i)}, NodeName: &n.Name})
	}
	return s
}
