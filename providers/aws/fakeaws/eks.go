package fakeaws

import (
	"fmt"
	"net/netip"
)

// EKS is a cluster to add: a VPC of three zones, with a public and a private
// subnet each, and nodes in the private ones. All is tagged as eksctl and EKS tag
// it.
type EKS struct {
	Cluster   string
	Nodes     int
	DualStack bool
}

// Site is where a cluster is.
type Site struct {
	VPC             string
	Zones           []string
	Public, Private []string // subnets, by zone
	NodeGroup       string   // the security group of the nodes
	Nodes           []Node
}

// Node is an instance that is a node of the cluster.
type Node struct{ Instance, Zone, Address, ProviderID string }

// AddEKS adds a cluster. A second one has a VPC of its own.
func (c *Cloud) AddEKS(e EKS) Site {
	owned := map[string]string{"kubernetes.io/cluster/" + e.Cluster: "owned"}
	site := Site{VPC: "vpc-" + e.Cluster, NodeGroup: "sg-nodes-" + e.Cluster}
	cidrs := []string{"10.0.0.0/16"}
	if e.DualStack {
		cidrs = append(cidrs, "2001:db8:0:1a00::/56")
	}
	c.AddVPC(VPC{ID: site.VPC, CIDRs: cidrs, Tags: owned})
	for i, letter := range []string{"a", "b", "c"} {
		site.addZone(c, e, i, c.options.Region+letter)
	}
	c.AddRouteTable(RouteTable{ID: "rtb-public-" + e.Cluster, VPC: site.VPC, Subnets: site.Public, Gateway: "igw-" + e.Cluster})
	c.AddRouteTable(RouteTable{ID: "rtb-" + e.Cluster, VPC: site.VPC, NAT: "nat-" + e.Cluster})
	c.AddSecurityGroup(SecurityGroup{ID: site.NodeGroup, VPC: site.VPC, Name: "eks-cluster-sg-" + e.Cluster, Description: "EKS created security group", Tags: owned})
	for range e.Nodes {
		site.AddNode(c)
	}
	return site
}

// addZone adds the public and the private subnet of a zone: a /20 and a /19.
func (s *Site) addZone(c *Cloud, e EKS, i int, zone string) {
	subnet := func(kind, role, cidr string, number int) string {
		added := Subnet{
			ID: fmt.Sprintf("subnet-%s-%s-%d", kind, e.Cluster, i+1), VPC: s.VPC, Zone: zone, CIDR: cidr,
			Tags: map[string]string{"kubernetes.io/cluster/" + e.Cluster: "shared", "kubernetes.io/role/" + role: "1", "Name": fmt.Sprintf("%s-%s-%s", e.Cluster, kind, zone)},
		}
		if e.DualStack {
			added.IPv6 = fmt.Sprintf("2001:db8:0:1a%02x::/64", number)
		}
		c.AddSubnet(added)
		return added.ID
	}
	s.Zones = append(s.Zones, zone)
	s.Public = append(s.Public, subnet("public", "elb", fmt.Sprintf("10.0.%d.0/20", 16*i), i))
	s.Private = append(s.Private, subnet("private", "internal-elb", fmt.Sprintf("10.0.%d.0/19", 96+32*i), 16+i))
}

// AddNode adds a node, in the next zone.
func (s *Site) AddNode(c *Cloud) Node {
	i := len(s.Nodes)
	zone := i % len(s.Zones)
	base := netip.MustParseAddr(fmt.Sprintf("10.0.%d.0", 96+32*zone)).As4()
	offset := 10 + i/len(s.Zones)
	base[2] += byte(offset / 256)
	base[3] = byte(offset % 256)
	node := Node{Instance: fmt.Sprintf("i-0%016x", c.countInstances()+1), Zone: s.Zones[zone], Address: netip.AddrFrom4(base).String()}
	node.ProviderID = fmt.Sprintf("aws:///%s/%s", node.Zone, node.Instance)
	c.AddInstance(Instance{ID: node.Instance, Subnet: s.Private[zone], PrivateIP: node.Address, Groups: []string{s.NodeGroup}})
	s.Nodes = append(s.Nodes, node)
	return node
}

func (c *Cloud) countInstances() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.instances)
}
