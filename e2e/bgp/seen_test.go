//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// kubectl shows a line for each node: how many sessions of how many are up, how
// many prefixes it announces, and what is wrong.
func showsSessions(g *ground) {
	svc := g.serve("shown", "web")
	g.announced(svc, g.Nodes...)
	for _, n := range g.Nodes {
		g.shows(n, "4/4", "2", "")
	}
	g.create(&v1beta2.BGPPeer{ObjectMeta: named("nobody"), Spec: v1beta2.BGPPeerSpec{
		MyASN: lab.NodeASN, ASN: 64700, Address: g.Routers[0].Remote.IPv4.String(), EBGPMultiHop: true, NodeSelectors: on(g.Nodes[0]),
	}})
	g.shows(g.Nodes[0], "4/5", "2", "nobody: 172.31.1.101 port 179 refuses connections: look whether BGP runs there and listens on that address")
	g.shows(g.Nodes[1], "4/4", "2", "")
}

// shows returns when kubectl has such a line for a node.
func (g *ground) shows(n *lab.Node, up, prefixes, trouble string) {
	g.t.Helper()
	kube, err := cluster.Built("kube")
	g.must(err)
	g.until(fmt.Sprint("kubectl shows ", n.Name, " with ", up), func(ctx context.Context) (bool, error) {
		out, err := exec.CommandContext(ctx, kube, "kubectl", "--kubeconfig="+g.Kube.Kubeconfig(), "-n", site.Namespace, "get", "bgpnodestatuses").CombinedOutput()
		lines := strings.Split(string(out), "\n")
		if err != nil || !slices.Equal(strings.Fields(lines[0]), []string{"NAME", "UP", "PREFIXES", "TROUBLE", "AGE"}) {
			return false, fmt.Errorf("%v: %s", err, out)
		}
		for _, line := range lines[1:] {
			name, rest, _ := strings.Cut(line, " ")
			if fields := strings.Fields(rest); name == n.Name && len(fields) > 2 && fields[0] == up && fields[1] == prefixes &&
				strings.Join(fields[2:len(fields)-1], " ") == trouble {
				return true, nil
			}
		}
		return false, fmt.Errorf("it shows\n%s", out)
	})
}

// A Service whose routers are all down says that there is no session, and why;
// it serves again when they are back.
func saysNoSession(g *ground) {
	svc := g.serve("unheard", "web")
	g.announced(svc, g.Nodes...)
	var stopping sync.WaitGroup
	for _, r := range g.Routers {
		stopping.Go(func() {
			if err := r.Stop(g.ctx); err != nil {
				g.t.Error(err)
			}
		})
	}
	stopping.Wait()
	message := g.serving(svc, metav1.ConditionFalse, "NoSession")
	g.says(message, "get bgpnodestatuses", `node "node1" to BGPPeer "router1-ipv4" at 172.30.0.1`)
	for _, r := range g.Routers {
		g.must(r.Start(g.ctx))
	}
	g.serving(svc, metav1.ConditionTrue, "")
	g.announced(svc, g.Nodes...)
	g.begins()
}

// With the flag that asks for it, a ServiceBGPStatus says for each node which
// peers it tells of a Service, and goes with it.
func keepsServiceStatuses(g *ground) {
	svc := g.serve("status", "web")
	want := map[string][]string{}
	for _, n := range g.Nodes {
		want[n.Name] = slices.Sorted(slices.Values(append(peersOf(g.Routers[0]), peersOf(g.Routers[1])...)))
	}
	g.statuses(svc.Name, want)
	g.advertise(func(s *metallb.BGPAdvertisementSpec) {
		s.NodeSelectors, s.Peers = on(g.Nodes[1]), peersOf(g.Routers[1])
	})
	g.statuses(svc.Name, map[string][]string{g.Nodes[1].Name: peersOf(g.Routers[1])})
	g.remove(svc.Name)
	g.statuses(svc.Name, nil)
}

// statuses returns when these are the peers by node.
func (g *ground) statuses(service string, want map[string][]string) {
	g.t.Helper()
	g.until(fmt.Sprint("the ServiceBGPStatuses of ", service, " are ", want), func(ctx context.Context) (bool, error) {
		var all metallb.ServiceBGPStatusList
		if err := g.API.List(ctx, &all, client.InNamespace(site.Namespace)); err != nil {
			return false, err
		}
		got := map[string][]string{}
		for _, s := range all.Items {
			if s.Status.ServiceName == service {
				got[s.Status.Node] = s.Status.Peers
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) && len(got)+len(want) > 0 {
			return false, fmt.Errorf("they are %v", got)
		}
		return true, nil
	})
}

// What can't be done is refused alone: the ConfigurationState of every node
// names the object, the field and what is allowed, and all else goes on.
func refusesAlone(g *ground) {
	svc := g.serve("refused", "web")
	g.announced(svc, g.Nodes...)
	check := g.undisturbed()
	g.create(
		&v1beta2.BGPPeer{ObjectMeta: named("wrong"), Spec: v1beta2.BGPPeerSpec{MyASN: lab.NodeASN, ASN: 64700, Address: "fe80::1"}},
		&v1beta2.BGPPeer{ObjectMeta: named("locked"), Spec: v1beta2.BGPPeerSpec{
			MyASN: lab.NodeASN, ASN: 64700, Address: "172.30.3.2", PasswordSecret: corev1.SecretReference{Name: "missing"},
		}},
		&metallb.BGPAdvertisement{ObjectMeta: named("unknown"), Spec: metallb.BGPAdvertisementSpec{
			IPAddressPools: []string{site.RoutedPool}, Communities: []string{"purple"},
		}},
	)
	for _, n := range g.Nodes {
		g.configured(n, "BGPPeer wrong", "spec.peerAddress", "BGPPeer locked", `no Secret "missing"`, "BGPAdvertisement unknown", `"purple"`)
	}
	g.announced(svc, g.Nodes...)
	check()
	g.create(&metallb.Community{ObjectMeta: named("late"), Spec: metallb.CommunitySpec{
		Communities: []metallb.CommunityAlias{{Name: "purple", Value: "64500:9"}},
	}})
	for _, r := range g.Routers {
		g.told(r, svc, "as the advertisement says that waited for its Community", func(p lab.Path) bool {
			return slices.Equal(p.Communities, []string{"64500:9"})
		})
	}
}

// configured returns when the ConfigurationState of a node's speaker says all of
// this.
func (g *ground) configured(n *lab.Node, parts ...string) {
	g.t.Helper()
	g.until("the speaker of "+n.Name+" reports "+strings.Join(parts, ", "), func(ctx context.Context) (bool, error) {
		state := &metallb.ConfigurationState{}
		if err := g.API.Get(ctx, client.ObjectKey{Namespace: site.Namespace, Name: "speaker-" + n.Name}, state); err != nil {
			return false, err
		}
		text := fmt.Sprintf("%+v", state.Status)
		for _, part := range parts {
			if !strings.Contains(text, part) {
				return false, fmt.Errorf("%q is not in %s", part, text)
			}
		}
		return true, nil
	})
}

// The metrics of a speaker count sessions, prefixes and messages by peer.
func measures(g *ground) {
	svc := g.serve("measured", "web")
	g.announced(svc, g.Nodes...)
	n := g.Nodes[0]
	var want []string
	for _, r := range g.Routers {
		for _, peer := range peersOf(r) {
			want = append(want,
				fmt.Sprintf("berth_bgp_session_up{peer=%q} 1", peer),
				fmt.Sprintf("berth_bgp_bfd_session_up{peer=%q} 1", peer),
				fmt.Sprintf("berth_bgp_announced_prefixes_total{peer=%q} 1", peer))
		}
	}
	for _, addr := range site.Addresses(svc) {
		want = append(want, fmt.Sprintf(`berth_speaker_announced{ip=%q,node=%q,protocol="bgp",service="default/measured"} 1`, addr, n.Name))
	}
	g.until("the metrics of "+n.Name+" tell of its sessions", func(ctx context.Context) (bool, error) {
		status, page, err := n.Get(ctx, "http://127.0.0.1:7472/metrics")
		if err != nil || status != http.StatusOK {
			return false, fmt.Errorf("status %d: %w", status, err)
		}
		for _, line := range want {
			if !strings.Contains(page, line+"\n") {
				return false, fmt.Errorf("%s is not among\n%s", line, ours(page))
			}
		}
		return true, nil
	})
}

// ours are the lines about BGP.
func ours(page string) string {
	var all []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "berth_bgp") || strings.HasPrefix(line, "berth_speaker") {
			all = append(all, line)
		}
	}
	return strings.Join(all, "")
}
