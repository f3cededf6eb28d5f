package fakeaws

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// LBCService is a Service for which the AWS Load Balancer Controller, 3.x, made
// what there is.
type LBCService struct {
	Cluster, Namespace, Name string
	VPC                      string
	Subnets                  []string
	Scheme                   elb.LoadBalancerSchemeEnum // internal where it is empty
	IPAddressType            elb.IpAddressType          // ipv4 where it is empty
	TargetType               elb.TargetTypeEnum         // instance where it is empty
	Ports                    []LBCPort
	// Targets are instances or addresses, the same for all ports.
	Targets []string
	// SourceRanges are IPv4 CIDRs; everybody where there are none.
	SourceRanges []string
	// NodeGroup lets the shared backend group in, if it is set.
	NodeGroup string
	// WithoutGroups is how versions before 2.6 made load balancers.
	WithoutGroups bool
	// HealthCheckNodePort is checked by HTTP, as for policy Local, if it is set.
	HealthCheckNodePort int32
	// Attributes are those of the load balancer, Tags those of the user.
	Attributes, TargetGroupAttributes, Tags map[string]string
}

// LBCPort is a port of such a Service.
type LBCPort struct {
	Port, TargetPort int32            // TargetPort is the node port of instances
	Protocol         elb.ProtocolEnum // of the listener; TCP where it is empty
	Certificates     []string
	Policy           string
}

// LBCStack is what was made.
type LBCStack struct {
	LoadBalancer, LoadBalancerName, DNSName string
	TargetGroups, Listeners                 []string // ARNs, by port as they were given
	Group, BackendGroup                     string   // IDs
}

// The texts by which the AWS Load Balancer Controller knows its own.
const (
	lbcCluster      = "elbv2.k8s.aws/cluster"
	lbcStack        = "service.k8s.aws/stack"
	lbcResource     = "service.k8s.aws/resource"
	lbcGroup        = "[k8s] Managed SecurityGroup for LoadBalancer"
	lbcBackend      = "[k8s] Shared Backend SecurityGroup for LoadBalancer"
	lbcBackendTag   = "elbv2.k8s.aws/resource"
	lbcBackendValue = "backend-sg"
	lbcRule         = "elbv2.k8s.aws/targetGroupBinding=shared"
)

// AddLBCService makes what the AWS Load Balancer Controller would have made, and
// panics where that is refused. It is neither logged nor throttled.
func (c *Cloud) AddLBCService(s LBCService) LBCStack {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.root = true
	defer func() { c.root = false }()
	s.Scheme = cmp.Or(s.Scheme, elb.LoadBalancerSchemeEnumInternal)
	s.IPAddressType = cmp.Or(s.IPAddressType, elb.IpAddressTypeIpv4)
	s.TargetType = cmp.Or(s.TargetType, elb.TargetTypeEnumInstance)
	var made LBCStack
	if !s.WithoutGroups {
		made.Group = s.addFront(c)
		made.BackendGroup = s.addBackend(c)
	}
	s.addLoadBalancer(c, &made)
	for _, p := range s.Ports {
		s.addPort(c, &made, p)
	}
	return made
}

// name is how all is called; what comes into its hash differs by kind.
func (s LBCService) name(of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{s.Cluster, s.Namespace, s.Name}, of...), "/")))
	return fmt.Sprintf("k8s-%s-%s-%s", head(s.Namespace, 8), head(s.Name, 8), hex.EncodeToString(sum[:])[:10])
}

func head(s string, n int) string {
	plain := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, s)
	return plain[:min(n, len(plain))]
}

func (s LBCService) tags(resource string) map[string]string {
	tags := maps.Clone(s.Tags)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[lbcCluster] = s.Cluster
	tags[lbcStack] = s.Namespace + "/" + s.Name
	tags[lbcResource] = resource
	return tags
}

func mustAct[O any](c *Cloud, in any) *O {
	out, err := act[O](c, in)
	must(err == nil, "%T: %v", in, err)
	return out
}

func (s LBCService) addGroup(c *Cloud, name, description string, tags map[string]string) string {
	return *mustAct[ec2.CreateSecurityGroupOutput](c, &ec2.CreateSecurityGroupInput{
		GroupName: &name, Description: &description, VpcId: &s.VPC,
		TagSpecifications: []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSecurityGroup, Tags: ec2Tags(tags)}},
	}).GroupId
}

// addFront lets clients in to the ports.
func (s LBCService) addFront(c *Cloud) string {
	id := s.addGroup(c, s.name("group"), lbcGroup, s.tags("ManagedLBSecurityGroup"))
	var permissions []ec2types.IpPermission
	for _, p := range s.Ports {
		for _, protocol := range protocolsOf(p.Protocol) {
			permission := ec2types.IpPermission{IpProtocol: ptr(protocol), FromPort: ptr(p.Port), ToPort: ptr(p.Port)}
			for _, cidr := range s.SourceRanges {
				permission.IpRanges = append(permission.IpRanges, ec2types.IpRange{CidrIp: ptr(cidr)})
			}
			if len(s.SourceRanges) == 0 {
				permission.IpRanges = []ec2types.IpRange{{CidrIp: ptr("0.0.0.0/0")}}
				if s.IPAddressType == elb.IpAddressTypeDualstack {
					permission.Ipv6Ranges = []ec2types.Ipv6Range{{CidrIpv6: ptr("::/0")}}
				}
			}
			permissions = append(permissions, permission)
		}
	}
	mustAct[ec2.AuthorizeSecurityGroupIngressOutput](c, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &id, IpPermissions: permissions})
	return id
}

// protocolsOf are those of IP that a listener takes.
func protocolsOf(p elb.ProtocolEnum) []string {
	switch p {
	case elb.ProtocolEnumUdp:
		return []string{"udp"}
	case elb.ProtocolEnumTcpUdp:
		return []string{"tcp", "udp"}
	}
	return []string{"tcp"}
}

// addBackend finds or makes the group that all load balancers of the cluster
// share, and has the nodes let it in.
func (s LBCService) addBackend(c *Cloud) string {
	var id string
	for _, g := range c.groups {
		if g.tags[lbcCluster] == s.Cluster && g.tags[lbcBackendTag] == lbcBackendValue {
			id = g.id
		}
	}
	if id == "" {
		sum := sha256.Sum256([]byte(s.Cluster + "/" + s.VPC))
		name := fmt.Sprintf("k8s-traffic-%s-%s", head(s.Cluster, 255), hex.EncodeToString(sum[:])[:10])
		id = s.addGroup(c, name, lbcBackend, map[string]string{lbcCluster: s.Cluster, lbcBackendTag: lbcBackendValue})
	}
	if s.NodeGroup == "" {
		return id
	}
	for _, protocol := range []string{"tcp", "udp"} {
		s.letIn(c, id, protocol)
	}
	return id
}

// letIn keeps one rule per protocol, from the lowest to the highest port.
func (s LBCService) letIn(c *Cloud, backend, protocol string) {
	nodes := c.groups[s.NodeGroup]
	must(nodes != nil, "security group %s does not exist", s.NodeGroup)
	r := rule{source: source{protocol: protocol, group: backend}, description: lbcRule, id: c.id("sgr")}
	ports := s.backendPorts(protocol)
	nodes.rules = slices.DeleteFunc(nodes.rules, func(has rule) bool {
		ours := has.group == backend && has.protocol == protocol && has.description == lbcRule
		if ours {
			ports = append(ports, has.from, has.to)
		}
		return ours
	})
	if len(ports) == 0 {
		return
	}
	r.from, r.to = slices.Min(ports), slices.Max(ports)
	nodes.rules = append(nodes.rules, r)
}

func (s LBCService) backendPorts(protocol string) []int32 {
	var ports []int32
	for _, p := range s.Ports {
		if slices.Contains(protocolsOf(p.Protocol), protocol) || protocol == "tcp" { // health checks are TCP
			ports = append(ports, p.TargetPort)
		}
	}
	if s.HealthCheckNodePort > 0 && protocol == "tcp" {
		ports = append(ports, s.HealthCheckNodePort)
	}
	return ports
}

func (s LBCService) addLoadBalancer(c *Cloud, made *LBCStack) {
	in := &elbv2.CreateLoadBalancerInput{
		Name: ptr(s.name(string(s.Scheme))), Type: elb.LoadBalancerTypeEnumNetwork, Scheme: s.Scheme, IpAddressType: s.IPAddressType,
		Tags: elbTags(s.tags("LoadBalancer")), Subnets: s.Subnets,
	}
	if !s.WithoutGroups {
		in.SecurityGroups = []string{made.Group, made.BackendGroup}
	}
	lb := mustAct[elbv2.CreateLoadBalancerOutput](c, in).LoadBalancers[0]
	made.LoadBalancer, made.LoadBalancerName, made.DNSName = *lb.LoadBalancerArn, *lb.LoadBalancerName, *lb.DNSName
	if len(s.Attributes) > 0 {
		in := &elbv2.ModifyLoadBalancerAttributesInput{LoadBalancerArn: lb.LoadBalancerArn}
		for _, key := range sortedKeys(s.Attributes) {
			in.Attributes = append(in.Attributes, elb.LoadBalancerAttribute{Key: ptr(key), Value: ptr(s.Attributes[key])})
		}
		mustAct[elbv2.ModifyLoadBalancerAttributesOutput](c, in)
	}
}

// addPort adds a target group with its targets, and a listener.
func (s LBCService) addPort(c *Cloud, made *LBCStack, p LBCPort) {
	p.Protocol = cmp.Or(p.Protocol, elb.ProtocolEnumTcp)
	protocol := p.Protocol
	if protocol == elb.ProtocolEnumTls {
		protocol = elb.ProtocolEnumTcp
	}
	in := &elbv2.CreateTargetGroupInput{
		Name: ptr(s.name(string(protocol), fmt.Sprint(p.Port, p.TargetPort), string(s.TargetType))), Protocol: protocol, Port: ptr(p.TargetPort),
		TargetType: s.TargetType, VpcId: &s.VPC, Tags: elbTags(s.tags(fmt.Sprintf("%s/%s:%d", s.Namespace, s.Name, p.Port))),
		HealthCheckProtocol: elb.ProtocolEnumTcp, HealthCheckPort: ptr("traffic-port"),
		HealthCheckIntervalSeconds: ptr(int32(10)), HealthCheckTimeoutSeconds: ptr(int32(10)),
		HealthyThresholdCount: ptr(int32(3)), UnhealthyThresholdCount: ptr(int32(3)),
		IpAddressType: elb.TargetGroupIpAddressTypeEnumIpv4,
	}
	if s.HealthCheckNodePort > 0 {
		in.HealthCheckProtocol, in.HealthCheckPath, in.HealthCheckPort = elb.ProtocolEnumHttp, ptr("/healthz"), ptr(fmt.Sprint(s.HealthCheckNodePort))
		in.HealthCheckTimeoutSeconds, in.HealthyThresholdCount, in.UnhealthyThresholdCount = ptr(int32(6)), ptr(int32(2)), ptr(int32(2))
		in.Matcher = &elb.Matcher{HttpCode: ptr("200-399")}
	}
	group := mustAct[elbv2.CreateTargetGroupOutput](c, in).TargetGroups[0].TargetGroupArn
	made.TargetGroups = append(made.TargetGroups, *group)
	attributes := map[string]string{"proxy_protocol_v2.enabled": "false"}
	maps.Copy(attributes, s.TargetGroupAttributes)
	modify := &elbv2.ModifyTargetGroupAttributesInput{TargetGroupArn: group}
	for _, key := range sortedKeys(attributes) {
		modify.Attributes = append(modify.Attributes, elb.TargetGroupAttribute{Key: ptr(key), Value: ptr(attributes[key])})
	}
	mustAct[elbv2.ModifyTargetGroupAttributesOutput](c, modify)
	for targets := range slices.Chunk(s.Targets, targetsAtOnce) {
		register := &elbv2.RegisterTargetsInput{TargetGroupArn: group}
		for _, id := range targets {
			register.Targets = append(register.Targets, elb.TargetDescription{Id: ptr(id), Port: ptr(p.TargetPort)})
		}
		mustAct[elbv2.RegisterTargetsOutput](c, register)
	}
	s.addListener(c, made, p, group)
}

func (s LBCService) addListener(c *Cloud, made *LBCStack, p LBCPort, group *string) {
	in := &elbv2.CreateListenerInput{
		LoadBalancerArn: &made.LoadBalancer, Port: ptr(p.Port), Protocol: p.Protocol, SslPolicy: text(p.Policy), Tags: elbTags(s.tags(fmt.Sprint(p.Port))),
		DefaultActions: []elb.Action{{Type: elb.ActionTypeEnumForward, ForwardConfig: &elb.ForwardActionConfig{TargetGroups: []elb.TargetGroupTuple{{TargetGroupArn: group}}}}},
	}
	if len(p.Certificates) > 0 {
		in.Certificates = []elb.Certificate{{CertificateArn: ptr(p.Certificates[0])}}
	}
	listener := mustAct[elbv2.CreateListenerOutput](c, in).Listeners[0].ListenerArn
	made.Listeners = append(made.Listeners, *listener)
	for i, arn := range p.Certificates {
		if i > 0 {
			mustAct[elbv2.AddListenerCertificatesOutput](c, &elbv2.AddListenerCertificatesInput{ListenerArn: listener, Certificates: []elb.Certificate{{CertificateArn: ptr(arn)}}})
		}
	}
}
