package plan

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Desired decides what AWS is to hold for a Service: one load balancer, a
// target group behind each of its listeners, and the security group in front.
// Warnings name what is left out of it, sorted; the error is a
// *providers.Refusal.
//
// What annotations do not say, and the name, is as in Existing where that is
// kept.
func Desired(req Request) (Stack, []string, error) {
	o := outlineOf(req)
	if err := o.replaceable(); err != nil {
		return Stack{}, nil, err
	}
	ports, err := listenerPorts(req)
	if err != nil {
		return Stack{}, nil, err
	}
	lb, err := o.loadBalancer(ports)
	if err != nil {
		return Stack{}, nil, err
	}
	groups, err := o.securityGroups(ports, lb.IPAddressType)
	if err != nil {
		return Stack{}, nil, err
	}
	targetGroups, warnings, err := o.targetGroups(ports, lb.IPAddressType)
	if err != nil {
		return Stack{}, nil, err
	}
	return Stack{LoadBalancers: []LoadBalancer{lb}, TargetGroups: targetGroups, Groups: groups}, warnings, nil
}

// outline is what a load balancer can't change during its life, and the
// existing one that has it, if any.
type outline struct {
	Request
	scheme     annotation.Scheme
	withGroups bool
	existing   *LoadBalancer
}

func outlineOf(req Request) outline {
	o := outline{Request: req, scheme: req.Settings.Scheme, withGroups: !req.Settings.NoSecurityGroups}
	if all := req.Existing.LoadBalancers; o.scheme == "" && len(all) > 0 {
		o.scheme = all[0].Scheme
	}
	if o.scheme == "" {
		o.scheme = annotation.Internal
	}
	o.existing = pickLoadBalancer(req.Existing.LoadBalancers, o.scheme, o.withGroups, o.loadBalancerName())
	if o.existing == nil && o.withGroups && len(req.Settings.SecurityGroups) == 0 {
		// One that was made without security groups can't get any, and nobody asks
		// for them: it stays as it is.
		o.existing = pickLoadBalancer(req.Existing.LoadBalancers, o.scheme, false, o.loadBalancerName())
		o.withGroups = o.existing == nil
	}
	return o
}

// replaceable refuses what would replace a load balancer that must stay, or
// whose name the new one is to have.
func (o outline) replaceable() error {
	if o.existing != nil {
		return nil
	}
	for _, old := range o.Existing.LoadBalancers {
		if old.Name == o.Settings.Name {
			return refuseForNow("%s: %q is the name of the load balancer that has to be replaced, since scheme %s and security groups are given when one is made; allowed is another name, or none",
				annotation.KeyName, old.Name, old.Scheme)
		}
		if protected(old) && o.Settings.Attributes[deletionProtection] != "false" {
			return refuseForNow("load balancer %s has %s=true, and has to be replaced, since its scheme %s and whether it has security groups can't change: set %s=false by %s, or take back the change",
				old.Name, deletionProtection, old.Scheme, deletionProtection, annotation.KeyAttributes)
		}
	}
	return nil
}

func (o outline) loadBalancer(ports []listenerPort) (LoadBalancer, error) {
	lb := LoadBalancer{
		Name:               o.loadBalancerName(),
		Scheme:             o.scheme,
		IPAddressType:      o.addressType(),
		PrivateLinkRules:   o.Settings.PrivateLinkRules,
		PrefixForSourceNAT: o.Settings.PrefixForSourceNAT,
		Attributes:         maps.Clone(o.Settings.Attributes),
		Tags:               o.tags(resourceLoadBalancer),
	}
	if o.existing != nil {
		lb.Name = o.existing.Name
	}
	if !o.withGroups {
		lb.PrivateLinkRules = ""
	}
	if capacity := o.Settings.MinimumCapacity; capacity != nil {
		lb.MinimumCapacity, lb.ManagesCapacity = *capacity, true
	}
	if lb.PrefixForSourceNAT && lb.IPAddressType != annotation.DualStack {
		return LoadBalancer{}, refuse("%s: a load balancer of type %s has no IPv6; allowed with %s: %s",
			annotation.KeyPrefixForSourceNAT, lb.IPAddressType, annotation.KeyIPAddressType, annotation.DualStack)
	}
	var err error
	if lb.Subnets, err = o.subnets(lb.IPAddressType); err != nil {
		return LoadBalancer{}, err
	}
	if lb.SecurityGroups, err = o.attachedGroups(); err != nil {
		return LoadBalancer{}, err
	}
	lb.Listeners = o.listeners(ports)
	return lb, nil
}

func (o outline) addressType() annotation.IPAddressType {
	switch {
	case o.Settings.IPAddressType != "":
		return o.Settings.IPAddressType
	case o.existing != nil:
		return o.existing.IPAddressType
	}
	return annotation.IPv4
}

// sameLife says whether lb can become one of scheme, with or without security
// groups: both are given for life.
func sameLife(lb LoadBalancer, scheme annotation.Scheme, withGroups bool) bool {
	return lb.Scheme == scheme && (len(lb.SecurityGroups) > 0) == withGroups
}

// pickLoadBalancer returns the one that is kept of all: that which is named
// name, else the first by ARN.
func pickLoadBalancer(all []LoadBalancer, scheme annotation.Scheme, withGroups bool, name string) *LoadBalancer {
	return best(all, func(lb LoadBalancer) (int, string) {
		switch {
		case !sameLife(lb, scheme, withGroups):
			return -1, ""
		case lb.Name == name:
			return 0, lb.ARN
		}
		return 1, lb.ARN
	})
}

// deletionProtection is the attribute by which a load balancer can't be
// deleted.
const deletionProtection = "deletion_protection.enabled"

func protected(lb LoadBalancer) bool { return lb.Attributes[deletionProtection] == "true" }

// Deletable says what is in the way of deleting all that was observed: a
// *providers.Refusal where a load balancer is protected from it. Attributes
// have to be looked at first, since listeners go before their load balancer.
func Deletable(observed Stack) error {
	for _, lb := range observed.LoadBalancers {
		if lb.Attributes == nil {
			return fmt.Errorf("delete load balancer %s: its attributes were not looked at", lb.Name)
		}
		if protected(lb) {
			return refuseForNow("load balancer %s has %s=true and stays: set the attribute to false, by %s while the Service exists or at AWS",
				lb.Name, deletionProtection, annotation.KeyAttributes)
		}
	}
	return nil
}

func refuse(format string, args ...any) *providers.Refusal {
	return &providers.Refusal{Reason: providers.ReasonInvalidRequest, Message: fmt.Sprintf(format, args...)}
}

// retryAfter is the first pause before something is tried again that waits for
// users to change something at AWS, who tell nobody.
const retryAfter = 10 * time.Second

// refuseForNow refuses because of what AWS holds.
func refuseForNow(format string, args ...any) *providers.Refusal {
	r := refuse(format, args...)
	r.RetryAfter = retryAfter
	return r
}

// unique drops what comes a second time.
func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
