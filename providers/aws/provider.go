package aws

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// Options are what a Provider works with.
type Options struct {
	Clients Clients
	Cluster plan.Cluster
	// VPC is the ID of that which load balancers are made in.
	VPC string
	// TargetType is that of Services that don't say; instance if it is empty.
	TargetType annotation.TargetType
	// LeaveNodeGroups has no rules be made in the security groups of nodes: they
	// let load balancers in already.
	LeaveNodeGroups bool
	// DryRun is for a Provider that only plans.
	DryRun bool
	// Wake has a Service be looked at again.
	Wake providers.Wake
	// Service finds a Service by its name, as a cache has it: what AWS holds says
	// nothing of the UID.
	Service func(namespace, name string) (*corev1.Service, bool)
	// Gates may be nil.
	Gates Gates
	Log   logr.Logger

	// Poll is the first pause between looks at what takes time at AWS, a load
	// balancer that is provisioned or targets that are checked. Zero is 10 s.
	Poll time.Duration
	// Scan is the time between searches for what has changed behind our back. Zero
	// is an hour.
	Scan time.Duration
}

// Gates are readiness gates of pods that wait for their target to be healthy.
type Gates interface {
	// Waiting returns the addresses among all, the EndpointSlices of a Service,
	// whose pods are ready but for such a gate. The Service is woken when that
	// changes. With no slices it is forgotten.
	Waiting(ctx context.Context, key providers.Key, all []*discoveryv1.EndpointSlice) map[string]bool
	// Looked is told the names of the target groups of a Service and, of each
	// address that waits, what is in the way; nothing where it is healthy in all
	// target groups that it is wanted in. It must not block.
	Looked(key providers.Key, targetGroups []string, trouble map[string]string)
}

// Provider makes Network Load Balancers. Run has to run beside it.
type Provider struct {
	options   Options
	log       logr.Logger
	memory    *memory
	inventory *inventory
	topology  *topology
	observer  *observer
	health    *health
	backend   *backend
	nodes     nodeSets

	wakes *agenda[providers.Key]
	looks *agenda[string]
	scans scanner
}

var _ providers.Provider = (*Provider)(nil)

// New returns a Provider that has not asked AWS anything yet.
func New(o Options) *Provider {
	if o.Poll == 0 {
		o.Poll = 10 * time.Second
	}
	if o.Scan == 0 {
		o.Scan = time.Hour
	}
	p := &Provider{
		options:   o,
		log:       o.Log,
		memory:    newMemory(),
		inventory: newInventory(o.Clients.Tagging, o.Cluster.Name),
		topology:  newTopology(o.Clients.Network, o.VPC),
		wakes:     newAgenda[providers.Key](),
		looks:     newAgenda[string](),
	}
	p.observer = newObserver(o.Clients, p.inventory)
	p.health = newHealth()
	p.backend = newBackend(o, p.topology, p.inventory.all)
	return p
}

// Needs asks for nodes, which are targets, for endpoints, which are too or say
// whether targets should be healthy, and for the annotation that remembers what
// was applied. It takes the AWS Load Balancer Controller's finalizer over.
func (p *Provider) Needs() providers.Needs {
	return providers.Needs{
		Nodes: true, EndpointSlices: true,
		Annotations: []string{annotation.KeyApplied}, Finalizers: []string{annotation.Finalizer},
	}
}

// leave lets others work on a stack, and has it be looked at again if it is not as
// this one took it to be.
func (p *Provider) leave(stack string) {
	if key, doubted := p.memory.unclaim(stack); doubted {
		p.options.Wake(key)
	}
}

// rounds is how often AWS is observed anew within one Ensure where it turns out
// to hold something else than was known.
const rounds = 4

// Ensure reads what is asked for, and if that is not what was applied last,
// observes, decides the changes and makes them.
func (p *Provider) Ensure(ctx context.Context, req providers.Request) (providers.Result, error) {
	if err := ctx.Err(); err != nil {
		return providers.Result{}, err
	}
	stack := req.Key().String()
	if !p.memory.claim(stack) {
		return shown(req.Service), refusal(providers.ReasonProvisioning, time.Second, "what an earlier Service of this name had is being deleted")
	}
	defer p.leave(stack)

	ask, err := p.read(ctx, req)
	if err == nil && !p.upToDate(ask) {
		err = p.bring(ctx, ask)
	}
	err = p.keepServing(ctx, ask, err)
	p.tellGates(stack)
	return p.answer(ctx, ask, err)
}

// bring converges, and again where AWS turns out to hold something else than was
// known.
func (p *Provider) bring(ctx context.Context, ask *ask) error {
	err := p.survey(ctx, ask, topologyAge)
	if err != nil {
		return err
	}
	if err := p.recognize(ctx, ask.stack, ask.Service); err != nil {
		return err
	}
	for range rounds {
		if err = p.converge(ctx, ask); !errors.Is(err, errStale) {
			return err
		}
		p.memory.update(ask.stack, func(r *record) { r.stack = nil })
	}
	return err
}

// converge is the four steps: what is wanted, what there is, what to change, and
// changing it.
func (p *Provider) converge(ctx context.Context, ask *ask) error {
	observed, err := p.observe(ctx, ask)
	if err != nil {
		return err
	}
	desired, err := p.desire(ctx, ask, &observed)
	if err != nil {
		return err
	}
	request := ask.request
	request.Existing = observed
	changes := slices.Concat(outgoing(request, desired), plan.Diff(observed, desired))
	if err := p.stillForeign(ctx, ask, changes); err != nil {
		return err
	}
	ask.decided = true
	open, unreachable := p.open(ctx, ask.stack, request, desired)
	if err := p.stillOurs(ctx, ask.stack, observed, changes); err != nil {
		return err
	}
	if err := p.apply(ctx, ask, observed, desired, changes); err != nil {
		return err
	}
	r, _ := p.memory.get(ask.stack)
	request.Existing = *r.stack
	active, gone := currentOf(*r.stack, r.name).State != stateProvisioning, len(r.stack.LoadBalancers) < len(observed.LoadBalancers)
	if unreachable == nil && (!open && active || gone) {
		unreachable = p.backend.open(ctx, ask.stack, request, desired)
		open = unreachable == nil
	}
	if !open {
		p.memory.update(ask.stack, func(r *record) { r.hash = "" })
	}
	return unreachable
}

// stillOurs looks, before something is changed, whether all that is known is still
// ours: what memory has may be another's by now. Targets come and go too often for
// that; scans find it out for them.
func (p *Provider) stillOurs(ctx context.Context, stack string, observed plan.Stack, changes []plan.Change) error {
	if !slices.ContainsFunc(changes, beyondTargets) {
		return nil
	}
	// What a look finds meanwhile would be lost when these are remembered: as it
	// is, it looks again.
	p.memory.update(stack, func(r *record) { r.version++ })
	if _, all, err := p.observer.reclaim(ctx, stack, copyOf(observed)); err != nil || all {
		return err
	}
	return errStale
}

func beyondTargets(c plan.Change) bool {
	switch c.(type) {
	case plan.RegisterTargets, plan.DeregisterTargets:
		return false
	}
	return true
}

// open has the groups of nodes let load balancers in, and says whether they do.
// It waits for that only where one may have traffic: before a new one is active
// its Service is looked at again.
func (p *Provider) open(ctx context.Context, stack string, request plan.Request, desired plan.Stack) (bool, error) {
	if slices.ContainsFunc(request.Existing.LoadBalancers, func(lb plan.LoadBalancer) bool { return lb.State != stateProvisioning }) {
		err := p.backend.open(ctx, stack, request, desired)
		return err == nil, err
	}
	return p.backend.openSoon(ctx, stack, request, desired)
}

// outgoing has the targets of an old load balancer follow nodes and pods as long as
// its successor does not take traffic.
func outgoing(request plan.Request, desired plan.Stack) []plan.Change {
	if !succeeding(request.Existing, desired) {
		return nil
	}
	request.Existing = plan.Outgoing(request.Existing, desired)
	_, changes := plan.Retarget(request)
	return changes
}

// Release deletes all that AWS holds for a Service of this name, unless a later
// one has taken it over.
func (p *Provider) Release(ctx context.Context, key providers.Key) error {
	stack := key.String()
	if !p.memory.claim(stack) {
		return providers.ErrPending
	}
	defer p.leave(stack)
	if p.options.Gates != nil {
		p.options.Gates.Waiting(ctx, key, nil)
	}
	if r, _ := p.memory.get(stack); r.key.Name != "" && r.key.UID != key.UID {
		return nil
	}
	return p.release(ctx, stack)
}

// Owned lists whose things carry the cluster's tag, by whomever they were made. A
// Service that is there gets the UID that it has, since what AWS holds is its own
// whatever life made it.
func (p *Provider) Owned(ctx context.Context) ([]providers.Key, error) {
	if err := p.inventory.wait(ctx, p.options.Scan/2); err != nil {
		return nil, err
	}
	var all []providers.Key
	for _, stack := range p.inventory.all() {
		all = append(all, p.keyOf(stack))
	}
	return all, nil
}

// Run waits for what takes time at AWS and searches for what changed there,
// until ctx ends.
func (p *Provider) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { p.runWakes(ctx) })
	wg.Go(func() { p.runLooks(ctx) })
	wg.Go(func() { p.runScans(ctx) })
	wg.Go(func() { p.backend.run(ctx) })
	wg.Wait()
	return nil
}

// runWakes wakes Services at the time that was set for them.
func (p *Provider) runWakes(ctx context.Context) {
	for due := p.wakes.next(ctx); due != nil; due = p.wakes.next(ctx) {
		for _, key := range due {
			p.options.Wake(key)
		}
	}
}
