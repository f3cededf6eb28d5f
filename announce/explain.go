package announce

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/berth-lb/berth/trafficpolicy"
)

// shown is how many names a message spells out.
const shown = 3

func inNoPool(address netip.Addr) (reason, message string) {
	return ReasonNotAdvertised, fmt.Sprintf("%s is in no IPAddressPool: add it to spec.addresses of one", address)
}

// unselected says why no advertisement asks for an address of p.
func (v *View) unselected(p *pool, address netip.Addr, svc *corev1.Service) (reason, message string) {
	bgp := &p.bgp[familyIndex(address)]
	l2, routed := source{kindL2, bases(p.l2), p.name}, source{kindBGP, bases(bgp.all), p.name}
	var by []string
	for _, s := range []source{l2, routed} {
		if len(s.all) > 0 {
			by = append(by, s.String())
		}
	}
	if len(by) == 0 {
		return ReasonNotAdvertised, fmt.Sprintf("no L2Advertisement or BGPAdvertisement selects pool %q: create one with spec.ipAddressPools: [%s]", p.name, p.name) + v.leftOut(bgp)
	}
	return ReasonNotAdvertised, fmt.Sprintf("pool %q is selected by %s, the Service by none of them: compare spec.serviceSelectors there with the labels of the Service, %s",
		p.name, strings.Join(by, " and "), labels.FormatLabels(svc.Labels)) + v.leftOut(bgp)
}

// noPlace says why no node that all, which are for p, select can announce.
func (v *View) noPlace(p *pool, all []*l2Advertisement) string {
	s := source{kindL2, bases(all), p.name}
	if message := v.noSpeaker(s); message != "" {
		return message
	}
	speaking, interfaces := v.speaking(s), interfacesNamed(all)
	if interfaces == nil {
		return fmt.Sprintf("no node %s has an interface that can announce (%s): look at the links there, and at --exclude-interfaces of the speaker", s.by(), list(v.namesOf(speaking)))
	}
	return fmt.Sprintf("no node %s has one of the interfaces in spec.interfaces, %s (%s): name interfaces that exist there and are up, or none for all",
		s.by(), list(interfaces), list(v.namesOf(speaking)))
}

// noSpeaker says why s selects no node that runs a speaker, empty where it
// does.
func (v *View) noSpeaker(s source) string {
	selected := s.selected()
	switch {
	case len(selected) == 0:
		return fmt.Sprintf("no node is %s: compare spec.nodeSelectors with the labels of the nodes", s.by())
	case len(v.speaking(s)) == 0:
		return fmt.Sprintf("no node %s runs a speaker (%s): look at the DaemonSet of the speaker, its node selector and its tolerations", s.by(), list(v.namesOf(selected)))
	}
	return ""
}

// speaking are the nodes selected by s that run a speaker.
func (v *View) speaking(s source) []int {
	return slices.DeleteFunc(s.selected(), func(i int) bool { return v.nodes[i].speaker == nil })
}

// leftOut reminds of advertisements that might have been meant.
func (v *View) leftOut(bgp *offer) string {
	var kinds []string
	if names := v.invalid[kindL2]; len(names) > 0 {
		kinds = append(kinds, kindL2+" "+list(names))
	}
	if names := distinct(slices.Concat(v.invalid[kindBGP], bgp.refused)); len(names) > 0 {
		kinds = append(kinds, kindBGP+" "+list(names))
	}
	if len(kinds) == 0 {
		return ""
	}
	return "; not followed because of a mistake that the ConfigurationState names: " + strings.Join(kinds, " and ")
}

// source is what asks for addresses of a pool to be announced, as messages name
// it.
type source struct {
	kind string
	all  []*advertisement
	pool string
}

func (s source) String() string {
	var names []string
	for _, a := range s.all {
		names = append(names, a.name)
	}
	return s.kind + " " + list(names)
}

func (s source) by() string { return fmt.Sprintf("selected by %s for pool %q", s, s.pool) }

// selected are the nodes that any of s selects.
func (s source) selected() []int {
	var selected []int
	for _, a := range s.all {
		selected = append(selected, a.selected...)
	}
	slices.Sort(selected)
	return slices.Compact(selected)
}

// unreachable says why no endpoint receives traffic for the address.
func (q question) unreachable() (reason, message string) {
	ok, reason, message := trafficpolicy.Reachable(q.Service, q.EndpointSlices)
	if !ok {
		return reason, message
	}
	return trafficpolicy.ReasonNoReadyEndpoints, fmt.Sprintf(
		"no serving endpoint has an %s address, as traffic for %s needs: look at spec.ipFamilies of the Service and the addresses of its pods", familyOf(q.address), q.address)
}

// stopped is a node that could announce but for an obstacle.
type stopped struct {
	name     string
	obstacle trafficpolicy.Obstacle
}

// noEligibleNode says what stands in the way on each of nodes.
func (v *View) noEligibleNode(q question, s source, nodes []int) (reason, message string) {
	all := make([]stopped, 0, len(nodes))
	for _, i := range nodes {
		n := &v.nodes[i]
		all = append(all, stopped{n.Name, v.obstacle(q, n)})
	}
	slices.SortStableFunc(all, func(a, b stopped) int { return cmp.Compare(weight(a.obstacle), weight(b.obstacle)) })
	var lines []string
	for _, s := range all[:min(shown, len(all))] {
		lines = append(lines, fmt.Sprintf("%q %s", s.name, s.obstacle.Message()))
	}
	if more := len(all) - shown; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return trafficpolicy.ReasonNoEligibleNode, fmt.Sprintf("no node %s may announce: %s. %s",
		s.by(), strings.Join(lines, "; "), q.step(all[0].obstacle, s.kind))
}

// located is a node with what it is to an advertisement.
type located interface{ index() int }

func (p place) index() int { return p.node }
func (s site) index() int  { return s.node }

func nodesOf[L located](all []L) []int {
	nodes := make([]int, len(all))
	for i, l := range all {
		nodes[i] = l.index()
	}
	return nodes
}

// weight orders obstacles: what is most easily out of the way comes first.
func weight(o trafficpolicy.Obstacle) int {
	return slices.Index([]trafficpolicy.Obstacle{
		trafficpolicy.HealthCheckFails, trafficpolicy.NetworkUnavailable, trafficpolicy.NodeExcluded, trafficpolicy.NoEndpointOnNode,
	}, o)
}

var articles = map[string]string{kindL2: "an", kindBGP: "a"}

// step is what a user can do about o.
func (q question) step(o trafficpolicy.Obstacle, kind string) string {
	switch o {
	case trafficpolicy.HealthCheckFails:
		return "Look at kube-proxy and at draining there"
	case trafficpolicy.NetworkUnavailable:
		return "Look at the network plugin there"
	case trafficpolicy.NodeExcluded:
		return "Remove the label from a node"
	}
	return fmt.Sprintf("Serving endpoints are on %s: let %s %s select a node there and a speaker run on it, or use externalTrafficPolicy Cluster",
		list(trafficpolicy.ServingNodes(q.endpoints)), articles[kind], kind)
}

// notSelector says why a label selector can't be followed. err names the value.
func notSelector(err error) string {
	return fmt.Sprintf("not a label selector: %v; allowed are matchLabels, and matchExpressions with operator In or NotIn and values, or Exists or DoesNotExist without", err)
}

func noSuchPool(name string, pools []pool) string {
	if len(pools) == 0 {
		return fmt.Sprintf("%q is no IPAddressPool, and there is none: create it", name)
	}
	var names []string
	for _, p := range pools {
		names = append(names, p.name)
	}
	return fmt.Sprintf("%q is no IPAddressPool: allowed are %s", name, list(names))
}

func (v *View) namesOf(nodes []int) []string {
	var names []string
	for _, i := range nodes {
		names = append(names, v.nodes[i].Name)
	}
	return names
}

// interfacesNamed returns what all allow on any node, nil for everything.
func interfacesNamed(all []*l2Advertisement) []string {
	var lists [][]string
	for _, a := range all {
		lists = append(lists, a.interfaces)
	}
	return union(lists)
}

// list quotes names, and counts those that are too many.
func list(names []string) string {
	var quoted []string
	for _, name := range names[:min(shown, len(names))] {
		quoted = append(quoted, strconv.Quote(name))
	}
	text := strings.Join(quoted, ", ")
	if more := len(names) - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
