package aws

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// ask is what one Ensure is asked for.
type ask struct {
	providers.Request
	key   providers.Key
	stack string
	// request is complete but for Existing, and for Settings and Cloud where
	// annotations are wrong.
	request plan.Request
	// hash is of what is wanted; empty if that can't be told without what exists.
	hash string
	// decided says that what is wanted is known, with what exists.
	decided bool
	// warnings are for the user, about what is not looked at.
	warnings []string
}

// read finds out what is asked for, without looking at what exists. It always
// returns an ask to answer.
func (p *Provider) read(ctx context.Context, req providers.Request) (*ask, error) {
	a := &ask{Request: req, key: req.Key(), stack: req.Key().String()}
	settings, warnings, wrong := annotation.Parse(req.Service, annotation.Defaults{TargetType: p.options.TargetType})
	nodes := req.Nodes
	if wrong != nil || settings.TargetType != annotation.IP {
		var again time.Time
		if nodes, again = p.nodes.settle(req.Nodes); !again.IsZero() {
			p.wakes.by(a.key, again)
		}
	}
	a.request = plan.Request{
		Service:        req.Service,
		Nodes:          nodes,
		EndpointSlices: req.EndpointSlices,
		Cluster:        p.options.Cluster,
		Gated:          p.gated(ctx, req),
	}
	if a.warnings = warnings; wrong != nil {
		return a, wrong
	}
	a.request.Settings = settings
	if err := p.inventory.wait(ctx, ever); err != nil {
		return a, err
	}
	// What was applied does not become wrong by what is new in the VPC.
	return a, p.survey(ctx, a, ever)
}

// survey decides what is wanted of what is known of the surroundings, no older
// than age.
func (p *Provider) survey(ctx context.Context, a *ask, age time.Duration) error {
	var err error
	if a.request.Cloud, err = p.cloud(ctx, age, a.request.Settings); err != nil {
		return err
	}
	a.hash = ""
	if wanted, warnings, err := plan.Desired(a.request); err == nil {
		a.hash = plan.Hash(wanted)
		a.warn(warnings)
	}
	return nil
}

// gated returns the addresses of pods that only wait to be healthy targets. Those
// of a Service whose targets are nodes wait too, and have to be told that they are
// none.
func (p *Provider) gated(ctx context.Context, req providers.Request) map[string]bool {
	if p.options.Gates == nil {
		return nil
	}
	return p.options.Gates.Waiting(ctx, req.Key(), req.EndpointSlices)
}

func (a *ask) warn(warnings []string) {
	for _, w := range warnings {
		if !slices.Contains(a.warnings, w) {
			a.warnings = append(a.warnings, w)
		}
	}
}

// cloud is what AWS said about the surroundings, no longer ago than age. The
// shared group is made where settings need it.
func (p *Provider) cloud(ctx context.Context, age time.Duration, settings annotation.Settings) (plan.Cloud, error) {
	network, err := p.topology.network.get(ctx, age)
	if err != nil {
		return plan.Cloud{}, err
	}
	groups, err := p.topology.groups.get(ctx, age)
	if err != nil {
		return plan.Cloud{}, err
	}
	cloud := plan.Cloud{VPC: network.vpc, Subnets: network.subnets, SecurityGroups: groups.names}
	if unmanaged := settings.ManageBackendRules != nil && !*settings.ManageBackendRules; unmanaged {
		return cloud, nil
	}
	cloud.BackendGroup, err = p.backend.group(ctx, groups.byID)
	return cloud, err
}

// upToDate says whether what is wanted was applied: by this process, or by an
// earlier one that left its hash on the Service.
func (p *Provider) upToDate(a *ask) bool {
	r, known := p.memory.get(a.stack)
	if known && r.key == a.key && r.hash != "" {
		// Pods that wait are told how targets are, which takes a look at them.
		same := r.hash == a.hash && (r.stack != nil || len(a.request.Gated) == 0)
		p.memory.update(a.stack, func(r *record) {
			if r.request, r.outdated = a.request, false; same {
				r.gated = a.request.Gated
			}
		})
		return same
	}
	left := a.Service.Annotations[annotation.KeyApplied]
	if r.stack != nil || known && r.version > 0 || a.hash == "" || left != a.hash || !p.shows(a) {
		return false
	}
	if was := meta.FindStatusCondition(a.Service.Status.Conditions, providers.ConditionServing); was != nil && was.Reason == reasonTargetsUnhealthy {
		return false // whether that is still so has to be looked at
	}
	if len(a.request.Gated) > 0 {
		return false // how the targets are that pods wait for, too
	}
	p.memory.update(a.stack, func(r *record) { r.key, r.request, r.outdated, r.hash = a.key, a.request, false, a.hash })
	p.backend.remember(a.stack, a.request)
	return true
}

// shows says whether the status of the Service names a load balancer, and a
// listing does too.
func (p *Provider) shows(a *ask) bool {
	ingress := a.Service.Status.LoadBalancer.Ingress
	return len(ingress) > 0 && ingress[0].Hostname != "" && p.lists(a.stack)
}

// observe returns what AWS holds, from memory where that is known.
func (p *Provider) observe(ctx context.Context, a *ask) (plan.Stack, error) {
	r, _ := p.memory.get(a.stack)
	p.memory.update(a.stack, func(r *record) { r.key, r.request, r.outdated = a.key, a.request, false })
	if r.stack != nil {
		return copyOf(*r.stack), nil
	}
	return p.observer.stack(ctx, a.stack)
}

// copyOf copies what closer fills in.
func copyOf(s plan.Stack) plan.Stack {
	s.LoadBalancers = slices.Clone(s.LoadBalancers)
	for i := range s.LoadBalancers {
		s.LoadBalancers[i].Listeners = slices.Clone(s.LoadBalancers[i].Listeners)
	}
	s.TargetGroups = slices.Clone(s.TargetGroups)
	s.Groups = slices.Clone(s.Groups)
	return s
}

// desire returns what is wanted, given what is observed, which it completes by
// what is managed. Where something is missing, the surroundings are looked at
// once more: it may have been made a moment ago.
func (p *Provider) desire(ctx context.Context, a *ask, observed *plan.Stack) (plan.Stack, error) {
	request := a.request
	request.Existing = *observed
	desired, warnings, err := plan.Desired(request)
	if _, refused := errors.AsType[*providers.Refusal](err); refused && p.refresh() {
		if request.Cloud, err = p.cloud(ctx, topologyAge, request.Settings); err != nil {
			return plan.Stack{}, err
		}
		a.request.Cloud = request.Cloud
		desired, warnings, err = plan.Desired(request)
	}
	if err != nil {
		return plan.Stack{}, err
	}
	a.warn(warnings)
	if err := p.observer.closer(ctx, observed, desired, p.seen); err != nil {
		return plan.Stack{}, err
	}
	if len(observed.LoadBalancers) == 0 || named(*observed, desired.LoadBalancers[0].Name) {
		return desired, nil
	}
	// A load balancer is to be replaced: it must not be protected.
	if err := p.observer.protection(ctx, observed); err != nil {
		return plan.Stack{}, err
	}
	request.Existing = *observed
	desired, _, err = plan.Desired(request)
	return desired, err
}

// refresh has the surroundings be looked at again, unless that was done just
// now.
func (p *Provider) refresh() bool {
	age, known := p.topology.network.age()
	if !known || age < retryAge {
		return false
	}
	p.topology.network.forget()
	p.topology.groups.forget()
	return true
}

func named(s plan.Stack, name string) bool {
	return slices.ContainsFunc(s.LoadBalancers, func(lb plan.LoadBalancer) bool { return lb.Name == name })
}

// keyOf returns the key of the Service that a stack is of: of that which is
// there, of the life that asked last, or of none.
func (p *Provider) keyOf(stack string) providers.Key {
	namespace, name, _ := strings.Cut(stack, "/")
	if p.options.Service != nil {
		if svc, ok := p.options.Service(namespace, name); ok {
			return providers.KeyOf(svc)
		}
	}
	if r, known := p.memory.get(stack); known && r.key.Name != "" {
		return r.key
	}
	return providers.Key{Namespace: namespace, Name: name}
}
