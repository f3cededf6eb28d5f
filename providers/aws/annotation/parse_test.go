package annotation

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/berth-lb/berth/providers"
)

// port reads "name number/protocol -> target": name, protocol and target may
// be missing. Node ports are the number and 30000.
func port(text string) corev1.ServicePort {
	text, target, _ := strings.Cut(text, " -> ")
	fields := strings.Fields(text)
	var p corev1.ServicePort
	if len(fields) == 2 {
		p.Name = fields[0]
	}
	number, protocol, ok := strings.Cut(fields[len(fields)-1], "/")
	if !ok {
		protocol = "TCP"
	}
	p.Port, p.Protocol = intstr.Parse(number).IntVal, corev1.Protocol(protocol)
	p.NodePort = 30000 + p.Port
	if target != "" {
		p.TargetPort = intstr.Parse(target)
	}
	return p
}

// service reads annotations "key: value" where S- stands for the prefix. A line
// "port: …" is a port instead; without one, there is web 80.
func service(lines ...string) *corev1.Service {
	svc := &corev1.Service{}
	svc.Annotations = map[string]string{}
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ": ")
		if key == "port" {
			svc.Spec.Ports = append(svc.Spec.Ports, port(value))
			continue
		}
		svc.Annotations[long(key)] = value
	}
	if svc.Spec.Ports == nil {
		svc.Spec.Ports = []corev1.ServicePort{port("web 80")}
	}
	return svc
}

var short = regexp.MustCompile(`\bS-`)

// long puts the prefix in the place of S-.
func long(text string) string { return short.ReplaceAllLiteralString(text, prefix) }

// story is what comes of some annotations: a setting, a refusal or a warning.
type story struct {
	why     string
	lines   []string
	want    any      // of the setting that the table is about
	refused []string // parts of the message
	warned  string   // a part of the warnings
}

// tell goes through a table about one setting.
func tell(t *testing.T, setting func(Settings) any, stories []story) {
	for _, tc := range stories {
		t.Run(tc.why, func(t *testing.T) {
			s, warnings, err := Parse(service(tc.lines...), Defaults{})
			if said := strings.Join(warnings, "\n"); (tc.warned == "") != (said == "") || !strings.Contains(said, long(tc.warned)) {
				t.Errorf("warned %q, want %q", said, tc.warned)
			}
			if tc.refused != nil {
				isRefused(t, err, tc.refused...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := setting(s); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %#v, want %#v", got, tc.want)
			}
		})
	}
}

func isRefused(t *testing.T, err error, parts ...string) {
	t.Helper()
	var refusal *providers.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != providers.ReasonInvalidRequest {
		t.Fatalf("got %v, want a refusal", err)
	}
	for _, part := range parts {
		if !strings.Contains(refusal.Message, long(part)) {
			t.Errorf("%s\ndoes not say\n%s", refusal.Message, long(part))
		}
	}
}

func one[T any](v T) *T { return &v }

func TestNothingSaid(t *testing.T) {
	s, warnings, err := Parse(service(), Defaults{})
	if err != nil || warnings != nil {
		t.Fatal(err, warnings)
	}
	want := Settings{
		TargetType:            Instance,
		Attributes:            map[string]string{},
		TargetGroupAttributes: map[int32]map[string]string{80: {proxyProtocol: "false"}},
		ListenerAttributes:    map[ProtocolPort]map[string]string{},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v", s)
	}
}

// TestDocumented: docs/aws.md has each of them, with S- for the prefix.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append([]string{KeySourceRanges}, known...) {
		if short := strings.Replace(key, prefix, "S-", 1); !bytes.Contains(page, []byte("`"+short)) {
			t.Errorf("docs/aws.md has no %s", short)
		}
	}
}

// TestBlank: charts leave annotations without a value behind.
func TestBlank(t *testing.T) {
	svc := service()
	for _, key := range known {
		svc.Annotations[key] = " "
	}
	svc.Annotations[KeySourceRanges], svc.Annotations[KeyTargetGroupAttributes+".1"], svc.Annotations[KeyListenerAttributes+".UDP-1"] = "", "", ""
	s, warnings, err := Parse(svc, Defaults{})
	if err != nil || warnings != nil {
		t.Fatal(err, warnings)
	}
	if plain, _, _ := Parse(service(), Defaults{}); !reflect.DeepEqual(s, plain) {
		t.Errorf("got %+v", s)
	}
}

func TestTargetType(t *testing.T) {
	const noNodePort = "spec.ports[0].nodePort: port 80 has no node port"
	for _, tc := range []struct {
		why     string
		lines   []string
		without bool // node ports
		d       Defaults
		want    TargetType
		refused string
	}{
		{why: "nothing said", want: Instance},
		{why: "the installation says", d: Defaults{IP}, want: IP},
		{why: "the Service over the installation", d: Defaults{IP}, lines: []string{"S-nlb-target-type: instance"}, want: Instance},
		{why: "the older form", lines: []string{"S-type: nlb-ip"}, want: IP},
		{why: "the older form wins, as there", lines: []string{"S-type: nlb-ip", "S-nlb-target-type: instance"}, want: IP},
		{why: "external alone leaves it to the installation", lines: []string{"S-type: external"}, want: Instance},
		{why: "blanks around", lines: []string{"S-type: external", "S-nlb-target-type:  ip "}, want: IP},
		{why: "nonsense", lines: []string{"S-nlb-target-type: pods"}, refused: `S-nlb-target-type: "pods" is not allowed; allowed are instance, ip`},
		{why: "instance without node port", without: true, refused: noNodePort},
		{why: "ip without node port", without: true, lines: []string{"S-nlb-target-type: ip"}, want: IP},
	} {
		t.Run(tc.why, func(t *testing.T) {
			svc := service(tc.lines...)
			if tc.without {
				svc.Spec.Ports[0].NodePort = 0
			}
			s, _, err := Parse(svc, tc.d)
			if tc.refused != "" {
				isRefused(t, err, tc.refused)
			} else if err != nil || s.TargetType != tc.want {
				t.Errorf("got %q, %v", s.TargetType, err)
			}
		})
	}
}

func TestForeignType(t *testing.T) {
	tell(t, func(s Settings) any { return s.TargetType }, []story{
		{why: "the class decides", lines: []string{"S-type: nlb"}, want: Instance, warned: `S-type: "nlb" is not looked at`},
	})
}

func TestWants(t *testing.T) {
	class := LoadBalancerClass
	for _, tc := range []struct {
		why   string
		lines []string
		class *string
		want  bool
	}{
		{why: "nothing said"},
		{why: "in-tree", lines: []string{"S-type: nlb"}},
		{why: "external says no more than who not", lines: []string{"S-type: external"}},
		{why: "a target type alone", lines: []string{"S-nlb-target-type: ip"}},
		{why: "the usual form", lines: []string{"S-type: external", "S-nlb-target-type: ip"}, want: true},
		{why: "a wrong target type is to be told", lines: []string{"S-type: external", "S-nlb-target-type: pods"}, want: true},
		{why: "the older form", lines: []string{"S-type: nlb-ip"}, want: true},
		{why: "a class decides", lines: []string{"S-type: nlb-ip"}, class: &class},
	} {
		svc := service(tc.lines...)
		svc.Spec.LoadBalancerClass = tc.class
		if Wants(svc) != tc.want {
			t.Errorf("%s: got %t", tc.why, !tc.want)
		}
	}
}

func TestScheme(t *testing.T) {
	tell(t, func(s Settings) any { return s.Scheme }, []story{
		{why: "not said", want: Scheme("")},
		{why: "internal", lines: []string{"S-scheme: internal"}, want: Internal},
		{why: "internet-facing", lines: []string{"S-scheme: internet-facing"}, want: InternetFacing},
		{why: "nonsense", lines: []string{"S-scheme: public"}, refused: []string{`S-scheme: "public" is not allowed; allowed are internal, internet-facing`}},
		{why: "the older form", lines: []string{"S-internal: true"}, want: Internal},
		{why: "the older form says no", lines: []string{"S-internal: false"}, want: InternetFacing},
		{why: "the newer one wins, and the older is not read", lines: []string{"S-scheme: internet-facing", "S-internal: 0.0.0.0/0"}, want: InternetFacing},
		{why: "the in-tree form", lines: []string{"S-internal: 0.0.0.0/0"}, refused: []string{`S-internal: "0.0.0.0/0" is not allowed; allowed are true and false`}},
	})
}

func TestName(t *testing.T) {
	stories := []story{{why: "32 characters", lines: []string{"S-name: " + strings.Repeat("a", 32)}, want: strings.Repeat("a", 32)}}
	for why, name := range map[string]string{
		"33 characters": strings.Repeat("a", 33), "hyphen first": "-web", "hyphen last": "web-", "underscore": "my_web", "AWS's own": "internal-web",
	} {
		stories = append(stories, story{why: why, lines: []string{"S-name: " + name}, refused: []string{`S-name: "` + name + `" is not allowed; allowed are up to 32 letters`}})
	}
	tell(t, func(s Settings) any { return s.Name }, stories)
}

func TestPlacement(t *testing.T) {
	type placed struct {
		Subnets, EIPs string
		IPv4, IPv6    []netip.Addr
		SourceNAT     bool
		Prefixes      []netip.Prefix
	}
	addr, cidr := netip.MustParseAddr, netip.MustParsePrefix
	tell(t, func(s Settings) any {
		return placed{strings.Join(s.Subnets, " "), strings.Join(s.EIPAllocations, " "), s.PrivateIPv4, s.IPv6, s.PrefixForSourceNAT, s.SourceNATPrefixes}
	}, []story{
		{why: "IDs and names, blanks and holes", lines: []string{"S-subnets: subnet-1 , My Subnet,,"}, want: placed{Subnets: "subnet-1 My Subnet"}},
		{why: "two subnets of one name", lines: []string{"S-subnets: public,public"}, want: placed{Subnets: "public public"}},
		{why: "an allocation twice", lines: []string{"S-eip-allocations: eipalloc-1,eipalloc-1"}, refused: []string{`S-eip-allocations: "eipalloc-1" is listed twice`}},

		{why: "allocations where the scheme is open", lines: []string{"S-eip-allocations: eipalloc-1,eipalloc-2"}, want: placed{EIPs: "eipalloc-1 eipalloc-2"}},
		{why: "allocations fit", lines: []string{"S-scheme: internet-facing", "S-subnets: a,b", "S-eip-allocations: eipalloc-1,eipalloc-2"}, want: placed{Subnets: "a b", EIPs: "eipalloc-1 eipalloc-2"}},
		{why: "allocations of an internal one", lines: []string{"S-scheme: internal", "S-eip-allocations: eipalloc-1"}, refused: []string{"S-eip-allocations: an internal load balancer has none; allowed with S-scheme: internet-facing"}},
		{why: "too few allocations", lines: []string{"S-scheme: internet-facing", "S-subnets: a,b", "S-eip-allocations: eipalloc-1"}, refused: []string{"S-eip-allocations: 1 of them for 2 subnets"}},
		{why: "an address is no allocation", lines: []string{"S-eip-allocations: 192.0.2.1"}, refused: []string{`S-eip-allocations: "192.0.2.1" is not allowed`}},

		{why: "private addresses", lines: []string{"S-scheme: internal", "S-subnets: a,b", "S-private-ipv4-addresses: 10.0.0.1, 10.0.1.1"}, want: placed{Subnets: "a b", IPv4: []netip.Addr{addr("10.0.0.1"), addr("10.0.1.1")}}},
		{why: "private addresses face no internet", lines: []string{"S-scheme: internet-facing", "S-private-ipv4-addresses: 10.0.0.1"}, refused: []string{"S-private-ipv4-addresses: an internet-facing load balancer can't have them"}},
		{why: "of the other family", lines: []string{"S-private-ipv4-addresses: fd00::1"}, refused: []string{`"fd00::1" is not allowed; allowed are IPv4 addresses`}},
		{why: "excluded by allocations", lines: []string{"S-private-ipv4-addresses: 10.0.0.1", "S-eip-allocations: eipalloc-1"}, refused: []string{"S-eip-allocations: excludes S-private-ipv4-addresses"}},

		{why: "IPv6", lines: []string{"S-ip-address-type: dualstack", "S-subnets: a", "S-ipv6-addresses: 2001:db8::1"}, want: placed{Subnets: "a", IPv6: []netip.Addr{addr("2001:db8::1")}}},
		{why: "IPv6 without dual stack", lines: []string{"S-ip-address-type: ipv4", "S-ipv6-addresses: 2001:db8::1"}, refused: []string{`S-ipv6-addresses: "2001:db8::1" is about IPv6; allowed with S-ip-address-type: dualstack`}},
		{why: "a zone is of one machine", lines: []string{"S-ipv6-addresses: fe80::1%eth0"}, refused: []string{"allowed are IPv6 addresses"}},
		{why: "IPv4 in the form of IPv6", lines: []string{"S-ipv6-addresses: ::ffff:10.0.0.1"}, refused: []string{"allowed are IPv6 addresses"}},
		{why: "no such address type", lines: []string{"S-ip-address-type: ipv6"}, refused: []string{`S-ip-address-type: "ipv6" is not allowed; allowed are ipv4, dualstack`}},

		{why: "source NAT", lines: []string{"S-enable-prefix-for-ipv6-source-nat: on", "S-subnets: a,b", "S-source-nat-ipv6-prefixes: 2001:db8:0:0:1::/80, auto_assigned"},
			want: placed{Subnets: "a b", SourceNAT: true, Prefixes: []netip.Prefix{cidr("2001:db8:0:0:1::/80"), {}}}},
		{why: "source NAT is off", lines: []string{"S-ip-address-type: ipv4", "S-enable-prefix-for-ipv6-source-nat: off"}, want: placed{}},
		{why: "source NAT needs IPv6", lines: []string{"S-ip-address-type: ipv4", "S-enable-prefix-for-ipv6-source-nat: on"}, refused: []string{`S-enable-prefix-for-ipv6-source-nat: "on" is about IPv6`}},
		{why: "prefixes for nothing", lines: []string{"S-source-nat-ipv6-prefixes: auto_assigned"}, refused: []string{"allowed with S-enable-prefix-for-ipv6-source-nat: on"}},
		{why: "a prefix of another length", lines: []string{"S-enable-prefix-for-ipv6-source-nat: on", "S-source-nat-ipv6-prefixes: 2001:db8::/64"}, refused: []string{"allowed are IPv6 prefixes of length 80 and auto_assigned"}},
	})
}

func TestSecurity(t *testing.T) {
	type secured struct {
		Groups       []string
		None         bool
		Manage       *bool
		PrivateLink  string
		Lists        []string
		PathMTU      bool
		SourceRanges []netip.Prefix
	}
	const ranges = "service.beta.kubernetes.io/load-balancer-source-ranges: "
	cidr := netip.MustParsePrefix
	tell(t, func(s Settings) any {
		return secured{s.SecurityGroups, s.NoSecurityGroups, s.ManageBackendRules, s.PrivateLinkRules, s.PrefixLists, s.PathMTUDiscovery, s.SourceRanges}
	}, []story{
		{why: "groups", lines: []string{"S-security-groups: sg-1, My Group", "S-manage-backend-security-group-rules: true"}, want: secured{Groups: []string{"sg-1", "My Group"}, Manage: one(true)}},
		{why: "rules are not managed", lines: []string{"S-manage-backend-security-group-rules: F"}, want: secured{Manage: one(false)}},
		{why: "no boolean", lines: []string{"S-manage-backend-security-group-rules: no"}, refused: []string{`"no" is not allowed; allowed are true and false`}},
		{why: "no groups", lines: []string{"S-disable-nlb-sg: true"}, want: secured{None: true}},
		{why: "groups and none", lines: []string{"S-disable-nlb-sg: true", "S-security-groups: sg-1"}, refused: []string{"S-disable-nlb-sg: true excludes S-security-groups"}},
		{why: "PrivateLink", lines: []string{"S-inbound-sg-rules-on-private-link-traffic: off"}, want: secured{PrivateLink: "off"}},
		{why: "PrivateLink is no boolean", lines: []string{"S-inbound-sg-rules-on-private-link-traffic: false"}, refused: []string{`"false" is not allowed; allowed are on, off`}},
		{why: "prefix lists", lines: []string{"S-security-group-prefix-lists: pl-1,pl-2"}, want: secured{Lists: []string{"pl-1", "pl-2"}}},
		{why: "no prefix list", lines: []string{"S-security-group-prefix-lists: 10.0.0.0/8"}, refused: []string{"allowed are IDs of prefix lists"}},
		{why: "path MTU", lines: []string{"S-enable-icmp-for-path-mtu-discovery: on"}, want: secured{PathMTU: true}},
		{why: "ranges: sorted, once, without host bits", lines: []string{ranges + "10.1.2.3/16, 10.0.0.0/16,10.1.0.0/16, 2001:db8::/32"}, want: secured{SourceRanges: []netip.Prefix{cidr("10.0.0.0/16"), cidr("10.1.0.0/16"), cidr("2001:db8::/32")}}},
		{why: "an address is no range", lines: []string{ranges + "10.0.0.1"}, refused: []string{`load-balancer-source-ranges: "10.0.0.1" is not allowed; allowed are CIDRs`}},
		{why: "ranges beside groups", lines: []string{"S-security-groups: sg-1", ranges + "10.0.0.0/8"},
			want: secured{Groups: []string{"sg-1"}, SourceRanges: []netip.Prefix{cidr("10.0.0.0/8")}}, warned: "the groups of S-security-groups decide who may connect"},
	})
}

func TestSourceRangesOfTheSpec(t *testing.T) {
	svc := service("service.beta.kubernetes.io/load-balancer-source-ranges: 10.0.0.0/8")
	svc.Spec.LoadBalancerSourceRanges = []string{" 192.0.2.0/24"}
	s, _, err := Parse(svc, Defaults{})
	if err != nil || len(s.SourceRanges) != 1 || s.SourceRanges[0] != netip.MustParsePrefix("192.0.2.0/24") {
		t.Errorf("the field does not win: %v, %v", s.SourceRanges, err)
	}
	svc.Spec.LoadBalancerSourceRanges = []string{"192.0.2.0/24", "everywhere"}
	_, _, err = Parse(svc, Defaults{})
	isRefused(t, err, `spec.loadBalancerSourceRanges[1]: "everywhere" is not allowed; allowed are CIDRs`)
}

func TestTLS(t *testing.T) {
	const (
		cert1 = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
		cert2 = "arn:aws-cn:iam::111122223333:server-certificate/path/web"
	)
	type tls struct {
		Ports        map[int32]bool
		Certificates []string
		Policy, ALPN string
		Backend      bool
	}
	all := []string{"port: web 80", "port: secure 443", "port: dns 53/UDP"}
	with := func(lines ...string) []string { return append(lines, all...) }
	tell(t, func(s Settings) any { return tls{s.TLSPorts, s.Certificates, s.SSLPolicy, s.ALPN, s.BackendTLS} }, []story{
		{why: "no port named is all but UDP", lines: with("S-ssl-cert: " + cert1 + " , " + cert2), want: tls{Ports: map[int32]bool{80: true, 443: true}, Certificates: []string{cert1, cert2}}},
		{why: "by number", lines: with("S-ssl-cert: "+cert1, "S-ssl-ports: 443"), want: tls{Ports: map[int32]bool{443: true}, Certificates: []string{cert1}}},
		{why: "by name", lines: with("S-ssl-cert: "+cert1, "S-ssl-ports: secure, 80"), want: tls{Ports: map[int32]bool{80: true, 443: true}, Certificates: []string{cert1}}},
		{why: "UDP named beside", lines: with("S-ssl-cert: "+cert1, "S-ssl-ports: 443,dns"), want: tls{Ports: map[int32]bool{443: true}, Certificates: []string{cert1}}, warned: "port 53 has no TCP"},
		{why: "an unused port", lines: with("S-ssl-cert: "+cert1, "S-ssl-ports: 8443"), refused: []string{`S-ssl-ports: "8443" is not allowed; allowed are the ports of the Service: 80 (web), 443 (secure), 53 (dns)`}},
		{why: "an unused port, without certificate", lines: with("S-ssl-ports: https"), refused: []string{`S-ssl-ports: "https" is not allowed`}},
		{why: "a star matches none, as there", lines: with("S-ssl-cert: "+cert1, "S-ssl-ports: *"), refused: []string{`S-ssl-ports: "*" is not allowed`}},
		{why: "ports without certificate", lines: with("S-ssl-ports: 443"), want: tls{}, warned: "S-ssl-ports is not looked at without S-ssl-cert"},
		{why: "TCP and UDP on one port, not named", lines: []string{"S-ssl-cert: " + cert1, "port: a 443", "port: b 443/UDP", "port: c 80"}, want: tls{Ports: map[int32]bool{80: true}, Certificates: []string{cert1}}, warned: "port 443 listens without TLS"},
		{why: "TCP and UDP on one port, named", lines: []string{"S-ssl-cert: " + cert1, "S-ssl-ports: a", "port: a 443", "port: b 443/UDP"}, refused: []string{"S-ssl-ports: port 443 has TCP and UDP"}},
		{why: "no ARN", lines: with("S-ssl-cert: my-cert"), refused: []string{`S-ssl-cert: "my-cert" is not allowed; allowed are ARNs`}},
		{why: "policy and ALPN", lines: with("S-ssl-cert: "+cert1, "S-ssl-negotiation-policy: ELBSecurityPolicy-TLS13-1-2-2021-06", "S-alpn-policy: HTTP2Preferred", "S-backend-protocol: ssl"),
			want: tls{Ports: map[int32]bool{80: true, 443: true}, Certificates: []string{cert1}, Policy: "ELBSecurityPolicy-TLS13-1-2-2021-06", ALPN: "HTTP2Preferred", Backend: true}},
		{why: "no such ALPN policy", lines: []string{"S-alpn-policy: h2"}, refused: []string{`S-alpn-policy: "h2" is not allowed; allowed are None, HTTP1Only`}},
		{why: "no policy's name", lines: []string{"S-ssl-negotiation-policy: TLS 1.3"}, refused: []string{`S-ssl-negotiation-policy: "TLS 1.3" is not allowed`}},
		{why: "TLS to targets alone", lines: []string{"S-backend-protocol: ssl"}, refused: []string{"S-backend-protocol: ssl needs listeners with TLS; allowed with S-ssl-cert"}},
		{why: "tcp", lines: []string{"S-backend-protocol: tcp"}, want: tls{}},
		{why: "http of other controllers", lines: []string{"S-backend-protocol: http"}, want: tls{}, warned: `S-backend-protocol: "http" means tcp`},
		{why: "encryption that would not come", lines: []string{"S-backend-protocol: https"}, refused: []string{`S-backend-protocol: "https" is not allowed; allowed are ssl, tcp`}},
	})
}

func TestLoadBalancerAttributes(t *testing.T) {
	const bucket = "access_logs.s3.bucket=logs"
	tell(t, func(s Settings) any { return s.Attributes }, []story{
		{why: "known ones", lines: []string{"S-attributes: deletion_protection.enabled=TRUE, load_balancing.cross_zone.enabled=1,dns_record.client_routing_policy=any_availability_zone,secondary_ips.auto_assigned.per_subnet=7,zonal_shift.config.enabled=f"},
			want: map[string]string{"deletion_protection.enabled": "true", crossZone: "true", "dns_record.client_routing_policy": "any_availability_zone", "secondary_ips.auto_assigned.per_subnet": "7", "zonal_shift.config.enabled": "false"}},
		{why: "one that is new at AWS", lines: []string{"S-attributes: new.thing=a\\,b"}, want: map[string]string{"new.thing": "a,b"}},
		{why: "an empty value says nothing, unless it may", lines: []string{"S-attributes: deletion_protection.enabled=,access_logs.s3.prefix="}, want: map[string]string{accessLogPrefix: ""}},
		{why: "no boolean", lines: []string{"S-attributes: deletion_protection.enabled=yes"}, refused: []string{`S-attributes: "deletion_protection.enabled=yes" is not allowed; allowed are true and false`}},
		{why: "out of range", lines: []string{"S-attributes: secondary_ips.auto_assigned.per_subnet=8"}, refused: []string{"allowed are whole numbers from 0 to 7"}},
		{why: "no pair", lines: []string{"S-attributes: deletion_protection.enabled"}, refused: []string{`S-attributes: "deletion_protection.enabled" is not allowed; allowed are pairs like key=value`}},
		{why: "no key", lines: []string{"S-attributes: =true"}, refused: []string{`"=true" is not allowed`}},
		{why: "cross-zone, the older form wins", lines: []string{"S-attributes: load_balancing.cross_zone.enabled=true", "S-cross-zone-load-balancing-enabled: false"}, want: map[string]string{crossZone: "false"}},
		{why: "access log, the older form wins", lines: []string{"S-attributes: access_logs.s3.bucket=old", "S-access-log-enabled: true", "S-access-log-s3-bucket-name: logs", "S-access-log-s3-bucket-prefix: web"}, want: map[string]string{accessLogEnabled: "true", accessLogBucket: "logs", accessLogPrefix: "web"}},
		{why: "access log, the older form ends it", lines: []string{"S-access-log-enabled: false", "S-access-log-s3-bucket-name: logs"}, want: map[string]string{accessLogEnabled: "false"}},
		{why: "access log, the older false does not win, as there", lines: []string{"S-attributes: access_logs.s3.enabled=true," + bucket, "S-access-log-enabled: false"}, want: map[string]string{accessLogEnabled: "true", accessLogBucket: "logs"}},
		{why: "access log without bucket", lines: []string{"S-attributes: access_logs.s3.enabled=true"}, refused: []string{"access logs need a bucket; allowed with access_logs.s3.bucket=NAME"}},
	})
}

func TestCapacity(t *testing.T) {
	tell(t, func(s Settings) any { return s.MinimumCapacity }, []story{
		{why: "units", lines: []string{"S-minimum-load-balancer-capacity: CapacityUnits=3000"}, want: one(int32(3000))},
		{why: "given back", lines: []string{"S-minimum-load-balancer-capacity: CapacityUnits=0"}, want: one(int32(0))},
		{why: "without a unit", lines: []string{"S-minimum-load-balancer-capacity: 3000"}, refused: []string{`"3000" is not allowed; allowed are pairs`}},
		{why: "another unit", lines: []string{"S-minimum-load-balancer-capacity: LCU=3000"}, refused: []string{`"LCU=3000" is not allowed; allowed are CapacityUnits=N`}},
	})
}

func TestTargetGroupAttributes(t *testing.T) {
	type byPort = map[int32]map[string]string
	tell(t, func(s Settings) any { return s.TargetGroupAttributes }, []story{
		{why: "the port's value wins, by number and by name", lines: []string{"port: a 80", "port: b 81", "port: c 82",
			"S-target-group-attributes: stickiness.enabled=true,stickiness.type=source_ip,deregistration_delay.timeout_seconds=0",
			"S-target-group-attributes.81: deregistration_delay.timeout_seconds=3600,stickiness.type=", "S-target-group-attributes.c: stickiness.enabled=false"},
			want: byPort{
				80: {proxyProtocol: "false", "stickiness.enabled": "true", "stickiness.type": "source_ip", "deregistration_delay.timeout_seconds": "0"},
				81: {proxyProtocol: "false", "stickiness.enabled": "true", "stickiness.type": "source_ip", "deregistration_delay.timeout_seconds": "3600"},
				82: {proxyProtocol: "false", "stickiness.enabled": "false", "stickiness.type": "source_ip", "deregistration_delay.timeout_seconds": "0"},
			}},
		{why: "an unused port", lines: []string{"S-target-group-attributes.8080: stickiness.enabled=true"}, refused: []string{"S-target-group-attributes.8080: there is no such port; allowed are the ports of the Service: 80 (web)"}},
		{why: "PROXY for all", lines: []string{"S-proxy-protocol: *", "S-target-group-attributes: proxy_protocol_v2.enabled=false"}, want: byPort{80: {proxyProtocol: "true"}}},
		{why: "PROXY by attribute", lines: []string{"S-target-group-attributes: proxy_protocol_v2.enabled=true"}, want: byPort{80: {proxyProtocol: "true"}}},
		{why: "PROXY for some", lines: []string{"port: a 80", "port: b 81", "S-proxy-protocol-per-target-group: 81", "S-target-group-attributes: proxy_protocol_v2.enabled=true"}, want: byPort{80: {proxyProtocol: "false"}, 81: {proxyProtocol: "true"}}},
		{why: "PROXY for all over some", lines: []string{"port: a 80", "port: b 81", "S-proxy-protocol-per-target-group: 81", "S-proxy-protocol: *"}, want: byPort{80: {proxyProtocol: "true"}, 81: {proxyProtocol: "true"}}},
		{why: "PROXY for a port that there is not", lines: []string{"S-proxy-protocol-per-target-group: 81"}, refused: []string{`S-proxy-protocol-per-target-group: "81" is not allowed`}},
		{why: "PROXY is a star", lines: []string{"S-proxy-protocol: true"}, refused: []string{`S-proxy-protocol: "true" is not allowed; allowed are *`}},
		{why: "cross-zone has a third value", lines: []string{"S-target-group-attributes: load_balancing.cross_zone.enabled=use_load_balancer_configuration"}, want: byPort{80: {proxyProtocol: "false", crossZone: "use_load_balancer_configuration"}}},
		{why: "health", lines: []string{"S-target-group-attributes: target_group_health.dns_failover.minimum_healthy_targets.count=off,target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage=100,target_health_state.unhealthy.connection_termination.enabled=false,target_health_state.unhealthy.draining_interval_seconds=60"},
			want: byPort{80: {proxyProtocol: "false", "target_group_health.dns_failover.minimum_healthy_targets.count": "off", "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "100", unhealthyTermination: "false", unhealthyDraining: "60"}}},
		{why: "health out of range", lines: []string{"S-target-group-attributes: target_group_health.dns_failover.minimum_healthy_targets.percentage=0"}, refused: []string{"allowed are whole numbers from 1 to 100, and off"}},
		{why: "stickiness of another kind of load balancer", lines: []string{"S-target-group-attributes: stickiness.type=lb_cookie"}, refused: []string{`"stickiness.type=lb_cookie" is not allowed; allowed are source_ip`}},
		{why: "delay too long", lines: []string{"S-target-group-attributes: deregistration_delay.timeout_seconds=3601"}, refused: []string{"allowed are whole numbers from 0 to 3600"}},
		{why: "UDP keeps the client's address", lines: []string{"port: 80", "port: 53/UDP", "S-target-group-attributes: preserve_client_ip.enabled=false"}, refused: []string{"preserve_client_ip.enabled=false can't be done on port 53, which has UDP; allowed is the other value, in S-target-group-attributes.53"}},
		{why: "UDP says so itself", lines: []string{"port: 80", "port: 53/UDP", "S-target-group-attributes: preserve_client_ip.enabled=false", "S-target-group-attributes.53: preserve_client_ip.enabled=true"},
			want: byPort{80: {proxyProtocol: "false", preserveClientIP: "false"}, 53: {proxyProtocol: "false", preserveClientIP: "true"}}},
		{why: "draining what is cut", lines: []string{"S-target-group-attributes: target_health_state.unhealthy.draining_interval_seconds=60"}, refused: []string{"allowed with target_health_state.unhealthy.connection_termination.enabled=false"}},
	})
}

func TestListenerAttributes(t *testing.T) {
	const cert = "S-ssl-cert: arn:aws:acm:eu-west-1:111122223333:certificate/1"
	type attributes = map[ProtocolPort]map[string]string
	tell(t, func(s Settings) any { return s.ListenerAttributes }, []story{
		{why: "of TCP", lines: []string{"S-listener-attributes.TCP-80: tcp.idle_timeout.seconds=60"}, want: attributes{{"TCP", 80}: {"tcp.idle_timeout.seconds": "60"}}},
		{why: "of TLS", lines: []string{cert, "S-listener-attributes.TLS-80: tcp.idle_timeout.seconds=6000"}, want: attributes{{"TLS", 80}: {"tcp.idle_timeout.seconds": "6000"}}},
		{why: "of both", lines: []string{"port: 80", "port: 80/UDP", "S-listener-attributes.TCP_UDP-80: tcp.idle_timeout.seconds=61"}, want: attributes{{"TCP_UDP", 80}: {"tcp.idle_timeout.seconds": "61"}}},
		{why: "of another protocol", lines: []string{cert, "port: 80", "port: 53/UDP", "S-listener-attributes.TCP-80: tcp.idle_timeout.seconds=60"}, refused: []string{"S-listener-attributes.TCP-80: there is no such listener; allowed are those of the Service: UDP-53, TLS-80"}},
		{why: "of another port", lines: []string{"S-listener-attributes.TCP-81: tcp.idle_timeout.seconds=60"}, refused: []string{"allowed are those of the Service: TCP-80"}},
		{why: "of no listener at all", lines: []string{"port: 80", "port: 81/SCTP", "S-listener-attributes.TCP-81: tcp.idle_timeout.seconds=60"}, refused: []string{"allowed are those of the Service: TCP-80"}},
		{why: "too short", lines: []string{"S-listener-attributes.TCP-80: tcp.idle_timeout.seconds=59"}, refused: []string{`S-listener-attributes.TCP-80: "tcp.idle_timeout.seconds=59" is not allowed; allowed are whole numbers from 60 to 6000`}},
	})
}

func TestHealthCheck(t *testing.T) {
	stories := []story{
		{why: "all of it", lines: []string{"S-healthcheck-protocol: Http", "S-healthcheck-port: 8080", "S-healthcheck-path: /healthz?full", "S-healthcheck-interval: 300", "S-healthcheck-timeout: 120", "S-healthcheck-healthy-threshold: 2", "S-healthcheck-unhealthy-threshold: 10", "S-healthcheck-success-codes: 200, 204-299"},
			want: HealthCheck{Protocol: "HTTP", Port: "8080", Path: one("/healthz?full"), Interval: one(300 * time.Second), Timeout: one(120 * time.Second), Healthy: one(int32(2)), Unhealthy: one(int32(10)), SuccessCodes: one("200,204-299")}},
		{why: "traffic port", lines: []string{"S-healthcheck-port: traffic-port"}, want: HealthCheck{Port: "traffic-port"}},
		{why: "a name, for instances", lines: []string{"port: web 80 -> http", "S-healthcheck-port: web"}, want: HealthCheck{Port: "30080"}},
		{why: "a name, for pods", lines: []string{"port: web 80 -> 8080", "S-nlb-target-type: ip", "S-healthcheck-port: web"}, want: HealthCheck{Port: "8080"}},
		{why: "a name, for pods, no target port said", lines: []string{"port: web 80", "S-nlb-target-type: ip", "S-healthcheck-port: web"}, want: HealthCheck{Port: "80"}},
		{why: "a name of a name", lines: []string{"port: web 80 -> http", "S-nlb-target-type: ip", "S-healthcheck-port: web"}, refused: []string{`S-healthcheck-port: "web" has the target port "http"`}},
		{why: "timeout as long as the interval", lines: []string{"S-healthcheck-interval: 5", "S-healthcheck-timeout: 5"}, want: HealthCheck{Interval: one(5 * time.Second), Timeout: one(5 * time.Second)}},
		{why: "interval alone", lines: []string{"S-healthcheck-interval: 5"}, want: HealthCheck{Interval: one(5 * time.Second)}},
		{why: "timeout above the interval", lines: []string{"S-healthcheck-interval: 5", "S-healthcheck-timeout: 6"}, refused: []string{`S-healthcheck-timeout: "6" is above the interval; allowed are up to 5 seconds`}},
		{why: "timeout above the interval that nobody gave", lines: []string{"S-healthcheck-timeout: 11"}, refused: []string{"allowed are up to 10 seconds, as in S-healthcheck-interval"}},
		{why: "kube-proxy", lines: []string{"berth-lb.dev/aws-health-check: kube-proxy"}, want: HealthCheck{KubeProxy: one(true)}},
		{why: "not kube-proxy", lines: []string{"berth-lb.dev/aws-health-check: traffic-port"}, want: HealthCheck{KubeProxy: one(false)}},
		{why: "kube-proxy of pods", lines: []string{"S-nlb-target-type: ip", "berth-lb.dev/aws-health-check: kube-proxy"}, refused: []string{"kube-proxy is asked on nodes, and the targets are pods"}},
	}
	for line, allowed := range map[string]string{
		"S-healthcheck-protocol: udp":            "tcp, http, https",
		"S-healthcheck-port: 0":                  "traffic-port, numbers from 1 to 65535 and names in the ports of the Service: 80 (web)",
		"S-healthcheck-port: 65536":              "traffic-port",
		"S-healthcheck-path: healthz":            "paths of up to 1024 characters",
		"S-healthcheck-path: /a b":               "paths of up to 1024 characters",
		"S-healthcheck-interval: 3":              "whole seconds from 5 to 300",
		"S-healthcheck-interval: 10s":            "whole seconds from 5 to 300",
		"S-healthcheck-interval: 99999999999999": "whole seconds from 5 to 300",
		"S-healthcheck-timeout: 1":               "whole seconds from 2 to 120",
		"S-healthcheck-healthy-threshold: 1":     "whole numbers from 2 to 10",
		"S-healthcheck-unhealthy-threshold: 11":  "whole numbers from 2 to 10",
		"S-healthcheck-success-codes: 100":       "codes from 200 to 599",
		"S-healthcheck-success-codes: 300-200":   "codes from 200 to 599",
		"S-healthcheck-success-codes: 2xx":       "codes from 200 to 599",
		"S-healthcheck-success-codes: +200":      "codes from 200 to 599",
		"berth-lb.dev/aws-health-check: node":    "kube-proxy, traffic-port",
	} {
		key, value, _ := strings.Cut(line, ": ")
		stories = append(stories, story{why: line, lines: []string{line}, refused: []string{fmt.Sprintf("%s: %q is not allowed; allowed are %s", key, value, allowed)}})
	}
	tell(t, func(s Settings) any { return s.HealthCheck }, stories)
}

func TestTags(t *testing.T) {
	many := "S-additional-resource-tags: "
	for i := range 48 {
		many += fmt.Sprintf("t%d=v,", i)
	}
	tell(t, func(s Settings) any { return s.Tags }, []story{
		{why: "tags", lines: []string{`S-additional-resource-tags: team = a b , who=x\,y`}, refused: []string{`"who=x,y" is not allowed`}},
		{why: "an equals sign in a value, no value", lines: []string{"S-additional-resource-tags: team=a b,q=x=y,empty="}, want: map[string]string{"team": "a b", "q": "x=y", "empty": ""}},
		{why: "other alphabets", lines: []string{"S-additional-resource-tags: Équipe=café"}, want: map[string]string{"Équipe": "café"}},
		{why: "our own win", lines: []string{"S-additional-resource-tags: a=b,elbv2.k8s.aws/cluster=other"}, want: map[string]string{"a": "b"}, warned: "the tag elbv2.k8s.aws/cluster is Berth's own"},
		{why: "AWS's own", lines: []string{"S-additional-resource-tags: AWS:x=y"}, refused: []string{`"AWS:x=y" is not allowed`}},
		{why: "a long key", lines: []string{"S-additional-resource-tags: " + strings.Repeat("k", 129) + "=v"}, refused: []string{"kkk…\" is not allowed"}},
		{why: "too many", lines: []string{many}, refused: []string{"48 tags are too many; allowed are up to 47"}},
	})
}

func TestNodeLabels(t *testing.T) {
	text := func(s Settings) any {
		if s.NodeLabels == nil {
			return ""
		}
		return s.NodeLabels.String()
	}
	tell(t, text, []story{
		{why: "not said", want: ""},
		{why: "labels", lines: []string{"S-target-node-labels: tier=front, example.com/zone=a"}, want: "example.com/zone=a,tier=front"},
		{why: "of pods", lines: []string{"S-nlb-target-type: ip", "S-target-node-labels: tier=front"}, want: "", warned: "S-target-node-labels is not looked at: targets are pods"},
		{why: "no label", lines: []string{"S-target-node-labels: a b=c"}, refused: []string{`S-target-node-labels: "a b=c" is not allowed; allowed are labels`}},
	})
}

func TestUnsupported(t *testing.T) {
	tell(t, func(s Settings) any { return s.MultiCluster }, []story{
		{why: "always so", lines: []string{"S-enable-tcp-udp-listener: false"}, want: false},
		{why: "always so, and a boolean", lines: []string{"S-enable-tcp-udp-listener: on"}, refused: []string{"allowed are true and false"}},
		{why: "several clusters", lines: []string{"S-multi-cluster-target-group: true"}, want: true},
		{why: "QUIC", lines: []string{"S-quic-enabled-ports: 443"}, refused: []string{`S-quic-enabled-ports: "443" can't be done: ports of a Service have no protocol QUIC`}},
		{why: "allocations by tag", lines: []string{"S-eip-allocations-discovery-tags: a=b"}, refused: []string{"name the allocations in S-eip-allocations"}},
	})
}

func TestUnknown(t *testing.T) {
	for key, near := range map[string]string{
		"S-shceme":                                "S-scheme",
		"S-subnet":                                "S-subnets",
		"S-healthcheck-interval-seconds":          "S-healthcheck-interval",
		"S-target-groups-attributes.80":           "S-target-group-attributes.PORT",
		"S-listener-attribute.TCP-80":             "S-listener-attributes.PROTOCOL-PORT",
		"S-SCHEME":                                "",
		"S-extra-security-groups":                 "S-security-groups",
		"S-x":                                     "",
		"berth-lb.dev/aws-healthcheck":            "berth-lb.dev/aws-health-check",
		"S-connection-draining-timeout":           "",
		"S-" + strings.Repeat("a", 100_000):       "",
		"S-scheme" + strings.Repeat("e", 100_000): "",
	} {
		svc := service()
		svc.Annotations[long(key)] = "x"
		_, warnings, err := Parse(svc, Defaults{})
		if err != nil || len(warnings) != 1 {
			t.Errorf("%.40s: %v, %v", key, warnings, err)
			continue
		}
		switch {
		case len(warnings[0]) > 300:
			t.Errorf("%.40s: %d bytes", key, len(warnings[0]))
		case near == "" && strings.Contains(warnings[0], "do you mean"), near != "" && !strings.HasSuffix(warnings[0], "; do you mean "+long(near)+"?"):
			t.Errorf("%.40s: %s", key, warnings[0])
		}
	}
}

// TestNotOurs: other controllers have annotations too.
func TestNotOurs(t *testing.T) {
	_, warnings, err := Parse(service("service.beta.kubernetes.io/azure-load-balancer-internal: x", "berth-lb.dev/backend: a/aws", "berth-lb.dev/aws-applied: v1:abc"), Defaults{})
	if err != nil || warnings != nil {
		t.Error(warnings, err)
	}
}

// TestAllProblems: they are told together, sorted, and five at most.
func TestAllProblems(t *testing.T) {
	_, _, err := Parse(service("S-scheme: x", "S-healthcheck-interval: 3", "S-name: -"), Defaults{})
	want := `InvalidRequest: S-healthcheck-interval: "3" is not allowed; allowed are whole seconds from 5 to 300. ` +
		`S-name: "-" is not allowed; allowed are up to 32 letters, digits and hyphens, without a hyphen at either end or internal- at the beginning. ` +
		`S-scheme: "x" is not allowed; allowed are internal, internet-facing`
	if err == nil || err.Error() != long(want) {
		t.Errorf("got %v", err)
	}
	_, _, err = Parse(service("S-ip-address-type: "+"x", "S-scheme: x", "S-healthcheck-interval: 3", "S-healthcheck-timeout: 1", "S-name: -", "S-alpn-policy: x", "S-proxy-protocol: x"), Defaults{})
	isRefused(t, err, "S-alpn-policy", ". and 2 more")
}

// TestFlood: an annotation of 256 KiB is not answered by megabytes.
func TestFlood(t *testing.T) {
	svc := service("S-eip-allocations: "+strings.Repeat("x,", 60_000), "S-additional-resource-tags: "+strings.Repeat("!=,", 60_000))
	_, _, err := Parse(svc, Defaults{})
	isRefused(t, err, "S-eip-allocations")
	if len(err.Error()) > 4000 {
		t.Errorf("%d bytes", len(err.Error()))
	}
	r := &reader{svc: svc}
	r.placement(&Settings{})
	if len(r.problems) > maxProblems {
		t.Errorf("%d problems kept", len(r.problems))
	}
}

// FuzzParse: whatever is in annotations, the answer is the same each time, what
// is said of it is short, and can be shown anywhere.
func FuzzParse(f *testing.F) {
	for _, key := range known {
		f.Add(key, "true", key+".80", "a=b")
	}
	f.Add(KeyAttributes, `a=b\,c,,=`, KeyListenerAttributes+".TCP-80", "tcp.idle_timeout.seconds=1\n")
	f.Add(KeySourceRanges, "10.0.0.0/8,\u202e::/0", KeyTargetGroupAttributes+".\x1b[31m", "\x00")
	f.Add(KeyNodeLabels, strings.Repeat("é=,", 1000), prefix+"\xff\n", strings.Repeat("x", 5000))
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		svc := service("port: web 80 -> http", "port: 53/UDP", "port: both 443", "port: 443/UDP")
		svc.Annotations[key1], svc.Annotations[key2] = value1, value2
		svc.Annotations[KeyCertificates] = "arn:aws:acm:eu-west-1:111122223333:certificate/1"
		s, warnings, err := Parse(svc, Defaults{})
		again, warningsAgain, errAgain := Parse(svc, Defaults{})
		if !reflect.DeepEqual(warnings, warningsAgain) || fmt.Sprint(err) != fmt.Sprint(errAgain) || err == nil && !reflect.DeepEqual(s, again) {
			t.Errorf("%v, %v; then %v, %v", warnings, err, warningsAgain, errAgain)
		}
		said := strings.Join(warnings, " ")
		if err != nil {
			isRefused(t, err)
			said += err.Error()
		}
		if len(said) > 8000 {
			t.Errorf("%d bytes", len(said))
		}
		for _, c := range said {
			if !unicode.IsPrint(c) || c == unicode.ReplacementChar && !strings.ContainsRune(value1+value2+key1+key2, c) {
				t.Fatalf("%q in %q", c, said)
			}
		}
	})
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b        string
		limit, want int
	}{
		{"", "", 3, 0}, {"a", "", 3, 1}, {"", "abc", 9, 3}, {"scheme", "shceme", 9, 2}, {"subnet", "subnets", 9, 1},
		{"kitten", "sitting", 9, 3}, {"kitten", "sitting", 2, 2}, {"a", "abcdef", 3, 3},
	} {
		if got := distance(tc.a, tc.b, tc.limit); got != tc.want {
			t.Errorf("%q, %q within %d: got %d, want %d", tc.a, tc.b, tc.limit, got, tc.want)
		}
	}
}
