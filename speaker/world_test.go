package speaker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"
	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/trafficpolicy"
)

const testNamespace = "berth-system"

// world is an API server with speakers that see at once what is in it. It lives
// in a bubble of synctest.
type world struct {
	*testing.T
	api      client.WithWatch
	speakers map[string]*testSpeaker
	// serviceBGPStatus is the option of speakers.
	serviceBGPStatus bool
	// away is set while the API server refuses to be written to, and unlisted
	// while Services can't be listed.
	away, unlisted bool
	mu             sync.Mutex
	// writes are those of speakers, as "verb kind name", and looks how often they
	// read a Service.
	writes []string
	looks  int
}

// testSpeaker is a speaker with its worker and a layer 2 that does what it is
// told by the test.
type testSpeaker struct {
	*Speaker
	*fakeLayer2
	*fakeBGP
	queue  priorityqueue.PriorityQueue[task]
	events *fakeEvents
	health *fakeHealth
	stop   func()
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	w := &world{T: t, speakers: map[string]*testSpeaker{}}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := metallb.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1beta2.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).
		WithObjects(copies(objects)...).
		WithStatusSubresource(&metallb.ServiceL2Status{}, &metallb.ConfigurationState{}, &metallb.ServiceBGPStatus{}, &corev1.Service{}).
		WithInterceptorFuncs(w.interceptors())
	w.api = builder.Build()
	return w
}

func copies(objects []client.Object) []client.Object {
	all := make([]client.Object, len(objects))
	for i, o := range objects {
		all[i] = o.DeepCopyObject().(client.Object)
	}
	return all
}

// start runs a speaker on the node until the test ends, or it is stopped.
func (w *world) start(node string) *testSpeaker {
	w.Helper()
	s := w.startBlind(node)
	s.Speaker.Interfaces(map[string]string{"eth0": "02:00:00:00:00:01"})
	synctest.Wait()
	return s
}

// startBlind runs a speaker whose layer 2 has not told of interfaces yet.
func (w *world) startBlind(node string) *testSpeaker {
	w.Helper()
	ctx, cancel := context.WithCancel(w.Context())
	s := &testSpeaker{fakeLayer2: &fakeLayer2{claims: map[netip.Addr]Claim{}}, fakeBGP: newFakeBGP(), events: &fakeEvents{}, health: newFakeHealth()}
	s.Speaker = New(Options{
		Node: node, Namespace: testNamespace, KubeProxyHealthPort: trafficpolicy.KubeProxyHealthPort,
		Layer2: s.fakeLayer2, BGP: asBGP{s.fakeBGP}, ServiceBGPStatus: w.serviceBGPStatus, Cache: w.api, Live: w.api, Client: w.api, Events: s.events, Log: logr.Discard(),
	})
	s.gate.ask = s.health.ask
	s.secrets.follow = func(_ context.Context, name string, one *oneSecret) { w.answer(one, name) }
	s.queue = priorityqueue.New[task]("test", func(o *priorityqueue.Opts[task]) {
		o.RateLimiter = workqueue.NewTypedItemExponentialFailureRateLimiter[task](minRetry, maxRetry)
	})
	var all sync.WaitGroup
	all.Go(func() { _ = s.gate.run(ctx) })
	all.Go(func() { _ = s.outbox.run(ctx) })
	all.Go(func() { s.work(w, ctx) })
	s.learn(w)
	_ = s.waker.start(ctx, s.queue)
	stopped := false
	s.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			s.queue.ShutDown()
			all.Wait()
			w.mu.Lock()
			delete(w.speakers, node)
			w.mu.Unlock()
		}
	}
	w.Cleanup(s.stop)
	w.mu.Lock()
	w.speakers[node] = s
	w.mu.Unlock()
	synctest.Wait()
	return s
}

func (s *testSpeaker) work(w *world, ctx context.Context) {
	for {
		t, priority, shutdown := s.queue.GetWithPriority()
		if shutdown {
			return
		}
		result, err := s.Reconcile(ctx, t)
		switch {
		case err != nil:
			w.Logf("%s: %v: %v", s.Node, t, err)
			s.queue.AddRateLimited(t)
		case result.RequeueAfter > 0:
			s.queue.AddWithOpts(priorityqueue.AddOpts{After: result.RequeueAfter, Priority: &priority}, t)
		}
		s.queue.Done(t)
	}
}

// learn notes what the first list of a watch holds.
func (s *testSpeaker) learn(w *world) {
	var slices discoveryv1.EndpointSliceList
	var records metallb.ServiceL2StatusList
	for _, list := range []client.ObjectList{&slices, &records} {
		if err := w.api.List(w.Context(), list); err != nil {
			w.Fatal(err)
		}
	}
	if err := errors.Join(s.slices.Replace(anys(slices.Items), ""), s.ledger.records.Replace(anys(records.Items), "")); err != nil {
		w.Fatal(err)
	}
}

// begins and ceases are what layer 2 tells.
func (s *testSpeaker) begins(address string) {
	s.Held(netip.MustParseAddr(address), true, []string{"eth0"})
	synctest.Wait()
}

func (s *testSpeaker) ceases(address string) {
	s.Held(netip.MustParseAddr(address), false, nil)
	synctest.Wait()
}

// saw brings an object to all speakers, as watches would.
func (w *world) saw(o client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.speakers {
		switch o := o.(type) {
		case *corev1.Service:
			s.queue.Add(serviceTask(o))
		case *discoveryv1.EndpointSlice:
			shelve(w, s.slices, o, &discoveryv1.EndpointSlice{})
		case *metallb.ServiceL2Status:
			shelve(w, s.ledger.records, o, &metallb.ServiceL2Status{})
		case *metallb.ConfigurationState:
			s.queue.Add(s.stateTask(o))
		case *corev1.Secret:
			if one := s.secrets.named[o.Name]; one != nil {
				w.answer(one, o.Name)
			}
		case *v1beta1.BGPNodeStatus:
			if o.Name == s.Node {
				s.queue.Add(task{subject: theSessions})
			}
		case *metallb.ServiceBGPStatus:
		default:
			s.queue.Add(task{subject: theConfiguration})
		}
	}
}

// answer has a store hold what the API server has of a Secret.
func (w *world) answer(one *oneSecret, name string) {
	secret := &corev1.Secret{}
	if err := w.api.Get(w.Context(), client.ObjectKey{Namespace: testNamespace, Name: name}, secret); err != nil {
		secret = nil
	}
	one.put(secret)
}

// shelve has a shelf follow what the API server has of an object.
func shelve[T client.Object, V any](w *world, s *shelf[T, V], o, now T) {
	err := w.api.Get(w.Context(), client.ObjectKeyFromObject(o), now)
	if apierrors.IsNotFound(err) {
		err = s.Delete(o)
	} else if err == nil {
		err = s.Update(now)
	}
	if err != nil {
		w.Error(err)
	}
}

// anys are pointers to all of the items.
func anys[T any](items []T) []any {
	all := make([]any, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}

// put has the user create or change an object.
func (w *world) put(o client.Object) {
	w.Helper()
	o = o.DeepCopyObject().(client.Object)
	old := o.DeepCopyObject().(client.Object)
	err := w.api.Get(w.Context(), client.ObjectKeyFromObject(o), old)
	if apierrors.IsNotFound(err) {
		err = w.api.Create(context.WithValue(w.Context(), byUser{}, true), o)
	} else if err == nil {
		o.SetResourceVersion(old.GetResourceVersion())
		svc, isService := o.(*corev1.Service)
		var status corev1.ServiceStatus
		if isService {
			status = svc.Status
		}
		err = w.api.Update(context.WithValue(w.Context(), byUser{}, true), o)
		if isService && err == nil {
			svc.Status = status
			err = w.api.Status().Update(context.WithValue(w.Context(), byUser{}, true), svc)
		}
	}
	if err != nil {
		w.Fatal(err)
	}
	w.saw(o)
	synctest.Wait()
}

// remove has the user delete an object.
func (w *world) remove(o client.Object) {
	w.Helper()
	if err := w.api.Delete(context.WithValue(w.Context(), byUser{}, true), o.DeepCopyObject().(client.Object)); err != nil {
		w.Fatal(err)
	}
	w.saw(o)
	synctest.Wait()
}

// byUser marks what is not written by a speaker.
type byUser struct{}

func (w *world) interceptors() interceptor.Funcs {
	wrote := func(ctx context.Context, verb string, o client.Object, write func() error) error {
		if ctx.Value(byUser{}) != nil {
			return write()
		}
		w.mu.Lock()
		away := w.away
		w.mu.Unlock()
		if away {
			return apierrors.NewServiceUnavailable("away")
		}
		if err := write(); err != nil {
			return err
		}
		w.mu.Lock()
		w.writes = append(w.writes, fmt.Sprintf("%s %s %s", verb, strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1beta1."), o.GetName()))
		w.mu.Unlock()
		w.saw(o)
		return nil
	}
	return interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if _, isService := o.(*corev1.Service); isService {
				w.mu.Lock()
				w.looks++
				w.mu.Unlock()
			}
			return c.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			w.mu.Lock()
			unlisted := w.unlisted
			w.mu.Unlock()
			if _, services := list.(*corev1.ServiceList); services && unlisted {
				return apierrors.NewServiceUnavailable("away")
			}
			return c.List(ctx, list, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return wrote(ctx, "create", o, func() error { return c.Create(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return wrote(ctx, "patch", o, func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return wrote(ctx, "delete", o, func() error { return c.Delete(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return wrote(ctx, sub, o, func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	}
}

// looked is how often speakers read a Service since it was last asked.
func (w *world) looked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	looks := w.looks
	w.looks = 0
	return looks
}

// counted returns what speakers wrote about records since it was last asked.
func (w *world) counted() []string { return w.wrote("ServiceL2Status") }

// wrote returns what speakers wrote about a kind since it was last asked.
func (w *world) wrote(kind string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var about []string
	for _, write := range w.writes {
		if strings.Contains(write, " "+kind+" ") {
			about = append(about, write)
		}
	}
	w.writes = nil
	return about
}

func (w *world) setAway(away bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = away
}

func (w *world) setUnlisted(unlisted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unlisted = unlisted
}

// record returns the one of a Service and address, nil if there is none.
func (w *world) record(svc *corev1.Service, address string) *announce.Record {
	w.Helper()
	o := &metallb.ServiceL2Status{}
	name := announce.Record{UID: svc.UID, Address: netip.MustParseAddr(address)}.Name()
	err := w.api.Get(w.Context(), client.ObjectKey{Namespace: testNamespace, Name: name}, o)
	if apierrors.IsNotFound(err) {
		return nil
	}
	r, ok := announce.RecordOf(o)
	if err != nil || !ok {
		w.Fatalf("%v, %+v", err, o)
	}
	return &r
}

// wantNode checks who is on record.
func (w *world) wantNode(svc *corev1.Service, address, node string) {
	w.Helper()
	if r := w.record(svc, address); r == nil || r.Node != node {
		w.Errorf("on record for %s is %+v, want node %q", address, r, node)
	}
}

func equalStrings(t *world, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

// in runs the story in a bubble.
func in(t *testing.T, story func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, story)
}
