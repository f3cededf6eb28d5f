package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/providers"
)

// cluster is what the provider reads: its pools and the labels of namespaces.
type cluster struct {
	client.Client
	pools  []metallb.IPAddressPool
	labels map[string]map[string]string
	// unseen are the namespaces that the cache does not have yet.
	unseen map[string]bool
}

func (c *cluster) Get(_ context.Context, key client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	if c.unseen[key.Name] {
		return apierrors.NewNotFound(corev1.Resource("namespaces"), key.Name)
	}
	o.(*corev1.Namespace).Labels = c.labels[key.Name]
	return nil
}

func (c *cluster) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	if list, ok := list.(*corev1.NamespaceList); ok {
		var by client.ListOptions
		by.ApplyOptions(options)
		name, _ := by.FieldSelector.RequiresExactMatch(metav1.ObjectNameField)
		if labels, ok := c.labels[name]; ok {
			list.Items = []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}}
		}
		return nil
	}
	list.(*metallb.IPAddressPoolList).Items = c.pools
	return nil
}

// ground is a provider, the cluster that it reads, and whom it woke.
type ground struct {
	*cluster
	*Provider
	woken []string
	age   int
}

func newGround(t *testing.T, pools ...metallb.IPAddressPool) *ground {
	t.Helper()
	g := &ground{cluster: &cluster{pools: pools}}
	g.start(t)
	return g
}

// start is a new process over the same cluster.
func (g *ground) start(t *testing.T, services ...*corev1.Service) {
	t.Helper()
	g.Provider = New(g.cluster, "berth-system", func(k providers.Key) { g.woken = append(g.woken, k.String()) })
	g.live = g.cluster
	if err := g.Restore(t.Context(), services); err != nil {
		t.Fatal(err)
	}
}

// edit has the pools be these from now on.
func (g *ground) edit(pools ...metallb.IPAddressPool) {
	g.cluster.pools = pools
	g.woken = nil
	defs, _ := compile(pools)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.setPools(keepFrozen(defs, g.Provider.pools))
}

// ensure asks and writes the answer into the status, as the controller does.
func (g *ground) ensure(t *testing.T, svc *corev1.Service) error {
	t.Helper()
	result, err := g.Ensure(t.Context(), providers.Request{Service: svc})
	svc.Status.LoadBalancer.Ingress = result.Ingress
	for key, value := range result.Annotations {
		metav1.SetMetaDataAnnotation(&svc.ObjectMeta, key, value)
	}
	if _, confirm := g.Ensure(t.Context(), providers.Request{Service: svc}); (confirm == nil) != (err == nil) {
		t.Fatalf("asked again: %v, before %v", confirm, err)
	}
	return err
}

func pool(name string, addresses ...string) metallb.IPAddressPool {
	return metallb.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "berth-system"},
		Spec:       metallb.IPAddressPoolSpec{Addresses: addresses},
	}
}

// service is younger than the ones before it.
func (g *ground) service(name string, annotations ...string) *corev1.Service {
	g.age++
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name, UID: types.UID("uid-" + name),
			CreationTimestamp: metav1.NewTime(time.Unix(int64(g.age), 0)),
			Annotations:       map[string]string{},
		},
		Spec: corev1.ServiceSpec{
			Type:       corev1.ServiceTypeLoadBalancer,
			IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports:      []corev1.ServicePort{{Protocol: corev1.ProtocolTCP, Port: 80}},
		},
	}
	for i := 0; i+1 < len(annotations); i += 2 {
		svc.Annotations[annotations[i]] = annotations[i+1]
	}
	return svc
}

func shown(svc *corev1.Service) string {
	var all []string
	for _, in := range svc.Status.LoadBalancer.Ingress {
		all = append(all, in.IP)
	}
	return strings.Join(all, " ")
}

func mustShow(t *testing.T, svc *corev1.Service, want string) {
	t.Helper()
	if got := shown(svc); got != want {
		t.Fatalf("%s shows %q, want %q", svc.Name, got, want)
	}
}

// TestStartWithoutPoolsTakesNothingAway: a controller that looks into the wrong
// namespace must not cost a cluster its addresses.
func TestStartWithoutPoolsTakesNothingAway(t *testing.T) {
	g := newGround(t)
	old := g.service("old", annotationFrom, "a")
	old.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}}
	g.start(t, old)
	if err := g.ensure(t, old); err != nil {
		t.Fatal(err)
	}
	mustShow(t, old, "192.0.2.7")
	if old.Annotations[annotationFrom] != "a" {
		t.Errorf("the record of the pool is %q", old.Annotations[annotationFrom])
	}
	young := g.service("young")
	if err := g.ensure(t, young); err == nil || !strings.Contains(err.Error(), "namespace berth-system has no IPAddressPool") {
		t.Fatalf("a new Service is told %v", err)
	}
	g.edit(pool("a", "192.0.2.0/24"))
	if err := g.ensure(t, old); err != nil {
		t.Fatal(err)
	}
	mustShow(t, old, "192.0.2.7")
	if len(g.woken) == 0 || g.woken[len(g.woken)-1] != "default/young" {
		t.Errorf("the first pool woke %v", g.woken)
	}
}

// TestBrokenPoolKeepsItsAddresses: a typo in a pool costs no address, neither
// at once nor after a restart, and nobody gets a new one from it.
func TestBrokenPoolKeepsItsAddresses(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.0/24"), pool("b", "198.51.100.0/24"))
	svc := g.service("svc")
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	mustShow(t, svc, "192.0.2.0")

	broken := pool("a", "192.0.2.0/33")
	g.edit(broken, pool("b", "198.51.100.0/24"))
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	mustShow(t, svc, "192.0.2.0")

	g.start(t, svc)
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	mustShow(t, svc, "192.0.2.0")

	other := g.service("other")
	if err := g.ensure(t, other); err != nil {
		t.Fatal(err)
	}
	mustShow(t, other, "198.51.100.0")
}

// made sets the age of a pool.
func made(second int64, p metallb.IPAddressPool) metallb.IPAddressPool {
	p.CreationTimestamp = metav1.Unix(second, 0)
	return p
}

// TestWidenedOverAPoolInUse: an older pool that is widened over a younger one
// has that refused, and takes nothing away from it, neither at once nor after a
// restart; nor is anything given there that the younger one has given.
func TestWidenedOverAPoolInUse(t *testing.T) {
	younger := made(2, pool("a", "192.0.2.128/25"))
	g := newGround(t, made(1, pool("b", "192.0.2.0/25")), younger)
	named := g.service("named", "metallb.io/address-pool", "a")
	asking := g.service("asking", "metallb.io/loadBalancerIPs", "192.0.2.129")
	waiting := g.service("waiting", "metallb.io/address-pool", "a")
	thief := g.service("thief", "metallb.io/loadBalancerIPs", "192.0.2.128", "metallb.io/address-pool", "b")
	keeps := func(when string) {
		t.Helper()
		for svc, want := range map[*corev1.Service]string{named: "192.0.2.128", asking: "192.0.2.129"} {
			if err := g.ensure(t, svc); err != nil || shown(svc) != want {
				t.Errorf("%s: %s shows %s, %v", when, svc.Name, shown(svc), err)
			}
		}
		if err := g.ensure(t, thief); err == nil {
			t.Errorf("%s: the older pool gives what the younger one has given", when)
		}
	}
	keeps("before")

	widened := made(1, pool("b", "192.0.2.0/24"))
	g.edit(widened, younger)
	keeps("at once")
	if err := g.ensure(t, waiting); err == nil || !strings.Contains(err.Error(), "not valid") {
		t.Errorf("a Service that asks for the refused pool is told %v", err)
	}
	g.edit(widened, younger)
	keeps("after another edit")
	g.start(t, named, asking)
	keeps("after a restart")
	g.edit(widened, younger)
	keeps("after an edit since then")

	g.edit(made(1, pool("b", "192.0.2.0/25")), younger)
	keeps("now the younger one is in order again")
	if err := g.ensure(t, waiting); err != nil {
		t.Error(err)
	}
	mustShow(t, waiting, "192.0.2.130")
}

// TestNeverInUseKeepsNothing: nobody can break an older pool by adding one, and
// what was refused from the start stands in the way of no edit.
func TestNeverInUseKeepsNothing(t *testing.T) {
	younger := made(2, pool("a", "192.0.0.0/16"))
	g := newGround(t, made(1, pool("b", "192.0.2.0/25")), younger)
	g.edit(made(1, pool("b", "192.0.2.0/24")), younger)
	svc := g.service("svc", "metallb.io/loadBalancerIPs", "192.0.2.200")
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	mustShow(t, svc, "192.0.2.200")
}

// TestNamespaceThatTheCacheLacks: a Service may come before its namespace does.
func TestNamespaceThatTheCacheLacks(t *testing.T) {
	g := newGround(t, func() metallb.IPAddressPool {
		p := pool("a", "192.0.2.0/24")
		p.Spec.AllocateTo = &metallb.ServiceAllocation{NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "shop"}}}}
		return p
	}())
	g.labels = map[string]map[string]string{"default": {"team": "shop"}}
	g.unseen = map[string]bool{"default": true}
	svc := g.service("svc")
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	mustShow(t, svc, "192.0.2.0")

	g.labels = nil
	if err := g.ensure(t, svc); err == nil {
		t.Error("a namespace that is gone has labels")
	}
}

// TestDeletedPoolIsGivenUp: deleting a pool is a decision, and its Services
// move or wait.
func TestDeletedPoolIsGivenUp(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.0/24"))
	svc := g.service("svc")
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	g.edit()
	if err := g.ensure(t, svc); err == nil {
		t.Fatal("an address without a pool is kept")
	}
	mustShow(t, svc, "")
	g.edit(pool("b", "198.51.100.0/24"))
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	mustShow(t, svc, "198.51.100.0")
}

// TestMalformedRequestKeepsTheAddress: nobody can tell what is wanted instead.
func TestMalformedRequestKeepsTheAddress(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.0/24"))
	svc := g.service("svc")
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	svc.Annotations["metallb.io/loadBalancerIPs"] = "192.0.2.x"
	if err := g.ensure(t, svc); err == nil {
		t.Fatal("192.0.2.x passes for an address")
	}
	mustShow(t, svc, "192.0.2.0")
	g.start(t, svc)
	if err := g.ensure(t, svc); err == nil {
		t.Fatal("192.0.2.x passes for an address after a restart")
	}
	mustShow(t, svc, "192.0.2.0")
}

// TestAddressOfAnotherFamily: to ask for an address that the Service can't have by
// its own word costs it nothing, neither at once nor after a restart.
func TestAddressOfAnotherFamily(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.0/24"))
	svc := g.service("svc")
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	svc.Annotations["metallb.io/loadBalancerIPs"] = "2001:db8::1"
	for range 2 {
		var refusal *providers.Refusal
		if err := g.ensure(t, svc); !errors.As(err, &refusal) || refusal.Reason != providers.ReasonInvalidRequest || !strings.Contains(refusal.Message, "keeps what it has") {
			t.Fatalf("got %v", err)
		}
		mustShow(t, svc, "192.0.2.0")
		g.start(t, svc)
	}
}

// TestMalformedRequestGivesWay: what can be read of it counts: two Services do not
// share a port because one of them has a typo elsewhere, nor does one keep the
// address of a family that it gave up.
func TestMalformedRequestGivesWay(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.0/24", "2001:db8::/64"))
	first, second := g.service("first", "metallb.io/allow-shared-ip", "k"), g.service("second", "metallb.io/allow-shared-ip", "k")
	second.Spec.Ports[0].Port = 81
	second.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	for _, svc := range []*corev1.Service{first, second} {
		if err := g.ensure(t, svc); err != nil {
			t.Fatal(err)
		}
	}
	mustShow(t, second, "192.0.2.0 2001:db8::")
	second.Annotations["metallb.io/loadBalancerIPs"] = "192.0.2.x"
	second.Spec.IPFamilies = second.Spec.IPFamilies[:1]
	_ = g.ensure(t, second)
	mustShow(t, second, "192.0.2.0")
	second.Spec.Ports[0].Port = 80
	_ = g.ensure(t, second)
	mustShow(t, second, "")
	if err := g.ensure(t, first); err != nil {
		t.Error(err)
	}
	mustShow(t, first, "192.0.2.0")
	if u := g.addresses.Usage("a"); u.Assigned4 != 1 || u.Assigned6 != 0 {
		t.Errorf("in use: %+v", u)
	}
}

// TestContradictingKeys: who shares an address keeps it, and so do the others.
func TestContradictingKeys(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.0/24"))
	first, second := g.service("first", "metallb.universe.tf/allow-shared-ip", "k"), g.service("second", "metallb.io/allow-shared-ip", "k")
	second.Spec.Ports[0].Port = 81
	for when := range 3 {
		if when == 1 {
			first.Annotations["metallb.io/allow-shared-ip"] = "l"
		}
		for _, svc := range []*corev1.Service{first, second} {
			if err := g.ensure(t, svc); (err != nil) != (when > 0 && svc == first) {
				t.Error(err)
			}
			mustShow(t, svc, "192.0.2.0")
		}
		if when == 1 {
			g.start(t, first, second)
		}
	}
}

// TestAddressesOfTwoPools: that is about pools, and not a request that can't be read.
func TestAddressesOfTwoPools(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.0/24"), pool("b", "2001:db8::/64"))
	svc := g.service("svc", "metallb.io/loadBalancerIPs", "192.0.2.1,2001:db8::1")
	svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	svc.Spec.IPFamilyPolicy = ptr.To(corev1.IPFamilyPolicyRequireDualStack)
	var refusal *providers.Refusal
	if err := g.ensure(t, svc); !errors.As(err, &refusal) || refusal.Reason != providers.ReasonAddressNotInPool {
		t.Errorf("got %v", err)
	}
}

// TestMalformedRequestGetsNothing: who waited before gets no address by what it
// asked for then.
func TestMalformedRequestGetsNothing(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.1-192.0.2.1"))
	first, waiting := g.service("first"), g.service("waiting")
	if err := g.ensure(t, first); err != nil {
		t.Fatal(err)
	}
	if err := g.ensure(t, waiting); err == nil {
		t.Fatal("one address was given twice")
	}
	waiting.Annotations["metallb.io/loadBalancerIPs"] = "192.0.2.x"
	if err := g.ensure(t, waiting); err == nil {
		t.Fatal("192.0.2.x passes for an address")
	}
	if err := g.Release(t.Context(), providers.KeyOf(first)); err != nil {
		t.Fatal(err)
	}
	if err := g.ensure(t, waiting); err == nil {
		t.Fatal("192.0.2.x passes for an address")
	}
	mustShow(t, waiting, "")
	delete(waiting.Annotations, "metallb.io/loadBalancerIPs")
	if err := g.ensure(t, waiting); err != nil {
		t.Fatal(err)
	}
	mustShow(t, waiting, "192.0.2.1")
}

// TestTwoStatusesWithOneAddress: the older keeps it.
func TestTwoStatusesWithOneAddress(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.0/24"))
	older, younger := g.service("older"), g.service("younger")
	for _, svc := range []*corev1.Service{older, younger} {
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.9"}}
	}
	g.start(t, younger, older)
	for _, svc := range []*corev1.Service{younger, older} {
		if err := g.ensure(t, svc); err != nil {
			t.Fatal(err)
		}
	}
	mustShow(t, older, "192.0.2.9")
	mustShow(t, younger, "192.0.2.0")
}

// TestAddressIsGivenOnWhenTheStatusIsClear: nobody else gets an address for as
// long as a status shows it.
func TestAddressIsGivenOnWhenTheStatusIsClear(t *testing.T) {
	g := newGround(t, pool("a", "192.0.2.1-192.0.2.1"), pool("b", "198.51.100.1-198.51.100.1"))
	svc, waiting := g.service("svc"), g.service("waiting", "metallb.io/address-pool", "a")
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	if err := g.ensure(t, waiting); err == nil {
		t.Fatal("one address was given twice")
	}
	svc.Annotations["metallb.io/address-pool"] = "b"
	moved, err := g.Ensure(t.Context(), providers.Request{Service: svc})
	if err != nil || moved.Ingress[0].IP != "198.51.100.1" {
		t.Fatalf("got %v, %v", moved.Ingress, err)
	}
	if err := g.ensure(t, waiting); err == nil {
		t.Fatal("the address was given on while a status showed it")
	}
	svc.Status.LoadBalancer.Ingress = moved.Ingress
	g.woken = nil
	if err := g.ensure(t, svc); err != nil {
		t.Fatal(err)
	}
	if len(g.woken) != 1 || g.woken[0] != "default/waiting" {
		t.Fatalf("woken: %v", g.woken)
	}
	if err := g.ensure(t, waiting); err != nil {
		t.Fatal(err)
	}
	mustShow(t, waiting, "192.0.2.1")
}
