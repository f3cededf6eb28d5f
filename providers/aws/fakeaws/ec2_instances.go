package fakeaws

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

var stateCodes = map[ec2types.InstanceStateName]int32{
	ec2types.InstanceStateNamePending: 0, ec2types.InstanceStateNameRunning: 16, ec2types.InstanceStateNameShuttingDown: 32,
	ec2types.InstanceStateNameTerminated: 48, ec2types.InstanceStateNameStopping: 64, ec2types.InstanceStateNameStopped: 80,
}

// interfacesOf are those of an instance, by device index.
func (c *Cloud) interfacesOf(instance string) []*networkInterface {
	var found []*networkInterface
	for _, ni := range c.interfaces {
		if ni.instance == instance {
			found = append(found, ni)
		}
	}
	slices.SortFunc(found, func(a, b *networkInterface) int { return cmp.Compare(a.index, b.index) })
	return found
}

// primary is the first one, nil where the instance is gone.
func (c *Cloud) primary(instance string) *networkInterface {
	if all := c.interfacesOf(instance); len(all) > 0 {
		return all[0]
	}
	return nil
}

func (c *Cloud) describeInstances(in *ec2.DescribeInstancesInput) (*ec2.DescribeInstancesOutput, error) {
	if in.IncludeManagedResources != nil {
		return nil, badValue("IncludeManagedResources is not understood here")
	}
	of := func(get func(*networkInterface) string) func(*instance) []string {
		return func(i *instance) []string {
			var values []string
			for _, ni := range c.interfacesOf(i.id) {
				values = append(values, get(ni))
			}
			return values
		}
	}
	page, next, err := describe(c, list[*instance]{
		all: c.instances, prefix: "i-", notFound: "InvalidInstanceID.NotFound", malformed: "InvalidInstanceID.Malformed",
		id: func(i *instance) string { return i.id }, tags: func(i *instance) map[string]string { return i.tags },
		filters: filters[*instance]{
			"instance-id":         func(i *instance) []string { return []string{i.id} },
			"instance-state-name": func(i *instance) []string { return []string{string(i.state)} },
			"private-dns-name":    of(func(ni *networkInterface) string { return c.dnsNameOf(ni) }),
			"private-ip-address":  of(func(ni *networkInterface) string { return ni.address.String() }),
			"subnet-id":           of(func(ni *networkInterface) string { return ni.subnet }),
			"vpc-id":              of(func(ni *networkInterface) string { return c.subnets[ni.subnet].vpc }),
			"availability-zone":   of(func(ni *networkInterface) string { return c.subnets[ni.subnet].zone }),
		},
	}, asked{in.InstanceIds, in.Filters, in.MaxResults, in.NextToken, in.DryRun})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeInstancesOutput{Reservations: []ec2types.Reservation{}, NextToken: next}
	for _, i := range page {
		out.Reservations = append(out.Reservations, ec2types.Reservation{
			ReservationId: ptr("r-" + i.id[len("i-"):]), OwnerId: &c.options.Account, Instances: []ec2types.Instance{c.showInstance(i)},
		})
	}
	return out, nil
}

func (c *Cloud) showInstance(i *instance) ec2types.Instance {
	shown := ec2types.Instance{
		InstanceId: &i.id, State: &ec2types.InstanceState{Name: i.state, Code: ptr(stateCodes[i.state])}, Tags: ec2Tags(i.tags),
	}
	for _, ni := range c.interfacesOf(i.id) {
		shown.NetworkInterfaces = append(shown.NetworkInterfaces, ec2types.InstanceNetworkInterface{
			NetworkInterfaceId: &ni.id, SubnetId: &ni.subnet, VpcId: &c.subnets[ni.subnet].vpc, Groups: c.identifiers(ni.groups),
			PrivateIpAddress: ptr(ni.address.String()), Status: ec2types.NetworkInterfaceStatusInUse,
			Attachment: &ec2types.InstanceNetworkInterfaceAttachment{DeviceIndex: &ni.index, Status: ec2types.AttachmentStatusAttached},
		})
	}
	if ni := c.primary(i.id); ni != nil {
		s := c.subnets[ni.subnet]
		shown.SubnetId, shown.VpcId = &s.id, &s.vpc
		shown.PrivateIpAddress, shown.PrivateDnsName = ptr(ni.address.String()), ptr(c.dnsNameOf(ni))
		shown.SecurityGroups = c.identifiers(ni.groups)
		shown.Placement = &ec2types.Placement{AvailabilityZone: &s.zone}
	}
	return shown
}

// dnsNameOf is how nodes are called where Kubernetes asks EC2.
func (c *Cloud) dnsNameOf(ni *networkInterface) string {
	a := ni.address.As4()
	return fmt.Sprintf("ip-%d-%d-%d-%d.%s.compute.internal", a[0], a[1], a[2], a[3], c.options.Region)
}

func (c *Cloud) identifiers(groups []string) []ec2types.GroupIdentifier {
	var ids []ec2types.GroupIdentifier
	for _, id := range groups {
		g := ec2types.GroupIdentifier{GroupId: ptr(id)}
		if known := c.groups[id]; known != nil {
			g.GroupName = ptr(known.name)
		}
		ids = append(ids, g)
	}
	return ids
}

// allInterfaces are those of instances, those by themselves, and those of load
// balancers, deleted ones for a while included.
func (c *Cloud) allInterfaces() map[string]*networkInterface {
	all := maps.Clone(c.interfaces)
	for _, lb := range c.occupying() {
		for i, m := range lb.mappings {
			id := fmt.Sprintf("eni-0%s%x", lb.id[:15], i)
			all[id] = &networkInterface{
				id: id, subnet: m.subnet, groups: lb.groups, address: c.addressOf(m),
				description: fmt.Sprintf("ELB net/%s/%s", lb.name, lb.id),
			}
		}
	}
	return all
}

// addressOf is the address of a load balancer in a subnet, an arbitrary one
// where nobody asked for one.
func (c *Cloud) addressOf(m mapping) netip.Addr {
	if addr, err := netip.ParseAddr(m.ipv4); err == nil {
		return addr
	}
	return c.subnets[m.subnet].cidr.Addr().Next().Next().Next().Next()
}

func (c *Cloud) describeNetworkInterfaces(in *ec2.DescribeNetworkInterfacesInput) (*ec2.DescribeNetworkInterfacesOutput, error) {
	if in.IncludeManagedResources != nil {
		return nil, badValue("IncludeManagedResources is not understood here")
	}
	page, next, err := describe(c, list[*networkInterface]{
		all: c.allInterfaces(), prefix: "eni-", notFound: "InvalidNetworkInterfaceID.NotFound", malformed: "InvalidNetworkInterfaceId.Malformed",
		id: func(ni *networkInterface) string { return ni.id }, tags: func(*networkInterface) map[string]string { return nil },
		filters: filters[*networkInterface]{
			"network-interface-id":         func(ni *networkInterface) []string { return []string{ni.id} },
			"attachment.instance-id":       func(ni *networkInterface) []string { return []string{ni.instance} },
			"description":                  func(ni *networkInterface) []string { return []string{ni.description} },
			"group-id":                     func(ni *networkInterface) []string { return ni.groups },
			"private-ip-address":           func(ni *networkInterface) []string { return []string{ni.address.String()} },
			"addresses.private-ip-address": func(ni *networkInterface) []string { return []string{ni.address.String()} },
			"subnet-id":                    func(ni *networkInterface) []string { return []string{ni.subnet} },
			"vpc-id":                       func(ni *networkInterface) []string { return []string{c.subnets[ni.subnet].vpc} },
			"availability-zone":            func(ni *networkInterface) []string { return []string{c.subnets[ni.subnet].zone} },
		},
	}, asked{in.NetworkInterfaceIds, in.Filters, in.MaxResults, in.NextToken, in.DryRun})
	if err != nil {
		return nil, err
	}
	out := &ec2.DescribeNetworkInterfacesOutput{NetworkInterfaces: []ec2types.NetworkInterface{}, NextToken: next}
	for _, ni := range page {
		out.NetworkInterfaces = append(out.NetworkInterfaces, c.showInterface(ni))
	}
	return out, nil
}

func (c *Cloud) showInterface(ni *networkInterface) ec2types.NetworkInterface {
	s := c.subnets[ni.subnet]
	shown := ec2types.NetworkInterface{
		NetworkInterfaceId: &ni.id, SubnetId: &s.id, VpcId: &s.vpc, AvailabilityZone: &s.zone, OwnerId: &c.options.Account,
		Description: ptr(ni.description), Groups: c.identifiers(ni.groups), Status: ec2types.NetworkInterfaceStatusInUse,
		PrivateIpAddress:   ptr(ni.address.String()),
		PrivateIpAddresses: []ec2types.NetworkInterfacePrivateIpAddress{{Primary: ptr(true), PrivateIpAddress: ptr(ni.address.String())}},
		InterfaceType:      ec2types.NetworkInterfaceTypeNetworkLoadBalancer,
	}
	if ni.instance != "" {
		shown.InterfaceType = ec2types.NetworkInterfaceTypeInterface
		shown.Attachment = &ec2types.NetworkInterfaceAttachment{InstanceId: ptr(ni.instance), DeviceIndex: ptr(ni.index), Status: ec2types.AttachmentStatusAttached}
	}
	return shown
}
