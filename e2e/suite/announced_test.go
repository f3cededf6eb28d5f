package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
	"github.com/berth-lb/berth/e2e/cluster"
)

// speaker reports as the one on that node does when it starts.
func (l *lab) speaker(node string, annotations map[string]string) *unstructured.Unstructured {
	l.t.Helper()
	state := check.Object("ConfigurationState", l.conf, "speaker-"+node)
	state.SetLabels(map[string]string{"metallb.io/component-type": "speaker", "metallb.io/node-name": node})
	state.SetAnnotations(annotations)
	l.must(l.api.Create(l.t.Context(), state))
	return state
}

// ours is what tells a speaker of Berth's.
func ours(node string) map[string]string { return map[string]string{"berth-lb.dev/node": node} }

// announced writes, as speakers do, that a node announces an address of a
// Service, or, without one, why none does.
func (l *lab) announced(svc *corev1.Service, address, node, reason, message string) *unstructured.Unstructured {
	l.t.Helper()
	record := check.Object("ServiceL2Status", l.conf, fmt.Sprintf("l2-%s-ipv4", svc.UID))
	said := map[string]string{"berth-lb.dev/service": svc.Namespace + "/" + svc.Name, "berth-lb.dev/address": address}
	for key, value := range map[string]string{"node": node, "reason": reason, "message": message} {
		if value != "" {
			said["berth-lb.dev/"+key] = value
		}
	}
	record.SetAnnotations(said)
	existing := record.DeepCopy()
	err := l.api.Get(l.t.Context(), client.ObjectKeyFromObject(record), existing)
	if client.IgnoreNotFound(err) == nil && err != nil {
		l.must(l.api.Create(l.t.Context(), record))
		return record
	}
	l.must(err)
	existing.SetAnnotations(said)
	l.must(l.api.Update(l.t.Context(), existing))
	return existing
}

// unwritten fails the test if a Service is written while do has its effect.
func (l *lab) unwritten(name, why string, do func()) {
	l.t.Helper()
	before := l.get(name)
	do()
	check.Quiet()
	if after := l.get(name); after.ResourceVersion != before.ResourceVersion {
		l.t.Errorf("written although %s:\n%s", why, check.Describe(after))
	}
}

// A Service says whether a node announces its address, and if none does, why,
// in the words of the speakers. Which node it is, is not its matter.
func TestServingAnnounced(t *testing.T) {
	t.Parallel()
	l := newLab(t, "announced")
	l.pool("blue", ranges("192.0.2.0/24"))
	l.nodes("a")
	l.runPod("web-1", "web", "a", "10.9.2.1")
	l.setReady("web-1", corev1.ConditionTrue)
	proxy, kubeconfig := l.proxy()
	address := freeAddress(t)
	flags := []string{"--kubeconfig=" + kubeconfig, "--metrics-bind-address=" + address}
	c := l.start(flags...)

	// Where no speaker of ours runs, somebody else may announce.
	web := l.create("web")
	shown := l.address("web")
	l.isServing("web", "True", "EndpointsReady")
	var state *unstructured.Unstructured
	l.unwritten("web", "the speaker is MetalLB's", func() { state = l.speaker("x", nil) })

	// The first of ours reports, and has not said anything of this Service yet.
	state.SetAnnotations(ours("x"))
	l.must(l.api.Update(t.Context(), state))
	l.isServing("web", "False", "NotAdvertised", shown, "kubectl -n "+l.conf, "L2Advertisement")
	l.announced(web, shown, "a", "", "")
	l.isServing("web", "True", "EndpointsReady", "announces")
	l.unwritten("web", "the address only moved", func() { l.announced(web, shown, "b", "", "") })
	l.announced(web, shown, "", "NoEligibleNode", "node a is excluded from external load balancers")
	l.isServing("web", "False", "NoEligibleNode", "node a is excluded")
	l.announced(web, shown, "", "not a reason!", "something new")
	l.isServing("web", "False", "NotAdvertised", "something new")
	l.announced(web, shown, "a", "", "")
	l.isServing("web", "True", "EndpointsReady")

	// Without endpoints it is they who are the reason.
	l.setReady("web-1", corev1.ConditionFalse)
	l.isServing("web", "False", "NoReadyEndpoints")
	l.setReady("web-1", corev1.ConditionTrue)
	l.isServing("web", "True", "EndpointsReady")

	// A new Service whose speaker is quick is written once more, not twice.
	proxy.Reset()
	next := l.create("next", selecting("web"), asking("192.0.2.77"))
	l.announced(next, "192.0.2.77", "a", "", "")
	l.has("next", "192.0.2.77")
	l.isServing("next", "True", "EndpointsReady")
	check.Quiet()
	if writes := proxy.Counts().Writes("leases", "events", "ipaddresspools/status"); writes.Total() > 2 {
		t.Errorf("a new Service took the writes %v, want two", writes)
	} else {
		t.Logf("a new Service took the writes %v", writes)
	}

	l.counts("blue", usage{assigned4: 2, available4: 254})
	c.stop(t)
	proxy.Reset()
	l.start(flags...)
	l.eventually(func() error {
		values, err := metrics(address)
		if err != nil {
			return err
		}
		if done := values[`controller_runtime_reconcile_total{controller="service",result="success"}`]; done < 2 {
			return fmt.Errorf("%v Services were looked at", done)
		}
		return nil
	})
	check.Quiet() // Nothing follows either.
	if writes := proxy.Counts().Writes("leases"); writes.Total() > 0 {
		t.Errorf("a restart at rest wrote: %v", writes)
	}

	// The word of the speakers goes, and then the last speaker.
	l.must(l.api.Delete(t.Context(), l.announced(web, shown, "a", "", "")))
	l.isServing("web", "False", "NotAdvertised", shown)
	l.isServing("next", "True", "EndpointsReady")
	l.must(l.api.Delete(t.Context(), state))
	l.isServing("web", "True", "EndpointsReady")
}

// A cluster without the kinds that speakers report by is served all the same;
// the log says what is missing, and that a restart makes use of it.
func TestServingWithoutTheKindsOfSpeakers(t *testing.T) {
	t.Parallel()
	all := filepath.Join(root, "charts", "berth", "crds")
	on := cluster.New(t, cluster.Options{})
	l := labOn(t, on, clientOf(t, on, withoutKind(t, all, "servicel2statuses")), "kindless")
	l.pool("blue", ranges("192.0.2.0/24"))
	web := l.create("web", func(svc *corev1.Service) { svc.Spec.Selector = nil })
	number, protocol := int32(80), corev1.ProtocolTCP
	l.must(l.api.Create(t.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: l.apps, Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.9.1.1"}}},
		Ports:       []discoveryv1.EndpointPort{{Port: &number, Protocol: &protocol}},
	}))
	l.speaker("x", ours("x"))
	c := l.start()
	l.has("web", "192.0.2.0")
	l.isServing("web", "True", "EndpointsReady")
	if log := c.Tail(20); !strings.Contains(log, "ServiceL2Status") || !strings.Contains(log, "restart") {
		t.Errorf("the log does not say what is missing:\n%s", log)
	}
	c.stop(t)

	l.must(on.Install(t.Context(), all))
	l.start()
	l.isServing("web", "False", "NotAdvertised", "192.0.2.0")
	l.announced(web, "192.0.2.0", "a", "", "")
	l.isServing("web", "True", "EndpointsReady")
}

// clientOf installs the CRDs of a folder and returns access to the cluster.
func clientOf(t *testing.T, on *cluster.Cluster, crds string) client.WithWatch {
	t.Helper()
	check.Must(t, on.Install(t.Context(), crds))
	api, err := on.Client()
	check.Must(t, err)
	return api
}

// withoutKind is a copy of a folder of CRDs that lacks one.
func withoutKind(t *testing.T, crds, plural string) string {
	t.Helper()
	dir := t.TempDir()
	check.Must(t, os.CopyFS(dir, os.DirFS(crds)))
	check.Must(t, os.Remove(filepath.Join(dir, "metallb.io_"+plural+".yaml")))
	return dir
}
