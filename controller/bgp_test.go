package controller

import (
	"strings"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/berth-lb/berth/announce"
	berth "github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/providers"
)

const conf = "berth-system"

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// speakerOn is the ConfigurationState of a speaker.
func speakerOn(node string, report announce.SpeakerReport) *metallb.ConfigurationState {
	s := &metallb.ConfigurationState{ObjectMeta: named(conf, announce.ReportName(node))}
	s.Labels = map[string]string{announce.LabelComponent: announce.ComponentSpeaker, "example.com/large": "x"}
	s.Annotations = report.Annotations(node)
	trimState(s)
	return s
}

// reporting is what the speaker on a node says of its session with router-1.
func reporting(node string, state berth.SessionState, why string) *berth.BGPNodeStatus {
	return &berth.BGPNodeStatus{ObjectMeta: named(conf, node), Status: berth.NewBGPNodeReport(node, 1,
		[]berth.BGPSession{{Peer: "router-1", Address: "198.51.100.1", State: state, Error: why}})}
}

// routedWorld is a Reconciler over an API with two nodes and a pool that is
// advertised to router-1; advertisement is nil for none.
func routedWorld(t *testing.T, advertisement *metallb.BGPAdvertisement) (*Reconciler, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, metallb.AddToScheme, v1beta2.AddToScheme, berth.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	objects := []client.Object{
		&corev1.Node{ObjectMeta: named("", "a")}, &corev1.Node{ObjectMeta: named("", "b")},
		speakerOn("a", announce.SpeakerReport{}), speakerOn("b", announce.SpeakerReport{}),
		&metallb.IPAddressPool{ObjectMeta: named(conf, "public"), Spec: metallb.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}},
		&v1beta2.BGPPeer{ObjectMeta: named(conf, "router-1"), Spec: v1beta2.BGPPeerSpec{MyASN: 64512, ASN: 64513, Address: "198.51.100.1"}},
		// One of another installation's.
		&metallb.BGPAdvertisement{ObjectMeta: named("other", "all")},
	}
	if advertisement != nil {
		objects = append(objects, advertisement)
	}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&metallb.ServiceL2Status{}, recordUIDField, func(client.Object) []string { return nil }).Build()
	backends, err := NewBackends(conf, "pool", Backend{Name: "pool", Class: "x/1", Provider: remote{providers.Needs{Announced: true}}})
	if err != nil {
		t.Fatal(err)
	}
	r := New(Options{Backends: backends, Cache: api, Reported: true, Routed: true, Waker: &Waker{}})
	r.speakers.note("speaker-a", true)
	return r, api
}

// webOn is a Service that is about to have an address, and its pods.
func webOn(node string) (*corev1.Service, []corev1.LoadBalancerIngress, []*discoveryv1.EndpointSlice) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "apps", Name: "web", UID: "1"}}
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	slice := &discoveryv1.EndpointSlice{AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: ptr.To(node), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)}}}}
	return svc, ingress("192.0.2.1"), []*discoveryv1.EndpointSlice{slice}
}

// TestServingByBGP goes through what may be between an address and its routers,
// as the real decisions see it.
func TestServingByBGP(t *testing.T) {
	advertisement := &metallb.BGPAdvertisement{ObjectMeta: named(conf, "all")}
	for _, tc := range []struct {
		why           string
		advertisement *metallb.BGPAdvertisement
		change        func(client.Client) error
		reason        string
		message       string
	}{
		{"the session of the node with the pod is up", advertisement, func(c client.Client) error {
			return c.Create(t.Context(), reporting("a", berth.Established, ""))
		}, "EndpointsReady", "announces"},
		{"only another node's is", advertisement, func(c client.Client) error {
			return c.Create(t.Context(), reporting("b", berth.Established, ""))
		}, "NoSession", `node "a" to BGPPeer "router-1" has not been tried`},
		{"it is refused", advertisement, func(c client.Client) error {
			return c.Create(t.Context(), reporting("a", "Active", "connection refused"))
		}, "NoSession", `node "a" to BGPPeer "router-1" at 198.51.100.1: connection refused`},
		{"there is no peer", advertisement, func(c client.Client) error {
			return c.DeleteAllOf(t.Context(), &v1beta2.BGPPeer{}, client.InNamespace(conf))
		}, "NotAdvertised", "no BGPPeer"},
		{"no speaker runs there", advertisement, func(c client.Client) error {
			return c.Delete(t.Context(), speakerOn("a", announce.SpeakerReport{}))
		}, "NoEligibleNode", ""},
		{"nothing is advertised by BGP, and layer 2 says nothing", nil, func(client.Client) error { return nil }, "NotAdvertised", "no speaker announces 192.0.2.1 yet"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			var with *metallb.BGPAdvertisement
			if tc.advertisement != nil {
				with = tc.advertisement.DeepCopy()
			}
			r, api := routedWorld(t, with)
			if err := tc.change(api); err != nil {
				t.Fatal(err)
			}
			svc, ingress, eps := webOn("a")
			w, err := r.wordOn(t.Context(), svc, ingress, eps)
			if err != nil {
				t.Fatal(err)
			}
			if got := w.serving(ready, ingress); got.Reason != tc.reason || !strings.Contains(got.Message, tc.message) {
				t.Errorf("got %+v\nwant %s: %s", got, tc.reason, tc.message)
			}
		})
	}
}

// TestBGPBegins: nothing is watched before there is something to watch for, and
// nothing twice.
func TestBGPBegins(t *testing.T) {
	r, api := routedWorld(t, nil)
	begun := 0
	r.beginBGP = func() error { begun++; return nil }
	look := func(want int) {
		t.Helper()
		r.lookout.note(configured)
		if err := r.lookout.refresh(t.Context()); err != nil {
			t.Error(err)
		}
		if begun != want {
			t.Errorf("watched %d times, want %d", begun, want)
		}
	}
	look(0)
	if err := api.Create(t.Context(), &metallb.BGPAdvertisement{ObjectMeta: named(conf, "all")}); err != nil {
		t.Fatal(err)
	}
	look(1)
	look(1)
}

// TestWithoutKindsOfBGP: where the cluster lacks them, nothing is asked for.
func TestWithoutKindsOfBGP(t *testing.T) {
	r, _ := routedWorld(t, &metallb.BGPAdvertisement{ObjectMeta: named(conf, "all")})
	r.routed = false
	svc, ingress, eps := webOn("a")
	w, err := r.wordOn(t.Context(), svc, ingress, eps)
	if err != nil || len(w.routes.byBGP) > 0 || r.lookout.now != nil {
		t.Errorf("got %+v, %v", w, err)
	}
}

// TestOnConfiguration: what is no news for BGP has nothing compiled.
func TestOnConfiguration(t *testing.T) {
	pool := func(generation int64, labels map[string]string, free int64) *metallb.IPAddressPool {
		return &metallb.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "p", Generation: generation, Labels: labels}, Status: metallb.IPAddressPoolStatus{AvailableIPv4: free}}
	}
	node := func(labels map[string]string, heartbeat int64) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: labels},
			Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.Unix(heartbeat, 0)}}}}
	}
	lost := node(nil, 1)
	lost.Status.Conditions[0].Status = corev1.ConditionUnknown
	rack := map[string]string{"rack": "b"}
	type change func(k *lookout)
	pools := func(before, now *metallb.IPAddressPool) change {
		return func(k *lookout) {
			onConfiguration(k, poolChanged).Update(t.Context(), event.TypedUpdateEvent[*metallb.IPAddressPool]{ObjectOld: before, ObjectNew: now}, nil)
		}
	}
	nodes := func(before, now *corev1.Node) change {
		return func(k *lookout) {
			onConfiguration(k, routeNodeChanged).Update(t.Context(), event.TypedUpdateEvent[*corev1.Node]{ObjectOld: before, ObjectNew: now}, nil)
		}
	}
	states := func(before, now announce.SpeakerReport) change {
		return func(k *lookout) {
			onConfiguration(k, reportChanged).Update(t.Context(), event.TypedUpdateEvent[*metallb.ConfigurationState]{ObjectOld: speakerOn("a", before), ObjectNew: speakerOn("a", now)}, nil)
		}
	}
	for _, tc := range []struct {
		why    string
		change change
		news   bool
	}{
		{"addresses are given", pools(pool(1, nil, 9), pool(1, nil, 8)), false},
		{"a pool has other addresses", pools(pool(1, nil, 9), pool(2, nil, 9)), true},
		{"a pool has another label", pools(pool(1, nil, 9), pool(1, rack, 9)), true},
		{"a kubelet says that it is well", nodes(node(nil, 1), node(nil, 2)), false},
		{"a kubelet is not heard of any more", nodes(node(nil, 1), lost), true},
		{"a node has another label", nodes(node(nil, 1), node(rack, 1)), true},
		{"a link comes up", states(announce.SpeakerReport{}, announce.SpeakerReport{Interfaces: []string{"eth0"}}), false},
		{"a kube-proxy can't serve", states(announce.SpeakerReport{}, announce.SpeakerReport{Closed: true}), true},
		{"an object comes", func(k *lookout) {
			onConfiguration(k, poolChanged).Create(t.Context(), event.TypedCreateEvent[*metallb.IPAddressPool]{Object: pool(1, nil, 9)}, nil)
		}, true},
		{"an object goes", func(k *lookout) {
			onConfiguration(k, poolChanged).Delete(t.Context(), event.TypedDeleteEvent[*metallb.IPAddressPool]{Object: pool(1, nil, 9)}, nil)
		}, true},
	} {
		k := newLookout()
		tc.change(k)
		if _, pending := k.pending(); pending != tc.news || k.stale != tc.news {
			t.Errorf("%s: news is %t, want %t", tc.why, pending, tc.news)
		}
	}
}

// TestOnSessions: a session is no news of the configuration.
func TestOnSessions(t *testing.T) {
	k := newLookout()
	on := onSessions(k)
	on.Create(t.Context(), event.TypedCreateEvent[*berth.BGPNodeStatus]{Object: reporting("a", berth.Established, "")}, nil)
	if _, pending := k.pending(); !pending || k.stale {
		t.Error("a session that comes is not noted as one")
	}
	k = newLookout()
	on = onSessions(k)
	more := reporting("a", berth.Established, "")
	more.Status.Sessions[0].Prefixes = 7
	on.Update(t.Context(), event.TypedUpdateEvent[*berth.BGPNodeStatus]{ObjectOld: reporting("a", berth.Established, ""), ObjectNew: more}, nil)
	if _, pending := k.pending(); pending {
		t.Error("that a prefix was added is noted")
	}
	on.Delete(t.Context(), event.TypedDeleteEvent[*berth.BGPNodeStatus]{Object: more}, nil)
	if wait, pending := k.pending(); !pending || wait <= lag[joined] {
		t.Errorf("the node's end is noted: %t, in %v", pending, wait)
	}
}

// TestTrimPeer: the controller has no use for passwords, and refuses what has
// two of them.
func TestTrimPeer(t *testing.T) {
	peer := &v1beta2.BGPPeer{Spec: v1beta2.BGPPeerSpec{Password: "secret", Address: "198.51.100.1"}}
	trimPeer(peer)
	if peer.Spec.Password == "" || peer.Spec.Password == "secret" || peer.Spec.Address == "" {
		t.Errorf("left: %+v", peer.Spec)
	}
	trimPeer(&v1beta2.BGPPeer{})
}
