package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// Rule is the reason of a Refusal.
type Rule uint8

// The rules by which an address is refused.
const (
	RuleNone Rule = iota

	// The request contradicts itself.

	RuleMalformed       // no family, an unknown one, one twice, or an address that is none
	RuleTwoAddresses    // two requested addresses of one family
	RuleAddressFamily   // a requested address of a family that is not wanted
	RuleDifferentPools  // requested addresses in different pools
	RuleOutsidePool     // a requested address outside the requested pool
	RuleOtherRequested  // an address was shown where another is requested
	RuleOnePerFamily    // an address was shown beside another of its family
	RuleUnknownPool     // the requested pool does not exist
	RuleAddressInNoPool // a requested address in no pool
	RuleAddressExcluded // a requested address that its pool never gives out

	// A pool does not give.

	RuleNamespace       // the pool's namespaces and namespaceSelectors
	RuleServiceSelector // the pool's serviceSelectors
	RuleFrozen          // the pool is not valid
	RuleNoFamily        // the pool has no range of the family
	RuleExhausted       // all addresses are in use
	RuleNoPools         // there are no pools
	RuleNoAutoAssign    // no pool gives addresses to who does not name it
	RuleNoPoolMatches   // no pool that does is for this Service

	// An address is in use.

	RuleInUse         // and can't be shared, as one of the two has no sharing key
	RuleInUseKey      // under another sharing key, which is told to nobody: it opens the address
	RuleInUsePort     // on the same port
	RuleInUseBackend  // with another traffic policy or selector
	RuleInUseRetiring // until its last holder's status no longer shows it
)

var ruleNames = [...]string{
	"None", "Malformed", "TwoAddresses", "AddressFamily", "DifferentPools", "OutsidePool", "OtherRequested",
	"OnePerFamily", "UnknownPool", "AddressInNoPool", "AddressExcluded", "Namespace", "ServiceSelector", "Frozen",
	"NoFamily", "Exhausted", "NoPools", "NoAutoAssign", "NoPoolMatches", "InUse", "InUseKey", "InUsePort",
	"InUseBackend", "InUseRetiring",
}

func (r Rule) String() string { return ruleNames[r] }

// InUse tells whether the rule is one of those by which an address is in use.
func (r Rule) InUse() bool { return r >= RuleInUse }

// maxReasons bounds how many pools a Refusal tells of.
const maxReasons = 8

// PoolReason says why one pool gave no address.
type PoolReason struct {
	Pool string
	Rule Rule
}

// Refusal says why a Service did not get an address. Which fields are set
// depends on the rule.
type Refusal struct {
	Rule Rule
	// Family is that of the address that could not be had; zero if none could.
	Family Family
	// Pool is the pool that refused; OtherPool the one that it is at odds with.
	Pool, OtherPool string
	// Pools say, where the Service named no pool, why each one that gives
	// automatically did not, in the order in which they were asked; at most
	// eight, and More others.
	Pools []PoolReason
	More  int
	// Address is the one that was refused; Other one that it is at odds with.
	Address, Other netip.Addr
	// Holder is who holds Address, and Port the port that it uses there too.
	Holder ID
	Port   Port
	// Detail is what is wrong with a malformed request.
	Detail string
}

// Error says in a sentence for the user what stands in the way, and what to do.
func (r *Refusal) Error() string {
	switch r.Rule {
	case RuleMalformed:
		return "the request is not valid: " + r.Detail
	case RuleTwoAddresses:
		return fmt.Sprintf("both %s and %s are requested: request at most one %s address", r.Other, r.Address, r.Family)
	case RuleAddressFamily:
		return fmt.Sprintf("%s is requested, but %s is not among the Service's ipFamilies: request an address of a family that it has, or change ipFamilies", r.Address, r.Family)
	case RuleDifferentPools:
		return fmt.Sprintf("the requested addresses %s and %s are in different pools, %s and %s: request addresses of one pool", r.Other, r.Address, r.OtherPool, r.Pool)
	case RuleOutsidePool:
		return fmt.Sprintf("the address %s is in pool %s, not in the requested pool %s: request an address of that pool, or the other pool", r.Address, r.Pool, r.OtherPool)
	case RuleOtherRequested:
		return fmt.Sprintf("the status shows %s, but %s is requested: the address changes", r.Address, r.Other)
	case RuleOnePerFamily:
		return fmt.Sprintf("the status shows both %s and %s: one %s address is kept", r.Other, r.Address, r.Family)
	case RuleUnknownPool:
		return fmt.Sprintf("the requested pool %s does not exist: create it, or request another", r.Pool)
	case RuleAddressInNoPool:
		return fmt.Sprintf("the address %s is in no pool: add it to one, or request another", r.Address)
	case RuleAddressExcluded:
		return fmt.Sprintf("pool %s never gives out the address %s, which its avoidBuggyIPs or its exclusions leave out: request another", r.Pool, r.Address)
	case RuleNamespace, RuleServiceSelector, RuleFrozen, RuleNoFamily:
		return r.onePool()
	case RuleExhausted, RuleNoPoolMatches:
		return r.somePools()
	case RuleNoPools:
		return "there are no address pools: create an IPAddressPool"
	case RuleNoAutoAssign:
		return "no pool gives addresses automatically: request a pool by name, or set autoAssign on one"
	case RuleInUse:
		return fmt.Sprintf("the address %s of pool %s is in use by %s: request another, or give both Services the same sharing key", r.Address, r.Pool, r.Holder)
	case RuleInUseKey:
		return fmt.Sprintf("the address %s of pool %s is in use by %s under another sharing key: request another, or give both Services the same key", r.Address, r.Pool, r.Holder)
	case RuleInUsePort:
		return fmt.Sprintf("the address %s of pool %s can't be shared with %s, which uses port %s too: change the port, or request another address", r.Address, r.Pool, r.Holder, r.Port)
	case RuleInUseBackend:
		return fmt.Sprintf("the address %s of pool %s can't be shared with %s, whose externalTrafficPolicy or selector differs: make both Cluster or the selectors equal, or request another address", r.Address, r.Pool, r.Holder)
	case RuleInUseRetiring:
		return fmt.Sprintf("the address %s of pool %s is still shown in the status of %s: it comes free once that is updated", r.Address, r.Pool, r.Holder)
	}
	return "refused: " + r.Rule.String()
}

func (r *Refusal) onePool() string {
	if r.Pool == "" {
		return r.somePools()
	}
	return fmt.Sprintf("pool %s %s: %s", r.Pool, r.why(r.Rule), r.nextStep())
}

func (r *Refusal) somePools() string {
	if r.Pool != "" {
		return r.onePool()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "no pool gives the Service an %s address: ", r.Family)
	for i, p := range r.Pools {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "pool %s %s", p.Pool, r.why(p.Rule))
	}
	if r.More > 0 {
		fmt.Fprintf(&b, "; and %d more", r.More)
	}
	return b.String() + ": " + r.nextStep()
}

// why says what about a pool stands in the way.
func (r *Refusal) why(rule Rule) string {
	switch rule {
	case RuleNamespace:
		return "is not for the Service's namespace"
	case RuleServiceSelector:
		return "is not for Services with its labels"
	case RuleFrozen:
		return "is not valid and gives no new addresses"
	case RuleNoFamily:
		return "has no range of " + r.Family.String()
	}
	return "has no free " + r.Family.String() + " address"
}

func (r *Refusal) nextStep() string {
	switch r.Rule {
	case RuleNamespace:
		return "change its serviceAllocation namespaces or namespaceSelectors, or request another pool"
	case RuleServiceSelector:
		return "change its serviceAllocation serviceSelectors or the Service's labels, or request another pool"
	case RuleFrozen:
		return "correct the pool, whose ConfigurationState names the field"
	case RuleNoFamily:
		return "add a range of " + r.Family.String() + ", or change the Service's ipFamilies"
	case RuleNoPoolMatches:
		return "request a pool by name, or change the serviceAllocation of one"
	}
	return "add addresses, or delete Services that hold some"
}
