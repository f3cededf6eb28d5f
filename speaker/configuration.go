package speaker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

// configuration is all that decisions depend on besides Services, as the cache
// has it.
type configuration struct {
	announce.Config
	// own is the Node of this speaker, nil where there is none.
	own *corev1.Node
	// state is the ConfigurationState of this speaker, nil where there is none.
	state *metallb.ConfigurationState
	// speakers are the nodes that have one, sorted by name.
	speakers []peer
	// hosts are all nodes by name.
	hosts map[string]Host
}

// readConfiguration reads what there is. What this speaker reports of its node
// is report, whatever was written of it.
func readConfiguration(ctx context.Context, r client.Reader, namespace, self string, report announce.SpeakerReport) (*configuration, error) {
	var pools metallb.IPAddressPoolList
	var advertisements metallb.L2AdvertisementList
	var states metallb.ConfigurationStateList
	var routing metallb.BGPAdvertisementList
	var peers v1beta2.BGPPeerList
	var profiles metallb.BFDProfileList
	var communities metallb.CommunityList
	var nodes corev1.NodeList
	for _, list := range []client.ObjectList{&pools, &advertisements, &states, &routing, &peers, &profiles, &communities} {
		if err := r.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, fmt.Errorf("listing %T: %w", list, err)
		}
	}
	if err := r.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("listing Nodes: %w", err)
	}
	c := &configuration{
		Config: announce.Config{
			Self:              self,
			Pools:             pointers(pools.Items),
			L2Advertisements:  pointers(advertisements.Items),
			BGPAdvertisements: pointers(routing.Items),
			BGPPeers:          pointers(peers.Items),
			BFDProfiles:       pointers(profiles.Items),
			Communities:       pointers(communities.Items),
		},
		hosts: make(map[string]Host, len(nodes.Items)),
	}
	reports := c.reports(states.Items)
	reports[self] = &report
	for i := range nodes.Items {
		c.add(&nodes.Items[i], reports)
	}
	c.disown()
	slices.SortFunc(c.Nodes, func(a, b announce.Node) int { return strings.Compare(a.Name, b.Name) })
	sortPeers(c.speakers)
	return c, nil
}

// reports reads what the speakers say, and notes which one is our own.
func (c *configuration) reports(states []metallb.ConfigurationState) map[string]*announce.SpeakerReport {
	all := make(map[string]*announce.SpeakerReport, len(states)+1)
	for i := range states {
		s := &states[i]
		if s.Name == stateName(c.Self) {
			c.state = s
		}
		if node, report, ok := announce.ReportOf(s); ok {
			all[node] = report
		}
	}
	return all
}

func (c *configuration) add(node *corev1.Node, reports map[string]*announce.SpeakerReport) {
	report := reports[node.Name]
	c.Nodes = append(c.Nodes, announce.Node{Node: node, Speaker: report})
	host := Host{Addresses: internalAddresses(node)}
	if report != nil {
		host.Hardware = report.Hardware
		c.speakers = append(c.speakers, peer{name: node.Name, down: announce.BelievedDead(node)})
	}
	c.hosts[node.Name] = host
	if node.Name == c.Self {
		c.own = node
	}
}

// disown forgets where nodes are that are believed dead if another one is there: a
// machine that got a new name would pass for the old node, alive, from which nobody
// would take over.
func (c *configuration) disown() {
	dead := func(n announce.Node) bool { return n.Name != c.Self && announce.BelievedDead(n.Node) }
	taken := map[netip.Addr]bool{}
	for _, n := range c.Nodes {
		if !dead(n) {
			for _, address := range c.hosts[n.Name].Addresses {
				taken[address] = true
			}
		}
	}
	for _, n := range c.Nodes {
		if dead(n) && slices.ContainsFunc(c.hosts[n.Name].Addresses, func(a netip.Addr) bool { return taken[a] }) {
			c.hosts[n.Name] = Host{}
		}
	}
}

// internalAddresses are those by which nodes reach each other.
func internalAddresses(node *corev1.Node) []netip.Addr {
	var all []netip.Addr
	for _, a := range node.Status.Addresses {
		if a.Type != corev1.NodeInternalIP {
			continue
		}
		if address, err := netip.ParseAddr(a.Address); err == nil {
			all = append(all, address.Unmap())
		}
	}
	return all
}

// nodeChanged passes over heartbeats.
func nodeChanged(before, after *corev1.Node) bool {
	return before.UID != after.UID || trafficpolicy.NodeChanged(before, after) || announce.BelievedDead(before) != announce.BelievedDead(after)
}

func sameHosts(a, b map[string]Host) bool { return maps.EqualFunc(a, b, Host.equal) }

func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}
