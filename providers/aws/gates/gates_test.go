package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/berth-lb/berth/providers"
)

// cluster is the pods that an API server has, and Gates that follow some.
type cluster struct {
	t     *testing.T
	gates *Gates

	mu       sync.Mutex
	pods     map[string]*corev1.Pod
	watchers map[string][]*watch.RaceFreeFakeWatcher
	gets     int
	down     error
	woken    []string
}

func inCluster(t *testing.T, story func(*cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{t: t, pods: map[string]*corev1.Pod{}, watchers: map[string][]*watch.RaceFreeFakeWatcher{}}
		c.gates = New(c, func(key providers.Key) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.woken = append(c.woken, key.Name)
		}, testr.New(t))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = c.gates.Run(ctx) })
		story(c)
		cancel()
		running.Wait()
	})
}

// Get implements Pods.
func (c *cluster) Get(_ context.Context, _, name string) (*corev1.Pod, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gets++
	if c.down != nil {
		return nil, c.down
	}
	if p := c.pods[name]; p != nil {
		return p.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name)
}

// Watch implements Pods.
func (c *cluster) Watch(_ context.Context, p *corev1.Pod) (watch.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := watch.NewRaceFreeFake()
	c.watchers[p.Name] = append(c.watchers[p.Name], w)
	return w, nil
}

// SetCondition implements Pods.
func (c *cluster) SetCondition(_ context.Context, p *corev1.Pod, condition corev1.PodCondition) error {
	if err := c.failure(); err != nil {
		return err
	}
	c.change(p.Name, func(p *corev1.Pod) {
		p.Status.Conditions = slices.DeleteFunc(p.Status.Conditions, func(has corev1.PodCondition) bool { return has.Type == condition.Type })
		p.Status.Conditions = append(p.Status.Conditions, condition)
	})
	return nil
}

// fail has all calls fail with err, or none.
func (c *cluster) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = err
}

func (c *cluster) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down
}

// put adds a pod.
func (c *cluster) put(name string, p *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.Name = name
	c.pods[name] = p
}

func (c *cluster) change(name string, f func(*corev1.Pod)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[name].DeepCopy()
	f(p)
	c.pods[name] = p
	for _, w := range c.watchers[name] {
		w.Modify(p.DeepCopy())
	}
}

// slicesOf are those of a Service whose pods are not ready, "NAME ADDRESS" each.
func slicesOf(pods ...string) []*discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "default"}, AddressType: discoveryv1.AddressTypeIPv4}
	for _, p := range pods {
		name, address, _ := strings.Cut(p, " ")
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: new(false)},
			TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: name, UID: "1"},
		})
	}
	return []*discoveryv1.EndpointSlice{s}
}

func keyOf(name string) providers.Key { return providers.Key{Namespace: "default", Name: name} }

// waiting has a Service ask, and says who waits.
func (c *cluster) waiting(service string, all []*discoveryv1.EndpointSlice, want ...string) {
	c.t.Helper()
	var got []string
	for address := range c.gates.Waiting(c.t.Context(), keyOf(service), all) {
		got = append(got, address)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		c.t.Errorf("of %s wait %v, want %v", service, got, want)
	}
}

// gate fails the test unless the gate of a pod is "STATUS/REASON".
func (c *cluster) gate(name, want string) {
	c.t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	got := ""
	if has := conditionOf(c.pods[name], Own); has != nil {
		got = fmt.Sprintf("%s/%s", has.Status, has.Reason)
	}
	if got != want {
		c.t.Errorf("the gate of %s is %q, want %q", name, got, want)
	}
}

// took returns which Services were woken, and forgets that.
func (c *cluster) took() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	woken := c.woken
	c.woken = nil
	return woken
}

const open, shut = "True/TargetHealthy", "False/TargetNotHealthy"

func TestOneService(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.put("a", podOf(Own, "containers=False"))
		c.put("bare", podOf("containers=False"))
		all := slicesOf("a 10.0.0.1", "bare 10.0.0.2", "gone 10.0.0.3")
		c.waiting("web", all)
		c.gate("a", "")
		c.took()

		c.change("a", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionTrue })
		if woken := c.took(); !slices.Equal(woken, []string{"web"}) {
			t.Errorf("woken were %v", woken)
		}
		c.waiting("web", all, "10.0.0.1")
		c.gate("a", shut)
		c.gates.Looked(keyOf("web"), nil, map[string]string{"10.0.0.1": "checked"})
		c.gate("a", shut)
		c.gates.Looked(keyOf("web"), nil, map[string]string{"10.0.0.1": ""})
		c.gate("a", open)
		c.waiting("web", all, "10.0.0.1") // until the EndpointSlice shows it ready
		c.gates.Looked(keyOf("web"), nil, map[string]string{"10.0.0.1": "unhealthy"})
		c.gate("a", open)

		// One that has no gate, or is gone, is asked for once.
		c.waiting("web", all, "10.0.0.1")
		if c.gets != 3 {
			t.Errorf("%d reads of three pods", c.gets)
		}
	})
}

// Whoever has the pod as a target has to find it healthy.
func TestTwoServices(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.put("a", podOf(Own, "containers=True"))
		c.waiting("web", slicesOf("a 10.0.0.1"), "10.0.0.1")
		c.waiting("api", slicesOf("a 10.0.0.1"), "10.0.0.1")
		c.gates.Looked(keyOf("web"), nil, map[string]string{"10.0.0.1": ""})
		c.gate("a", shut)
		c.gates.Looked(keyOf("api"), nil, map[string]string{"10.0.0.1": ""})
		c.gate("a", open)
	})
}

// A pod that no Service has any more is not kept waiting; one that moves from one
// EndpointSlice to another is in none for a moment.
func TestAbandoned(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.put("a", podOf(Own, "containers=True"))
		c.waiting("web", slicesOf("a 10.0.0.1"), "10.0.0.1")
		c.waiting("web", nil)
		time.Sleep(grace - time.Second)
		c.waiting("web", slicesOf("a 10.0.0.1"), "10.0.0.1")
		time.Sleep(grace)
		c.gate("a", shut)
		c.waiting("web", nil)
		time.Sleep(grace)
		c.gate("a", "True/NoTarget")
		if n := len(c.gates.followed) + len(c.gates.services); n > 0 {
			t.Errorf("%d things are still remembered", n)
		}
	})
}

// What is known of a pod says nothing of the next one that has its address.
func TestReusedAddress(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.put("a", podOf(Own, "containers=True"))
		c.put("b", podOf(Own, "containers=True"))
		c.waiting("web", slicesOf("a 10.0.0.1"), "10.0.0.1")
		c.gates.Looked(keyOf("web"), nil, map[string]string{"10.0.0.1": ""})
		c.gate("a", open)
		c.waiting("web", slicesOf("b 10.0.0.1"), "10.0.0.1")
		c.gate("b", shut)
		c.gates.Looked(keyOf("web"), nil, map[string]string{"10.0.0.1": ""})
		c.gate("b", open)
	})
}

// While the API server does not answer, no pod is known to wait, and nobody waits
// for it.
func TestOutage(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.fail(errors.New("connection refused"))
		c.put("a", podOf(Own, "containers=True"))
		began := time.Now()
		c.waiting("web", slicesOf("a 10.0.0.1"))
		if took := time.Since(began); took > 0 {
			t.Errorf("that took %v", took)
		}
		c.fail(nil)
		time.Sleep(firstPause)
		if woken := c.took(); !slices.Equal(woken, []string{"web"}) {
			t.Errorf("woken were %v", woken)
		}
		c.waiting("web", slicesOf("a 10.0.0.1"), "10.0.0.1")

		c.fail(errors.New("connection refused"))
		c.gates.Looked(keyOf("web"), nil, map[string]string{"10.0.0.1": ""})
		synctest.Wait()
		c.fail(nil)
		time.Sleep(firstPause)
		c.gate("a", open)
	})
}

// Watches end after some minutes, and with the pod.
func TestWatchEnds(t *testing.T) {
	inCluster(t, func(c *cluster) {
		c.put("a", podOf(Own, "containers=False"))
		all := slicesOf("a 10.0.0.1")
		c.waiting("web", all)
		c.mu.Lock()
		for _, w := range c.watchers["a"] {
			w.Stop()
		}
		c.watchers["a"] = nil
		c.mu.Unlock()
		time.Sleep(firstPause)
		c.change("a", func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionTrue })
		c.took()
		c.waiting("web", all, "10.0.0.1")
		c.mu.Lock()
		for _, w := range c.watchers["a"] {
			w.Delete(c.pods["a"])
		}
		c.mu.Unlock()
		if woken := c.took(); !slices.Equal(woken, []string{"web"}) {
			t.Errorf("woken were %v", woken)
		}
		c.waiting("web", all)
	})
}
