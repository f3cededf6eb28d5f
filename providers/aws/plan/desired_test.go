package plan

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws/annotation"
)

var update = flag.Bool("update", false, "write testdata anew")

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range gotLines {
		if i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("%s differs at line %d (-update writes it anew):\n%s", path, i+1, gotLines[i])
		}
	}
	t.Fatalf("%s is longer than what was got", path)
}

// printDifference prints the lines of got that base has not, and those of base
// that got has not.
func printDifference(out *strings.Builder, base, got string) {
	if got == base {
		out.WriteString("= as the first\n")
	}
	before, after := strings.SplitAfter(base, "\n"), strings.SplitAfter(got, "\n")
	for _, line := range before {
		if !slices.Contains(after, line) {
			out.WriteString("- " + line)
		}
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			out.WriteString("+ " + line)
		}
	}
}

// The first case is there in full, the others by what they have otherwise.
func TestDesired(t *testing.T) {
	var out strings.Builder
	var base string
	for _, tc := range []struct {
		reason  string
		changes []func(*Request)
	}{
		{"nothing is asked for: internal, instance targets, a managed group", nil},
		{"pods as targets, reached from the internet", []func(*Request){ips, facing}},
		{"Local asks each node for endpoints, and registers them all", []func(*Request){localPolicy}},
		{"Local for pods needs no health check of nodes", []func(*Request){ips, localPolicy}},
		{"kube-proxy says whether a node drains, by annotation", []func(*Request){settings(func(s *annotation.Settings) { s.HealthCheck.KubeProxy = new(true) })}},
		{"kube-proxy is asked by default here, and one Service says otherwise", []func(*Request){
			func(r *Request) { r.Cluster.KubeProxyHealth = true },
			settings(func(s *annotation.Settings) { s.HealthCheck.KubeProxy = new(false) })}},
		{"every part of the health check can be overridden", []func(*Request){settings(func(s *annotation.Settings) {
			s.HealthCheck = annotation.HealthCheck{Protocol: "HTTPS", Port: "9443", Path: new("/ready"), Interval: new(30 * time.Second),
				Timeout: new(5 * time.Second), Healthy: new(int32(4)), Unhealthy: new(int32(5)), SuccessCodes: new("200")}
		})}},
		{"TCP where HTTP is the default has no path", []func(*Request){localPolicy, settings(func(s *annotation.Settings) { s.HealthCheck.Protocol = "TCP" })}},
		{"HTTP where TCP is the default has /", []func(*Request){settings(func(s *annotation.Settings) { s.HealthCheck.Protocol = "HTTP" })}},
		{"TCP and UDP on one number are one listener", []func(*Request){dnsPorts}},
		{"TCP and UDP on one number, for pods", []func(*Request){dnsPorts, ips}},
		{"TLS ends at the load balancer", []func(*Request){tlsOn(80)}},
		{"TLS goes on to the targets, with ALPN and a policy", []func(*Request){tlsOn(80), settings(func(s *annotation.Settings) {
			s.BackendTLS, s.ALPN, s.SSLPolicy = true, "HTTP2Preferred", "ELBSecurityPolicy-TLS13-1-2-2021-06"
		})}},
		{"neighbouring ports and CIDRs share a rule", []func(*Request){
			service(func(s *corev1.ServiceSpec) { s.Ports = append(s.Ports, port("alt", "TCP", 81, 8081, 30081)) }),
			settings(func(s *annotation.Settings) {
				s.SourceRanges = []netip.Prefix{prefix("10.0.0.0/9"), prefix("10.128.0.0/9"), prefix("192.0.2.7/24")}
			})}},
		{"dual stack: everyone is two rules, and packets may be too big", []func(*Request){dual, facing, settings(func(s *annotation.Settings) { s.PathMTUDiscovery = true })}},
		{"a prefix list instead of everyone", []func(*Request){settings(func(s *annotation.Settings) { s.PrefixLists = []string{"pl-1", "pl-1"} })}},
		{"security groups of the user, by tag and ID", []func(*Request){settings(func(s *annotation.Settings) { s.SecurityGroups = []string{"mine", "sg-more", "sg-mine"} })}},
		{"and the rules behind them managed", []func(*Request){settings(func(s *annotation.Settings) {
			s.SecurityGroups, s.ManageBackendRules, s.PrivateLinkRules = []string{"mine"}, new(true), "off"
		})}},
		{"no security groups at all", []func(*Request){noGroups}},
		{"Elastic IPs, for subnets in the order in which they are named", []func(*Request){facing, settings(func(s *annotation.Settings) {
			s.Subnets, s.EIPAllocations = []string{"public-2", "subnet-public-1"}, []string{"eipalloc-2", "eipalloc-1"}
		})}},
		{"private addresses, each for the subnet that it lies in", []func(*Request){settings(func(s *annotation.Settings) {
			s.Subnets, s.PrivateIPv4 = []string{"private-1", "private-2"}, []netip.Addr{address("10.0.2.9"), address("10.0.1.9")}
		})}},
		{"IPv6 addresses and source NAT", []func(*Request){dual, settings(func(s *annotation.Settings) {
			s.Subnets, s.IPv6 = []string{"private-1"}, []netip.Addr{address("2001:db8:0:1::9")}
			s.PrefixForSourceNAT, s.SourceNATPrefixes = true, []netip.Prefix{prefix("2001:db8:0:1:1::/80")}
		})}},
		{"IPv6 pods", []func(*Request){dual, ips, func(r *Request) {
			r.Service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
			v6 := slice("http", 8080, endpoint("2001:db8:0:1::11"))
			v6.AddressType = discoveryv1.AddressTypeIPv6
			r.EndpointSlices = append(r.EndpointSlices, v6)
		}}},
		{"IPv6 first, but the load balancer has only IPv4", []func(*Request){ips, service(func(s *corev1.ServiceSpec) {
			s.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
		})}},
		{"session affinity is the load balancer's", []func(*Request){service(func(s *corev1.ServiceSpec) { s.SessionAffinity = corev1.ServiceAffinityClientIP })}},
		{"attributes and capacity as they are asked for; proxy protocol is on", []func(*Request){settings(func(s *annotation.Settings) {
			s.Attributes = map[string]string{"load_balancing.cross_zone.enabled": "true"}
			s.TargetGroupAttributes = map[int32]map[string]string{80: {"proxy_protocol_v2.enabled": "true"}}
			s.ListenerAttributes = map[annotation.ProtocolPort]map[string]string{{Protocol: "TCP", Port: 80}: {"tcp.idle_timeout.seconds": "400"}}
			s.MinimumCapacity, s.MultiCluster, s.Name = new(int32(2750)), true, "shop-front"
		})}},
		{"tags of the Service win over the cluster's, and ours over both", []func(*Request){settings(func(s *annotation.Settings) {
			s.Tags = map[string]string{"team": "shop", TagCluster: "not-prod"}
		})}},
		{"nodes that are no targets, and one that nobody understands", []func(*Request){func(r *Request) {
			fargate, out, old := node("f", "aws:///eu-1a/x/fargate-ip-10-0-1-5"), node("x", "aws:///eu-1a/i-0f"), node("old", "gce://p/z/n")
			fargate.Labels = map[string]string{"eks.amazonaws.com/compute-type": "fargate"}
			out.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: "false"}
			r.Nodes = append(r.Nodes, fargate, out, old, node("new", ""), node("twin", "aws:///eu-1a/i-0a"))
		}}},
		{"nodes by label", []func(*Request){
			func(r *Request) { r.Nodes[1].Labels = map[string]string{"pool": "edge"} },
			settings(func(s *annotation.Settings) { s.NodeLabels = labels.SelectorFromSet(labels.Set{"pool": "edge"}) })}},
		{"pods: outside the VPC, not ready, waiting for their gate, on another port, in two slices", []func(*Request){ips, func(r *Request) {
			r.EndpointSlices = []*discoveryv1.EndpointSlice{
				slice("http", 8080, endpoint("10.0.1.11"), endpoint("192.168.5.5"), unready("10.0.1.12"), unready("10.0.1.13"), terminating("10.0.1.14")),
				slice("http", 9090, endpoint("10.0.1.15")), slice("http", 8080, endpoint("10.0.1.11")), slice("admin", 1, endpoint("10.0.1.11")),
			}
			r.Gated = map[string]bool{"10.0.1.13": true}
		}}},
		{"nobody is ready: terminating pods stay", []func(*Request){ips, func(r *Request) {
			r.EndpointSlices = []*discoveryv1.EndpointSlice{slice("http", 8080, terminating("10.0.1.14"), unready("10.0.1.12"))}
		}}},
		{"a target port by name", []func(*Request){ips, service(func(s *corev1.ServiceSpec) { s.Ports[0].TargetPort = intstr.FromString("http") })}},
		{"SCTP is left out", []func(*Request){service(func(s *corev1.ServiceSpec) { s.Ports = append(s.Ports, port("sctp", "SCTP", 90, 90, 30090)) })}},
		{"no shared group, no rules behind", []func(*Request){func(r *Request) { r.Cloud.BackendGroup = "" }}},
		{"subnets of this cluster first, then the lowest; not those of others, without room or in a local zone", []func(*Request){retag(func(s *Subnet) {
			switch s.ID {
			case "subnet-private-1":
				s.Tags["kubernetes.io/cluster/other"] = "shared"
			case "subnet-private-2":
				s.ZoneType = "local-zone"
			case "subnet-private-3":
				s.FreeAddresses = 7
			case "subnet-public-1":
				s.Tags["kubernetes.io/role/internal-elb"] = ""
			case "subnet-public-2", "subnet-public-3":
				s.Tags["kubernetes.io/role/internal-elb"] = "1"
				s.Zone = "eu-1b"
			}
			if s.ID == "subnet-public-3" {
				s.Tags["kubernetes.io/cluster/prod"], s.Tags["kubernetes.io/cluster/other"] = "owned", "shared"
			}
		})}},
		{"no tag tells: private subnets by their routes", []func(*Request){retag(func(s *Subnet) { s.Tags = nil })}},
	} {
		stack, warnings, err := Desired(world(tc.changes...))
		if err != nil {
			t.Errorf("%s: %v", tc.reason, err)
			continue
		}
		fmt.Fprintf(&out, "# %s\n\n", tc.reason)
		printDifference(&out, base, show(stack))
		base = cmp.Or(base, show(stack))
		for _, w := range warnings {
			fmt.Fprintf(&out, "warning: %s\n", w)
		}
		out.WriteString("\n")
	}
	golden(t, "desired.txt", out.String())
}

func TestDesiredRefuses(t *testing.T) {
	var out strings.Builder
	for _, tc := range []struct {
		reason  string
		changes []func(*Request)
	}{
		{"no node port", []func(*Request){service(func(s *corev1.ServiceSpec) { s.Ports[0].NodePort = 0 })}},
		{"Local without its check", []func(*Request){localPolicy, service(func(s *corev1.ServiceSpec) { s.HealthCheckNodePort = 0 })}},
		{"only SCTP", []func(*Request){service(func(s *corev1.ServiceSpec) { s.Ports[0].Protocol = "SCTP" })}},
		{"TLS and UDP on a number", []func(*Request){dnsPorts, tlsOn(53)}},
		{"two node ports on a number", []func(*Request){dnsPorts, service(func(s *corev1.ServiceSpec) { s.Ports[0].NodePort = 30054 })}},
		{"two target ports on a number", []func(*Request){dnsPorts, ips, service(func(s *corev1.ServiceSpec) { s.Ports[0].TargetPort = intstr.FromInt32(1) })}},
		{"IPv6 alone behind IPv4", []func(*Request){service(func(s *corev1.ServiceSpec) { s.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} })}},
		{"IPv6 clients of IPv4", []func(*Request){settings(func(s *annotation.Settings) { s.SourceRanges = []netip.Prefix{prefix("2001:db8::/32")} })}},
		{"source NAT without IPv6", []func(*Request){settings(func(s *annotation.Settings) { s.PrefixForSourceNAT = true })}},
		{"an unknown security group", []func(*Request){settings(func(s *annotation.Settings) { s.SecurityGroups = []string{"yours"} })}},
		{"an unknown subnet", []func(*Request){settings(func(s *annotation.Settings) { s.Subnets = []string{"private-1", "private-9"} })}},
		{"a name twice, and one subnet", []func(*Request){settings(func(s *annotation.Settings) { s.Subnets = []string{"private-1", "private-1"} })}},
		{"two subnets in a zone", []func(*Request){settings(func(s *annotation.Settings) { s.Subnets = []string{"private-1", "public-1"} })}},
		{"a subnet without IPv6", []func(*Request){dual, retag(func(s *Subnet) { s.IPv6 = nil })}},
		{"not as many Elastic IPs as subnets", []func(*Request){facing, settings(func(s *annotation.Settings) { s.EIPAllocations = []string{"eipalloc-1"} })}},
		{"Elastic IPs of an internal one", []func(*Request){settings(func(s *annotation.Settings) { s.EIPAllocations = []string{"eipalloc-1"} })}},
		{"an address of another subnet", []func(*Request){settings(func(s *annotation.Settings) {
			s.Subnets, s.PrivateIPv4 = []string{"private-1"}, []netip.Addr{address("10.0.2.9")}
		})}},
		{"no subnet has the tag", []func(*Request){facing, retag(func(s *Subnet) { s.Tags, s.Public = nil, false })}},
		{"each subnet has something", []func(*Request){retag(func(s *Subnet) {
			switch s.ID {
			case "subnet-private-1":
				s.Tags["kubernetes.io/cluster/other"] = "shared"
			case "subnet-private-2":
				s.ZoneType = "wavelength-zone"
			case "subnet-private-3":
				s.FreeAddresses = 7
			}
		})}},
		{"a replacement of the same name", []func(*Request){existing(world(settings(func(s *annotation.Settings) { s.Name = "front" }))), facing,
			settings(func(s *annotation.Settings) { s.Name = "front" })}},
		{"a replacement of one that is protected", []func(*Request){existing(world(settings(func(s *annotation.Settings) {
			s.Attributes = map[string]string{deletionProtection: "true"}
		}))), facing}},
		{"another subnet in the only zone", []func(*Request){existing(world(settings(func(s *annotation.Settings) { s.Subnets = []string{"private-1"} }))),
			settings(func(s *annotation.Settings) { s.Subnets = []string{"public-1"} })}},
	} {
		req := world(tc.changes...)
		stack, _, err := Desired(req)
		var refusal *providers.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != providers.ReasonInvalidRequest {
			t.Errorf("%s: got %v and\n%s", tc.reason, err, show(stack))
			continue
		}
		if again, _, _ := Desired(req); show(again) != show(stack) {
			t.Errorf("%s: a refusal comes with a Stack", tc.reason)
		}
		fmt.Fprintf(&out, "# %s\n%s\n\n", tc.reason, refusal.Message)
	}
	golden(t, "refusals.txt", out.String())
}

// existing has AWS hold what another Request led to.
func existing(before Request) func(*Request) {
	return func(req *Request) {
		m := newModel()
		if err := m.reach(before); err != nil {
			panic(err)
		}
		req.Existing = m.observe()
	}
}

func TestDesiredFollowsWhatExists(t *testing.T) {
	named := settings(func(s *annotation.Settings) { s.Name = "old-name" })
	for _, tc := range []struct {
		reason      string
		before, now []func(*Request)
		want        func(Stack) bool
	}{
		{"the scheme stays", []func(*Request){facing}, nil, func(s Stack) bool { return s.LoadBalancers[0].Scheme == annotation.InternetFacing }},
		{"so do name and subnets", []func(*Request){named, settings(func(s *annotation.Settings) { s.Subnets = []string{"public-1"} })}, nil, func(s Stack) bool {
			lb := s.LoadBalancers[0]
			return lb.Name == "old-name" && len(lb.Subnets) == 1 && lb.Subnets[0].SubnetID == "subnet-public-1"
		}},
		{"subnets that exist are taken even if tags say otherwise", nil, []func(*Request){retag(func(s *Subnet) { s.Tags, s.FreeAddresses = nil, 0 })},
			func(s Stack) bool { return len(s.LoadBalancers[0].Subnets) == 3 }},
		{"another scheme chooses subnets, and a name, anew", []func(*Request){named}, []func(*Request){facing}, func(s Stack) bool {
			return s.LoadBalancers[0].Name != "old-name" && s.LoadBalancers[0].Subnets[0].SubnetID == "subnet-public-1"
		}},
		{"the address type stays", []func(*Request){dual}, nil, func(s Stack) bool { return s.LoadBalancers[0].IPAddressType == annotation.DualStack }},
		{"one without security groups gets none unasked", []func(*Request){noGroups}, nil,
			func(s Stack) bool { return len(s.Groups) == 0 && len(s.LoadBalancers[0].SecurityGroups) == 0 }},
		{"but another load balancer, if they are asked for", []func(*Request){noGroups, named},
			[]func(*Request){settings(func(s *annotation.Settings) { s.SecurityGroups = []string{"mine"} })},
			func(s Stack) bool {
				return s.LoadBalancers[0].Name != "old-name" && s.LoadBalancers[0].SecurityGroups[0] == "sg-mine"
			}},
		{"targets keep their family", []func(*Request){dual, service(func(s *corev1.ServiceSpec) { s.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} })},
			[]func(*Request){service(func(s *corev1.ServiceSpec) {
				s.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
			})},
			func(s Stack) bool { return s.TargetGroups[0].IPAddressType == "ipv6" }},
		{"Elastic IPs stay where they are, if no subnets say where they belong", []func(*Request){facing, settings(func(s *annotation.Settings) {
			s.Subnets, s.EIPAllocations = []string{"public-2", "public-1"}, []string{"eipalloc-1", "eipalloc-2"}
		})}, []func(*Request){facing, settings(func(s *annotation.Settings) { s.EIPAllocations = []string{"eipalloc-1", "eipalloc-2"} })},
			func(s Stack) bool { return s.LoadBalancers[0].Subnets[0].AllocationID == "eipalloc-2" }},
		{"a replacement may be refused by nothing once protection is given up", []func(*Request){settings(func(s *annotation.Settings) {
			s.Attributes = map[string]string{deletionProtection: "true"}
		})}, []func(*Request){facing, settings(func(s *annotation.Settings) { s.Attributes = map[string]string{deletionProtection: "false"} })},
			func(s Stack) bool { return s.LoadBalancers[0].Scheme == annotation.InternetFacing }},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			stack, _, err := Desired(world(append(tc.now, existing(world(tc.before...)))...))
			if err != nil || !tc.want(stack) {
				t.Errorf("got %v\n%s", err, show(stack))
			}
		})
	}
}

func TestUnserved(t *testing.T) {
	req := world(service(func(s *corev1.ServiceSpec) { s.Ports = append(s.Ports, port("sctp", "SCTP", 90, 90, 30090)) }))
	got := Unserved(req.Service)
	if len(got) != 1 || got[0].Port != 90 || *got[0].Error != "ProtocolNotSupported" {
		t.Errorf("got %v", got)
	}
}

func TestDeletable(t *testing.T) {
	for _, tc := range []struct {
		reason     string
		attributes map[string]string
		refused    bool
		ok         bool
	}{
		{"not protected", map[string]string{deletionProtection: "false"}, false, true},
		{"protected", map[string]string{deletionProtection: "true"}, true, false},
		{"nobody looked", nil, false, false},
	} {
		err := Deletable(Stack{LoadBalancers: []LoadBalancer{{Name: "front", Attributes: tc.attributes}}})
		var refusal *providers.Refusal
		if (err == nil) != tc.ok || errors.As(err, &refusal) != tc.refused {
			t.Errorf("%s: got %v", tc.reason, err)
		}
	}
}
