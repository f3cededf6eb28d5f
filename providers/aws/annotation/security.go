package annotation

import (
	"fmt"
	"net/netip"
	"slices"
)

// security reads who may connect, and by which security groups.
func (r *reader) security(s *Settings) {
	s.SecurityGroups = r.distinct(KeySecurityGroups, r.list(KeySecurityGroups))
	s.NoSecurityGroups = r.flag(KeyNoSecurityGroups)
	s.ManageBackendRules = r.boolean(KeyManageBackendRules)
	s.PrivateLinkRules = r.choice(KeyPrivateLinkRules, "on", "off")
	s.PrefixLists = r.distinct(KeyPrefixLists, elements(r, KeyPrefixLists, "IDs of prefix lists, as pl-0123456789abcdef0", prefixed("pl-")))
	s.PathMTUDiscovery = r.choice(KeyPathMTU, "on", "off") == "on"
	s.SourceRanges = r.sourceRanges()

	if len(s.SecurityGroups) > 0 && s.NoSecurityGroups {
		r.problem("%s: true excludes %s; allowed is one of both", KeyNoSecurityGroups, KeySecurityGroups)
	}
	if len(s.SecurityGroups) > 0 && len(s.SourceRanges)+len(s.PrefixLists) > 0 {
		r.warn("spec.loadBalancerSourceRanges, %s and %s are not looked at: the groups of %s decide who may connect", KeySourceRanges, KeyPrefixLists, KeySecurityGroups)
	}
}

func (r *reader) flag(key string) bool {
	b := r.boolean(key)
	return b != nil && *b
}

// sourceRanges are those of the spec or, where it has none, the annotation.
func (r *reader) sourceRanges() []netip.Prefix {
	const allowed = "CIDRs, as 192.0.2.0/24"
	ranges := elements(r, KeySourceRanges, allowed, cidr)
	if fields := r.svc.Spec.LoadBalancerSourceRanges; len(fields) > 0 {
		ranges = nil
		for i, text := range fields {
			p, ok := cidr(text)
			if !ok {
				r.refuse(fmt.Sprintf("spec.loadBalancerSourceRanges[%d]", i), text, allowed)
			}
			ranges = append(ranges, p)
		}
	}
	slices.SortFunc(ranges, netip.Prefix.Compare)
	return slices.Compact(ranges)
}
