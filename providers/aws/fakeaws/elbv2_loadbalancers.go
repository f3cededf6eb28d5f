package fakeaws

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

const (
	describedAtOnce = 20  // by ARN or name, and tags
	elbPage         = 400 // elements of a page
	freeAddresses   = 8   // that a subnet needs to have
)

var elbName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)

func checkName(what, name string) error {
	switch {
	case len(name) > 32:
		return invalid("The %s name '%s' cannot be longer than '32' characters", what, name)
	case !elbName.MatchString(name):
		return invalid("The %s name '%s' can only contain alphanumeric characters and hyphens, and must not begin or end with a hyphen", what, name)
	case what == "load balancer" && strings.HasPrefix(name, "internal-"):
		return invalid("The load balancer name '%s' must not begin with 'internal-'", name)
	}
	return nil
}

func (c *Cloud) createLoadBalancer(in *elbv2.CreateLoadBalancerInput) (*elbv2.CreateLoadBalancerOutput, error) {
	if err := checkName("load balancer", *in.Name); err != nil {
		return nil, err
	}
	if in.Type != elb.LoadBalancerTypeEnumNetwork {
		return nil, invalid("Load balancers of type '%s' are not made here: a caller that wants a Network Load Balancer has to say so", cmp.Or(in.Type, "application"))
	}
	tags, err := c.newTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if err := c.permitted(elbv2Service, "CreateLoadBalancer", tags); err != nil {
		return nil, err
	}
	lb, err := c.wantedLoadBalancer(in)
	if err != nil {
		return nil, err
	}
	for _, other := range c.loadBalancers {
		if other.name != lb.name {
			continue
		}
		if !other.alike(lb) {
			return nil, refuse("DuplicateLoadBalancerName", "A load balancer with the same name '%s' exists, but with different settings", lb.name)
		}
		return &elbv2.CreateLoadBalancerOutput{LoadBalancers: []elb.LoadBalancer{c.showLoadBalancer(other)}}, nil
	}
	if len(c.loadBalancers) >= c.options.Limits.LoadBalancers {
		return nil, refuse("TooManyLoadBalancers", "The maximum number of load balancers has been reached")
	}
	if err := c.checkAllocations(lb, lb.mappings); err != nil {
		return nil, err
	}
	lb.id = c.number("load balancer", 16)
	lb.arn = c.arn(elbv2Service, fmt.Sprintf("loadbalancer/net/%s/%s", lb.name, lb.id))
	lb.dnsName = fmt.Sprintf("%s-%s.elb.%s.amazonaws.com", lb.name, lb.id, c.options.Region)
	lb.tags, lb.created, lb.failed = tags, c.now(), c.failing
	lb.attributes = defaultLoadBalancerAttributes(lb)
	c.loadBalancers[lb.arn] = lb
	c.setTags(lb.arn, tags)
	return &elbv2.CreateLoadBalancerOutput{LoadBalancers: []elb.LoadBalancer{c.showLoadBalancer(lb)}}, nil
}

// wantedLoadBalancer checks what is asked for, all but what others have.
func (c *Cloud) wantedLoadBalancer(in *elbv2.CreateLoadBalancerInput) (*loadBalancer, error) {
	lb := &loadBalancer{
		name:      *in.Name,
		scheme:    cmp.Or(in.Scheme, elb.LoadBalancerSchemeEnumInternetFacing),
		ipType:    cmp.Or(in.IpAddressType, elb.IpAddressTypeIpv4),
		sourceNAT: cmp.Or(in.EnablePrefixForIpv6SourceNat, elb.EnablePrefixForIpv6SourceNatEnumOff),
	}
	switch {
	case in.CustomerOwnedIpv4Pool != nil || in.IpamPools != nil:
		return nil, invalid("CustomerOwnedIpv4Pool and IpamPools are not supported for load balancers of type 'network'")
	case lb.ipType == elb.IpAddressTypeDualstackWithoutPublicIpv4:
		return nil, invalid("The IP address type '%s' is not supported for load balancers of type 'network'", lb.ipType)
	}
	var err error
	if lb.mappings, err = c.wantedMappings(lb, in.Subnets, in.SubnetMappings); err != nil {
		return nil, err
	}
	lb.vpc = c.subnets[lb.mappings[0].subnet].vpc
	if lb.scheme == elb.LoadBalancerSchemeEnumInternetFacing && !c.vpcs[lb.vpc].gateway {
		return nil, refuse("InvalidSubnet", "VPC %s has no internet gateway", lb.vpc)
	}
	if lb.groups, err = c.wantedGroups(lb.vpc, in.SecurityGroups); err != nil {
		return nil, err
	}
	if len(lb.groups) > 0 {
		lb.privateLink = elb.EnforceSecurityGroupInboundRulesOnPrivateLinkTrafficEnumOn
	}
	return lb, nil
}

// wantedMappings are sorted by zone.
func (c *Cloud) wantedMappings(lb *loadBalancer, subnets []string, asked []elb.SubnetMapping) ([]mapping, error) {
	if len(subnets) > 0 && len(asked) > 0 {
		return nil, invalid("You can specify either subnets or subnet mappings, not both")
	}
	for _, id := range subnets {
		asked = append(asked, elb.SubnetMapping{SubnetId: &id})
	}
	if len(asked) == 0 {
		return nil, invalid("At least one subnet must be specified")
	}
	if lb.sourceNAT == elb.EnablePrefixForIpv6SourceNatEnumOn && lb.ipType != elb.IpAddressTypeDualstack {
		return nil, misconfigured("Prefixes for source NAT need the IP address type 'dualstack'")
	}
	zones := map[string]bool{}
	var mappings []mapping
	for _, m := range asked {
		s, err := c.subnetOf(lb, str(m.SubnetId))
		if err != nil {
			return nil, err
		}
		if zones[s.zone] {
			return nil, misconfigured("A load balancer cannot be attached to multiple subnets in the same Availability Zone")
		}
		zones[s.zone] = true
		if first := c.subnets[str(asked[0].SubnetId)]; first.vpc != s.vpc {
			return nil, misconfigured("All subnets must belong to the same VPC: '%s, %s'", first.id, s.id)
		}
		if err := checkMapping(lb, s, m); err != nil {
			return nil, err
		}
		mappings = append(mappings, mapping{subnet: s.id, allocation: str(m.AllocationId), ipv4: str(m.PrivateIPv4Address), ipv6: str(m.IPv6Address), prefix: str(m.SourceNatIpv6Prefix)})
	}
	slices.SortFunc(mappings, func(a, b mapping) int { return strings.Compare(c.subnets[a.subnet].zone, c.subnets[b.subnet].zone) })
	return mappings, nil
}

func (c *Cloud) subnetOf(lb *loadBalancer, id string) (*subnet, error) {
	s, ok := c.subnets[id]
	if !ok {
		return nil, refuse("SubnetNotFound", "The subnet ID '%s' does not exist", id)
	}
	had := slices.ContainsFunc(lb.mappings, func(m mapping) bool { return m.subnet == id })
	if s.free() < freeAddresses && !had {
		return nil, refuse("InvalidSubnet", "Not enough IP space available in %s. ELB requires at least %d free IP addresses in each subnet.", id, freeAddresses)
	}
	if lb.ipType == elb.IpAddressTypeDualstack && !s.ipv6.IsValid() {
		return nil, refuse("InvalidSubnet", "The subnet '%s' has no IPv6 CIDR block, as the IP address type 'dualstack' needs", id)
	}
	return s, nil
}

// checkMapping refuses addresses that a load balancer of this kind can't have in
// a subnet.
func checkMapping(lb *loadBalancer, s *subnet, m elb.SubnetMapping) error {
	if m.AllocationId != nil && lb.scheme != elb.LoadBalancerSchemeEnumInternetFacing {
		return misconfigured("You cannot specify an Elastic IP address for a load balancer of scheme '%s'", lb.scheme)
	}
	if m.PrivateIPv4Address != nil {
		addr, err := netip.ParseAddr(*m.PrivateIPv4Address)
		switch {
		case lb.scheme != elb.LoadBalancerSchemeEnumInternal:
			return misconfigured("You cannot specify a private IPv4 address for a load balancer of scheme '%s'", lb.scheme)
		case err != nil || !s.cidr.Contains(addr):
			return misconfigured("The private IPv4 address '%s' is not in the range of subnet '%s', %s", *m.PrivateIPv4Address, s.id, s.cidr)
		}
	}
	if m.IPv6Address != nil {
		addr, err := netip.ParseAddr(*m.IPv6Address)
		if lb.ipType != elb.IpAddressTypeDualstack || err != nil || !s.ipv6.Contains(addr) {
			return misconfigured("The IPv6 address '%s' needs the IP address type 'dualstack' and to be in a range of subnet '%s'", *m.IPv6Address, s.id)
		}
	}
	if m.SourceNatIpv6Prefix != nil {
		return checkSourceNAT(lb, s, *m.SourceNatIpv6Prefix)
	}
	return nil
}

func checkSourceNAT(lb *loadBalancer, s *subnet, asked string) error {
	if lb.sourceNAT != elb.EnablePrefixForIpv6SourceNatEnumOn {
		return misconfigured("A prefix for source NAT needs EnablePrefixForIpv6SourceNat to be 'on'")
	}
	p, err := netip.ParsePrefix(asked)
	if asked != "auto_assigned" && (err != nil || p.Bits() != 80 || !s.ipv6.Overlaps(p)) {
		return misconfigured("The source NAT prefix '%s' is neither auto_assigned nor a /80 of subnet '%s'", asked, s.id)
	}
	return nil
}

func (c *Cloud) wantedGroups(vpc string, ids []string) ([]string, error) {
	for _, id := range ids {
		if g, ok := c.groups[id]; !ok || g.vpc != vpc {
			return nil, refuse("InvalidSecurityGroup", "One or more security groups are invalid: '%s' is not in VPC '%s'", id, vpc)
		}
	}
	if most := c.options.Limits.GroupsPerInterface; len(ids) > most {
		return nil, misconfigured("You cannot specify more than %d security groups", most)
	}
	return slices.Sorted(slices.Values(ids)), nil
}

// checkAllocations refuses Elastic IP addresses that others have, such as those
// of a load balancer that is not quite gone.
func (c *Cloud) checkAllocations(lb *loadBalancer, mappings []mapping) error {
	taken := map[string]bool{}
	for _, other := range c.occupying() {
		for _, m := range other.mappings {
			taken[m.allocation] = taken[m.allocation] || other != lb
		}
	}
	for _, m := range mappings {
		switch {
		case m.allocation == "":
		case !c.addresses[m.allocation]:
			return refuse("AllocationIdNotFound", "The allocation IDs '%s' do not exist", m.allocation)
		case taken[m.allocation]:
			return refuse("ResourceInUse", "The allocation IDs are not available for use")
		}
	}
	return nil
}

// occupying are the load balancers that are there and those whose network
// interfaces still are, by name.
func (c *Cloud) occupying() []*loadBalancer {
	all := slices.Collect(maps.Values(c.loadBalancers))
	c.remains = slices.DeleteFunc(c.remains, func(r remains) bool { return !c.now().Before(r.until) })
	for _, r := range c.remains {
		all = append(all, r.loadBalancer)
	}
	slices.SortFunc(all, func(a, b *loadBalancer) int { return strings.Compare(a.arn, b.arn) })
	return all
}

// alike says whether creating the other again is the same call.
func (lb *loadBalancer) alike(other *loadBalancer) bool {
	return lb.scheme == other.scheme && lb.ipType == other.ipType && lb.sourceNAT == other.sourceNAT &&
		slices.Equal(lb.mappings, other.mappings) && slices.Equal(lb.groups, other.groups)
}

func (c *Cloud) loadBalancer(arn string) (*loadBalancer, error) {
	if err := checkARN(arn, "loadbalancer/net/", "load balancer"); err != nil {
		return nil, err
	}
	lb, ok := c.loadBalancers[arn]
	if !ok {
		return nil, refuse("LoadBalancerNotFound", "Load balancer '%s' not found", arn)
	}
	return lb, nil
}

// changeable is a load balancer whose tags let it be changed.
func (c *Cloud) changeable(arn *string, action string) (*loadBalancer, error) {
	lb, err := c.loadBalancer(*arn)
	if err == nil {
		err = c.permitted(elbv2Service, action, lb.tags)
	}
	return lb, err
}

func checkARN(arn, prefix, what string) error {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != elbv2Service || !strings.HasPrefix(parts[5], prefix) {
		return invalid("'%s' is not a valid %s ARN", arn, what)
	}
	return nil
}

// deleteLoadBalancer has its listeners go along; a load balancer that is not
// there is gone.
func (c *Cloud) deleteLoadBalancer(in *elbv2.DeleteLoadBalancerInput) (*elbv2.DeleteLoadBalancerOutput, error) {
	if err := checkARN(*in.LoadBalancerArn, "loadbalancer/net/", "load balancer"); err != nil {
		return nil, err
	}
	lb, ok := c.loadBalancers[*in.LoadBalancerArn]
	if !ok {
		return &elbv2.DeleteLoadBalancerOutput{}, nil
	}
	if err := c.permitted(elbv2Service, "DeleteLoadBalancer", lb.tags); err != nil {
		return nil, err
	}
	if lb.attributes["deletion_protection.enabled"] == "true" {
		return nil, refuse("OperationNotPermitted", "Load balancer '%s' cannot be deleted because deletion protection is enabled", lb.arn)
	}
	for _, l := range c.listenersOf(lb.arn) {
		c.targetGroups[l.group].busyUntil = c.now().Add(c.options.Delays.Release)
		c.removeListener(l)
	}
	delete(c.loadBalancers, lb.arn)
	c.setTags(lb.arn, nil)
	c.remains = append(c.remains, remains{loadBalancer: lb, until: c.now().Add(c.options.Delays.Detach)})
	return &elbv2.DeleteLoadBalancerOutput{}, nil
}

func (c *Cloud) describeLoadBalancers(in *elbv2.DescribeLoadBalancersInput) (*elbv2.DescribeLoadBalancersOutput, error) {
	if len(in.LoadBalancerArns) > 0 && len(in.Names) > 0 {
		return nil, invalid("Load balancer names and load balancer ARNs cannot be specified at the same time")
	}
	if n := len(in.LoadBalancerArns) + len(in.Names); n > describedAtOnce {
		return nil, invalid("You cannot describe more than '%d' load balancers at a time", describedAtOnce)
	}
	var found []*loadBalancer
	for _, arn := range in.LoadBalancerArns {
		lb, err := c.loadBalancer(arn)
		if err != nil {
			return nil, err
		}
		found = append(found, lb)
	}
	for _, name := range in.Names {
		lb := c.loadBalancerNamed(name)
		if lb == nil {
			return nil, refuse("LoadBalancerNotFound", "Load balancers '[%s]' not found", name)
		}
		found = append(found, lb)
	}
	if len(in.LoadBalancerArns)+len(in.Names) == 0 {
		found = slices.Collect(maps.Values(c.loadBalancers))
	}
	page, next, err := elbPageOf(c, found, func(lb *loadBalancer) string { return lb.arn }, in.Marker, in.PageSize)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeLoadBalancersOutput{LoadBalancers: []elb.LoadBalancer{}, NextMarker: next}
	for _, lb := range page {
		out.LoadBalancers = append(out.LoadBalancers, c.showLoadBalancer(lb))
	}
	return out, nil
}

func (c *Cloud) loadBalancerNamed(name string) *loadBalancer {
	for _, lb := range c.loadBalancers {
		if lb.name == name {
			return lb
		}
	}
	return nil
}

// elbPageOf is pageOf with the refusals of Elastic Load Balancing.
func elbPageOf[T any](c *Cloud, items []T, key func(T) string, marker *string, size *int32) ([]T, *string, error) {
	if size != nil && (*size < 1 || *size > elbPage) {
		return nil, nil, outOfRange("pageSize", *size, 1, elbPage)
	}
	page, next, ok := pageOf(c, items, key, marker, size, elbPage)
	if !ok {
		return nil, nil, invalid("'%s' is not a valid marker", *marker)
	}
	return page, next, nil
}

func outOfRange(what string, value, least, most int32) error {
	if value < least {
		return invalid("1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: Member must have value greater than or equal to %d", value, what, least)
	}
	return invalid("1 validation error detected: Value '%d' at '%s' failed to satisfy constraint: Member must have value less than or equal to %d", value, what, most)
}

func (c *Cloud) showLoadBalancer(lb *loadBalancer) elb.LoadBalancer {
	state := elb.LoadBalancerStateEnumActive
	if c.now().Before(lb.created.Add(c.options.Delays.Provisioning)) {
		state = elb.LoadBalancerStateEnumProvisioning
	} else if lb.failed {
		state = elb.LoadBalancerStateEnumFailed
	}
	shown := elb.LoadBalancer{
		LoadBalancerArn:              &lb.arn,
		LoadBalancerName:             &lb.name,
		DNSName:                      &lb.dnsName,
		CanonicalHostedZoneId:        ptr("Z2IFOLAFXWLO4F"),
		CreatedTime:                  ptr(lb.created.UTC().Truncate(1e6)),
		IpAddressType:                lb.ipType,
		Scheme:                       lb.scheme,
		Type:                         elb.LoadBalancerTypeEnumNetwork,
		VpcId:                        &lb.vpc,
		State:                        &elb.LoadBalancerState{Code: state},
		SecurityGroups:               slices.Clone(lb.groups),
		EnablePrefixForIpv6SourceNat: lb.sourceNAT,
		AvailabilityZones:            c.showZones(lb),
	}
	if len(lb.groups) > 0 {
		shown.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic = ptr(string(lb.privateLink))
	}
	return shown
}

func (c *Cloud) showZones(lb *loadBalancer) []elb.AvailabilityZone {
	var zones []elb.AvailabilityZone
	for _, m := range lb.mappings {
		z := elb.AvailabilityZone{SubnetId: ptr(m.subnet), ZoneName: ptr(c.subnets[m.subnet].zone), LoadBalancerAddresses: []elb.LoadBalancerAddress{}}
		if m.allocation != "" || m.ipv4 != "" || m.ipv6 != "" {
			z.LoadBalancerAddresses = append(z.LoadBalancerAddresses, elb.LoadBalancerAddress{AllocationId: text(m.allocation), PrivateIPv4Address: text(m.ipv4), IPv6Address: text(m.ipv6)})
		}
		if lb.sourceNAT == elb.EnablePrefixForIpv6SourceNatEnumOn {
			z.SourceNatIpv6Prefixes = []string{c.sourceNATPrefix(m)}
		}
		zones = append(zones, z)
	}
	return zones
}

// sourceNATPrefix is the prefix that was asked for, or the one that AWS takes.
func (c *Cloud) sourceNATPrefix(m mapping) string {
	if m.prefix != "" && m.prefix != "auto_assigned" {
		return m.prefix
	}
	return netip.PrefixFrom(c.subnets[m.subnet].ipv6.Addr(), 80).String()
}

func (c *Cloud) setIPAddressType(in *elbv2.SetIpAddressTypeInput) (*elbv2.SetIpAddressTypeOutput, error) {
	lb, err := c.changeable(in.LoadBalancerArn, "SetIpAddressType")
	if err != nil {
		return nil, err
	}
	changed := *lb
	changed.ipType = in.IpAddressType
	if err := c.checkIPType(&changed); err != nil {
		return nil, err
	}
	lb.ipType = in.IpAddressType
	return &elbv2.SetIpAddressTypeOutput{IpAddressType: lb.ipType}, nil
}

// checkIPType refuses an address type that the subnets, or the listeners, do not
// go along with.
func (c *Cloud) checkIPType(lb *loadBalancer) error {
	if lb.ipType == elb.IpAddressTypeDualstackWithoutPublicIpv4 {
		return invalid("The IP address type '%s' is not supported for load balancers of type 'network'", lb.ipType)
	}
	for _, m := range lb.mappings {
		if _, err := c.subnetOf(lb, m.subnet); err != nil {
			return err
		}
	}
	if lb.ipType == elb.IpAddressTypeIpv4 && lb.sourceNAT == elb.EnablePrefixForIpv6SourceNatEnumOn {
		return misconfigured("Prefixes for source NAT need the IP address type 'dualstack'")
	}
	for _, l := range c.listenersOf(lb.arn) {
		if err := c.checkForward(lb, l); err != nil {
			return err
		}
	}
	return nil
}

// setSecurityGroups replaces all groups. A load balancer that was made without
// any can't get one.
func (c *Cloud) setSecurityGroups(in *elbv2.SetSecurityGroupsInput) (*elbv2.SetSecurityGroupsOutput, error) {
	lb, err := c.changeable(in.LoadBalancerArn, "SetSecurityGroups")
	switch {
	case err != nil:
		return nil, err
	case len(lb.groups) == 0:
		return nil, misconfigured("Security groups cannot be set on load balancer '%s', which was created without any", lb.arn)
	case len(in.SecurityGroups) == 0:
		return nil, invalid("At least one security group must be specified")
	}
	groups, err := c.wantedGroups(lb.vpc, in.SecurityGroups)
	if err != nil {
		return nil, err
	}
	lb.groups = groups
	lb.privateLink = cmp.Or(in.EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic, lb.privateLink)
	return &elbv2.SetSecurityGroupsOutput{SecurityGroupIds: slices.Clone(lb.groups), EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic: lb.privateLink}, nil
}

// setSubnets replaces all subnets. Another subnet of a zone, or another address
// in one, takes two calls: without the zone, then with it.
//
// https://aws.amazon.com/blogs/networking-and-content-delivery/exploring-new-subnet-management-capabilities-of-network-load-balancer/
func (c *Cloud) setSubnets(in *elbv2.SetSubnetsInput) (*elbv2.SetSubnetsOutput, error) {
	lb, err := c.changeable(in.LoadBalancerArn, "SetSubnets")
	if err != nil {
		return nil, err
	}
	changed := *lb
	changed.ipType = cmp.Or(in.IpAddressType, lb.ipType)
	changed.sourceNAT = cmp.Or(in.EnablePrefixForIpv6SourceNat, lb.sourceNAT)
	if changed.mappings, err = c.wantedMappings(&changed, in.Subnets, in.SubnetMappings); err != nil {
		return nil, err
	}
	if vpc := c.subnets[changed.mappings[0].subnet].vpc; vpc != lb.vpc {
		return nil, misconfigured("The subnets must belong to VPC '%s', not to '%s'", lb.vpc, vpc)
	}
	if err := c.checkKept(lb, &changed); err != nil {
		return nil, err
	}
	if err := c.checkAllocations(lb, changed.mappings); err != nil {
		return nil, err
	}
	if err := c.checkIPType(&changed); err != nil {
		return nil, err
	}
	lb.mappings, lb.ipType, lb.sourceNAT = changed.mappings, changed.ipType, changed.sourceNAT
	return &elbv2.SetSubnetsOutput{AvailabilityZones: c.showZones(lb), IpAddressType: lb.ipType, EnablePrefixForIpv6SourceNat: lb.sourceNAT}, nil
}

// checkKept refuses changes within a zone.
func (c *Cloud) checkKept(lb, changed *loadBalancer) error {
	had := map[string]mapping{}
	for _, m := range lb.mappings {
		had[c.subnets[m.subnet].zone] = m
	}
	both := lb.ipType == elb.IpAddressTypeDualstack && changed.ipType == elb.IpAddressTypeDualstack
	for _, m := range changed.mappings {
		zone := c.subnets[m.subnet].zone
		old, ok := had[zone]
		switch {
		case !ok:
		case old.subnet != m.subnet:
			return misconfigured("You cannot specify an additional subnet from an Availability Zone that is already associated with the load balancer. The Availability Zone '%s' corresponding to the new subnet '%s' is already associated with the load balancer.", zone, m.subnet)
		case old.allocation != m.allocation, old.ipv4 != m.ipv4, both && old.ipv6 != m.ipv6:
			return misconfigured("You cannot change the addresses of a load balancer in subnet '%s' that it already has", m.subnet)
		}
	}
	return nil
}

func (c *Cloud) describeCapacityReservation(in *elbv2.DescribeCapacityReservationInput) (*elbv2.DescribeCapacityReservationOutput, error) {
	lb, err := c.loadBalancer(*in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	out := &elbv2.DescribeCapacityReservationOutput{DecreaseRequestsRemaining: ptr(int32(2))}
	if lb.capacity > 0 {
		out.MinimumLoadBalancerCapacity = &elb.MinimumLoadBalancerCapacity{CapacityUnits: ptr(lb.capacity)}
		out.CapacityReservationState = c.showCapacity(lb)
	}
	return out, nil
}

func (c *Cloud) showCapacity(lb *loadBalancer) []elb.ZonalCapacityReservationState {
	var zones []elb.ZonalCapacityReservationState
	for _, m := range lb.mappings {
		zones = append(zones, elb.ZonalCapacityReservationState{
			AvailabilityZone:       ptr(c.subnets[m.subnet].zone),
			EffectiveCapacityUnits: ptr(float64(lb.capacity) / float64(len(lb.mappings))),
			State:                  &elb.CapacityReservationStatus{Code: elb.CapacityReservationStateEnumProvisioned},
		})
	}
	return zones
}

func (c *Cloud) modifyCapacityReservation(in *elbv2.ModifyCapacityReservationInput) (*elbv2.ModifyCapacityReservationOutput, error) {
	lb, err := c.changeable(in.LoadBalancerArn, "ModifyCapacityReservation")
	if err != nil {
		return nil, err
	}
	reset := in.ResetCapacityReservation != nil && *in.ResetCapacityReservation
	switch units := in.MinimumLoadBalancerCapacity; {
	case reset == (units != nil):
		return nil, invalid("Either MinimumLoadBalancerCapacity or ResetCapacityReservation must be specified")
	case reset:
		lb.capacity = 0
	case units.CapacityUnits == nil || *units.CapacityUnits < 1:
		return nil, invalid("The capacity units must be a positive number")
	case c.now().Before(lb.created.Add(c.options.Delays.Provisioning)):
		return nil, refuse("OperationNotPermitted", "Load balancer '%s' is not active yet", lb.arn)
	default:
		lb.capacity = *units.CapacityUnits
	}
	described, err := c.describeCapacityReservation(&elbv2.DescribeCapacityReservationInput{LoadBalancerArn: in.LoadBalancerArn})
	if err != nil {
		return nil, err
	}
	return &elbv2.ModifyCapacityReservationOutput{CapacityReservationState: described.CapacityReservationState, MinimumLoadBalancerCapacity: described.MinimumLoadBalancerCapacity, DecreaseRequestsRemaining: described.DecreaseRequestsRemaining}, nil
}
