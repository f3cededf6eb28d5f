package aws

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/berth-lb/berth/providers/aws/plan"
)

const (
	// topologyAge is how old what is known of the network may be.
	topologyAge = 10 * time.Minute
	// retryAge is how old it may be where something is to be refused because it
	// is not there: what was made a moment ago is then found.
	retryAge = 10 * time.Second
	// groupPage bounds the answers of EC2.
	groupPage = 500
)

// topology is what the VPC of the cluster is like, asked once for all Services.
type topology struct {
	ec2 Network
	vpc string

	network cached[network]
	groups  cached[vpcGroups]

	// instances are the security groups of their first network interfaces, by ID,
	// which hardly ever change, and addresses those of the network interfaces that
	// have them, as one pod after the other does.
	instances, addresses *directory
}

// network is where load balancers may stand.
type network struct {
	vpc     plan.VPC
	subnets []plan.Subnet // sorted by ID
}

// securityGroups are some of the VPC, by ID.
type securityGroups map[string]plan.SecurityGroup

// vpcGroups are all of the VPC, as of a time.
type vpcGroups struct {
	at   time.Time
	byID securityGroups
	// names are the IDs that annotations may mean.
	names map[string]string
}

func newTopology(calls Network, vpc string) *topology {
	t := &topology{ec2: calls, vpc: vpc}
	t.network.load = t.loadNetwork
	t.groups.load = t.loadGroups
	t.instances = newDirectory("describe the instances of nodes", ever, t.fetchInstances)
	t.addresses = newDirectory("describe the network interfaces of pods", topologyAge, t.fetchAddresses)
	return t
}

func filter(name string, values ...string) []ec2types.Filter {
	return []ec2types.Filter{{Name: &name, Values: values}}
}

func (t *topology) loadNetwork(ctx context.Context) (network, error) {
	var n network
	vpcs, err := t.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{t.vpc}})
	if err != nil {
		return n, explain("describe VPC "+t.vpc, err)
	}
	n.vpc.ID = t.vpc
	for _, v := range vpcs.Vpcs {
		n.vpc.CIDRs = cidrsOf(v)
	}
	if n.subnets, err = t.subnets(ctx); err != nil {
		return n, explain("describe the subnets of VPC "+t.vpc, err)
	}
	if err := t.zoneTypes(ctx, n.subnets); err != nil {
		return n, explain("describe the availability zones", err)
	}
	if slices.ContainsFunc(n.subnets, hasRole) {
		return n, nil
	}
	return n, explain("describe the route tables of VPC "+t.vpc, t.public(ctx, n.subnets))
}

// hasRole says whether a tag tells what kind of load balancers a subnet is for.
func hasRole(s plan.Subnet) bool {
	_, public := s.Tags["kubernetes.io/role/elb"]
	_, internal := s.Tags["kubernetes.io/role/internal-elb"]
	return public || internal
}

func cidrsOf(v ec2types.Vpc) []netip.Prefix {
	var texts []string
	for _, a := range v.CidrBlockAssociationSet {
		if a.CidrBlockState == nil || a.CidrBlockState.State == ec2types.VpcCidrBlockStateCodeAssociated {
			texts = append(texts, sdk.ToString(a.CidrBlock))
		}
	}
	if len(texts) == 0 {
		texts = append(texts, sdk.ToString(v.CidrBlock))
	}
	for _, a := range v.Ipv6CidrBlockAssociationSet {
		if a.Ipv6CidrBlockState == nil || a.Ipv6CidrBlockState.State == ec2types.VpcCidrBlockStateCodeAssociated {
			texts = append(texts, sdk.ToString(a.Ipv6CidrBlock))
		}
	}
	return prefixes(texts)
}

func prefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		if p, err := netip.ParsePrefix(text); err == nil {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

func (t *topology) subnets(ctx context.Context) ([]plan.Subnet, error) {
	var out []plan.Subnet
	pages := ec2.NewDescribeSubnetsPaginator(t.ec2, &ec2.DescribeSubnetsInput{Filters: filter("vpc-id", t.vpc)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range page.Subnets {
			out = append(out, subnetOf(s))
		}
	}
	slices.SortFunc(out, func(a, b plan.Subnet) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

func subnetOf(s ec2types.Subnet) plan.Subnet {
	out := plan.Subnet{
		ID:            sdk.ToString(s.SubnetId),
		Zone:          sdk.ToString(s.AvailabilityZone),
		FreeAddresses: sdk.ToInt32(s.AvailableIpAddressCount),
		Tags:          tagsOfEC2(s.Tags),
	}
	if v4 := prefixes([]string{sdk.ToString(s.CidrBlock)}); len(v4) > 0 {
		out.CIDR = v4[0]
	}
	var v6 []string
	for _, a := range s.Ipv6CidrBlockAssociationSet {
		v6 = append(v6, sdk.ToString(a.Ipv6CidrBlock))
	}
	out.IPv6 = prefixes(v6)
	if s.OutpostArn != nil {
		out.ZoneType = "outpost"
	}
	return out
}

// zoneTypes fills in the types of zones that are not on an Outpost.
func (t *topology) zoneTypes(ctx context.Context, subnets []plan.Subnet) error {
	zones, err := t.ec2.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{})
	if err != nil {
		return err
	}
	types := map[string]string{}
	for _, z := range zones.AvailabilityZones {
		types[sdk.ToString(z.ZoneName)] = sdk.ToString(z.ZoneType)
	}
	for i := range subnets {
		subnets[i].ZoneType = cmp.Or(subnets[i].ZoneType, types[subnets[i].Zone])
	}
	return nil
}

// public finds out which subnets lead to an internet gateway: by their own route
// table, else by the main one of the VPC.
func (t *topology) public(ctx context.Context, subnets []plan.Subnet) error {
	leads := map[string]bool{} // by subnet, the main table's under ""
	pages := ec2.NewDescribeRouteTablesPaginator(t.ec2, &ec2.DescribeRouteTablesInput{Filters: filter("vpc-id", t.vpc)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, table := range page.RouteTables {
			for _, a := range table.Associations {
				if a.SubnetId != nil || sdk.ToBool(a.Main) {
					leads[sdk.ToString(a.SubnetId)] = slices.ContainsFunc(table.Routes, toInternet)
				}
			}
		}
	}
	for i := range subnets {
		own, has := leads[subnets[i].ID]
		subnets[i].Public = own || !has && leads[""]
	}
	return nil
}

func toInternet(r ec2types.Route) bool { return strings.HasPrefix(sdk.ToString(r.GatewayId), "igw-") }

func (t *topology) loadGroups(ctx context.Context) (vpcGroups, error) {
	at := time.Now()
	all, err := listGroups(ctx, t.ec2, filter("vpc-id", t.vpc))
	return vpcGroups{at: at, byID: all, names: all.names()}, explain("describe the security groups of VPC "+t.vpc, err)
}

func listGroups(ctx context.Context, calls Network, filters []ec2types.Filter) (securityGroups, error) {
	all := securityGroups{}
	pages := ec2.NewDescribeSecurityGroupsPaginator(calls, &ec2.DescribeSecurityGroupsInput{Filters: filters, MaxResults: new(int32(groupPage))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, g := range page.SecurityGroups {
			one := securityGroupOf(g)
			all[one.ID] = one
		}
	}
	return all, nil
}

// names returns the IDs that annotations may mean: an ID by itself, and a tag
// Name where only one group has it.
func (all securityGroups) names() map[string]string {
	out := make(map[string]string, 2*len(all))
	for id, g := range all {
		name := g.Tags["Name"]
		if _, twice := out[name]; twice {
			out[name] = ""
		} else if name != "" {
			out[name] = id
		}
	}
	maps.DeleteFunc(out, func(_, id string) bool { return id == "" })
	for id := range all {
		out[id] = id
	}
	return out
}

// only returns those of all that have one of the IDs.
func (all securityGroups) only(ids []string) securityGroups {
	out := securityGroups{}
	for _, id := range ids {
		if g, there := all[id]; there {
			out[id] = g
		}
	}
	return out
}

// fetchInstances asks by filter: an instance that is gone would fail a call that
// names it.
func (t *topology) fetchInstances(ctx context.Context, ids []string) (map[string][]string, error) {
	out := map[string][]string{}
	pages := ec2.NewDescribeInstancesPaginator(t.ec2, &ec2.DescribeInstancesInput{Filters: filter("instance-id", ids...)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				out[sdk.ToString(i.InstanceId)] = firstInterfaceGroups(i)
			}
		}
	}
	return out, nil
}

func firstInterfaceGroups(i ec2types.Instance) []string {
	groups := i.SecurityGroups // those of the first interface, if it is not listed
	for _, n := range i.NetworkInterfaces {
		if n.Attachment != nil && sdk.ToInt32(n.Attachment.DeviceIndex) == 0 && sdk.ToInt32(n.Attachment.NetworkCardIndex) == 0 {
			groups = n.Groups
		}
	}
	return groupIDs(groups)
}

// fetchAddresses asks for the network interfaces that have addresses. Those out of
// a prefix of an interface are not found.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
func (t *topology) fetchAddresses(ctx context.Context, addresses []string) (map[string][]string, error) {
	out := map[string][]string{}
	filters := append(filter("addresses.private-ip-address", addresses...), filter("vpc-id", t.vpc)...)
	pages := ec2.NewDescribeNetworkInterfacesPaginator(t.ec2, &ec2.DescribeNetworkInterfacesInput{Filters: filters})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, n := range page.NetworkInterfaces {
			for _, a := range n.PrivateIpAddresses {
				out[sdk.ToString(a.PrivateIpAddress)] = groupIDs(n.Groups)
			}
		}
	}
	return out, nil
}

func groupIDs(groups []ec2types.GroupIdentifier) []string {
	var ids []string
	for _, g := range groups {
		ids = append(ids, sdk.ToString(g.GroupId))
	}
	slices.Sort(ids)
	return ids
}
