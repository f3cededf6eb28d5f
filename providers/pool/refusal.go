package pool

import (
	"errors"
	"fmt"

	"github.com/berth-lb/berth/ipam"
	"github.com/berth-lb/berth/providers"
)

// refusal puts what ipam refused in terms of the condition. The caller holds
// mu.
func (p *Provider) refusal(err error) error {
	var refused *ipam.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	if _, none := p.pools[unconfigured]; none || len(p.pools) == 0 {
		return &providers.Refusal{
			Reason:  providers.ReasonNoPool,
			Message: fmt.Sprintf("namespace %s has no IPAddressPool: create one there", p.namespace),
		}
	}
	return &providers.Refusal{Reason: reasonOf(refused.Rule), Message: refused.Error()}
}

func reasonOf(rule ipam.Rule) string {
	switch rule {
	case ipam.RuleUnknownPool, ipam.RuleNamespace, ipam.RuleServiceSelector, ipam.RuleFrozen, ipam.RuleNoFamily,
		ipam.RuleNoPools, ipam.RuleNoAutoAssign, ipam.RuleNoPoolMatches:
		return providers.ReasonNoPool
	case ipam.RuleExhausted:
		return providers.ReasonPoolExhausted
	case ipam.RuleAddressInNoPool, ipam.RuleAddressExcluded, ipam.RuleOutsidePool, ipam.RuleDifferentPools:
		return providers.ReasonAddressNotInPool
	}
	if rule.InUse() {
		return providers.ReasonAddressInUse
	}
	return providers.ReasonInvalidRequest
}
