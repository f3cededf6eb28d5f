package fakeaws

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func (c *Cloud) describeVPCs(in *ec2.DescribeVpcsInput) (*ec2.DescribeVpcsOutput, error) {
	page, next, err := describe(c, list[*vpc]{
		all: c.vpcs, prefix: "vpc-", notFound: "InvalidVpcID.NotFound", malformed: "InvalidVpcID.Malformed",
		id: func(v *vpc) string { return v.id }, tags: func(v *vpc) map[string]string { return v.tags },
		filters: filters[*vpc]{
			"vpc-id": func(v *vpc) []string { return []string{v.id} },
			"cidr":   func(v *vpc) []string { return []string{v.cidrs[0].String()} },
			"state":  func(*vpc) []string { return []string{"available"} },
		},
	}, asked{in.VpcIds, in.Filters, in.MaxResults, in.NextToken, in.DryRun})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeVpcsOutput{Vpcs: []ec2types.Vpc{}, NextToken: next}
	for _, v := range page {
		out.Vpcs = append(out.Vpcs, c.showVPC(v))
	}
	return out, nil
}

func (c *Cloud) showVPC(v *vpc) ec2types.Vpc {
	shown := ec2types.Vpc{
		VpcId: &v.id, OwnerId: &c.options.Account, State: ec2types.VpcStateAvailable, Tags: ec2Tags(v.tags),
		CidrBlock: ptr(v.cidrs[0].String()), IsDefault: ptr(false), InstanceTenancy: ec2types.TenancyDefault,
	}
	for _, p := range v.cidrs {
		shown.CidrBlockAssociationSet = append(shown.CidrBlockAssociationSet, ec2types.VpcCidrBlockAssociation{
			CidrBlock: ptr(p.String()), CidrBlockState: &ec2types.VpcCidrBlockState{State: ec2types.VpcCidrBlockStateCodeAssociated},
		})
	}
	for _, p := range v.ipv6 {
		shown.Ipv6CidrBlockAssociationSet = append(shown.Ipv6CidrBlockAssociationSet, ec2types.VpcIpv6CidrBlockAssociation{
			Ipv6CidrBlock: ptr(p.String()), Ipv6CidrBlockState: &ec2types.VpcCidrBlockState{State: ec2types.VpcCidrBlockStateCodeAssociated},
		})
	}
	return shown
}

func (c *Cloud) describeSubnets(in *ec2.DescribeSubnetsInput) (*ec2.DescribeSubnetsOutput, error) {
	page, next, err := describe(c, list[*subnet]{
		all: c.subnets, prefix: "subnet-", notFound: "InvalidSubnetID.NotFound", malformed: "InvalidSubnetID.Malformed",
		id: func(s *subnet) string { return s.id }, tags: func(s *subnet) map[string]string { return s.tags },
		filters: filters[*subnet]{
			"subnet-id":         func(s *subnet) []string { return []string{s.id} },
			"vpc-id":            func(s *subnet) []string { return []string{s.vpc} },
			"availability-zone": func(s *subnet) []string { return []string{s.zone} },
			"cidr-block":        func(s *subnet) []string { return []string{s.cidr.String()} },
			"state":             func(*subnet) []string { return []string{"available"} },
		},
	}, asked{in.SubnetIds, in.Filters, in.MaxResults, in.NextToken, in.DryRun})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeSubnetsOutput{Subnets: []ec2types.Subnet{}, NextToken: next}
	for _, s := range page {
		out.Subnets = append(out.Subnets, c.showSubnet(s))
	}
	return out, nil
}

func (c *Cloud) showSubnet(s *subnet) ec2types.Subnet {
	shown := ec2types.Subnet{
		SubnetId: &s.id, VpcId: &s.vpc, OwnerId: &c.options.Account, State: ec2types.SubnetStateAvailable, Tags: ec2Tags(s.tags),
		SubnetArn:        ptr(c.arn(ec2Service, "subnet/"+s.id)),
		AvailabilityZone: &s.zone, AvailabilityZoneId: ptr(c.zoneID(s.zone)),
		CidrBlock: ptr(s.cidr.String()), AvailableIpAddressCount: ptr(s.free()), Ipv6Native: ptr(false),
	}
	if s.zoneType == outpost {
		shown.OutpostArn = ptr(c.arn("outposts", "outpost/op-0"))
	}
	if s.ipv6.IsValid() {
		shown.Ipv6CidrBlockAssociationSet = []ec2types.SubnetIpv6CidrBlockAssociation{{
			Ipv6CidrBlock: ptr(s.ipv6.String()), Ipv6CidrBlockState: &ec2types.SubnetCidrBlockState{State: ec2types.SubnetCidrBlockStateCodeAssociated},
		}}
	}
	return shown
}

const outpost = "outpost"

// zone is a zone that has a subnet.
type zone struct{ name, kind string }

func (c *Cloud) zones() map[string]zone {
	zones := map[string]zone{}
	for _, s := range c.subnets {
		kind := s.zoneType
		if kind == "" || kind == outpost {
			kind = "availability-zone"
		}
		zones[s.zone] = zone{name: s.zone, kind: kind}
	}
	return zones
}

// zoneID is the name that a zone has in all accounts.
func (c *Cloud) zoneID(name string) string {
	for i, n := range sortedKeys(c.zones()) {
		if n == name {
			return c.options.Region + "-az" + string(rune('1'+i))
		}
	}
	return name
}

func (c *Cloud) describeAvailabilityZones(in *ec2.DescribeAvailabilityZonesInput) (*ec2.DescribeAvailabilityZonesOutput, error) {
	if len(in.ZoneIds) > 0 {
		return nil, badValue("Zones are described by name here, not by ID")
	}
	page, _, err := describe(c, list[zone]{
		all: c.zones(), notFound: "InvalidParameterValue", id: func(z zone) string { return z.name },
		filters: filters[zone]{
			"zone-name":   func(z zone) []string { return []string{z.name} },
			"zone-type":   func(z zone) []string { return []string{z.kind} },
			"state":       func(zone) []string { return []string{"available"} },
			"region-name": func(zone) []string { return []string{c.options.Region} },
		},
	}, asked{ids: in.ZoneNames, filters: in.Filters, dryRun: in.DryRun})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeAvailabilityZonesOutput{AvailabilityZones: []ec2types.AvailabilityZone{}}
	for _, z := range page {
		out.AvailabilityZones = append(out.AvailabilityZones, ec2types.AvailabilityZone{
			ZoneName: ptr(z.name), ZoneId: ptr(c.zoneID(z.name)), ZoneType: ptr(z.kind), RegionName: &c.options.Region,
			State: ec2types.AvailabilityZoneStateAvailable, OptInStatus: ec2types.AvailabilityZoneOptInStatusOptInNotRequired,
		})
	}
	return out, nil
}

func (c *Cloud) describeRouteTables(in *ec2.DescribeRouteTablesInput) (*ec2.DescribeRouteTablesOutput, error) {
	page, next, err := describe(c, list[*routeTable]{
		all: c.routeTables, prefix: "rtb-", notFound: "InvalidRouteTableID.NotFound", malformed: "InvalidRouteTableId.Malformed",
		id: func(t *routeTable) string { return t.id }, tags: func(t *routeTable) map[string]string { return t.tags },
		filters: filters[*routeTable]{
			"route-table-id":        func(t *routeTable) []string { return []string{t.id} },
			"vpc-id":                func(t *routeTable) []string { return []string{t.vpc} },
			"association.subnet-id": func(t *routeTable) []string { return t.subnets },
			"association.main": func(t *routeTable) []string {
				if len(t.subnets) == 0 {
					return []string{"true"}
				}
				return []string{"false"}
			},
			"route.gateway-id": func(t *routeTable) []string { return []string{"local", t.gateway} },
		},
	}, asked{in.RouteTableIds, in.Filters, in.MaxResults, in.NextToken, in.DryRun})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeRouteTablesOutput{RouteTables: []ec2types.RouteTable{}, NextToken: next}
	for _, t := range page {
		out.RouteTables = append(out.RouteTables, c.showRouteTable(t))
	}
	return out, nil
}

func (c *Cloud) showRouteTable(t *routeTable) ec2types.RouteTable {
	shown := ec2types.RouteTable{RouteTableId: &t.id, VpcId: &t.vpc, OwnerId: &c.options.Account, Tags: ec2Tags(t.tags)}
	for _, p := range c.vpcs[t.vpc].cidrs {
		shown.Routes = append(shown.Routes, ec2types.Route{DestinationCidrBlock: ptr(p.String()), GatewayId: ptr("local"), State: ec2types.RouteStateActive, Origin: ec2types.RouteOriginCreateRouteTable})
	}
	if t.gateway != "" || t.nat != "" {
		shown.Routes = append(shown.Routes, ec2types.Route{DestinationCidrBlock: ptr("0.0.0.0/0"), GatewayId: text(t.gateway), NatGatewayId: text(t.nat), State: ec2types.RouteStateActive, Origin: ec2types.RouteOriginCreateRoute})
	}
	association := func(subnet *string) {
		shown.Associations = append(shown.Associations, ec2types.RouteTableAssociation{
			Main: ptr(subnet == nil), SubnetId: subnet, RouteTableId: &t.id, RouteTableAssociationId: ptr("rtbassoc-" + t.id[len("rtb-"):]),
			AssociationState: &ec2types.RouteTableAssociationState{State: ec2types.RouteTableAssociationStateCodeAssociated},
		})
	}
	for _, id := range slices.Sorted(slices.Values(t.subnets)) {
		association(&id)
	}
	if len(t.subnets) == 0 {
		association(nil)
	}
	return shown
}
