package suite

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
)

// sessions writes, as the speaker on a node does, what became of its session
// with a peer.
func (l *lab) session(node, peer, state, why string) {
	l.t.Helper()
	report := &unstructured.Unstructured{}
	report.SetGroupVersionKind(schema.GroupVersionKind{Group: "berth-lb.dev", Version: "v1beta1", Kind: "BGPNodeStatus"})
	report.SetNamespace(l.conf)
	report.SetName(node)
	err := l.api.Get(l.t.Context(), client.ObjectKeyFromObject(report), report)
	report.Object["status"] = map[string]any{"node": node, "up": "0/1", "prefixes": int64(0), "sessions": []any{
		map[string]any{"peer": peer, "address": "198.51.100.1", "state": state, "error": why, "prefixes": int64(0)},
	}}
	if err == nil {
		l.must(l.api.Update(l.t.Context(), report))
		return
	}
	l.must(client.IgnoreNotFound(err))
	l.must(l.api.Create(l.t.Context(), report))
}

// A Service that is announced by BGP says whether a session carries it.
func TestServingRouted(t *testing.T) {
	t.Parallel()
	l := newLab(t, "routed")
	l.pool("blue", ranges("192.0.2.0/24"))
	l.nodes("r1", "r2")
	l.runPod("web-1", "web", "r1", "10.9.3.1")
	l.setReady("web-1", corev1.ConditionTrue)
	l.speaker("routed-r1", ours("routed-r1"))
	proxy, kubeconfig := l.proxy()
	c := l.start("--kubeconfig=" + kubeconfig)
	l.create("web")
	l.address("web")
	l.isServing("web", "False", "NotAdvertised")

	peer := check.Object("BGPPeer", l.conf, "router-1")
	peer.SetAPIVersion("metallb.io/v1beta2")
	peer.Object["spec"] = map[string]any{"myASN": int64(64512), "peerASN": int64(64513), "peerAddress": "198.51.100.1"}
	advertisement := check.Object("BGPAdvertisement", l.conf, "all")
	l.must(l.api.Create(t.Context(), advertisement))
	l.isServing("web", "False", "NotAdvertised", "no BGPPeer")
	l.must(l.api.Create(t.Context(), peer))
	l.isServing("web", "False", "NoSession", `node "routed-r1" to BGPPeer "router-1" has not been tried`)
	l.session("routed-r1", "router-1", "Active", "connection refused")
	l.isServing("web", "False", "NoSession", `at 198.51.100.1: connection refused`)
	began := time.Now()
	l.session("routed-r1", "router-1", "Established", "")
	l.isServing("web", "True", "EndpointsReady", "announces")
	t.Logf("True %v after the session was up", time.Since(began))
	l.unwritten("web", "the session was lost for a moment", func() {
		l.session("routed-r1", "router-1", "Active", "closed")
		l.session("routed-r1", "router-1", "Established", "")
	})

	proxy.Reset()
	l.create("next", selecting("web"))
	l.address("next")
	l.isServing("next", "True", "EndpointsReady")
	check.Quiet()
	if writes := proxy.Counts().Writes("leases", "events", "ipaddresspools/status"); writes.Total() > 1 {
		t.Logf("a new Service took the writes %v", writes)
	}

	l.counts("blue", usage{assigned4: 2, available4: 254})
	c.stop(t)
	proxy.Reset()
	address := freeAddress(t)
	l.start("--kubeconfig="+kubeconfig, "--metrics-bind-address="+address)
	l.eventually(func() error {
		values, err := metrics(address)
		if done := values[`controller_runtime_reconcile_total{controller="service",result="success"}`]; err == nil && done < 2 {
			return fmt.Errorf("%v Services were looked at", done)
		}
		return err
	})
	check.Quiet() // Nothing follows.
	if writes := proxy.Counts().Writes("leases"); writes.Total() > 0 {
		t.Errorf("a restart at rest wrote: %v", writes)
	}
	l.session("routed-r1", "router-1", "Active", "hold timer expired")
	l.isServing("web", "False", "NoSession", "hold timer expired")
	l.session("routed-r1", "router-1", "Established", "")
	l.isServing("next", "True", "EndpointsReady")
	l.must(l.api.Delete(t.Context(), advertisement))
}
