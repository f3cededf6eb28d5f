package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/fakeaws"
	"github.com/berth-lb/berth/providers/aws/plan"
)

const clusterName = "blue"

// site is a cluster on a fake AWS with a process that serves its Services, and
// what the controller does around that. It lives in a bubble of synctest.
type site struct {
	t     *testing.T
	cloud *fakeaws.Cloud
	eks   fakeaws.Site
	set   func(*Options)

	provider *Provider
	ctx      context.Context // ends with the process
	stop     func()
	// patience is with a call that is not answered, if not that of the product.
	patience time.Duration
	// fatal, if set, is after how many calls of this process it dies.
	fatal int

	mu       sync.Mutex
	services map[string]*corev1.Service // replaced, never modified
	pods     map[string][]string        // addresses by Service
	last     map[string]error
	woken    map[providers.Key]bool
}

// awsLike is a cloud as AWS is, without throttling.
func awsLike() fakeaws.Options { return fakeaws.Options{Delays: fakeaws.AWSDelays()} }

// inBubble tells a story of a cluster with three nodes.
func inBubble(t *testing.T, o fakeaws.Options, story func(*site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, fakeaws.New(o))
		defer func() { s.stop() }()
		story(s)
	})
}

func newSite(t *testing.T, cloud *fakeaws.Cloud) *site {
	s := &site{
		t: t, cloud: cloud,
		eks:      cloud.AddEKS(fakeaws.EKS{Cluster: clusterName, Nodes: 3}),
		services: map[string]*corev1.Service{},
		pods:     map[string][]string{},
		last:     map[string]error{},
		woken:    map[providers.Key]bool{},
		stop:     func() {},
	}
	s.start()
	return s
}

func configOf(cloud *fakeaws.Cloud) sdk.Config {
	return sdk.Config{
		Region:       "eu-west-1",
		BaseEndpoint: new("http://aws.test"),
		HTTPClient:   &http.Client{Transport: cloud.Transport(), Timeout: answerPatience},
		Retryer:      patient,
		Credentials: sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
			return sdk.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
	}
}

// patient retries as the product does, at no pace of its own: the SDK's limiter
// waits for less than a nanosecond, again and again, where no time passes.
func patient() sdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, longestPause })
}

// start begins the life of a process; where one was before, it is a restart.
func (s *site) start() {
	s.stop()
	ctx, cancel := context.WithCancel(s.t.Context())
	cfg := configOf(s.cloud)
	cfg.HTTPClient = &http.Client{Transport: &mortal{next: s.cloud.Transport(), left: s.fatal, die: cancel}, Timeout: cmp.Or(s.patience, answerPatience)}
	s.fatal = 0
	o := Options{
		Clients: NewClients(cfg),
		Cluster: plan.Cluster{Name: clusterName},
		VPC:     s.eks.VPC,
		Wake:    s.wake,
		Service: func(namespace, name string) (*corev1.Service, bool) { return s.get(namespace + "/" + name) },
		Log:     testr.New(s.t),
	}
	if s.set != nil {
		s.set(&o)
	}
	s.provider = New(o)
	s.ctx = ctx
	done := make(chan struct{})
	go func() { defer close(done); _ = s.provider.Run(ctx) }()
	s.stop = func() { cancel(); <-done }
}

// mortal ends the process with the answer of a call, which it does not see.
type mortal struct {
	next http.RoundTripper
	mu   sync.Mutex
	left int
	dead bool
	die  func()
}

func (m *mortal) RoundTrip(r *http.Request) (*http.Response, error) {
	if m.isDead() {
		return nil, context.Canceled
	}
	resp, err := m.next.RoundTrip(r)
	m.mu.Lock()
	if m.left--; m.left == 0 {
		m.dead = true
		m.die()
	}
	m.mu.Unlock()
	if m.isDead() {
		return nil, context.Canceled
	}
	return resp, err
}

func (m *mortal) isDead() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

func (s *site) wake(key providers.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken[key] = true
}

func (s *site) takeWoken() []providers.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := slices.Collect(maps.Keys(s.woken))
	clear(s.woken)
	slices.SortFunc(keys, func(a, b providers.Key) int { return compareStrings(a.String(), b.String()) })
	return keys
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (s *site) get(name string) (*corev1.Service, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	svc, ok := s.services[name]
	return svc, ok
}

// service is one of an HTTP port with instance targets.
func (s *site) service(name string, change ...func(*corev1.Service)) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-of-" + name), Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type:                  corev1.ServiceTypeLoadBalancer,
			LoadBalancerClass:     new(annotation.LoadBalancerClass),
			Selector:              map[string]string{"app": name},
			IPFamilies:            []corev1.IPFamily{corev1.IPv4Protocol},
			ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster,
			Ports:                 []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80, NodePort: 30080}},
		},
	}
	for _, f := range change {
		f(svc)
	}
	s.put(svc)
	return svc
}

func (s *site) put(svc *corev1.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services[svc.Namespace+"/"+svc.Name] = svc
}

// change changes a Service.
func (s *site) change(name string, f func(*corev1.Service)) {
	svc, _ := s.get(name)
	svc = svc.DeepCopy()
	f(svc)
	s.put(svc)
}

func (s *site) nodes() []*corev1.Node {
	var nodes []*corev1.Node
	for i, n := range s.eks.Nodes {
		nodes = append(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%03d", i)}, Spec: corev1.NodeSpec{ProviderID: n.ProviderID}})
	}
	return nodes
}

// slices has the pods of a Service, by default one.
func (s *site) slices(svc *corev1.Service) []*discoveryv1.EndpointSlice {
	addresses, set := s.pods[svc.Name]
	if !set {
		addresses = []string{"10.0.96.200"}
	}
	e := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: svc.Namespace, Name: svc.Name + "-1"},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for i := range svc.Spec.Ports {
		p := &svc.Spec.Ports[i]
		e.Ports = append(e.Ports, discoveryv1.EndpointPort{Name: &p.Name, Protocol: &p.Protocol, Port: new(int32(8080))})
	}
	for _, a := range addresses {
		e.Endpoints = append(e.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return []*discoveryv1.EndpointSlice{e}
}

func (s *site) request(svc *corev1.Service) providers.Request {
	return providers.Request{Service: svc, Nodes: s.nodes(), EndpointSlices: s.slices(svc)}
}

// ensure calls once, writes what comes of it to the Service, and returns the
// error.
func (s *site) ensure(name string) error {
	svc, ok := s.get(name)
	if !ok {
		return nil
	}
	result, err := s.provider.Ensure(s.ctx, s.request(svc))
	refusal, refused := errors.AsType[*providers.Refusal](err)
	if err != nil && !refused || s.ctx.Err() != nil {
		return err
	}
	s.change(name, func(svc *corev1.Service) {
		svc.Status.LoadBalancer.Ingress = result.Ingress
		delete(svc.Annotations, annotation.KeyApplied)
		maps.Copy(svc.Annotations, result.Annotations)
		provisioned := metav1.Condition{Type: providers.ConditionProvisioned, Status: metav1.ConditionTrue, Reason: "Provisioned"}
		if refused {
			provisioned = metav1.Condition{Type: providers.ConditionProvisioned, Status: metav1.ConditionFalse, Reason: refusal.Reason, Message: refusal.Message}
		}
		serving := metav1.Condition{Type: providers.ConditionServing, Status: metav1.ConditionTrue, Reason: "EndpointsReady"}
		for _, c := range append([]metav1.Condition{provisioned, serving}, result.Conditions...) {
			meta.SetStatusCondition(&svc.Status.Conditions, c)
		}
	})
	s.mu.Lock()
	s.last[name] = err
	s.mu.Unlock()
	return err
}

// settle calls for Services as the controller does, until they want nothing for
// longer than anything takes.
func (s *site) settle(names ...string) {
	s.t.Helper()
	due := map[string]time.Time{}
	for _, name := range names {
		due[name] = time.Now()
	}
	for end := time.Now().Add(2 * time.Hour); ; {
		if s.ctx.Err() != nil {
			s.start()
			s.takeWoken()
			for _, name := range names {
				due[name] = time.Now()
			}
		}
		for _, key := range s.takeWoken() {
			due[key.String()] = time.Now()
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		now := time.Now()
		ripe := slices.DeleteFunc(sortedKeys(due), func(name string) bool { return due[name].After(now) })
		for _, name := range ripe {
			delete(due, name)
		}
		for _, name := range ripe {
			wg.Go(func() {
				again := s.once(name)
				mu.Lock()
				defer mu.Unlock()
				if !again.IsZero() {
					due[name] = again
				}
			})
		}
		wg.Wait()
		if len(due) == 0 && s.quiet() && s.ctx.Err() == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("not settled: due %v, last %v", due, s.last)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// once calls for a Service and returns when to call again, if at all.
func (s *site) once(name string) time.Time {
	before, _ := s.get(name)
	err := s.ensure(name)
	after, _ := s.get(name)
	refusal, refused := errors.AsType[*providers.Refusal](err)
	switch {
	case refused && refusal.RetryAfter > 0:
		return time.Now().Add(refusal.RetryAfter)
	case err != nil && !refused:
		return time.Now().Add(time.Second)
	case before != nil && !maps.Equal(before.Annotations, after.Annotations):
		return time.Now()
	}
	return time.Time{}
}

// quiet says whether nothing is on its way that would wake a Service.
func (s *site) quiet() bool {
	for range 15 { // 12 min: longer than the longest pause between looks
		time.Sleep(48 * time.Second)
		s.mu.Lock()
		n := len(s.woken)
		s.mu.Unlock()
		if n > 0 {
			return false
		}
	}
	return true
}

// release calls until all is gone, and returns what is in the way otherwise.
func (s *site) release(name string) error {
	s.t.Helper()
	svc, _ := s.get(name)
	key := providers.KeyOf(svc)
	var err error
	for range 200 {
		if s.ctx.Err() != nil {
			s.start()
		}
		if err = s.provider.Release(s.ctx, key); err == nil {
			s.mu.Lock()
			delete(s.services, name)
			s.mu.Unlock()
			return nil
		}
		time.Sleep(5 * time.Second)
	}
	return err
}

func (s *site) condition(name, kind string) metav1.Condition {
	svc, _ := s.get(name)
	if c := meta.FindStatusCondition(svc.Status.Conditions, kind); c != nil {
		return *c
	}
	return metav1.Condition{}
}

// changes counts the calls that change something.
func (s *site) changes() int {
	n := 0
	for _, c := range s.cloud.Calls() {
		if c.Changes() {
			n++
		}
	}
	return n
}
