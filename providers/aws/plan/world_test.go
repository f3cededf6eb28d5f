package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// world is the Request that tests start from: a Service with one port, two
// nodes, two pods, and three zones with a public and a private subnet each.
func world(changes ...func(*Request)) Request {
	req := Request{
		Service: &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "uid-1"},
			Spec: corev1.ServiceSpec{
				Type:       corev1.ServiceTypeLoadBalancer,
				IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
				Ports:      []corev1.ServicePort{port("http", "TCP", 80, 8080, 30080)},
			},
		},
		Settings: annotation.Settings{TargetType: annotation.Instance},
		Nodes:    []*corev1.Node{node("a", "aws:///eu-1a/i-0a"), node("b", "aws:///eu-1b/i-0b")},
		EndpointSlices: []*discoveryv1.EndpointSlice{
			slice("http", 8080, endpoint("10.0.1.11"), endpoint("10.0.2.12")),
		},
		Cluster: Cluster{Name: "prod", Tags: map[string]string{"team": "net"}},
		Cloud: Cloud{
			VPC:            VPC{ID: "vpc-1", CIDRs: []netip.Prefix{prefix("10.0.0.0/16"), prefix("2001:db8::/56")}},
			SecurityGroups: map[string]string{"sg-mine": "sg-mine", "mine": "sg-mine", "sg-more": "sg-more"},
			BackendGroup:   "sg-shared",
		},
	}
	for i, zone := range []string{"eu-1a", "eu-1b", "eu-1c"} {
		req.Cloud.Subnets = append(req.Cloud.Subnets, subnet(fmt.Sprintf("subnet-private-%d", i+1), zone, i+1, "kubernetes.io/role/internal-elb"))
	}
	for i, zone := range []string{"eu-1a", "eu-1b", "eu-1c"} {
		s := subnet(fmt.Sprintf("subnet-public-%d", i+1), zone, i+11, "kubernetes.io/role/elb")
		s.Public = true
		req.Cloud.Subnets = append(req.Cloud.Subnets, s)
	}
	for _, change := range changes {
		change(&req)
	}
	return req
}

func port(name, protocol string, number, target, nodePort int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Protocol: corev1.Protocol(protocol), Port: number, TargetPort: intstr.FromInt32(target), NodePort: nodePort}
}

func node(name, providerID string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{ProviderID: providerID}}
}

func slice(portName string, number int32, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &portName, Port: &number}},
		Endpoints:   endpoints,
	}
}

func endpoint(address string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}}
}

func terminating(address string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{
		Ready: new(false), Serving: new(true), Terminating: new(true)}}
}

func unready(address string) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false)}}
}

func subnet(id, zone string, number int, tags ...string) Subnet {
	s := Subnet{
		ID: id, Zone: zone, ZoneType: "availability-zone", FreeAddresses: 200,
		CIDR: prefix(fmt.Sprintf("10.0.%d.0/24", number)),
		IPv6: []netip.Prefix{prefix(fmt.Sprintf("2001:db8:0:%x::/64", number))},
		Tags: map[string]string{"Name": strings.TrimPrefix(id, "subnet-")},
	}
	for _, tag := range tags {
		s.Tags[tag] = "1"
	}
	return s
}

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }
func address(text string) netip.Addr  { return netip.MustParseAddr(text) }

// Changes of the world, as test tables read them.

func ips(req *Request)      { req.Settings.TargetType = annotation.IP }
func facing(req *Request)   { req.Settings.Scheme = annotation.InternetFacing }
func internal(req *Request) { req.Settings.Scheme = annotation.Internal }
func dual(req *Request)     { req.Settings.IPAddressType = annotation.DualStack }
func noGroups(req *Request) { req.Settings.NoSecurityGroups = true }
func localPolicy(req *Request) {
	req.Service.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	req.Service.Spec.HealthCheckNodePort = 31000
}

func dnsPorts(req *Request) {
	req.Service.Spec.Ports = []corev1.ServicePort{port("dns-udp", "UDP", 53, 5353, 30053), port("dns-tcp", "TCP", 53, 5353, 30053)}
	udp := slice("dns-udp", 5353, endpoint("10.0.1.11"))
	udp.Ports[0].Protocol = new(corev1.ProtocolUDP)
	req.EndpointSlices = []*discoveryv1.EndpointSlice{udp, slice("dns-tcp", 5353, endpoint("10.0.1.11"))}
}

func tlsOn(ports ...int32) func(*Request) {
	return func(req *Request) {
		req.Settings.Certificates = []string{"arn:aws:acm:eu-1:1:certificate/one", "arn:aws:acm:eu-1:1:certificate/two"}
		req.Settings.TLSPorts = map[int32]bool{}
		for _, p := range ports {
			req.Settings.TLSPorts[p] = true
		}
	}
}

func settings(change func(*annotation.Settings)) func(*Request) {
	return func(req *Request) { change(&req.Settings) }
}

func service(change func(*corev1.ServiceSpec)) func(*Request) {
	return func(req *Request) { change(&req.Service.Spec) }
}

func retag(change func(*Subnet)) func(*Request) {
	return func(req *Request) {
		for i := range req.Cloud.Subnets {
			change(&req.Cloud.Subnets[i])
		}
	}
}

// show prints all of a Stack, a line for each thing in it.
func show(s Stack) string {
	var b strings.Builder
	for _, g := range s.Groups {
		fmt.Fprintf(&b, "security group %s (%s) %s\n", g.Name, g.Description, showTags(g.Tags))
		for _, r := range g.Ingress {
			fmt.Fprintf(&b, "  %s\n", r)
		}
	}
	for _, lb := range s.LoadBalancers {
		fmt.Fprintf(&b, "load balancer %s: %s %s, security groups %v, private link %q, source NAT %v, capacity %d %v\n",
			lb.Name, lb.Scheme, lb.IPAddressType, lb.SecurityGroups, lb.PrivateLinkRules, lb.PrefixForSourceNAT, lb.MinimumCapacity, lb.ManagesCapacity)
		fmt.Fprintf(&b, "  attributes %v %s\n", lb.Attributes, showTags(lb.Tags))
		for _, m := range lb.Subnets {
			fmt.Fprintf(&b, "  in %s %s\n", m.Zone, m)
		}
		for _, l := range lb.Listeners {
			fmt.Fprintf(&b, "  listener %s to %s, certificates %v, policy %q, ALPN %q, attributes %v %s\n",
				l, l.TargetGroup, l.Certificates, l.SSLPolicy, l.ALPN, l.Attributes, showTags(l.Tags))
		}
	}
	for _, g := range s.TargetGroups {
		fmt.Fprintf(&b, "target group %s (%s): %s %d, %s %s, multi-cluster %v\n", g.Key, g.Name, g.Protocol, g.Port, g.TargetType, g.IPAddressType, g.MultiCluster)
		fmt.Fprintf(&b, "  checked by %v\n  attributes %v %s\n", g.HealthCheck, g.Attributes, showTags(g.Tags))
		for _, t := range g.Targets {
			fmt.Fprintf(&b, "  target %s\n", strings.TrimSpace(t.String()+" "+t.Zone))
		}
	}
	return b.String()
}

func showTags(tags map[string]string) string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, key+"="+tags[key])
	}
	return "tags " + strings.Join(out, " ")
}
