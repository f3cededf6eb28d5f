package speaker

import (
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/api/v1beta1"
)

// routed is nodes with speakers, and a pool that is announced to the routers.
func routed(nodes []string, routers ...*v1beta2.BGPPeer) []client.Object {
	pool := &metallb.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "public"}}
	pool.Spec.Addresses = []string{"192.0.2.0/24", "2001:db8::/64"}
	all := []client.Object{pool, advertised()}
	for _, name := range nodes {
		all = append(all, testNode(name), reported(name))
	}
	for _, r := range routers {
		all = append(all, r)
	}
	return all
}

func advertised() *metallb.BGPAdvertisement {
	return &metallb.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "all"}}
}

func router(name, address string) *v1beta2.BGPPeer {
	p := &v1beta2.BGPPeer{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name, Generation: 1}}
	p.Spec.MyASN, p.Spec.ASN, p.Spec.Address = 64500, 64512, address
	return p
}

func withSecret(p *v1beta2.BGPPeer, name string) *v1beta2.BGPPeer {
	p.Spec.PasswordSecret = corev1.SecretReference{Name: name}
	return p
}

func passwordSecret(name, password string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: name}, Type: corev1.SecretTypeBasicAuth,
		Data: map[string][]byte{"password": []byte(password)}}
}

var tor = router("tor", "10.0.0.1")

// turns is what BGP tells of a session.
func (s *testSpeaker) turns(peer string, established bool, fault string) {
	unlock := s.lock()
	s.bgp.sessions[peer] = Session{Established: established, Since: time.Now(), Error: fault, BFD: "Up"}
	unlock()
	s.SessionChanged(peer)
	synctest.Wait()
}

// wantRoutes checks what is announced, as "prefix to whom".
func (s *testSpeaker) wantRoutes(w *world, want ...string) {
	w.Helper()
	defer s.lock()()
	var got []string
	for prefix, paths := range s.bgp.routes {
		got = append(got, prefix.String()+" "+told(paths))
	}
	slices.Sort(got)
	equalStrings(w, "routes of "+s.Node, got, want...)
}

// password is what BGP was given for the peer; ok is false where BGP does not
// know the peer.
func (s *testSpeaker) password(peer string) (password string, ok bool) {
	defer s.lock()()
	for _, p := range s.bgp.peers {
		if p.Name == peer {
			return p.Password, true
		}
	}
	return "", false
}

// sessionsOf is the BGPNodeStatus of a node, as text: "up prefixes; peer state
// error", empty where there is none.
func (w *world) sessionsOf(node string) string {
	w.Helper()
	o := &v1beta1.BGPNodeStatus{}
	err := w.api.Get(w.Context(), client.ObjectKey{Namespace: testNamespace, Name: node}, o)
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	if err != nil {
		return ""
	}
	if len(o.OwnerReferences) != 1 || o.OwnerReferences[0].UID != testNode(node).UID {
		w.Errorf("owners %+v", o.OwnerReferences)
	}
	text := o.Status.Up
	for _, s := range o.Status.Sessions {
		text += strings.TrimRight("; "+s.Peer+" "+string(s.State)+" "+s.Error, " ")
		if len(s.Lacks) > 0 {
			text += fmt.Sprint(" ", s.Lacks)
		}
	}
	return text
}

func (w *world) wantSessions(node, want string) {
	w.Helper()
	if got := w.sessionsOf(node); got != want {
		w.Errorf("the sessions of %s are %q, want %q", node, got, want)
	}
}

// summaryOf is what the speaker on a node can't follow.
func (w *world) summaryOf(node string) string {
	w.Helper()
	state := &metallb.ConfigurationState{}
	if err := w.api.Get(w.Context(), client.ObjectKey{Namespace: testNamespace, Name: stateName(node)}, state); err != nil {
		w.Fatal(err)
	}
	return state.Status.ErrorSummary
}
