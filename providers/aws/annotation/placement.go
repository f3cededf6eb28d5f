package annotation

import (
	"net/netip"
	"strings"
)

// placement reads where the load balancer gets its addresses.
func (r *reader) placement(s *Settings) {
	s.Subnets = r.list(KeySubnets) // a name may come twice, for two subnets that have it
	s.EIPAllocations = r.distinct(KeyEIPAllocations, elements(r, KeyEIPAllocations, "IDs of allocations, as eipalloc-0123456789abcdef0", prefixed("eipalloc-")))
	s.PrivateIPv4 = elements(r, KeyPrivateIPv4, "IPv4 addresses", ipv4)
	s.IPv6 = elements(r, KeyIPv6, "IPv6 addresses", ipv6)
	s.PrefixForSourceNAT = r.choice(KeyPrefixForSourceNAT, "on", "off") == "on"
	s.SourceNATPrefixes = elements(r, KeySourceNATPrefixes, "IPv6 prefixes of length 80 and "+autoAssigned, sourceNATPrefix)

	for _, key := range []string{KeyEIPAllocations, KeyPrivateIPv4, KeyIPv6, KeySourceNATPrefixes} {
		if n := len(r.list(key)); n > 0 && len(s.Subnets) > 0 && n != len(s.Subnets) {
			r.problem("%s: %d of them for %d subnets; allowed is one for each of %s", key, n, len(s.Subnets), KeySubnets)
		}
	}
	r.fits(s)
}

// fits refuses addresses that the load balancer can't have.
func (r *reader) fits(s *Settings) {
	if len(s.EIPAllocations) > 0 && s.Scheme == Internal {
		r.problem("%s: an internal load balancer has none; allowed with %s: %s", KeyEIPAllocations, KeyScheme, InternetFacing)
	}
	if len(s.PrivateIPv4) > 0 && s.Scheme == InternetFacing {
		r.problem("%s: an internet-facing load balancer can't have them; allowed with %s: %s", KeyPrivateIPv4, KeyScheme, Internal)
	}
	if len(s.EIPAllocations) > 0 && len(s.PrivateIPv4) > 0 {
		r.problem("%s: excludes %s; allowed is one of both", KeyEIPAllocations, KeyPrivateIPv4)
	}
	if s.IPAddressType == IPv4 {
		for _, key := range []string{KeyIPv6, KeyPrefixForSourceNAT} {
			if v := r.value(key); v != "" && v != "off" {
				r.problem("%s: %s is about IPv6; allowed with %s: %s", key, quote(v), KeyIPAddressType, DualStack)
			}
		}
	}
	if len(s.SourceNATPrefixes) > 0 && !s.PrefixForSourceNAT {
		r.problem("%s: no prefix is used for source NAT; allowed with %s: on", KeySourceNATPrefixes, KeyPrefixForSourceNAT)
	}
}

func ipv4(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	return a, err == nil && a.Is4()
}

func ipv6(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	return a, err == nil && a.Is6() && !a.Is4In6() && a.Zone() == ""
}

// autoAssigned has AWS choose a prefix.
const autoAssigned = "auto_assigned"

func sourceNATPrefix(text string) (netip.Prefix, bool) {
	if text == autoAssigned {
		return netip.Prefix{}, true
	}
	p, ok := cidr(text)
	return p, ok && p.Addr().Is6() && p.Bits() == 80
}

// cidr reads a prefix, and drops the bits of a host.
func cidr(text string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(strings.TrimSpace(text))
	return p.Masked(), err == nil && !p.Addr().Is4In6()
}
