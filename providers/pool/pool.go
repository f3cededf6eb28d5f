// Package pool is the backend for bare metal: addresses come from MetalLB's
// IPAddressPools, and speakers announce what a Service's status shows.
package pool

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/ipam"
	"github.com/berth-lb/berth/providers"
)

// Provider gives addresses from pools. What it holds is what the statuses of
// the Services say; nothing of it is anywhere else.
type Provider struct {
	client    client.Client
	live      client.Reader
	namespace string
	wake      providers.Wake

	// mu guards what is below; it is never held across a call.
	mu         sync.Mutex
	addresses  *ipam.Allocator
	pools      map[string]ruling
	namespaces map[string]map[providers.Key]bool
	// seen is how many IPAddressPools there were at the last look.
	seen int

	restored chan struct{}
	once     sync.Once
	work     worker
}

var _ providers.Local = (*Provider)(nil)

// New returns a provider of the addresses of the IPAddressPools in namespace.
// It reads and writes through c, whose reads come from a cache.
func New(c client.Client, namespace string, wake providers.Wake) *Provider {
	return &Provider{
		client:     c,
		namespace:  namespace,
		wake:       wake,
		addresses:  ipam.New(),
		pools:      map[string]ruling{},
		namespaces: map[string]map[providers.Key]bool{},
		restored:   make(chan struct{}),
	}
}

// Needs asks for no objects: an address depends on neither nodes nor endpoints.
func (p *Provider) Needs() providers.Needs {
	return providers.Needs{Announced: true, Annotations: []string{annotationFrom}}
}

// Ensure gives the Service the addresses that it asks for, or says which rule
// refuses them. It keeps what the Service holds for as long as that fits.
func (p *Provider) Ensure(ctx context.Context, req providers.Request) (providers.Result, error) {
	labels, err := p.labelsOf(ctx, req.Service.Namespace)
	if err != nil {
		return providers.Result{}, err
	}
	want, malformed := requestOf(req.Service, labels)
	shown := shownBy(req.Service)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.remember(req.Key())
	defer p.work.countSoon()
	defer func() { p.wakeAll(p.addresses.Confirm(want.ID, shown)) }()
	if malformed != nil {
		return p.keep(req.Service, want, malformed)
	}
	got, woken, err := p.addresses.Ensure(want)
	p.wakeAll(woken)
	return p.result(req.Service, got), p.refusal(err)
}

// Release frees the addresses of a Service.
func (p *Provider) Release(_ context.Context, key providers.Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(key)
	p.wakeAll(p.addresses.Release(idOf(key)))
	p.work.countSoon()
	return nil
}

// Owned lists the Services that hold an address.
func (p *Provider) Owned(context.Context) ([]providers.Key, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ids := p.addresses.Owned()
	keys := make([]providers.Key, len(ids))
	for i, id := range ids {
		keys[i] = keyOf(id)
	}
	return keys, nil
}

// Restore takes over the addresses that the statuses show, the older Service
// first where two show one that they may not share, and then serves those who
// wait, in order of age.
func (p *Provider) Restore(ctx context.Context, services []*corev1.Service) error {
	objects, err := p.objects(ctx)
	if err != nil {
		return err
	}
	wishes := make([]wish, len(services))
	for i, svc := range services {
		labels, err := p.labelsOf(ctx, svc.Namespace)
		if err != nil {
			return err
		}
		wishes[i].svc = svc
		wishes[i].Request, wishes[i].malformed = requestOf(svc, labels)
	}
	slices.SortFunc(wishes, func(a, b wish) int { return ipam.Older(&a.Request, &b.Request) })
	pools, _ := compile(objects)
	rulings := keepRecorded(pools, services)

	p.mu.Lock()
	defer p.mu.Unlock()
	p.addresses = ipam.New()
	p.setPools(rulings)
	p.fulfil(wishes)
	p.once.Do(func() { close(p.restored) })
	p.work.configureSoon()
	return nil
}

// wish is a Service at a start, and what it asks for as far as that can be
// read.
type wish struct {
	ipam.Request
	svc       *corev1.Service
	malformed *providers.Refusal
}

// fulfil adopts what is shown and then serves who waits. What does not fit is
// told by the first Ensure. The caller holds mu.
func (p *Provider) fulfil(wishes []wish) {
	for _, w := range wishes {
		p.remember(providers.KeyOf(w.svc))
		if shown := shownBy(w.svc); len(shown) > 0 {
			_ = p.addresses.Adopt(w.Request, shown)
		}
	}
	for _, w := range wishes {
		if w.malformed == nil && !leaving(w.svc) {
			_, _, _ = p.addresses.Ensure(w.Request)
		}
	}
}

// leaving says whether svc is on its way out: it waits for Release alone.
func leaving(svc *corev1.Service) bool {
	return svc.DeletionTimestamp != nil || svc.Spec.Type != corev1.ServiceTypeLoadBalancer
}

// setPools has pools rule from now on and wakes those for whom that changes
// anything. The caller holds mu.
func (p *Provider) setPools(rulings []ruling) {
	p.pools = make(map[string]ruling, len(rulings))
	pools := make([]ipam.Pool, len(rulings))
	for i, one := range rulings {
		p.pools[one.Name] = one
		pools[i] = one.Pool
	}
	p.wakeAll(p.addresses.SetPools(pools))
}

// wakeAll wakes ids in their order. The caller holds mu.
func (p *Provider) wakeAll(ids []ipam.ID) {
	for _, id := range ids {
		p.wake(keyOf(id))
	}
}

// wakeNamespace wakes the Services of a namespace whose labels changed.
func (p *Provider) wakeNamespace(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, key := range slices.SortedFunc(maps.Keys(p.namespaces[name]), compareKeys) {
		p.wake(key)
	}
}

func (p *Provider) remember(key providers.Key) {
	if p.namespaces[key.Namespace] == nil {
		p.namespaces[key.Namespace] = map[providers.Key]bool{}
	}
	p.namespaces[key.Namespace][key] = true
}

func (p *Provider) forget(key providers.Key) {
	delete(p.namespaces[key.Namespace], key)
	if len(p.namespaces[key.Namespace]) == 0 {
		delete(p.namespaces, key.Namespace)
	}
}

// labelsOf returns the labels of a namespace; none when it is gone. One that the
// cache does not have may be newer than that.
func (p *Provider) labelsOf(ctx context.Context, namespace string) (map[string]string, error) {
	ns := &corev1.Namespace{}
	err := p.client.Get(ctx, client.ObjectKey{Name: namespace}, ns)
	if err == nil {
		return ns.Labels, nil
	}
	var list corev1.NamespaceList // as to get single ones would take another permission
	if apierrors.IsNotFound(err) {
		err = p.live.List(ctx, &list, client.MatchingFields{metav1.ObjectNameField: namespace})
	}
	if err != nil {
		return nil, fmt.Errorf("reading Namespace %s: %w", namespace, err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	return list.Items[0].Labels, nil
}

// objects returns the IPAddressPools that count.
func (p *Provider) objects(ctx context.Context) ([]metallb.IPAddressPool, error) {
	var list metallb.IPAddressPoolList
	if err := p.client.List(ctx, &list, client.InNamespace(p.namespace)); err != nil {
		return nil, fmt.Errorf("listing IPAddressPools in %s: %w", p.namespace, err)
	}
	return list.Items, nil
}

// result says what svc got. The caller holds mu.
func (p *Provider) result(svc *corev1.Service, got ipam.Allocation) providers.Result {
	vip := corev1.LoadBalancerIPModeVIP
	var result providers.Result
	var from, told []string
	for _, a := range got.Assigned() {
		result.Ingress = append(result.Ingress, corev1.LoadBalancerIngress{IP: a.Addr.String(), IPMode: &vip})
		if a.Pool == unconfigured {
			told = append(told, fmt.Sprintf("%s is kept although namespace %s has no IPAddressPool", a.Addr, p.namespace))
			continue
		}
		told = append(told, fmt.Sprintf("%s is from IPAddressPool %s", a.Addr, a.Pool))
		if !slices.Contains(from, a.Pool) {
			from = append(from, a.Pool)
		}
	}
	if len(result.Ingress) == 0 {
		return result
	}
	if got.Missing != nil {
		told = append(told, fmt.Sprintf("the %s address is still missing: %v", got.Missing.Family, got.Missing))
	}
	result.Annotations = map[string]string{annotationFrom: strings.Join(from, ",")}
	if len(from) == 0 {
		result.Annotations[annotationFrom] = svc.Annotations[annotationFrom]
	}
	result.Conditions = []metav1.Condition{{
		Type:    providers.ConditionProvisioned,
		Status:  metav1.ConditionTrue,
		Reason:  "Provisioned",
		Message: strings.Join(told, "; "),
	}}
	return result
}

// keep is the answer to a request that can't be read: nobody can tell what is
// wanted instead of what is held. The caller holds mu.
func (p *Provider) keep(svc *corev1.Service, want ipam.Request, malformed *providers.Refusal) (providers.Result, error) {
	if _, unclear := annotation(svc, annotationSharing); unclear != nil {
		want.SharingKey = p.addresses.SharingKey(want.ID)
	}
	held, woken := p.addresses.Suspend(want)
	p.wakeAll(woken)
	result := p.result(svc, held)
	result.Conditions = nil
	if len(result.Ingress) > 0 {
		malformed.Message += "; until then the Service keeps what it has"
	}
	return result, malformed
}

// shownBy returns the addresses in the status of svc.
func shownBy(svc *corev1.Service) []netip.Addr {
	var shown []netip.Addr
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if addr, err := netip.ParseAddr(in.IP); err == nil {
			shown = append(shown, addr.Unmap())
		}
	}
	return shown
}

func keyOf(id ipam.ID) providers.Key {
	return providers.Key{Namespace: id.Namespace, Name: id.Name, UID: types.UID(id.UID)}
}

func compareKeys(a, b providers.Key) int {
	return strings.Compare(a.String(), b.String())
}
