// Package fake is a backend for tests and demonstrations: a cloud in memory,
// with latency, quotas, throttling and faults.
package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers"
)

// Options say what a cloud is like; the zero value is a fast one that has no
// limits and gives IPv4 and IPv6 addresses of ipMode VIP.
type Options struct {
	// Latency is how long every call takes.
	Latency time.Duration
	// CallsPerSecond is the limit above which calls are throttled; zero is
	// none.
	CallsPerSecond int
	// Quota is how many load balancers there may be at a time; zero is any
	// number.
	Quota int
	// Provisioning is how long a new load balancer takes to become active.
	Provisioning time.Duration
	// Deletion is how long a load balancer takes to go away.
	Deletion time.Duration
	// Unsupported are the protocols that load balancers can't serve.
	Unsupported []corev1.Protocol
	// IPMode of the addresses, VIP where it is empty.
	IPMode corev1.LoadBalancerIPMode
	// Hostnames has load balancers named instead of numbered.
	Hostnames bool
}

// Cloud is the state of a cloud, and its API. It outlives the process that
// uses it: a new Provider over the same Cloud is a restart. One Provider uses
// it at a time, the newest.
type Cloud struct {
	options Options

	mu        sync.Mutex
	wake      providers.Wake
	quota     int
	balancers map[providers.Key]*balancer
	numbers   numbers
	waiting   []providers.Key // refused for the quota, oldest first
	faults    []*Fault
	counts    map[Call]uint64
	window    time.Time // the second that is being counted for throttling
	inWindow  int
}

// NewCloud returns a cloud without load balancers.
func NewCloud(options Options) *Cloud {
	if options.IPMode == "" {
		options.IPMode = corev1.LoadBalancerIPModeVIP
	}
	return &Cloud{
		options:   options,
		wake:      func(providers.Key) {},
		quota:     options.Quota,
		balancers: map[providers.Key]*balancer{},
		numbers:   numbers{taken: map[int]bool{}},
		counts:    map[Call]uint64{},
	}
}

// LoadBalancer is one as the cloud shows it.
type LoadBalancer struct {
	Key   providers.Key
	State State
	// Addresses are one per family, or one hostname.
	Addresses []string
	Ports     []Port
	Nodes     []string
}

// Port is one that a load balancer serves. NodePort is zero for a Service that
// allocates none.
type Port struct {
	Protocol corev1.Protocol
	Port     int32
	NodePort int32
}

// State of a load balancer.
type State string

const (
	Provisioning State = "provisioning"
	Active       State = "active"
	Deleting     State = "deleting"
)

type balancer struct {
	spec
	number int
	state  State
	timer  *time.Timer // to the next state
}

type spec struct {
	families []corev1.IPFamily
	ports    []Port
	nodes    []string
}

func (s spec) equal(other spec) bool {
	return slices.Equal(s.families, other.families) && slices.Equal(s.ports, other.ports) && slices.Equal(s.nodes, other.nodes)
}

// LoadBalancers returns all there are, sorted by key. It is not a call: it is
// for looking at the cloud from outside.
func (c *Cloud) LoadBalancers() []LoadBalancer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []LoadBalancer
	for key, b := range c.balancers {
		all = append(all, LoadBalancer{
			Key:       key,
			State:     b.state,
			Addresses: c.addresses(b.number, b.families),
			Ports:     slices.Clone(b.ports),
			Nodes:     slices.Clone(b.nodes),
		})
	}
	slices.SortFunc(all, func(a, b LoadBalancer) int { return compareKeys(a.Key, b.Key) })
	return all
}

// SetQuota changes the quota, and wakes those that it lets in.
func (c *Cloud) SetQuota(quota int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quota = quota
	c.admit()
}

var (
	errNotFound      = errors.New("no such load balancer")
	errQuotaExceeded = errors.New("quota of load balancers exceeded")
)

// describe returns a copy of the load balancer of key.
func (c *Cloud) describe(ctx context.Context, key providers.Key) (lb balancer, err error) {
	err = c.do(ctx, Describe, key, func() error {
		b, ok := c.balancers[key]
		if !ok {
			return errNotFound
		}
		lb = *b
		return nil
	})
	return lb, err
}

func (c *Cloud) create(ctx context.Context, key providers.Key, want spec) (lb balancer, err error) {
	err = c.do(ctx, Create, key, func() error {
		if c.full() {
			c.wait(key)
			return errQuotaExceeded
		}
		b := &balancer{spec: want, number: c.numbers.take(), state: Active}
		if c.options.Provisioning > 0 {
			b.state = Provisioning
			b.timer = time.AfterFunc(c.options.Provisioning, func() { c.activate(key, b) })
		}
		c.balancers[key] = b
		lb = *b
		return nil
	})
	return lb, err
}

func (c *Cloud) update(ctx context.Context, key providers.Key, want spec) (lb balancer, err error) {
	err = c.do(ctx, Update, key, func() error {
		b, ok := c.balancers[key]
		if !ok {
			return errNotFound
		}
		b.spec = want
		lb = *b
		return nil
	})
	return lb, err
}

// delete begins the deletion, and says whether it is done.
func (c *Cloud) delete(ctx context.Context, key providers.Key) (gone bool, err error) {
	err = c.do(ctx, Delete, key, func() error {
		c.waiting = slices.DeleteFunc(c.waiting, func(k providers.Key) bool { return k == key })
		b, ok := c.balancers[key]
		switch {
		case ok && c.options.Deletion == 0:
			c.remove(key, b)
		case ok && b.state != Deleting:
			b.stop()
			b.state = Deleting
			b.timer = time.AfterFunc(c.options.Deletion, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.remove(key, b)
				c.admit()
				c.wake(key)
			})
		}
		_, there := c.balancers[key]
		gone = !there
		// Also where nothing was removed: key may have been woken to take a
		// place that it leaves to the next now.
		c.admit()
		return nil
	})
	return gone, err
}

func (c *Cloud) list(ctx context.Context) (keys []providers.Key, err error) {
	err = c.do(ctx, List, providers.Key{}, func() error {
		for key := range c.balancers {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, compareKeys)
		return nil
	})
	return keys, err
}

func (c *Cloud) activate(key providers.Key, b *balancer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.state == Provisioning {
		b.state = Active
		c.wake(key)
	}
}

func (c *Cloud) remove(key providers.Key, b *balancer) {
	b.stop()
	delete(c.balancers, key)
	c.numbers.give(b.number)
}

func (b *balancer) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

func (c *Cloud) full() bool {
	return len(c.balancers) >= capacity || c.quota > 0 && len(c.balancers) >= c.quota
}

func (c *Cloud) wait(key providers.Key) {
	if !slices.Contains(c.waiting, key) {
		c.waiting = append(c.waiting, key)
	}
}

// admit wakes as many of those that wait as there is room for.
func (c *Cloud) admit() {
	room := len(c.waiting)
	if c.quota > 0 {
		room = min(room, max(0, c.quota-len(c.balancers)))
	}
	for _, key := range c.waiting[:room] {
		c.wake(key)
	}
	c.waiting = slices.Delete(c.waiting, 0, room)
}

// attach makes wake the one to call. Nobody that a former process refused
// waits any longer: the new one asks for all Services again.
func (c *Cloud) attach(wake providers.Wake) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake = wake
	c.waiting = nil
}

func compareKeys(a, b providers.Key) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
}

func (c *Cloud) addresses(number int, families []corev1.IPFamily) []string {
	if c.options.Hostnames {
		return []string{fmt.Sprintf("lb-%d.cloud.example", number)}
	}
	var out []string
	for _, family := range families {
		out = append(out, address(number, family).String())
	}
	return out
}
