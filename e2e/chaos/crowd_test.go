package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Where pools begin. The part named steady is never taken away.
const (
	steady4 = "198.18.0.1"
	flex4   = "198.18.64.1"
	named4  = "198.18.128.1"
	extra4  = "198.18.192.1"
	nobody4 = "203.0.113.1" // in no pool

	steady6 = "fd00:18::1"
	named6  = "fd00:28::1"
	extra6  = "fd00:38::1"
)

// holdUp is a finalizer of somebody else.
const holdUp = "chaos.example/hold-up"

// crowd is clients that create, change and delete Services without pause.
type crowd struct {
	client   client.Client
	services int
	pause    time.Duration // between two requests of one client
	// forgive says which errors the test itself causes.
	forgive func(error) bool

	mu     sync.Mutex
	done   map[string]int
	faults []string
}

// member is one client. It alone touches its Services.
type member struct {
	*crowd
	dice *rand.Rand
	mine []string
	held []held
}

// held is a Service whose deletion is held up for a while.
type held struct {
	name  string
	until time.Time
}

// run has n clients at work until ctx ends; then nothing is held up any more.
func (c *crowd) run(ctx context.Context, t *testing.T, seed uint64, n int) {
	c.done = map[string]int{}
	members := make([]*member, n)
	for i := range members {
		members[i] = &member{crowd: c, dice: dice(seed, uint64(100+i))}
	}
	for i := range c.services {
		m := members[i%n]
		m.mine = append(m.mine, fmt.Sprintf("svc-%03d", i))
	}
	var group sync.WaitGroup
	for _, m := range members {
		group.Go(func() { m.run(ctx) })
	}
	group.Wait()
	for _, fault := range c.faults[:min(len(c.faults), 10)] {
		t.Error(fault)
	}
	t.Logf("what the clients did: %v", c.done)
}

func (m *member) run(ctx context.Context) {
	tick := time.NewTicker(m.pause)
	defer tick.Stop()
	for ctx.Err() == nil {
		m.act(ctx, m.mine[m.dice.IntN(len(m.mine))])
		m.letGo(ctx, time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	m.letGo(context.WithoutCancel(ctx), time.Now().Add(time.Hour))
}

// act does one thing to a Service: it creates the one that isn't there.
func (m *member) act(ctx context.Context, name string) {
	acts := []struct {
		weight int
		what   string
		do     func(ctx context.Context, name string) error
	}{
		{15, "type", m.changeType},
		{14, "requested address", m.changeAddress},
		{14, "sharing key", m.changeSharing},
		{10, "ports", m.changePorts},
		{10, "families", m.changeFamilies},
		{10, "requested pool", m.changePool},
		{5, "traffic policy", m.changePolicy},
		{6, "no wishes", m.dropWishes},
		{16, "delete", m.delete},
	}
	pick := m.dice.IntN(100)
	i := 0
	for ; pick >= acts[i].weight; i++ {
		pick -= acts[i].weight
	}
	what, err := acts[i].what, acts[i].do(ctx, name)
	if apierrors.IsNotFound(err) {
		what, err = "create", m.create(ctx, name)
	}
	m.note(ctx, what, name, err)
}

func (c *crowd) note(ctx context.Context, what, name string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.done[what]++
	case ctx.Err() != nil, apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err), apierrors.IsConflict(err):
	case c.forgive != nil && c.forgive(err):
		c.done["failed"]++
	default:
		c.faults = append(c.faults, fmt.Sprintf("%s of %s: %v", what, name, err))
	}
}

func (m *member) create(ctx context.Context, name string) error {
	svc := newService(name)
	svc.Spec.Ports = m.ports()
	switch n := m.dice.IntN(20); {
	case n < 14:
	case n < 15:
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol}
	case n < 18:
		svc.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyPreferDualStack)
	default:
		svc.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyRequireDualStack)
	}
	if m.dice.IntN(4) == 0 {
		svc.Annotations[wantsSharing] = m.key()
	}
	if m.dice.IntN(8) == 0 {
		svc.Annotations[wantsAddresses] = m.address()
	}
	return m.client.Create(ctx, svc)
}

// newService needs no node ports, of which there are too few.
func newService(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type:                          corev1.ServiceTypeLoadBalancer,
			AllocateLoadBalancerNodePorts: new(false),
			Selector:                      map[string]string{"app": name},
			Ports:                         []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(80)}},
		},
	}
}

func (m *member) ports() []corev1.ServicePort {
	all := []int32{53, 80, 443, 8080, 8443, 9090}
	var ports []corev1.ServicePort
	for range 1 + m.dice.IntN(2) {
		n := all[m.dice.IntN(len(all))]
		if !slices.ContainsFunc(ports, func(p corev1.ServicePort) bool { return p.Port == n }) {
			ports = append(ports, corev1.ServicePort{Name: fmt.Sprintf("p%d", n), Port: n, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromInt32(n)})
		}
	}
	return ports
}

func (m *member) key() string { return fmt.Sprintf("key-%d", m.dice.IntN(8)) }

// address is one that others ask for too, or nearly.
func (m *member) address() string {
	first := []string{steady4, steady4, flex4, named4, extra4, nobody4}[m.dice.IntN(6)]
	return nth(first, m.dice.IntN(30)).String()
}

func (m *member) changeType(ctx context.Context, name string) error {
	if m.dice.IntN(2) == 0 {
		return m.patch(ctx, name, nil, map[string]any{"type": "ClusterIP", "allocateLoadBalancerNodePorts": nil, "externalTrafficPolicy": nil})
	}
	return m.patch(ctx, name, nil, map[string]any{"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false})
}

func (m *member) changeAddress(ctx context.Context, name string) error {
	switch m.dice.IntN(8) {
	case 0, 1, 2:
		return m.annotate(ctx, name, wantsAddresses, nil)
	case 3:
		return m.annotate(ctx, name, wantsAddresses, "not an address")
	}
	return m.annotate(ctx, name, wantsAddresses, m.address())
}

func (m *member) changeSharing(ctx context.Context, name string) error {
	if m.dice.IntN(3) == 0 {
		return m.annotate(ctx, name, wantsSharing, nil)
	}
	return m.annotate(ctx, name, wantsSharing, m.key())
}

func (m *member) changePorts(ctx context.Context, name string) error {
	return m.patch(ctx, name, nil, map[string]any{"ports": m.ports()})
}

func (m *member) changeFamilies(ctx context.Context, name string) error {
	policies := []corev1.IPFamilyPolicy{corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack}
	return m.patch(ctx, name, nil, map[string]any{"ipFamilyPolicy": policies[m.dice.IntN(3)]})
}

func (m *member) changePool(ctx context.Context, name string) error {
	if m.dice.IntN(3) == 0 {
		return m.annotate(ctx, name, wantsPool, nil)
	}
	return m.annotate(ctx, name, wantsPool, []string{"main", "named", "extra"}[m.dice.IntN(3)])
}

func (m *member) changePolicy(ctx context.Context, name string) error {
	policy := []string{"Local", "Cluster"}[m.dice.IntN(2)]
	return m.patch(ctx, name, nil, map[string]any{"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "externalTrafficPolicy": policy})
}

func (m *member) dropWishes(ctx context.Context, name string) error {
	return m.patch(ctx, name, map[string]any{wantsAddresses: nil, wantsSharing: nil, wantsPool: nil}, nil)
}

func (m *member) annotate(ctx context.Context, name, key string, value any) error {
	return m.patch(ctx, name, map[string]any{key: value}, nil)
}

func (m *member) patch(ctx context.Context, name string, annotations, spec map[string]any) error {
	change := map[string]any{}
	if annotations != nil {
		change["metadata"] = map[string]any{"annotations": annotations}
	}
	if spec != nil {
		change["spec"] = spec
	}
	return m.send(ctx, types.MergePatchType, name, change)
}

func (m *member) send(ctx context.Context, kind types.PatchType, name string, change any) error {
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name}}
	return m.client.Patch(ctx, svc, client.RawPatch(kind, data))
}

// delete deletes in each of the ways that there are, and now and then has
// somebody else's finalizer hold it up.
func (m *member) delete(ctx context.Context, name string) error {
	how := []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan}[m.dice.IntN(3)]
	if m.dice.IntN(3) == 0 {
		// An error does not mean that nothing was written.
		m.held = append(m.held, held{name, time.Now().Add(between(m.dice, 200*time.Millisecond, 5*time.Second))})
		err := m.send(ctx, types.StrategicMergePatchType, name, map[string]any{"metadata": map[string]any{"finalizers": []string{holdUp}}})
		if apierrors.IsInvalid(err) {
			return nil // is being deleted already
		}
		if err != nil {
			return err
		}
	}
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name}}
	return m.client.Delete(ctx, svc, client.PropagationPolicy(how))
}

// letGo ends the holding up of those whose time has come.
func (m *member) letGo(ctx context.Context, now time.Time) {
	m.held = slices.DeleteFunc(m.held, func(h held) bool { return now.After(h.until) && m.free(ctx, h.name) })
	for i := range m.held {
		if h := &m.held[i]; now.After(h.until) {
			h.until = now.Add(time.Second)
		}
	}
}

// free says whether nothing of ours holds up the Service any more.
func (m *member) free(ctx context.Context, name string) bool {
	err := m.send(ctx, types.StrategicMergePatchType, name, map[string]any{
		"metadata": map[string]any{"$deleteFromPrimitiveList/finalizers": []string{holdUp}},
	})
	m.note(ctx, "hold-up ended", name, err)
	return err == nil || apierrors.IsNotFound(err)
}
