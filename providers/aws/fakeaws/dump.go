package fakeaws

import (
	"fmt"
	"slices"
	"strings"
)

// Dump returns all that controllers make, one thing a line and what belongs to it
// indented, without IDs, ARNs and what depends on time: two clouds that hold the
// same have the same Dump, whatever the way there. Targets that drain, and
// attributes that are as AWS has them, are left out.
func (c *Cloud) Dump() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, lb := range byName(c.loadBalancers, func(lb *loadBalancer) string { return lb.name }) {
		c.dumpLoadBalancer(&b, lb)
	}
	for _, g := range byName(c.targetGroups, func(g *targetGroup) string { return g.name }) {
		c.dumpTargetGroup(&b, g)
	}
	for _, g := range byName(c.groups, func(g *securityGroup) string { return g.vpc + "/" + g.name }) {
		c.dumpSecurityGroup(&b, g)
	}
	return b.String()
}

func byName[T any](all map[string]T, name func(T) string) []T {
	list := make([]T, 0, len(all))
	for _, id := range sortedKeys(all) {
		list = append(list, all[id])
	}
	slices.SortStableFunc(list, func(a, b T) int { return strings.Compare(name(a), name(b)) })
	return list
}

func (c *Cloud) dumpLoadBalancer(b *strings.Builder, lb *loadBalancer) {
	fmt.Fprintf(b, "load balancer %s: %s %s", lb.name, lb.scheme, lb.ipType)
	if lb.sourceNAT == "on" {
		b.WriteString(", IPv6 source NAT")
	}
	if lb.capacity > 0 {
		fmt.Fprintf(b, ", %d capacity units", lb.capacity)
	}
	b.WriteString("\n")
	for _, m := range lb.mappings {
		fmt.Fprintf(b, "  %s\n", strings.Join(strings.Fields(fmt.Sprint("subnet ", m.subnet, " ", m.allocation, " ", m.ipv4, " ", m.ipv6, " ", m.prefix)), " "))
	}
	for _, name := range slices.Sorted(slices.Values(c.groupNames(lb.groups))) {
		fmt.Fprintf(b, "  group %s\n", name)
	}
	if lb.privateLink == "off" {
		b.WriteString("  PrivateLink traffic is not filtered\n")
	}
	dumpAttributes(b, "  ", lb.attributes, defaultLoadBalancerAttributes(lb))
	dumpMap(b, "  tag", lb.tags)
	for _, l := range c.listenersOf(lb.arn) {
		fmt.Fprintf(b, "  listener %s %d to %s\n", l.protocol, l.port, c.targetGroups[l.group].name)
		if l.protocol == "TLS" {
			fmt.Fprintf(b, "    %s %s %s\n", l.policy, strings.Join(l.alpn, ""), strings.Join(l.certificates, " "))
		}
		dumpAttributes(b, "    ", l.attributes, defaultListenerAttributes(l))
		dumpMap(b, "    tag", l.tags)
	}
}

func (c *Cloud) groupNames(ids []string) []string {
	var names []string
	for _, id := range ids {
		name := id + " (gone)"
		if g := c.groups[id]; g != nil {
			name = g.name
		}
		names = append(names, name)
	}
	return names
}

func (c *Cloud) dumpTargetGroup(b *strings.Builder, g *targetGroup) {
	fmt.Fprintf(b, "target group %s: %s %d %s %s\n", g.name, g.protocol, g.port, g.kind, g.ipType)
	fmt.Fprintf(b, "  check %s\n", strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s every %d s within %d s, %d/%d", g.check.protocol, g.check.port, g.check.path, g.check.codes, g.check.interval, g.check.timeout, g.check.healthy, g.check.unhealthy)), " "))
	dumpAttributes(b, "  ", g.attributes, defaultTargetGroupAttributes(g))
	dumpMap(b, "  tag", g.tags)
	for _, key := range g.sorted() {
		if t := g.targets[key]; !t.leaving {
			fmt.Fprintf(b, "  target %s\n", strings.TrimSpace(fmt.Sprintf("%s:%d %s", key.id, key.port, t.zone)))
		}
	}
}

func (c *Cloud) dumpSecurityGroup(b *strings.Builder, g *securityGroup) {
	fmt.Fprintf(b, "security group %s: %s\n", g.name, g.description)
	dumpMap(b, "  tag", g.tags)
	var rules []string
	for _, r := range g.rules {
		from := r.list
		switch {
		case r.group != "":
			from = c.groupNames([]string{r.group})[0]
		case r.cidr.IsValid():
			from = r.cidr.String()
		}
		rules = append(rules, strings.TrimRight(fmt.Sprintf("  %s %d-%d from %s %s", r.protocol, r.from, r.to, from, r.description), " "))
	}
	slices.Sort(rules)
	for _, r := range rules {
		b.WriteString(r + "\n")
	}
}

func dumpAttributes(b *strings.Builder, indent string, has, usual map[string]string) {
	changed := map[string]string{}
	for key, value := range has {
		if usual[key] != value {
			changed[key] = value
		}
	}
	dumpMap(b, indent+"attribute", changed)
}

func dumpMap(b *strings.Builder, what string, m map[string]string) {
	for _, key := range sortedKeys(m) {
		fmt.Fprintf(b, "%s %s=%s\n", what, key, m[key])
	}
}
