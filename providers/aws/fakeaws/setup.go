package fakeaws

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// VPC is one to add. It has an internet gateway unless it is Closed.
type VPC struct {
	ID     string
	CIDRs  []string // of both families, the first of IPv4
	Closed bool
	Tags   map[string]string
}

// Subnet is one to add.
type Subnet struct {
	ID, VPC, Zone string
	// ZoneType is availability-zone where it is empty; or local-zone,
	// wavelength-zone or outpost.
	ZoneType string
	CIDR     string
	IPv6     string // a /64, or empty
	// Used is how many of its addresses are taken.
	Used int32
	Tags map[string]string
}

// RouteTable is one to add: the main one of its VPC if it is of no subnets.
type RouteTable struct {
	ID, VPC string
	Subnets []string
	// Gateway is an internet gateway and NAT a NAT gateway for the default route,
	// if there is one.
	Gateway, NAT string
	Tags         map[string]string
}

// SecurityGroup is one to add.
type SecurityGroup struct {
	ID, VPC, Name, Description string
	Tags                       map[string]string
	Ingress                    []ec2types.IpPermission
}

// Instance is one to add, which runs.
type Instance struct {
	ID, Subnet, PrivateIP string
	Groups                []string
	Tags                  map[string]string
}

// NetworkInterface is one to add. Those of an Instance, after the first one that
// it is born with, have the next device index.
type NetworkInterface struct {
	ID, Subnet, PrivateIP, Instance, Description string
	Groups                                       []string
}

// The functions that add things panic where those don't make sense, for their
// caller is a test.

// AddVPC adds a VPC.
func (c *Cloud) AddVPC(v VPC) {
	c.mu.Lock()
	defer c.mu.Unlock()
	added := &vpc{id: v.ID, gateway: !v.Closed, tags: maps.Clone(v.Tags)}
	for _, s := range v.CIDRs {
		if p := netip.MustParsePrefix(s); p.Addr().Is4() {
			added.cidrs = append(added.cidrs, p)
		} else {
			added.ipv6 = append(added.ipv6, p)
		}
	}
	must(len(added.cidrs) > 0, "VPC %s has no IPv4 CIDR", v.ID)
	c.vpcs[v.ID] = added
}

// AddSubnet adds a subnet to a VPC.
func (c *Cloud) AddSubnet(s Subnet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	must(c.vpcs[s.VPC] != nil, "subnet %s is of VPC %s, which does not exist", s.ID, s.VPC)
	added := &subnet{id: s.ID, vpc: s.VPC, zone: s.Zone, zoneType: s.ZoneType, cidr: netip.MustParsePrefix(s.CIDR), used: s.Used, tags: maps.Clone(s.Tags)}
	if s.IPv6 != "" {
		added.ipv6 = netip.MustParsePrefix(s.IPv6)
	}
	c.subnets[s.ID] = added
}

// AddRouteTable adds a route table to a VPC.
func (c *Cloud) AddRouteTable(t RouteTable) {
	c.mu.Lock()
	defer c.mu.Unlock()
	must(c.vpcs[t.VPC] != nil, "route table %s is of VPC %s, which does not exist", t.ID, t.VPC)
	c.routeTables[t.ID] = &routeTable{id: t.ID, vpc: t.VPC, subnets: slices.Clone(t.Subnets), gateway: t.Gateway, nat: t.NAT, tags: maps.Clone(t.Tags)}
}

// AddSecurityGroup adds a security group to a VPC.
func (c *Cloud) AddSecurityGroup(g SecurityGroup) {
	c.mu.Lock()
	defer c.mu.Unlock()
	must(c.vpcs[g.VPC] != nil, "security group %s is of VPC %s, which does not exist", g.ID, g.VPC)
	added := &securityGroup{id: g.ID, name: g.Name, description: g.Description, vpc: g.VPC, tags: maps.Clone(g.Tags)}
	rules, err := c.rulesOf(added, g.Ingress)
	must(err == nil, "security group %s: %v", g.ID, err)
	for _, r := range rules {
		r.id = c.id("sgr")
		added.rules = append(added.rules, r)
	}
	c.groups[g.ID] = added
	c.setTags(c.groupARN(g.ID), added.tags)
}

// AddInstance adds an instance with one network interface.
func (c *Cloud) AddInstance(i Instance) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.instances[i.ID] = &instance{id: i.ID, state: ec2types.InstanceStateNameRunning, tags: maps.Clone(i.Tags)}
	c.addInterface(NetworkInterface{ID: "eni-" + i.ID[len("i-"):], Subnet: i.Subnet, PrivateIP: i.PrivateIP, Instance: i.ID, Groups: i.Groups})
}

// AddNetworkInterface adds a network interface, to an instance or by itself.
func (c *Cloud) AddNetworkInterface(ni NetworkInterface) {
	c.mu.Lock()
	defer c.mu.Unlock()
	must(ni.Instance == "" || c.instances[ni.Instance] != nil, "network interface %s is of instance %s, which does not exist", ni.ID, ni.Instance)
	c.addInterface(ni)
}

func (c *Cloud) addInterface(ni NetworkInterface) {
	must(c.subnets[ni.Subnet] != nil, "network interface %s is in subnet %s, which does not exist", ni.ID, ni.Subnet)
	must(len(ni.Groups) <= c.options.Limits.GroupsPerInterface, "network interface %s has %d groups", ni.ID, len(ni.Groups))
	index := int32(0)
	if ni.Instance != "" {
		index = int32(len(c.interfacesOf(ni.Instance)))
	}
	c.interfaces[ni.ID] = &networkInterface{id: ni.ID, subnet: ni.Subnet, instance: ni.Instance, description: ni.Description, address: netip.MustParseAddr(ni.PrivateIP), groups: slices.Clone(ni.Groups), index: index}
}

// SetInstanceState has an instance stop, start or go. Of one that is terminated,
// the network interfaces are gone and targets are deregistered.
func (c *Cloud) SetInstanceState(id string, state ec2types.InstanceStateName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	must(c.instances[id] != nil, "instance %s does not exist", id)
	c.instances[id].state = state
	if state != ec2types.InstanceStateNameTerminated {
		return
	}
	for _, g := range c.targetGroups {
		for _, key := range g.sorted() {
			if key.id == id {
				c.deregister(g, key)
			}
		}
	}
	for _, ni := range c.interfacesOf(id) {
		delete(c.interfaces, ni.id)
	}
}

// AddAddress adds an Elastic IP address by its allocation ID.
func (c *Cloud) AddAddress(allocation string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addresses[allocation] = true
}

// FailLoadBalancers says whether AWS can't set up those that are made from now on.
func (c *Cloud) FailLoadBalancers(fail bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing = fail
}

// AddCertificate adds a certificate by its ARN.
func (c *Cloud) AddCertificate(arn string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.certificates[arn] = true
}

// AddPrefixList adds a managed prefix list, which counts for as many rules as it
// may have entries.
func (c *Cloud) AddPrefixList(id string, entries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prefixLists[id] = entries
}

func must(ok bool, format string, args ...any) {
	if !ok {
		panic("fakeaws: " + fmt.Sprintf(format, args...))
	}
}
