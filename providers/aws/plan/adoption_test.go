package plan

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// made is what the AWS Load Balancer Controller 3 leaves at AWS for the Service
// of world, as describing it returns it.
func made() Stack {
	const region = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
	tags := func(resource string) map[string]string {
		return map[string]string{
			"elbv2.k8s.aws/cluster":    "prod",
			"service.k8s.aws/stack":    "shop/web",
			"service.k8s.aws/resource": resource,
			"team":                     "net",
		}
	}
	return Stack{
		LoadBalancers: []LoadBalancer{{
			ARN:     region + "loadbalancer/net/k8s-shop-web-0d2ca6f4bf/8ec1f0c9d4a3b2e1",
			DNSName: "k8s-shop-web-0d2ca6f4bf-8ec1f0c9d4a3b2e1.elb.eu-west-1.amazonaws.com",
			State:   "active", Name: "k8s-shop-web-0d2ca6f4bf", Scheme: annotation.Internal, IPAddressType: annotation.IPv4,
			Subnets: []SubnetMapping{
				{SubnetID: "subnet-private-1", Zone: "eu-1a"}, {SubnetID: "subnet-private-2", Zone: "eu-1b"}, {SubnetID: "subnet-private-3", Zone: "eu-1c"},
			},
			SecurityGroups: []string{"sg-0front", "sg-shared"}, PrivateLinkRules: "on",
			Attributes: map[string]string{
				"access_logs.s3.enabled": "false", "access_logs.s3.bucket": "", "access_logs.s3.prefix": "",
				"deletion_protection.enabled": "false", "ipv6.deny_all_igw_traffic": "false", "load_balancing.cross_zone.enabled": "false",
				"dns_record.client_routing_policy": "any_availability_zone", "zonal_shift.config.enabled": "false",
			},
			Tags: tags("LoadBalancer"),
			Listeners: []Listener{{
				ARN:         region + "listener/net/k8s-shop-web-0d2ca6f4bf/8ec1f0c9d4a3b2e1/5bd3e7a1c2f40918",
				Protocol:    "TCP",
				Port:        80,
				TargetGroup: region + "targetgroup/k8s-shop-web-9f0a4c1d7e/1f2e3d4c5b6a7988",
				Attributes:  map[string]string{"tcp.idle_timeout.seconds": "350"},
				Tags:        tags("80"),
			}},
		}},
		TargetGroups: []TargetGroup{{
			ARN: region + "targetgroup/k8s-shop-web-9f0a4c1d7e/1f2e3d4c5b6a7988",
			Key: "shop/web:80", Name: "k8s-shop-web-9f0a4c1d7e", Protocol: "TCP", Port: 30080, TargetType: annotation.Instance, IPAddressType: "ipv4",
			HealthCheck: HealthCheck{Protocol: "TCP", Port: "traffic-port", Interval: 10 * time.Second, Timeout: 10 * time.Second, Healthy: 3, Unhealthy: 3},
			Attributes: map[string]string{
				"deregistration_delay.timeout_seconds": "300", "deregistration_delay.connection_termination.enabled": "false",
				"preserve_client_ip.enabled": "true", "proxy_protocol_v2.enabled": "false", "stickiness.enabled": "false", "stickiness.type": "source_ip",
				"load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
			},
			Tags:    tags("shop/web:80"),
			Targets: []Target{{ID: "i-0a", Port: 30080}, {ID: "i-0b", Port: 30080}},
		}},
		Groups: []SecurityGroup{{
			ID: "sg-0front", Name: "k8s-shop-web-31d7c0a5be", Description: "[k8s] Managed SecurityGroup for LoadBalancer",
			Tags:    tags("ManagedLBSecurityGroup"),
			Ingress: []Rule{{Protocol: "tcp", From: 80, To: 80, CIDR: prefix("0.0.0.0/0")}},
		}},
	}
}

// What another controller made of the same Service stays as it is.
func TestAdoptionChangesNothing(t *testing.T) {
	for _, tc := range []struct {
		reason string
		asked  func(*Request)
		found  func(*Stack)
	}{
		{"nothing is asked for", func(*Request) {}, func(*Stack) {}},
		{"it was reached from the internet, and the annotation is gone since", func(*Request) {}, func(s *Stack) {
			lb := &s.LoadBalancers[0]
			lb.Scheme = annotation.InternetFacing
			lb.Subnets = []SubnetMapping{{SubnetID: "subnet-public-1", Zone: "eu-1a"}, {SubnetID: "subnet-public-3", Zone: "eu-1c"}}
		}},
		{"a name of the user's", settings(func(s *annotation.Settings) { s.Name = "front" }), func(s *Stack) { s.LoadBalancers[0].Name = "front" }},
		{"a name that was asked for later, which changed nothing there either", settings(func(s *annotation.Settings) { s.Name = "front" }), func(*Stack) {}},
		{"a rule for each port and range", func(r *Request) {
			r.Service.Spec.Ports = append(r.Service.Spec.Ports, port("alt", "TCP", 81, 8081, 30081))
			r.Settings.SourceRanges = []netip.Prefix{prefix("10.0.0.0/9"), prefix("10.128.0.0/9")}
			r.Settings.PathMTUDiscovery = true
		}, func(s *Stack) {
			s.Groups[0].Ingress = nil
			for _, cidr := range []string{"10.0.0.0/9", "10.128.0.0/9"} {
				for p := int32(80); p <= 81; p++ {
					s.Groups[0].Ingress = append(s.Groups[0].Ingress, Rule{Protocol: "tcp", From: p, To: p, CIDR: prefix(cidr)})
				}
				s.Groups[0].Ingress = append(s.Groups[0].Ingress, Rule{Protocol: "icmp", From: 3, To: 4, CIDR: prefix(cidr)})
			}
			s.addPort(81, 30081)
		}},
		{"Local", localPolicy, func(s *Stack) {
			s.TargetGroups[0].HealthCheck = HealthCheck{Protocol: "HTTP", Port: "31000", Path: "/healthz", Matcher: "200-399",
				Interval: 10 * time.Second, Timeout: 6 * time.Second, Healthy: 2, Unhealthy: 2}
		}},
		{"pods, by a named port", func(r *Request) {
			ips(r)
			r.Service.Spec.Ports[0].TargetPort.Type, r.Service.Spec.Ports[0].TargetPort.StrVal = 1, "http"
		}, func(s *Stack) {
			g := &s.TargetGroups[0]
			g.TargetType, g.Port = annotation.IP, 1
			g.Targets = []Target{{ID: "10.0.1.11", Port: 8080}, {ID: "10.0.2.12", Port: 8080}}
			g.Attributes["preserve_client_ip.enabled"] = "false"
		}},
		{"TLS, with the policy that is the default there", tlsOn(80), func(s *Stack) {
			l := &s.LoadBalancers[0].Listeners[0]
			l.Protocol, l.SSLPolicy, l.Attributes = "TLS", "ELBSecurityPolicy-2016-08", map[string]string{}
			l.Certificates = []string{"arn:aws:acm:eu-1:1:certificate/one", "arn:aws:acm:eu-1:1:certificate/two"}
		}},
		{"IPv6 targets of a Service with IPv4 first", func(r *Request) {
			r.Service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
		}, func(s *Stack) {
			s.LoadBalancers[0].IPAddressType = annotation.DualStack
			s.TargetGroups[0].IPAddressType = "ipv6"
			s.Groups[0].Ingress = append(s.Groups[0].Ingress, Rule{Protocol: "tcp", From: 80, To: 80, CIDR: prefix("::/0")})
		}},
		{"one from the time before security groups", func(*Request) {}, func(s *Stack) {
			s.Groups, s.LoadBalancers[0].SecurityGroups, s.LoadBalancers[0].PrivateLinkRules = nil, nil, ""
		}},
		{"security groups of the user's, by tag, which source ranges do not change", settings(func(s *annotation.Settings) {
			s.SecurityGroups, s.SourceRanges = []string{"mine"}, []netip.Prefix{prefix("2001:db8::/32")}
		}), func(s *Stack) {
			s.Groups, s.LoadBalancers[0].SecurityGroups = nil, []string{"sg-mine"}
		}},
		{"rules behind a managed group that are not to be managed, which counts for the user's groups alone",
			settings(func(s *annotation.Settings) { s.ManageBackendRules = new(false) }), func(*Stack) {}},
		{"Elastic IPs", func(r *Request) {
			facing(r)
			r.Settings.Subnets, r.Settings.EIPAllocations = []string{"subnet-public-2", "subnet-public-1"}, []string{"eipalloc-2", "eipalloc-1"}
		}, func(s *Stack) {
			s.LoadBalancers[0].Scheme = annotation.InternetFacing
			s.LoadBalancers[0].Subnets = []SubnetMapping{
				{SubnetID: "subnet-public-1", Zone: "eu-1a", AllocationID: "eipalloc-1"}, {SubnetID: "subnet-public-2", Zone: "eu-1b", AllocationID: "eipalloc-2"},
			}
		}},
		{"what others put beside it: tags, attributes, capacity", func(*Request) {}, func(s *Stack) {
			s.LoadBalancers[0].Tags["aws:cloudformation:stack-name"] = "x"
			s.LoadBalancers[0].Attributes["zonal_shift.config.enabled"] = "true"
			s.LoadBalancers[0].MinimumCapacity = 100
			s.TargetGroups[0].Attributes["deregistration_delay.timeout_seconds"] = "30"
		}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			found := made()
			tc.found(&found)
			req := world(tc.asked)
			req.Existing = found
			desired, warnings, err := Desired(req)
			if err != nil || len(warnings) > 0 {
				t.Fatalf("got %v, %v", warnings, err)
			}
			if changes := Diff(found, desired); len(changes) > 0 {
				t.Errorf("got %v", changes)
			}
		})
	}
}

// addPort adds what the first port has for another one.
func (s *Stack) addPort(number, nodePort int32) {
	l, g := s.LoadBalancers[0].Listeners[0], s.TargetGroups[0]
	l.ARN, l.Port, l.TargetGroup, l.Tags = l.ARN+"1", number, g.ARN+"1", maps.Clone(l.Tags)
	g.ARN, g.Key, g.Tags, g.Targets = l.TargetGroup, "shop/web:81", maps.Clone(g.Tags), []Target{{ID: "i-0a", Port: nodePort}, {ID: "i-0b", Port: nodePort}}
	l.Tags[TagResource], g.Tags[TagResource] = "81", g.Key
	s.LoadBalancers[0].Listeners = append(s.LoadBalancers[0].Listeners, l)
	s.TargetGroups = append(s.TargetGroups, g)
}

// And what there is to do is done to it, not to another one.
func TestAdoptionGoesOn(t *testing.T) {
	req := world(func(r *Request) { r.Nodes = r.Nodes[:1] })
	req.Existing = made()
	desired, _, err := Desired(req)
	if err != nil {
		t.Fatal(err)
	}
	changes := Diff(made(), desired)
	if len(changes) != 1 || changes[0].String() != "deregister target i-0b:30080 from target group k8s-shop-web-9f0a4c1d7e" {
		t.Errorf("got %v", changes)
	}
}
