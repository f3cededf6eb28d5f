package plan

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// From nothing, from one thing to another, and to nothing: the lines that a
// dry-run prints.
func TestDiff(t *testing.T) {
	two := service(func(s *corev1.ServiceSpec) { s.Ports = append(s.Ports, port("tls", "TCP", 443, 8443, 30443)) })
	named := func(names ...string) func(*Request) {
		return settings(func(s *annotation.Settings) { s.Subnets = names })
	}
	attributes := settings(func(s *annotation.Settings) {
		s.Attributes = map[string]string{"load_balancing.cross_zone.enabled": "true", "access_logs.s3.enabled": "False"}
		s.TargetGroupAttributes = map[int32]map[string]string{80: {"deregistration_delay.timeout_seconds": "60"}}
		s.ListenerAttributes = map[annotation.ProtocolPort]map[string]string{{Protocol: "TCP", Port: 80}: {"tcp.idle_timeout.seconds": "400"}}
		s.MinimumCapacity, s.PrivateLinkRules = new(int32(100)), "off"
	})
	var out strings.Builder
	for _, tc := range []struct {
		reason        string
		before, after []func(*Request)
	}{
		{"nothing changes", nil, nil},
		{"a node joins, one leaves", nil, []func(*Request){func(r *Request) { r.Nodes[0] = node("c", "aws:///eu-1c/i-0c") }}},
		{"pods are replaced", []func(*Request){ips}, []func(*Request){ips, func(r *Request) {
			r.EndpointSlices = []*discoveryv1.EndpointSlice{slice("http", 8080, endpoint("10.0.1.21"), endpoint("192.168.7.7"))}
		}}},
		{"a port comes", nil, []func(*Request){two}},
		{"a port comes, and a node", nil, []func(*Request){two, func(r *Request) { r.Nodes = append(r.Nodes, node("c", "aws:///eu-1c/i-0c")) }}},
		{"a port goes", []func(*Request){two}, nil},
		{"a port has another node port", nil, []func(*Request){service(func(s *corev1.ServiceSpec) { s.Ports[0].NodePort = 30081 })}},
		{"a port has another number", nil, []func(*Request){service(func(s *corev1.ServiceSpec) { s.Ports[0].Port = 81 })}},
		{"UDP joins TCP", []func(*Request){dnsPorts, service(func(s *corev1.ServiceSpec) { s.Ports = s.Ports[1:] })}, []func(*Request){dnsPorts}},
		{"pods instead of nodes", nil, []func(*Request){ips}},
		{"TLS comes", nil, []func(*Request){tlsOn(80)}},
		{"TLS goes", []func(*Request){tlsOn(80)}, nil},
		{"another default certificate, and policy", []func(*Request){tlsOn(80)}, []func(*Request){tlsOn(80), settings(func(s *annotation.Settings) {
			s.Certificates, s.SSLPolicy = []string{s.Certificates[1], "arn:aws:acm:eu-1:1:certificate/three"}, "ELBSecurityPolicy-TLS13-1-2-2021-06"
		})}},
		{"Local", nil, []func(*Request){localPolicy}},
		{"attributes, capacity and private link are set", nil, []func(*Request){attributes}},
		{"capacity is given back", []func(*Request){attributes}, []func(*Request){attributes, settings(func(s *annotation.Settings) { s.MinimumCapacity = new(int32) })}},
		{"attributes of what is new", nil, []func(*Request){attributes, facing}},
		{"dual stack", nil, []func(*Request){dual}},
		{"IPv6 source NAT", []func(*Request){dual}, []func(*Request){settings(func(s *annotation.Settings) { s.PrefixForSourceNAT = true })}},
		{"dual stack with UDP, which needs source NAT at once", []func(*Request){dnsPorts}, []func(*Request){dnsPorts, dual, natted}},
		{"and back", []func(*Request){dnsPorts, dual, natted}, []func(*Request){dnsPorts, onlyIPv4}},
		{"dual stack when UDP goes", []func(*Request){dnsPorts}, []func(*Request){dnsPorts, dual, service(func(s *corev1.ServiceSpec) { s.Ports = s.Ports[1:] })}},
		{"source NAT and a port with UDP go", []func(*Request){dnsPorts, dual, natted}, []func(*Request){dual}},
		{"IPv4 alone, and targets had IPv6", []func(*Request){two, dual, overIPv6}, []func(*Request){onlyIPv4, overIPv6}},
		{"a zone more", []func(*Request){named("private-1")}, []func(*Request){named("private-1", "private-2")}},
		{"other subnets in two of three zones", nil, []func(*Request){named("public-1", "public-2", "private-3")}},
		{"Elastic IPs come", []func(*Request){facing, named("public-1", "public-2")}, []func(*Request){facing, named("public-1", "public-2"),
			settings(func(s *annotation.Settings) { s.EIPAllocations = []string{"eipalloc-1", "eipalloc-2"} })}},
		{"source ranges", nil, []func(*Request){settings(func(s *annotation.Settings) {
			s.SourceRanges = []netip.Prefix{prefix("10.0.0.0/8"), prefix("192.0.2.0/24")}
		})}},
		{"security groups of the user's instead of ours", nil, []func(*Request){settings(func(s *annotation.Settings) { s.SecurityGroups = []string{"mine"} })}},
		{"tags", nil, []func(*Request){settings(func(s *annotation.Settings) { s.Tags = map[string]string{"cost": "7"} })}},
		{"another scheme", nil, []func(*Request){facing}},
		{"another scheme, and protection given up", []func(*Request){settings(func(s *annotation.Settings) { s.Attributes = map[string]string{deletionProtection: "true"} })},
			[]func(*Request){facing, settings(func(s *annotation.Settings) { s.Attributes = map[string]string{deletionProtection: "false"} })}},
		{"security groups for one without", []func(*Request){noGroups}, []func(*Request){settings(func(s *annotation.Settings) { s.SecurityGroups = []string{"mine"} })}},
	} {
		m := newModel()
		fmt.Fprintf(&out, "# %s\n", tc.reason)
		if err := m.reach(world(tc.before...)); err != nil {
			t.Fatalf("%s, before: %v", tc.reason, err)
		}
		changes, err := m.plan(world(tc.after...))
		if err != nil {
			t.Fatalf("%s: %v", tc.reason, err)
		}
		printChanges(&out, changes)
		if err := m.apply(changes); err != nil {
			t.Errorf("%s: %v", tc.reason, err)
		}
		if left, err := m.plan(world(tc.after...)); err != nil || len(left) > 0 {
			t.Errorf("%s leaves %v, %v", tc.reason, left, err)
		}
	}

	m := newModel()
	fmt.Fprintln(&out, "# everything is made")
	changes, _ := m.plan(world(tlsOn(80), attributes, two))
	printChanges(&out, changes)
	if err := m.apply(changes); err != nil {
		t.Error(err)
	}
	fmt.Fprintln(&out, "# everything is deleted")
	changes = Diff(m.observe(), Stack{})
	printChanges(&out, changes)
	if err := m.apply(changes); err != nil || len(m.state.LoadBalancers)+len(m.state.TargetGroups)+len(m.state.Groups) > 0 {
		t.Errorf("%v leaves %s", err, show(m.state))
	}
	golden(t, "changes.txt", out.String())
}

func printChanges(out *strings.Builder, changes []Change) {
	for _, c := range changes {
		fmt.Fprintln(out, c)
	}
	out.WriteString("\n")
}

// Of the ten calls that are the target for one port: the owner is compared and
// the nodes' group opened beside these.
func TestDiffOfANewServiceIsShort(t *testing.T) {
	changes, err := newModel().plan(world())
	if err != nil || len(changes) != 6 {
		t.Errorf("got %v, %v", changes, err)
	}
}

func TestDiffLimits(t *testing.T) {
	many := world(func(r *Request) {
		for i := range 450 {
			r.Nodes = append(r.Nodes, node(fmt.Sprint("n", i), fmt.Sprintf("aws:///z/i-%x", i+4096)))
		}
		for i := range 60 {
			r.Settings.SourceRanges = append(r.Settings.SourceRanges, prefix(fmt.Sprintf("10.%d.0.0/16", 2*i)))
		}
	})
	changes, err := newModel().plan(many)
	if err != nil {
		t.Fatal(err)
	}
	var targets, rules []int
	for _, c := range changes {
		switch c := c.(type) {
		case RegisterTargets:
			targets = append(targets, len(c.Targets))
		case AuthorizeIngress:
			rules = append(rules, len(c.Rules))
		}
	}
	if !slices.Equal(targets, []int{200, 200, 52}) || !slices.Equal(rules, []int{50, 10}) {
		t.Errorf("targets %v, rules %v", targets, rules)
	}
}

func TestDiffLeavesAlone(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*Stack)
	}{
		{"tags of others", func(s *Stack) { s.LoadBalancers[0].Tags["backup"] = "yes" }},
		{"attributes that nobody manages", func(s *Stack) { s.TargetGroups[0].Attributes["deregistration_delay.timeout_seconds"] = "7" }},
		{"other names", func(s *Stack) {
			s.LoadBalancers[0].Name, s.TargetGroups[0].Name, s.Groups[0].Name, s.Groups[0].Description = "a", "b", "c", "d"
		}},
		{"another port of the target group", func(s *Stack) { s.TargetGroups[0].Port = 1 }},
		{"a listener that names its target group by key", func(s *Stack) { s.LoadBalancers[0].Listeners[0].TargetGroup = "shop/web:80" }},
		{"addresses that AWS chose", func(s *Stack) {
			s.LoadBalancers[0].Subnets[0].PrivateIPv4 = address("10.0.1.99")
		}},
		{"the same rules in other pieces", func(s *Stack) {
			s.Groups[0].Ingress = []Rule{{Protocol: "tcp", From: 80, To: 80, CIDR: prefix("0.0.0.0/1"), Description: "x"}, {Protocol: "tcp", From: 80, To: 80, CIDR: prefix("128.0.0.0/1")}}
		}},
		{"a security policy that nobody asks for", func(s *Stack) { s.LoadBalancers[0].Listeners[0].SSLPolicy = "ELBSecurityPolicy-2016-08" }},
		{"a reservation that nobody asks for", func(s *Stack) { s.LoadBalancers[0].MinimumCapacity = 7 }},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			m := newModel()
			if err := m.reach(world()); err != nil {
				t.Fatal(err)
			}
			tc.change(&m.state)
			if changes, err := m.plan(world()); err != nil || len(changes) > 0 {
				t.Errorf("got %v, %v", changes, err)
			}
		})
	}
}

// newIDs is what may be different after a repair: numbers, and attributes that
// were not looked at.
var newIDs = regexp.MustCompile(`\d{6}|sg-\d+|attributes map\[[^\]]*\]`)

func TestDiffRepairs(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*Stack)
	}{
		{"the load balancer is gone", func(s *Stack) { s.LoadBalancers = nil }},
		{"a listener is gone", func(s *Stack) { s.LoadBalancers[0].Listeners = nil }},
		{"a target group is gone, and its listener sends to nothing", func(s *Stack) { s.TargetGroups = nil; s.LoadBalancers[0].Listeners[0].TargetGroup = "" }},
		{"the security group is gone", func(s *Stack) { s.Groups, s.LoadBalancers[0].SecurityGroups = nil, []string{"sg-shared"} }},
		{"rules are gone", func(s *Stack) { s.Groups[0].Ingress = nil }},
		{"a rule too many", func(s *Stack) {
			s.Groups[0].Ingress = append(s.Groups[0].Ingress, Rule{Protocol: "-1", From: -1, To: -1, CIDR: prefix("0.0.0.0/0")})
		}},
		{"targets are gone", func(s *Stack) { s.TargetGroups[0].Targets = nil }},
		{"a target too many", func(s *Stack) {
			s.TargetGroups[0].Targets = append(s.TargetGroups[0].Targets, Target{ID: "i-0f", Port: 1})
		}},
		{"tags are gone", func(s *Stack) { s.LoadBalancers[0].Tags, s.TargetGroups[0].Tags, s.Groups[0].Tags = nil, nil, nil }},
		{"attributes were not looked at", func(s *Stack) { s.TargetGroups[0].Attributes = nil }},
		{"an attribute was changed", func(s *Stack) { s.TargetGroups[0].Attributes[proxyProtocol] = "true" }},
		{"another health check", func(s *Stack) { s.TargetGroups[0].HealthCheck.Interval = time.Minute }},
		{"a security group too many", func(s *Stack) { s.Groups = append(s.Groups, SecurityGroup{ID: "sg-0", Name: "x"}) }},
		{"a target group too many", func(s *Stack) {
			s.TargetGroups = append(s.TargetGroups, TargetGroup{ARN: "arn:x", Key: "shop/web:80", Name: "x", Protocol: "TCP", TargetType: "ip"})
		}},
		{"a twin that serves nobody", func(s *Stack) {
			twin := s.TargetGroups[0]
			twin.ARN = "arn:a"
			s.TargetGroups = append(s.TargetGroups, twin)
		}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			m := newModel()
			if err := m.reach(world()); err != nil {
				t.Fatal(err)
			}
			healthy := show(m.state)
			tc.change(&m.state)
			changes, err := m.plan(world())
			if err != nil || len(changes) == 0 {
				t.Fatalf("got %v, %v", changes, err)
			}
			if err := m.apply(changes); err != nil {
				t.Error(err)
			}
			if left, err := m.plan(world()); err != nil || len(left) > 0 {
				t.Errorf("leaves %v, %v", left, err)
			}
			if got, want := newIDs.ReplaceAllString(show(m.state), ""), newIDs.ReplaceAllString(healthy, ""); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestDiffOfAMultiClusterGroup(t *testing.T) {
	shared := settings(func(s *annotation.Settings) { s.MultiCluster = true })
	m := newModel()
	if err := m.reach(world(shared)); err != nil {
		t.Fatal(err)
	}
	g := &m.state.TargetGroups[0]
	g.Ours = []Target{{ID: "i-0a", Port: 30080}, {ID: "i-0d", Port: 30080}}
	g.Targets = append(g.Targets, Target{ID: "i-0d", Port: 30080}, Target{ID: "i-other", Port: 30080})
	changes, err := m.plan(world(shared))
	want := []Change{DeregisterTargets{TargetGroup: g.ARN, Targets: []Target{{ID: "i-0d", Port: 30080}}}}
	if err != nil || !reflect.DeepEqual(changes, want) {
		t.Errorf("got %v, %v", changes, err)
	}
}

func TestDiffKeepsWhatIsProtected(t *testing.T) {
	m := newModel()
	if err := m.reach(world()); err != nil {
		t.Fatal(err)
	}
	m.state.LoadBalancers[0].Attributes[deletionProtection] = "true"
	if changes := Diff(m.observe(), Stack{}); len(changes) > 0 {
		t.Errorf("got %v", changes)
	}
}

// Whatever a Service was and becomes, and wherever the work is cut off in
// between: it arrives, and only then are there no changes.
func TestDiffArrives(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := newModel()
		var last Request
		for range 4 {
			next := randomRequest(random)
			changes, err := m.plan(next)
			if err != nil {
				continue // refused, as a change of the only zone
			}
			checkOrder(t, seed, changes)
			if err := m.apply(changes[:random.IntN(len(changes)+1)]); err != nil {
				t.Fatalf("seed %d: %v\nfrom %+v\nto %+v", seed, err, last.Settings, next.Settings)
			}
			changes, err = m.plan(next)
			if err != nil {
				t.Fatalf("seed %d: cut off, it is refused: %v", seed, err)
			}
			if err := m.apply(changes); err != nil {
				t.Fatalf("seed %d: cut off, then %v\nfrom %+v\nto %+v", seed, err, last.Settings, next.Settings)
			}
			if left, err := m.plan(next); err != nil || len(left) > 0 {
				t.Fatalf("seed %d leaves %v, %v", seed, left, err)
			}
			checkHolds(t, seed, m.state, next)
			last = next
		}
		if err := m.apply(Diff(m.observe(), Stack{})); err != nil || len(m.state.LoadBalancers)+len(m.state.TargetGroups)+len(m.state.Groups) > 0 {
			t.Fatalf("seed %d: deletion: %v", seed, err)
		}
	}
}

// checkHolds compares the state with what is wanted, but for names.
func checkHolds(t *testing.T, seed uint64, state Stack, req Request) {
	req.Existing = state
	want, _, _ := Desired(req)
	if len(state.LoadBalancers) != 1 || len(state.TargetGroups) != len(want.TargetGroups) || len(state.Groups) != len(want.Groups) {
		t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, show(state), show(want))
	}
	for _, g := range want.TargetGroups {
		i := slices.IndexFunc(state.TargetGroups, func(has TargetGroup) bool { return has.Key == g.Key })
		has := state.TargetGroups[i]
		slices.SortFunc(has.Targets, compareTargets)
		if !slices.Equal(has.Targets, g.Targets) || has.HealthCheck != g.HealthCheck {
			t.Fatalf("seed %d: target group %s has %v %v, want %v %v", seed, g.Key, has.Targets, has.HealthCheck, g.Targets, g.HealthCheck)
		}
	}
	has, lb := state.LoadBalancers[0], want.LoadBalancers[0]
	if has.Scheme != lb.Scheme || len(has.Listeners) != len(lb.Listeners) || len(has.Subnets) != len(lb.Subnets) || len(has.SecurityGroups) != len(lb.SecurityGroups) {
		t.Fatalf("seed %d: got\n%s\nwant\n%s", seed, show(state), show(want))
	}
}

func natted(r *Request)   { r.Settings.PrefixForSourceNAT = true }
func onlyIPv4(r *Request) { r.Settings.IPAddressType = annotation.IPv4 }
func overIPv6(r *Request) {
	r.Service.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
}

// checkOrder checks that targets follow whatever else fails, that what others need
// comes before these, and that what takes away comes last.
func checkOrder(t *testing.T, seed uint64, changes []Change) {
	order := []Change{CreateSecurityGroup{}, AuthorizeIngress{}, CreateTargetGroup{}, CreateLoadBalancer{}, ModifyLoadBalancerAttributes{},
		RegisterTargets{}, CreateListener{}, AddTags{}, DeregisterTargets{}, DeleteListener{}, DeleteLoadBalancer{}, DeleteTargetGroup{}, RevokeIngress{}, DeleteSecurityGroup{}}
	last := 0
	for n, c := range changes {
		if r, ok := c.(RegisterTargets); ok && isARN(r.TargetGroup) {
			if n > 0 && reflect.TypeOf(changes[n-1]) != reflect.TypeOf(c) {
				t.Fatalf("seed %d: %v comes after %v, which may fail", seed, c, changes[n-1])
			}
			continue
		}
		if _, ok := c.(DeleteListener); ok && slices.ContainsFunc(changes[n:], changesAddresses) {
			continue // it is in their way
		}
		i := slices.IndexFunc(order, func(o Change) bool { return reflect.TypeOf(o) == reflect.TypeOf(c) })
		if i < 0 {
			continue
		}
		if i < last {
			t.Fatalf("seed %d: %v comes after a %T", seed, c, order[last])
		}
		last = i
	}
}

func changesAddresses(c Change) bool {
	switch c.(type) {
	case SetIPAddressType, SetSubnets:
		return true
	}
	return false
}

func randomRequest(random *rand.Rand) Request {
	maybe := func(change func(*Request)) func(*Request) {
		if random.IntN(3) == 0 {
			return change
		}
		return func(*Request) {}
	}
	two := service(func(s *corev1.ServiceSpec) { s.Ports = append(s.Ports, port("tls", "TCP", 443, 8443, 30443)) })
	req := world(
		maybe(dnsPorts), maybe(two), maybe(ips), []func(*Request){dual, onlyIPv4}[random.IntN(2)], maybe(overIPv6), maybe(localPolicy), maybe(noGroups), maybe(tlsOn(80, 443)),
		[]func(*Request){facing, internal, func(*Request) {}}[random.IntN(3)],
		maybe(settings(func(s *annotation.Settings) { s.SecurityGroups = []string{"mine"} })),
		maybe(settings(func(s *annotation.Settings) { s.SourceRanges = []netip.Prefix{prefix("10.0.0.0/8")} })),
		maybe(settings(func(s *annotation.Settings) { s.Subnets = []string{"public-1", "private-2"} })),
		maybe(settings(func(s *annotation.Settings) {
			s.Attributes = map[string]string{"load_balancing.cross_zone.enabled": "true"}
		})),
		maybe(settings(func(s *annotation.Settings) { s.Tags = map[string]string{"cost": fmt.Sprint(random.IntN(3))} })),
		maybe(settings(func(s *annotation.Settings) { s.BackendTLS = true })),
		maybe(settings(func(s *annotation.Settings) { s.PrivateLinkRules = "off" })),
		maybe(settings(func(s *annotation.Settings) { s.MinimumCapacity = new(random.Int32N(2)) })),
		maybe(func(r *Request) { r.Nodes = r.Nodes[:random.IntN(2)] }),
		maybe(func(r *Request) { r.EndpointSlices = nil }),
	)
	if carriesUDP := len(req.Service.Spec.Ports) > 1 && req.Service.Spec.Ports[0].Protocol == corev1.ProtocolUDP; req.Settings.IPAddressType == annotation.DualStack {
		req.Settings.PrefixForSourceNAT = carriesUDP || random.IntN(2) == 0
	}
	if req.Settings.NoSecurityGroups {
		req.Settings.SecurityGroups = nil
	}
	return req
}
