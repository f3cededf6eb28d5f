package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// normal returns the list of rules that stands for all that let in what rules
// do, sorted and without descriptions. It has neighbouring ports in one rule and
// as few CIDRs for them as there can be.
func normal(rules []Rule) []Rule {
	var out []Rule
	for _, protocol := range protocolsOf(rules) {
		ofProtocol := filter(rules, func(r Rule) bool { return r.Protocol == protocol })
		for _, span := range spans(ofProtocol) {
			for _, source := range sourcesFor(ofProtocol, span) {
				source.Protocol, source.From, source.To = protocol, span.from, span.to
				out = extend(out, source)
			}
		}
	}
	slices.SortFunc(out, compareRules)
	return out
}

func protocolsOf(rules []Rule) []string {
	set := map[string]bool{}
	for _, r := range rules {
		set[r.Protocol] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// span is a range of ports, or a type and a code of ICMP.
type span struct{ from, to int32 }

// hasPorts says whether From and To of a rule are a range.
func hasPorts(protocol string) bool { return protocol == "tcp" || protocol == "udp" }

// spans cuts all ports of rules of one protocol where some rule begins or ends.
func spans(rules []Rule) []span {
	set := map[span]bool{}
	if !hasPorts(rules[0].Protocol) {
		for _, r := range rules {
			set[span{r.From, r.To}] = true
		}
		return slices.SortedFunc(maps.Keys(set), func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	}
	cuts := map[int32]bool{}
	for _, r := range rules {
		cuts[r.From], cuts[r.To+1] = true, true
	}
	starts := slices.Sorted(maps.Keys(cuts))
	var out []span
	for i := range len(starts) - 1 {
		out = append(out, span{starts[i], starts[i+1] - 1})
	}
	return out
}

// sourcesFor returns who gets in at all of s, with as few CIDRs as there can
// be.
func sourcesFor(rules []Rule, s span) []Rule {
	var cidrs netipx.IPSetBuilder
	others := map[Rule]bool{}
	for _, r := range rules {
		switch inside := r.From <= s.from && s.to <= r.To; {
		case hasPorts(r.Protocol) && !inside, !hasPorts(r.Protocol) && s != span{r.From, r.To}:
		case r.CIDR.IsValid():
			cidrs.AddPrefix(r.CIDR)
		default:
			others[Rule{PrefixList: r.PrefixList, Group: r.Group}] = true
		}
	}
	out := slices.Collect(maps.Keys(others))
	// The builder only fails on prefixes that are not valid.
	if set, err := cidrs.IPSet(); err == nil {
		for _, p := range set.Prefixes() {
			out = append(out, Rule{CIDR: p})
		}
	}
	return out
}

// extend appends r, or lengthens the rule that ends where r begins.
func extend(rules []Rule, r Rule) []Rule {
	for i, last := range rules {
		if hasPorts(r.Protocol) && last.To+1 == r.From && sameSource(last, r) && last.Protocol == r.Protocol {
			rules[i].To = r.To
			return rules
		}
	}
	return append(rules, r)
}

func sameSource(a, b Rule) bool {
	return a.CIDR == b.CIDR && a.PrefixList == b.PrefixList && a.Group == b.Group
}

func compareRules(a, b Rule) int {
	return cmp.Or(
		cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To),
		compareCIDRs(a.CIDR, b.CIDR), cmp.Compare(a.PrefixList, b.PrefixList), cmp.Compare(a.Group, b.Group))
}

func compareCIDRs(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// without returns the rules of all that are not in others, which may have
// other descriptions.
func without(all, others []Rule) []Rule {
	return filter(all, func(r Rule) bool {
		return !slices.ContainsFunc(others, func(o Rule) bool { return compareRules(r, o) == 0 })
	})
}

// ownRules is how many inbound rules of one family a security group may have, by
// default.
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const ownRules = 60

// Exchange returns the rules by which a security group that has no room for old and
// new ones beside each other comes to have those that are wanted, and whether there
// should be room for these: nobody knows for how many rules a prefix list counts
// that is not there yet.
func Exchange(has, want []Rule) (add, remove []Rule, fits bool) {
	add, remove = without(want, has), without(has, want)
	fits = len(remove) > 0 && !slices.ContainsFunc(add, func(r Rule) bool { return r.PrefixList != "" })
	for _, v6 := range []bool{false, true} {
		fits = fits && count(want, v6) <= max(count(has, v6), ownRules)
	}
	return add, remove, fits
}

// count counts the rules of a family; those without CIDR are of both.
func count(rules []Rule, v6 bool) int {
	return len(filter(rules, func(r Rule) bool { return !r.CIDR.IsValid() || r.CIDR.Addr().Is6() == v6 }))
}
