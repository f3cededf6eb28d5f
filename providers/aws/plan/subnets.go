package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// minFreeAddresses is what AWS asks of a subnet.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/network/availability-zones.html
const minFreeAddresses = 8

// subnets returns the zones of the load balancer, sorted by subnet.
func (o outline) subnets(addresses annotation.IPAddressType) ([]SubnetMapping, error) {
	chosen, err := o.chooseSubnets()
	if err != nil {
		return nil, err
	}
	if err := o.suitable(chosen, addresses); err != nil {
		return nil, err
	}
	mappings := make([]SubnetMapping, len(chosen))
	for i, s := range chosen {
		mappings[i] = SubnetMapping{SubnetID: s.ID, Zone: s.Zone}
	}
	if err := o.giveAddresses(chosen, mappings); err != nil {
		return nil, err
	}
	slices.SortFunc(mappings, func(a, b SubnetMapping) int { return strings.Compare(a.SubnetID, b.SubnetID) })
	return mappings, o.reachable(mappings)
}

// chooseSubnets takes those that are named, in their order; else those that the
// load balancer has; else those that are found, sorted by ID.
func (o outline) chooseSubnets() ([]Subnet, error) {
	switch {
	case len(o.Settings.Subnets) > 0:
		return o.namedSubnets()
	case o.existing != nil:
		return o.existingSubnets(), nil
	}
	return o.discoverSubnets()
}

func (o outline) existingSubnets() []Subnet {
	var chosen []Subnet
	for _, m := range o.existing.Subnets {
		s := Subnet{ID: m.SubnetID, Zone: m.Zone}
		if i := slices.IndexFunc(o.Cloud.Subnets, func(s Subnet) bool { return s.ID == m.SubnetID }); i >= 0 {
			s = o.Cloud.Subnets[i]
		}
		chosen = append(chosen, s)
	}
	return chosen
}

// namedSubnets looks up IDs and values of the tag Name. A name that is given
// twice means two subnets.
func (o outline) namedSubnets() ([]Subnet, error) {
	var chosen []Subnet
	for _, name := range o.Settings.Subnets {
		found := slices.DeleteFunc(o.subnetsNamed(name), func(s Subnet) bool {
			return slices.ContainsFunc(chosen, func(c Subnet) bool { return c.ID == s.ID })
		})
		if len(found) == 0 {
			return nil, refuseForNow("%s: %q is neither the ID nor the tag Name of a subnet of VPC %s; allowed are those it has: %s",
				annotation.KeySubnets, name, o.Cloud.VPC.ID, some(o.Cloud.Subnets, func(s Subnet) string { return s.ID }))
		}
		chosen = append(chosen, found[0])
	}
	return chosen, nil
}

// subnetsNamed puts those first that the load balancer has: where a name is
// that of several, nothing moves.
func (o outline) subnetsNamed(name string) []Subnet {
	var used, others []Subnet
	for _, s := range o.Cloud.Subnets {
		switch {
		case s.ID != name && s.Tags["Name"] != name:
		case o.existing != nil && slices.ContainsFunc(o.existing.Subnets, func(m SubnetMapping) bool { return m.SubnetID == s.ID }):
			used = append(used, s)
		default:
			others = append(others, s)
		}
	}
	return append(used, others...)
}

// discoverSubnets finds one subnet for each zone: by the tag for the scheme or,
// where no subnet has it, by whether a subnet leads to the internet; among
// several those that are tagged for this cluster, then the lowest ID.
// https://docs.aws.amazon.com/eks/latest/userguide/network-load-balancing.html
func (o outline) discoverSubnets() ([]Subnet, error) {
	candidates := filter(o.Cloud.Subnets, func(s Subnet) bool { return hasRole(s, o.scheme) })
	if len(candidates) == 0 {
		candidates = filter(o.Cloud.Subnets, func(s Subnet) bool { return s.Public == (o.scheme == annotation.InternetFacing) })
	}
	byZone := map[string]Subnet{}
	for _, s := range candidates {
		if o.unusable(s) != "" {
			continue
		}
		if best, taken := byZone[s.Zone]; !taken || o.rank(s) < o.rank(best) {
			byZone[s.Zone] = s
		}
	}
	chosen := filter(candidates, func(s Subnet) bool { return byZone[s.Zone].ID == s.ID })
	if len(chosen) == 0 {
		return nil, o.noSubnet(candidates)
	}
	slices.SortFunc(chosen, func(a, b Subnet) int { return strings.Compare(a.ID, b.ID) })
	return chosen, nil
}

// rank orders the subnets of a zone, the best first.
func (o outline) rank(s Subnet) string {
	if _, own := s.Tags[clusterTagPrefix+o.Cluster.Name]; own {
		return "0" + s.ID
	}
	return "1" + s.ID
}

func roleTag(scheme annotation.Scheme) string {
	if scheme == annotation.InternetFacing {
		return "kubernetes.io/role/elb"
	}
	return "kubernetes.io/role/internal-elb"
}

func hasRole(s Subnet, scheme annotation.Scheme) bool {
	value, tagged := s.Tags[roleTag(scheme)]
	return tagged && (value == "" || value == "1")
}

const (
	clusterTagPrefix = "kubernetes.io/cluster/"
	zoneOfRegion     = "availability-zone"
)

// unusable says why discovery leaves s out, empty if it does not.
func (o outline) unusable(s Subnet) string {
	other := ""
	for key := range s.Tags {
		if name, ok := strings.CutPrefix(key, clusterTagPrefix); ok && (other == "" || name < other) {
			other = name
		}
	}
	_, own := s.Tags[clusterTagPrefix+o.Cluster.Name]
	switch {
	case s.ZoneType != "" && s.ZoneType != zoneOfRegion:
		return "is in a " + s.ZoneType
	case other != "" && !own:
		return "is tagged for cluster " + other
	case s.FreeAddresses < minFreeAddresses:
		return fmt.Sprintf("has %d free addresses, %d are needed", s.FreeAddresses, minFreeAddresses)
	}
	return ""
}

func (o outline) noSubnet(candidates []Subnet) error {
	if len(candidates) == 0 {
		return refuseForNow("no subnet of VPC %s is for load balancers of scheme %s: tag one in each zone with %s=1 (there are %s), or name them by %s",
			o.Cloud.VPC.ID, o.scheme, roleTag(o.scheme), some(o.Cloud.Subnets, func(s Subnet) string { return s.ID }), annotation.KeySubnets)
	}
	return refuseForNow("no subnet of VPC %s can be used for scheme %s: %s; change that, tag others with %s=1, or name them by %s",
		o.Cloud.VPC.ID, o.scheme, some(candidates, func(s Subnet) string { return s.ID + " " + o.unusable(s) }), roleTag(o.scheme), annotation.KeySubnets)
}

// suitable refuses two subnets in a zone, and those without IPv6 for a load
// balancer that has it.
func (o outline) suitable(chosen []Subnet, addresses annotation.IPAddressType) error {
	inZone := map[string]string{}
	for _, s := range chosen {
		if first, taken := inZone[s.Zone]; taken && s.Zone != "" {
			return refuseForNow("%s: %s and %s are both in zone %s; allowed is one for each zone", annotation.KeySubnets, first, s.ID, s.Zone)
		}
		inZone[s.Zone] = s.ID
		if addresses == annotation.DualStack && len(s.IPv6) == 0 && s.CIDR.IsValid() {
			return refuseForNow("%s: %s needs IPv6, and subnet %s has no IPv6 range: give it one, or use %s", annotation.KeyIPAddressType, addresses, s.ID, annotation.IPv4)
		}
	}
	return nil
}

// giveAddresses puts the addresses that are asked for into the mappings of the
// chosen subnets.
func (o outline) giveAddresses(chosen []Subnet, mappings []SubnetMapping) error {
	if err := o.allowedAddresses(chosen); err != nil {
		return err
	}
	for i, allocation := range o.allocations(chosen) {
		mappings[i].AllocationID = allocation
	}
	for i, prefix := range o.Settings.SourceNATPrefixes {
		mappings[i].SourceNATPrefix = prefix
	}
	for i, s := range chosen {
		var err error
		if mappings[i].PrivateIPv4, err = within(annotation.KeyPrivateIPv4, o.Settings.PrivateIPv4, s, s.CIDR); err != nil {
			return err
		}
		if mappings[i].IPv6, err = within(annotation.KeyIPv6, o.Settings.IPv6, s, s.IPv6...); err != nil {
			return err
		}
	}
	return nil
}

// allowedAddresses refuses what only shows once scheme and subnets are known.
func (o outline) allowedAddresses(chosen []Subnet) error {
	for _, asked := range []struct {
		key   string
		count int
		only  annotation.Scheme
	}{
		{annotation.KeyEIPAllocations, len(o.Settings.EIPAllocations), annotation.InternetFacing},
		{annotation.KeyPrivateIPv4, len(o.Settings.PrivateIPv4), annotation.Internal},
		{annotation.KeyIPv6, len(o.Settings.IPv6), o.scheme},
		{annotation.KeySourceNATPrefixes, len(o.Settings.SourceNATPrefixes), o.scheme},
	} {
		switch {
		case asked.count == 0:
		case asked.only != o.scheme:
			return refuse("%s: the load balancer is %s; allowed with %s: %s", asked.key, o.scheme, annotation.KeyScheme, asked.only)
		case asked.count != len(chosen):
			return refuseForNow("%s: %d for %d subnets (%s); allowed is one for each", asked.key, asked.count, len(chosen), some(chosen, func(s Subnet) string { return s.ID }))
		}
	}
	return nil
}

// allocations gives Elastic IPs to subnets in their order. Where no subnets are
// named nobody knows that order, and what the load balancer has is right if it
// has the same.
func (o outline) allocations(chosen []Subnet) []string {
	asked := o.Settings.EIPAllocations
	if o.existing == nil || len(o.Settings.Subnets) > 0 || len(asked) == 0 {
		return asked
	}
	var has []string
	for _, s := range chosen {
		i := slices.IndexFunc(o.existing.Subnets, func(m SubnetMapping) bool { return m.SubnetID == s.ID })
		has = append(has, o.existing.Subnets[i].AllocationID)
	}
	if sameSet(asked, has) {
		return has
	}
	return asked
}

// within returns the address that lies in a subnet, none if none is asked for.
func within(key string, asked []netip.Addr, s Subnet, ranges ...netip.Prefix) (netip.Addr, error) {
	if len(asked) == 0 {
		return netip.Addr{}, nil
	}
	for _, a := range asked {
		if slices.ContainsFunc(ranges, func(p netip.Prefix) bool { return p.Contains(a) }) {
			return a, nil
		}
	}
	return netip.Addr{}, refuseForNow("%s: none of %v is in subnet %s; allowed are addresses of %v", key, asked, s.ID, ranges)
}

// reachable refuses a change that would take the load balancer its only zone: a
// zone gets another subnet or other addresses only by going and coming back.
func (o outline) reachable(mappings []SubnetMapping) error {
	if o.existing == nil || len(mappings) != 1 {
		return nil
	}
	for _, has := range o.existing.Subnets {
		if moves(has, mappings[0]) {
			return refuseForNow("%s is the only zone of load balancer %s, and can't get another subnet or other addresses while it is: add a second zone by %s first, or delete and create the Service",
				has.Zone, o.existing.Name, annotation.KeySubnets)
		}
	}
	return nil
}

func filter[T any](list []T, keep func(T) bool) []T {
	var out []T
	for _, element := range list {
		if keep(element) {
			out = append(out, element)
		}
	}
	return out
}

// shown is how many objects a message spells out.
const shown = 5

// some lists the first of many, "none" where there are none.
func some[T any](list []T, text func(T) string) string {
	if len(list) == 0 {
		return "none"
	}
	var out []string
	for _, element := range list[:min(len(list), shown)] {
		out = append(out, text(element))
	}
	if more := len(list) - shown; more > 0 {
		return strings.Join(out, ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(out, ", ")
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
