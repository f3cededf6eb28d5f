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

// notAdvertised says why matching, the advertisements of p that select svc,
// offer no place.
func (v *View) notAdvertised(p *pool, matching []*l2Advertisement, svc *corev1.Service) (reason, message string) {
	switch {
	case len(p.l2) == 0:
		message = fmt.Sprintf("no L2Advertisement selects pool %q: create one with spec.ipAddressPools: [%s]", p.name, p.name) + v.leftOut()
	case len(matching) == 0:
		message = fmt.Sprintf("pool %q is selected by %s, the Service by none of them: compare spec.serviceSelectors there with the labels of the Service, %s",
			p.name, named(p.l2), labels.FormatLabels(svc.Labels)) + v.leftOut()
	default:
		message = v.noPlace(p, matching)
	}
	return ReasonNotAdvertised, message
}

// noPlace says why no node that matching selects can announce.
func (v *View) noPlace(p *pool, matching []*l2Advertisement) string {
	selected := v.selectedBy(matching)
	speaking := slices.DeleteFunc(slices.Clone(selected), func(i int) bool { return v.nodes[i].speaker == nil })
	interfaces := interfacesNamed(matching)
	by := fmt.Sprintf("selected by %s for pool %q", named(matching), p.name)
	switch {
	case len(selected) == 0:
		return fmt.Sprintf("no node is %s: compare spec.nodeSelectors with the labels of the nodes", by)
	case len(speaking) == 0:
		return fmt.Sprintf("no node %s runs a speaker (%s): look at the DaemonSet of the speaker, its node selector and its tolerations", by, list(v.namesOf(selected)))
	case interfaces == nil:
		return fmt.Sprintf("no node %s has an interface that can announce (%s): look at the links there, and at --exclude-interfaces of the speaker", by, list(v.namesOf(speaking)))
	}
	return fmt.Sprintf("no node %s has one of the interfaces in spec.interfaces, %s (%s): name interfaces that exist there and are up, or none for all",
		by, list(interfaces), list(v.namesOf(speaking)))
}

// leftOut reminds of advertisements that might have been meant.
func (v *View) leftOut() string {
	if len(v.invalid) == 0 {
		return ""
	}
	return fmt.Sprintf("; not followed because of a mistake that the ConfigurationState names: L2Advertisement %s", list(v.invalid))
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

// noEligibleNode says what stands in the way on each of places.
func (v *View) noEligibleNode(q question, p *pool, matching []*l2Advertisement, places []place) (reason, message string) {
	all := make([]stopped, 0, len(places))
	for _, at := range places {
		n := &v.nodes[at.node]
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
	return trafficpolicy.ReasonNoEligibleNode, fmt.Sprintf("no node selected by %s for pool %q may announce: %s. %s",
		named(matching), p.name, strings.Join(lines, "; "), q.step(all[0].obstacle))
}

// weight orders obstacles: what is most easily out of the way comes first.
func weight(o trafficpolicy.Obstacle) int {
	return slices.Index([]trafficpolicy.Obstacle{
		trafficpolicy.HealthCheckFails, trafficpolicy.NetworkUnavailable, trafficpolicy.NodeExcluded, trafficpolicy.NoEndpointOnNode,
	}, o)
}

// step is what a user can do about o.
func (q question) step(o trafficpolicy.Obstacle) string {
	switch o {
	case trafficpolicy.HealthCheckFails:
		return "Look at kube-proxy and at draining there"
	case trafficpolicy.NetworkUnavailable:
		return "Look at the network plugin there"
	case trafficpolicy.NodeExcluded:
		return "Remove the label from a node"
	}
	return fmt.Sprintf("Serving endpoints are on %s: let an L2Advertisement select a node there and a speaker run on it, or use externalTrafficPolicy Cluster",
		list(trafficpolicy.ServingNodes(q.endpoints)))
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

// selectedBy returns the nodes that any of all selects.
func (v *View) selectedBy(all []*l2Advertisement) []int {
	var selected []int
	for _, a := range all {
		selected = append(selected, a.selected...)
	}
	slices.Sort(selected)
	return slices.Compact(selected)
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

func named(all []*l2Advertisement) string {
	var names []string
	for _, a := range all {
		names = append(names, a.name)
	}
	return "L2Advertisement " + list(names)
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
