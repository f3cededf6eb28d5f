//go:build linux

package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/e2e/site"
)

var peerPlots = []plot{
	{"a wrong AS number is explained, and mended by an edit", (*scene).hasWrongAS},
	{"a password that is changed to a wrong one, and back", (*scene).hasWrongPassword},
	{"a Secret that is missing, of a wrong type, and there at last", (*scene).missesSecret},
	{"two peers with one address: the first one counts", (*scene).sharesAddress},
}

// nobody is an address of the segment that no station has.
var nobody = netip.MustParseAddr("172.30.0.77")

// The OPEN of the router says which AS it is in (RFC 4271 section 6.2).
func (g *scene) hasWrongAS() {
	frr, bird := sessionsWith(g.Routers[0])[0], sessionsWith(g.Routers[1])[1]
	undisturbed := g.others(frr, bird)
	undo := g.changePeer(frr, func(s *v1beta2.BGPPeerSpec) { s.ASN = 65000 })
	for _, n := range g.Nodes {
		g.explains(n.Name, frr, fmt.Sprintf("the router is in AS %d, not in 65000 as the BGPPeer has it", g.Routers[0].Config().ASN))
	}
	undo()
	// The number of this end is for the router to judge.
	undo = g.changePeer(bird, func(s *v1beta2.BGPPeerSpec) { s.MyASN = 65001 })
	g.explains("node1", bird, "the router said: OPEN message error, bad peer AS (this end is in AS 65001; look at remote-as there)")
	undo()
	g.stands("node1", frr)
	g.stands("node1", bird)
	undisturbed()
}

// setSecret makes the password of the router's Secret another one.
func (g *scene) setSecret(name, password string) {
	g.t.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: name}}
	patch := fmt.Appendf(nil, `{"stringData":{"password":%q}}`, password)
	g.must(g.API.Patch(context.Background(), s, client.RawPatch("application/merge-patch+json", patch)))
}

// A router drops what is signed wrongly without a word (RFC 2385 section 2).
func (g *scene) hasWrongPassword() {
	r := g.Routers[0]
	undisturbed := g.others(sessionsWith(r)...)
	g.setSecret(site.SecretName(r), otherPassword)
	g.t.Cleanup(func() { g.setSecret(site.SecretName(r), rightPassword) })
	for _, peer := range sessionsWith(r) {
		g.explains("node1", peer, "a wrong password looks the same")
	}
	g.setSecret(site.SecretName(r), rightPassword)
	for _, peer := range sessionsWith(r) {
		g.stands("node1", peer)
	}
	undisturbed()
}

// Without its Secret a peer is not even tried: a router would log it as an
// attack. A Secret that goes away takes no session along, since that is how they
// are replaced.
func (g *scene) missesSecret() {
	r := g.Routers[1]
	peer := sessionsWith(r)[0]
	undisturbed := g.others(peer)
	g.changePeer(peer, func(s *v1beta2.BGPPeerSpec) { s.PasswordSecret.Name = "late" })
	why := `there is no Secret "late" of type kubernetes.io/basic-auth in namespace ` + site.Namespace
	g.explains("node1", peer, why)
	g.complains("node1", "BGPPeer "+peer+" spec.passwordSecret.name: "+why)

	late := func(kind corev1.SecretType) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "late"}, Type: kind,
			StringData: map[string]string{corev1.BasicAuthPasswordKey: rightPassword},
		}
	}
	wrong := late(corev1.SecretTypeOpaque)
	g.create(wrong)
	g.explains("node1", peer, why)
	g.must(g.API.Delete(g.ctx, wrong))
	right := late(corev1.SecretTypeBasicAuth)
	g.create(right)
	since := g.stands("node1", peer).Since
	g.complains("node1", "")

	g.must(g.API.Delete(g.ctx, right))
	g.complains("node1", "the session goes on with the password that it had")
	if s := g.stands("node1", peer); !s.Since.Equal(&since) {
		g.t.Errorf("the session stood since %s, and stands since %s", since, s.Since)
	}
	undisturbed()
}

// Which one it is must not depend on who came first.
func (g *scene) sharesAddress() {
	first := sessionsWith(g.Routers[0])[0]
	undisturbed := g.others()
	g.meet("zz-again", v1beta2.BGPPeerSpec{ASN: 65000, Address: g.Routers[0].IPv4.String()})
	g.complains("node1", fmt.Sprintf(`BGPPeer zz-again spec.peerAddress: "%s" is that of BGPPeer "%s" too`, g.Routers[0].IPv4, first))
	g.complains("node2", "")
	all, err := g.sessions(g.ctx, "node1")
	g.must(err)
	if _, there := all["zz-again"]; there {
		g.t.Errorf("its sessions are %v", all)
	}
	undisturbed()
}

// keepsSecrets looks for passwords in all that others than the routers may read.
func (g *scene) keepsSecrets() {
	told := g.logs()
	for _, n := range g.Nodes {
		_, metrics, err := n.Get(g.ctx, "http://127.0.0.1:7472/metrics")
		g.must(err)
		told["the metrics of "+n.Name] = metrics
	}
	var reports v1beta1.BGPNodeStatusList
	g.must(g.reports.List(g.ctx, &reports))
	told["the BGPNodeStatuses"] = fmt.Sprintf("%+v", reports.Items)
	for _, kind := range []string{"ConfigurationStateList", "ServiceL2StatusList", "ServiceBGPStatusList"} {
		told[kind] = g.everything("metallb.io/v1beta1", kind)
	}
	told["events"] = g.everything("events.k8s.io/v1", "EventList")
	told["services"] = g.everything("v1", "ServiceList")
	if log := told["the metrics of node1"]; !strings.Contains(log, `berth_bgp_session_up{peer="router1-ipv4"} 1`) {
		g.t.Errorf("the metrics have no session with router1: %s", log)
	}
	for where, text := range told {
		for _, password := range []string{rightPassword, otherPassword} {
			if at := strings.Index(text, password); at >= 0 {
				g.t.Errorf("%s: a password is in %q", where, text[max(0, at-200):min(len(text), at+100)])
			}
		}
	}
}

// everything is all objects of a kind as text, empty if there is no such kind.
func (g *scene) everything(version, kind string) string {
	g.t.Helper()
	list := listOf(version, kind)
	if err := g.API.List(g.ctx, list); !meta.IsNoMatchError(err) {
		g.must(err)
	}
	return fmt.Sprint(list.Items)
}
