package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

func TestBackendNeeds(t *testing.T) {
	for _, tc := range []struct {
		reason  string
		changes []func(*Request)
		want    string
	}{
		{"a node port, which is also checked", nil, "tcp 30080"},
		{"the check has a port of its own", []func(*Request){localPolicy}, "tcp 30080, tcp 31000"},
		{"UDP is checked by TCP", []func(*Request){dnsPorts}, "tcp 30053, udp 30053"},
		{"ports of pods", []func(*Request){ips}, "tcp 8080"},
		{"no pods, no ports", []func(*Request){ips, func(r *Request) { r.EndpointSlices = nil }}, ""},
		{"node ports are open before there are nodes", []func(*Request){func(r *Request) { r.Nodes = nil }}, "tcp 30080"},
		{"TLS is TCP", []func(*Request){tlsOn(80), settings(func(s *annotation.Settings) { s.BackendTLS = true })}, "tcp 30080"},
		{"security groups of the user's are the user's business", []func(*Request){settings(func(s *annotation.Settings) { s.SecurityGroups = []string{"mine"} })}, ""},
		{"unless the user wants it otherwise", []func(*Request){settings(func(s *annotation.Settings) {
			s.SecurityGroups, s.ManageBackendRules = []string{"mine"}, new(true)
		})}, "tcp 30080"},
		{"no rules are managed", []func(*Request){func(r *Request) { r.Cloud.BackendGroup = "" }}, ""},
		{"without security groups clients come themselves, checks from the subnets", []func(*Request){noGroups, settings(func(s *annotation.Settings) { s.Subnets = []string{"private-1"} })},
			"tcp 30080 from 0.0.0.0/0, tcp 30080 from 10.0.1.0/24"},
		{"those that may", []func(*Request){noGroups, settings(func(s *annotation.Settings) {
			s.Subnets, s.SourceRanges = []string{"private-1"}, []netip.Prefix{prefix("192.0.2.0/24")}
		})}, "tcp 30080 from 10.0.1.0/24, tcp 30080 from 192.0.2.0/24"},
		{"pods see the load balancer", []func(*Request){noGroups, ips, settings(func(s *annotation.Settings) { s.Subnets = []string{"private-1"} })}, "tcp 8080 from 10.0.1.0/24"},
		{"unless clients are preserved", []func(*Request){noGroups, ips, settings(func(s *annotation.Settings) {
			s.Subnets = []string{"private-1"}
			s.TargetGroupAttributes = map[int32]map[string]string{80: {"preserve_client_ip.enabled": "true"}}
		})}, "tcp 8080 from 0.0.0.0/0, tcp 8080 from 10.0.1.0/24"},
		{"without security groups, and nobody wants rules", []func(*Request){noGroups, settings(func(s *annotation.Settings) { s.ManageBackendRules = new(false) })}, ""},
	} {
		req := world(tc.changes...)
		stack, _, err := Desired(req)
		if err != nil {
			t.Fatal(tc.reason, err)
		}
		var got []string
		for _, n := range BackendNeeds(req, stack) {
			text := fmt.Sprintf("%s %d", n.Protocol, n.Port)
			if n.CIDR.IsValid() {
				text += " from " + n.CIDR.String()
			}
			got = append(got, text)
		}
		if strings.Join(got, ", ") != tc.want {
			t.Errorf("%s: got %v, want %s", tc.reason, got, tc.want)
		}
	}
}

// rules reads "30000-30001 own", each from the shared group.
func rules(texts ...string) []Rule {
	var out []Rule
	for _, text := range texts {
		var r Rule
		var by string
		if _, err := fmt.Sscanf(text, "%d-%d %s", &r.From, &r.To, &by); err != nil {
			panic(err)
		}
		r.Protocol, r.Group = "tcp", "sg-shared"
		r.Description = map[string]string{"own": backendDescription("sg-shared"), "lbc": "elbv2.k8s.aws/targetGroupBinding=shared"}[by]
		out = append(out, r)
	}
	return out
}

func needs(ports ...int32) []Need {
	var out []Need
	for _, p := range ports {
		out = append(out, Need{Protocol: "tcp", Port: p})
	}
	return out
}

func every(first, count, step int32) []int32 {
	var out []int32
	for i := range count {
		out = append(out, first+i*step)
	}
	return out
}

// singles are own rules of one port each.
func singles(first, count, step int32) []Rule {
	var texts []string
	for _, port := range every(first, count, step) {
		texts = append(texts, fmt.Sprintf("%d-%d own", port, port))
	}
	return rules(texts...)
}

func TestBackendRules(t *testing.T) {
	other := rules("30000-32767 own")
	other[0].Group, other[0].Description = "sg-other", backendDescription("sg-other")
	all := []Rule{{Protocol: "-1", From: -1, To: -1, Group: "sg-shared"}}
	for _, tc := range []struct {
		reason      string
		needs       []Need
		existing    []Rule
		add, remove string
		partial     bool // more needs may exist
	}{
		{"nothing", nil, nil, "", "", false},
		{"exact ports", needs(30080, 30443), nil, "30080 30443", "", false},
		{"they are there", needs(30080, 30443), rules("30080-30080 own", "30443-30443 own"), "", "", false},
		{"one is not needed any more", needs(30080), rules("30080-30080 own", "30443-30443 own"), "", "30443", false},
		{"what the AWS Load Balancer Controller made is enough", needs(30080, 30443), rules("30080-30443 lbc"), "", "", false},
		{"and stays: it may serve an Ingress", nil, rules("30080-30443 lbc"), "", "", false},
		{"so does a rule of the user's", needs(30080), rules("0-65535 user"), "", "", false},
		{"all protocols", needs(30080), all, "", "", false},
		{"a rule from another group does not help", needs(30080), other, "30080", "", false},
		{"a range that was made when there was no room stays while a port in it is needed", needs(30080), rules("30000-30100 own"), "", "", false},
		{"and then it goes", nil, rules("30000-30100 own"), "", "30000-30100", false},
		{"a rule within another is needless", needs(30080), rules("30000-30100 own", "30080-30080 own"), "", "30080", false},
		{"of twins one stays", needs(30080), rules("30080-30080 own", "30080-30080 own"), "", "", false},
		{"one port too many: the nearest become ranges, so that there is room again", append(needs(every(30000, 20, 10)...), needs(30191)...), nil,
			"30000-30100 30110 30120 30130 30140 30150 30160 30170 30180 30190-30191", "", false},
		{"as many as there may be", needs(every(30000, 20, 10)...), nil, ports(singles(30000, 20, 10)), "", false},
		{"who needs a rule is not known", nil, rules("30080-30080 own"), "", "", true},
		{"but another lets in the same", needs(30080), rules("30000-30100 own", "30080-30080 own"), "", "30080", true},
		{"one too many of which nobody is known", needs(30200), singles(30000, 20, 10), "30000-30110 30200", ports(singles(30000, 12, 10)), true},
		{"too many from the start", nil, singles(30000, 30, 10), "30000-30200", ports(singles(30000, 21, 10)), true},
	} {
		add, remove := BackendRules(tc.needs, !tc.partial, tc.existing, "sg-shared")
		if got := ports(add); got != tc.add {
			t.Errorf("%s: adds %s, want %s", tc.reason, got, tc.add)
		}
		if got := ports(remove); got != tc.remove {
			t.Errorf("%s: removes %s, want %s", tc.reason, got, tc.remove)
		}
	}
	if add, remove := BackendRules(needs(1), true, rules("2-2 own"), ""); add != nil || remove != nil {
		t.Errorf("no shared group, and yet %v, %v", add, remove)
	}
}

func ports(rules []Rule) string {
	var out []string
	for _, r := range rules {
		text := fmt.Sprint(r.From)
		if r.To != r.From {
			text += fmt.Sprint("-", r.To)
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// Whatever ports Services come and go with: all that is needed gets in, the
// room that is there is not exceeded, and what is done stays done.
func TestBackendRulesHold(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 2))
		foreign := rules("30500-30700 lbc", "31000-31000 user")
		existing := slices.Clone(foreign)
		wanted := map[Need]bool{}
		for step := range 60 {
			n := Need{Protocol: []string{"tcp", "udp"}[random.IntN(2)], Port: 30000 + random.Int32N(2768)}
			if random.IntN(4) == 0 {
				n.CIDR = []netip.Prefix{prefix("10.0.0.0/16"), prefix("0.0.0.0/0")}[random.IntN(2)]
			}
			wanted[n] = true
			for gone := range wanted {
				if random.IntN(30) == 0 {
					delete(wanted, gone)
				}
			}
			var list []Need
			for n := range wanted {
				list = append(list, n)
			}

			before := existing
			complete := random.IntN(2) == 0
			add, remove := BackendRules(list, complete, existing, "sg-shared")
			existing = append(without(existing, remove), add...)

			if !complete {
				for _, r := range remove {
					if !slices.ContainsFunc(existing, func(other Rule) bool { return covers(other, r) }) {
						t.Fatalf("seed %d, step %d: %v does not get in, who may need it", seed, step, r)
					}
				}
			}
			for _, w := range exactRules(list, "sg-shared") {
				if !slices.ContainsFunc(existing, func(r Rule) bool { return covers(r, w) }) {
					t.Fatalf("seed %d, step %d: %v does not get in", seed, step, w)
				}
				if slices.ContainsFunc(before, func(r Rule) bool { return covers(r, w) }) &&
					!slices.ContainsFunc(append(without(before, remove), add...), func(r Rule) bool { return covers(r, w) }) {
					t.Fatalf("seed %d, step %d: %v got in before", seed, step, w)
				}
			}
			for _, protocol := range []string{"tcp", "udp"} {
				own := filter(existing, func(r Rule) bool { return r.Protocol == protocol && r.Description == backendDescription("sg-shared") })
				if len(own) > maxBackendRules {
					t.Fatalf("seed %d, step %d: %d rules", seed, step, len(own))
				}
			}
			if len(without(foreign, existing)) > 0 {
				t.Fatalf("seed %d, step %d: a rule of others is gone", seed, step)
			}
			if add, remove := BackendRules(list, complete, existing, "sg-shared"); len(add)+len(remove) > 0 {
				t.Fatalf("seed %d, step %d: again %v, %v", seed, step, add, remove)
			}
		}
	}
}

// The same ports in and out, whatever the pieces.
func TestNormal(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 3))
		var all []Rule
		for range 1 + random.IntN(8) {
			from := random.Int32N(20)
			r := Rule{Protocol: []string{"tcp", "udp", "icmp"}[random.IntN(3)], From: from, To: from + random.Int32N(5)}
			switch random.IntN(4) {
			case 0:
				r.PrefixList = "pl-1"
			case 1:
				r.Group = "sg-1"
			default:
				r.CIDR = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(random.IntN(2)) << 7}), 1+random.IntN(2)).Masked()
			}
			all = append(all, r)
		}
		got := normal(all)
		for port := range int32(30) {
			for _, source := range []string{"0.0.0.1", "64.0.0.1", "128.0.0.1", "192.0.0.1", "pl-1", "sg-1"} {
				for _, protocol := range []string{"tcp", "udp", "icmp"} {
					if letsIn(all, protocol, port, source) != letsIn(got, protocol, port, source) {
						t.Fatalf("seed %d: %s %d from %s: %v became %v", seed, protocol, port, source, all, got)
					}
				}
			}
		}
		if again := normal(got); !slices.Equal(again, got) {
			t.Fatalf("seed %d: %v is normal, and %v too", seed, got, again)
		}
	}
}

func letsIn(rules []Rule, protocol string, port int32, source string) bool {
	host, _ := netip.ParseAddr(source)
	return slices.ContainsFunc(rules, func(r Rule) bool {
		return r.Protocol == protocol && r.From <= port && port <= r.To &&
			(r.PrefixList+r.Group == source || r.CIDR.IsValid() && host.IsValid() && r.CIDR.Contains(host))
	})
}

// 500 Services with four ports each ask for their rules together.
func BenchmarkBackendRules(b *testing.B) {
	needs := needs(every(30000, 2000, 1)...)
	for b.Loop() {
		BackendRules(needs, true, nil, "sg-shared")
	}
}

// A group that is full gets other rules only if there should be room for them.
func TestExchange(t *testing.T) {
	ranges := func(format string, n int) (rules []Rule) {
		for i := range n {
			rules = append(rules, Rule{Protocol: "tcp", From: 80, To: 80, CIDR: prefix(fmt.Sprintf(format, 2*i))})
		}
		return rules
	}
	list := Rule{Protocol: "tcp", From: 80, To: 80, PrefixList: "pl-1"}
	const old, other, v6 = "10.%d.0.0/16", "172.%d.0.0/16", "2001:db8:%d::/48"
	for _, tc := range []struct {
		why         string
		has, want   []Rule
		add, remove int
		fits        bool
	}{
		{"as many come as go", ranges(old, 40), ranges(other, 40), 40, 40, true},
		{"some stay", ranges(old, 40), append(ranges(old, 10), ranges(other, 40)...), 40, 30, true},
		{"none goes, so that there is no more room than before", ranges(old, 40), append(ranges(old, 40), ranges(other, 10)...), 10, 0, false},
		{"more come than a group takes", ranges(old, 40), ranges(other, 61), 61, 40, false},
		{"as many as are there, in an account with a higher quota", ranges(old, 80), ranges(other, 80), 80, 80, true},
		{"each family counts by itself", ranges(old, 40), append(ranges(other, 60), ranges(v6, 60)...), 120, 40, true},
		{"and each may be too much", ranges(old, 40), append(ranges(other, 10), ranges(v6, 61)...), 71, 40, false},
		{"a prefix list stays", append(ranges(old, 40), list), append(ranges(other, 40), list), 40, 40, true},
		{"a prefix list comes, which counts for nobody knows how many", ranges(old, 40), append(ranges(other, 5), list), 6, 40, false},
	} {
		t.Run(tc.why, func(t *testing.T) {
			add, remove, fits := Exchange(tc.has, tc.want)
			if len(add) != tc.add || len(remove) != tc.remove || fits != tc.fits {
				t.Errorf("%d to add, %d to remove, fits %v", len(add), len(remove), fits)
			}
		})
	}
}
