package aws

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// execution makes changes to one stack, and keeps up with what AWS holds then.
type execution struct {
	calls     Clients
	inventory *inventory
	observer  *observer
	cluster   string
	vpc       string
	stack     string
	// desired is empty where all is to be deleted.
	desired plan.Stack
	// hold says whether a change has to wait; nil if none does.
	hold func(plan.Change) bool

	mu sync.Mutex
	// now is what AWS holds, after the changes that were made.
	now plan.Stack
	// made are ARNs and IDs by what changes call them: a target group by its Key,
	// a security group by ManagedGroup, the load balancer by nothing.
	made map[string]string
	// unverified are ARNs that creations returned.
	unverified []string
	// found says that a creation returned what was there already.
	found bool
	// held are changes that were not made, since they have to wait.
	held []plan.Change
	// leftOut is, by ID, of the targets that AWS did not take.
	leftOut map[string]leftOut
}

func (p *Provider) execution(stack string, observed, desired plan.Stack) *execution {
	return &execution{
		calls:     p.options.Clients,
		inventory: p.inventory,
		observer:  p.observer,
		cluster:   p.options.Cluster.Name,
		vpc:       p.options.VPC,
		stack:     stack,
		desired:   desired,
		now:       copyOf(observed),
		made:      map[string]string{},
	}
}

// apply makes the changes by which observed becomes desired, and remembers what
// AWS holds then.
func (p *Provider) apply(ctx context.Context, a *ask, observed, desired plan.Stack, changes []plan.Change) error {
	e := p.execution(a.stack, observed, desired)
	before, _ := p.memory.get(a.stack)
	changes, e.leftOut = postpone(changes, before.leftOut)
	e.hold = func(c plan.Change) bool { return p.mustWait(a.stack, e, c) }
	p.memory.update(a.stack, func(r *record) {
		r.hash = ""
		r.version++
		r.name, r.wanted, r.gated = desired.LoadBalancers[0].Name, targetsByKey(desired), a.request.Gated
	})
	for _, c := range changes { // before: what others are kept for is not healthy yet
		if c, ok := c.(plan.RegisterTargets); ok {
			p.health.anew(e.name(c.TargetGroup), c.Targets)
		}
	}
	err := e.run(ctx, changes)
	if err == nil {
		e.settle()
	}
	if theirs, ok := errors.AsType[*foreignError](err); ok {
		p.memory.update(a.stack, func(r *record) { r.foreign = []string{theirs.arn} })
		e.cleanUp(ctx, theirs.arn)
	}
	after := e.after()
	p.memory.update(a.stack, func(r *record) {
		r.stack, r.leftOut = &after, e.leftOut
		if err != nil {
			r.stack = nil // what a change did that failed is not known
			return
		}
		r.held = stillHeld(r.held, e.held)
		if len(e.held)+len(e.leftOut) == 0 {
			r.hash = a.hash
		}
		if len(changes) > 0 {
			r.looks = 0
		}
	})
	if err == nil {
		p.follow(a.stack, len(changes) > 0, len(e.held) > 0)
	}
	if len(e.leftOut) > 0 {
		a.warn(leftOutOf(e.leftOut, a.request.Nodes))
		p.wakes.by(a.key, againFor(e.leftOut, before.leftOut)) // nobody tells when AWS takes it
	}
	return err
}

func targetsByKey(s plan.Stack) map[string][]plan.Target {
	out := map[string][]plan.Target{}
	for _, g := range s.TargetGroups {
		out[g.Key] = g.Targets
	}
	return out
}

// parallel are the kinds of changes that don't depend on others of their kind.
var parallel = []reflect.Type{
	reflect.TypeFor[plan.CreateTargetGroup](), reflect.TypeFor[plan.ModifyTargetGroup](), reflect.TypeFor[plan.ModifyTargetGroupAttributes](),
	reflect.TypeFor[plan.RegisterTargets](), reflect.TypeFor[plan.DeregisterTargets](),
	reflect.TypeFor[plan.CreateListener](), reflect.TypeFor[plan.DeleteListener](), reflect.TypeFor[plan.DeleteTargetGroup](),
}

// atOnce bounds the calls that are made for one Service at the same time.
const atOnce = 8

// run makes changes in their order, those of a kind beside each other. What
// creations return is verified before anything else is changed.
func (e *execution) run(ctx context.Context, changes []plan.Change) error {
	for len(changes) > 0 {
		n := sameKind(changes)
		if !creates(changes[0]) {
			if err := e.verify(ctx); err != nil {
				return err
			}
		}
		if err := e.together(ctx, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return e.verify(ctx)
}

// sameKind says how many of the first changes may be made at once.
func sameKind(changes []plan.Change) int {
	kind := reflect.TypeOf(changes[0])
	n := 1
	for slices.Contains(parallel, kind) && n < min(len(changes), atOnce) && reflect.TypeOf(changes[n]) == kind {
		n++
	}
	return n
}

func creates(c plan.Change) bool {
	switch c.(type) {
	case plan.CreateSecurityGroup, plan.AuthorizeIngress, plan.CreateTargetGroup, plan.CreateLoadBalancer:
		return true
	}
	return false
}

func (e *execution) together(ctx context.Context, changes []plan.Change) error {
	failures := make([]error, len(changes))
	var wg sync.WaitGroup
	for i, c := range changes {
		wg.Go(func() { failures[i] = e.one(ctx, c) })
	}
	wg.Wait()
	return firstOf(failures)
}

// firstOf prefers what has something to say over what only says to look again.
func firstOf(failures []error) error {
	var stale error
	for _, err := range failures {
		if err != nil && !errors.Is(err, errStale) {
			return err
		}
		if err != nil {
			stale = err
		}
	}
	return stale
}

// one makes a change, or holds it back.
func (e *execution) one(ctx context.Context, c plan.Change) error {
	if e.hold != nil && e.hold(c) {
		return e.wait(c)
	}
	err := e.make(ctx, c)
	switch {
	case err == nil:
		return nil
	case isInUse(err) && deletes(c):
		return e.wait(c)
	case isNotFound(err), isDuplicate(err):
		return fmt.Errorf("%s: %w", c, errStale)
	}
	return explain(c.String(), err)
}

// deletes says whether c takes away what may still be in use.
func deletes(c plan.Change) bool {
	switch c.(type) {
	case plan.DeleteLoadBalancer, plan.DeleteTargetGroup, plan.DeleteSecurityGroup:
		return true
	}
	return false
}

func (e *execution) wait(c plan.Change) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held = append(e.held, c)
	return nil
}

// after is what AWS holds once the changes were made.
func (e *execution) after() plan.Stack {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.claimTargets()
	return tidy(e.now)
}

// settle notes, once all changes were made, that what was made has the
// attributes that are wanted: for those that AWS has by default no call was made.
func (e *execution) settle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.now.TargetGroups {
		g := &e.now.TargetGroups[i]
		for _, want := range e.desired.TargetGroups {
			if e.made[want.Key] == g.ARN {
				g.Attributes = with(g.Attributes, want.Attributes)
			}
		}
	}
	for _, want := range e.desired.LoadBalancers {
		for i := range e.now.LoadBalancers {
			if lb := &e.now.LoadBalancers[i]; e.made[""] == lb.ARN {
				lb.Attributes = with(lb.Attributes, want.Attributes)
			}
			settleListeners(e.now.LoadBalancers[i].Listeners, want.Listeners)
		}
	}
}

func settleListeners(have, want []plan.Listener) {
	for i := range have {
		l := &have[i]
		for _, w := range want {
			if w.Port == l.Port && l.Attributes == nil {
				l.Attributes = with(nil, w.Attributes)
			}
		}
	}
}

// claimTargets notes which targets this cluster has put into target groups that
// it shares.
func (e *execution) claimTargets() {
	for i := range e.now.TargetGroups {
		g := &e.now.TargetGroups[i]
		for _, want := range e.desired.TargetGroups {
			if want.Key == g.Key && want.MultiCluster {
				g.Ours = union(g.Ours, want.Targets)
			}
		}
	}
}

// foreignError says that AWS returned what is not ours for our name.
type foreignError struct {
	*providers.Refusal
	arn string
}

func (e *foreignError) Unwrap() error { return e.Refusal }

// verify compares the tags of what creations returned: AWS returns what has the
// name already, whoever made it.
func (e *execution) verify(ctx context.Context) error {
	arns := e.unverified
	e.unverified = nil
	if err := e.take(ctx, arns); err != nil {
		return err
	}
	if e.found {
		return errStale // what it has besides its name is not known
	}
	return nil
}

// take puts what is ours by its tags into the inventory.
func (e *execution) take(ctx context.Context, arns []string) error {
	tags, err := e.observer.tags.get(ctx, arns...)
	if err != nil {
		return explain("describe the tags of what was made for "+e.stack, err)
	}
	for _, arn := range arns {
		if err := e.ours(arn, tags[arn]); err != nil {
			return err
		}
		e.inventory.add(e.stack, arn)
	}
	return nil
}

// ours returns a *foreignError unless the tags say that something is of this
// stack.
func (e *execution) ours(name string, tags map[string]string) error {
	if tags[plan.TagCluster] == e.cluster && tags[plan.TagStack] == e.stack {
		return nil
	}
	return &foreignError{arn: name, Refusal: refusal(providers.ReasonBackendError, afterDenial,
		"%s has the name that is needed and belongs to somebody else, since its tags are %s=%q and %s=%q instead of %q and %q: it is left alone; delete it, or choose another name",
		name, plan.TagCluster, tags[plan.TagCluster], plan.TagStack, tags[plan.TagStack], e.cluster, e.stack)}
}

// cleanUp deletes what this execution made beside what turned out to be
// somebody else's. What it can't delete is found by its tags later.
func (e *execution) cleanUp(ctx context.Context, foreign string) {
	var arns []string
	for _, name := range e.made {
		if name != foreign {
			arns = append(arns, name)
		}
	}
	slices.Sort(arns)
	for _, kind := range []string{aLoadBalancer, aTargetGroup, aSecurityGroup} {
		for _, name := range names(setOf(arns)).of(kind) {
			if kind == aSecurityGroup || e.isOurs(ctx, name) {
				_ = e.delete(ctx, name)
			}
		}
	}
}

func setOf(all []string) map[string]map[string]string {
	set := map[string]map[string]string{}
	for _, name := range all {
		set[name] = nil
	}
	return set
}

func (e *execution) isOurs(ctx context.Context, arn string) bool {
	tags, err := e.observer.tags.get(ctx, arn)
	return err == nil && e.ours(arn, tags[arn]) == nil
}

func (e *execution) delete(ctx context.Context, name string) error {
	switch all := setOf([]string{name}); {
	case len(names(all).of(aLoadBalancer)) > 0:
		return e.one(ctx, plan.DeleteLoadBalancer{ARN: name})
	case len(names(all).of(aTargetGroup)) > 0:
		return e.one(ctx, plan.DeleteTargetGroup{ARN: name})
	}
	return e.one(ctx, plan.DeleteSecurityGroup{ID: name})
}

// stillForeign repeats what was refused because of somebody else's things, while
// they are there and changes would make the like: making everything again to find
// out would change things.
func (p *Provider) stillForeign(ctx context.Context, a *ask, changes []plan.Change) error {
	r, _ := p.memory.get(a.stack)
	foreign := slices.DeleteFunc(slices.Clone(r.foreign), func(name string) bool {
		return !slices.ContainsFunc(changes, func(c plan.Change) bool { return makes(c, name) })
	})
	if len(foreign) == 0 {
		return nil
	}
	e := p.execution(a.stack, plan.Stack{}, plan.Stack{})
	tags, err := p.observer.tagsOf(ctx, names(setOf(foreign)))
	if err != nil {
		return explain("describe the tags of "+foreign[0], err)
	}
	for _, arn := range foreign {
		if found, there := tags[arn]; there {
			if err := e.ours(arn, found); err != nil {
				return err
			}
		}
	}
	p.memory.update(a.stack, func(r *record) { r.foreign = nil })
	return nil
}

// makes says whether c makes what would be called as that which has an ARN, or a
// security group.
func makes(c plan.Change, name string) bool {
	switch c := c.(type) {
	case plan.CreateLoadBalancer:
		return strings.Contains(name, aLoadBalancer+c.LoadBalancer.Name+"/")
	case plan.CreateTargetGroup:
		return strings.Contains(name, aTargetGroup+c.TargetGroup.Name+"/")
	case plan.CreateSecurityGroup:
		return strings.HasPrefix(name, aSecurityGroup)
	}
	return false
}

// longestHold bounds how long targets that are not wanted any more stay in a
// group, for others to become healthy first.
const longestHold = 2 * time.Minute

// mustWait holds back what would leave clients with nothing: the old load
// balancer while its successor is made, and the last targets that may still
// answer while none of those that stay is healthy. Capacity is reserved for what
// is active.
func (p *Provider) mustWait(stack string, e *execution, c plan.Change) bool {
	switch c := c.(type) {
	case plan.DeregisterTargets:
		return p.lastTargets(stack, e, c)
	case plan.SetCapacity:
		return e.provisioned(c.ARN)
	case plan.DeleteListener:
		return e.succeeding() && !e.wanted(c.Listener.ARN)
	case plan.DeleteLoadBalancer, plan.DeleteTargetGroup, plan.DeleteSecurityGroup:
		return e.succeeding()
	}
	return false
}

func (e *execution) succeeding() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return succeeding(e.now, e.desired)
}

// succeeding says whether one load balancer is replaced by another that does not
// take traffic yet, or never will.
func succeeding(now, desired plan.Stack) bool {
	return len(now.LoadBalancers) > 1 && !takesTraffic(successor(now, desired))
}

// Of the states of a load balancer, those in which it takes no traffic.
const (
	stateProvisioning = "provisioning"
	stateFailed       = "failed"
)

func takesTraffic(lb plan.LoadBalancer) bool {
	return lb.State != stateProvisioning && lb.State != stateFailed
}

// provisioned says whether a load balancer is not active yet.
func (e *execution) provisioned(ref string) (so bool) {
	e.loadBalancer(e.name(ref), func(lb *plan.LoadBalancer) { so = lb.State == stateProvisioning })
	return so
}

// successor is the load balancer of now that is wanted.
func successor(now, desired plan.Stack) plan.LoadBalancer {
	for _, lb := range now.LoadBalancers {
		if len(desired.LoadBalancers) > 0 && lb.Name == desired.LoadBalancers[0].Name {
			return lb
		}
	}
	return plan.LoadBalancer{}
}

// wanted says whether a listener is of the load balancer that is wanted.
func (e *execution) wanted(listener string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.ContainsFunc(successor(e.now, e.desired).Listeners, func(l plan.Listener) bool { return l.ARN == listener })
}

// lastTargets says whether none of the pods that are wanted in the group of c is
// known to be healthy. Where none is wanted nothing is waited for, nor for ever. Of
// nodes none is waited for: which of them are healthy depends on where pods are.
func (p *Provider) lastTargets(stack string, e *execution, c plan.DeregisterTargets) bool {
	r, _ := p.memory.get(stack)
	g := e.group(c.TargetGroup)
	if g.TargetType != annotation.IP || len(r.wanted[g.Key]) == 0 || p.health.anyHealthy(c.TargetGroup, stayingOf(r, g)) {
		return false
	}
	held := false
	p.memory.update(stack, func(r *record) {
		since, waiting := r.held[c.TargetGroup]
		if !waiting {
			since = time.Now()
			later := map[string]time.Time{c.TargetGroup: since}
			for group, at := range r.held {
				later[group] = at
			}
			r.held = later
		}
		held = time.Since(since) < longestHold
	})
	return held
}

// stillHeld leaves of since what targets are still kept for.
func stillHeld(since map[string]time.Time, held []plan.Change) map[string]time.Time {
	kept := map[string]time.Time{}
	for _, c := range held {
		if c, ok := c.(plan.DeregisterTargets); ok {
			kept[c.TargetGroup] = since[c.TargetGroup]
		}
	}
	return kept
}

// group is a target group as it is now.
func (e *execution) group(arn string) plan.TargetGroup {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, g := range e.now.TargetGroups {
		if g.ARN == arn {
			return g
		}
	}
	return plan.TargetGroup{}
}

func union(a, b []plan.Target) []plan.Target {
	out := append(slices.Clone(a), b...)
	slices.SortFunc(out, compareTargets)
	return slices.Compact(out)
}
