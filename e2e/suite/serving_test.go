package suite

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/e2e/check"
)

// isServing returns once the condition Serving of a Service is as given, while
// its address stays.
func (l *lab) isServing(name string, status metav1.ConditionStatus, reason string, named ...string) {
	l.t.Helper()
	l.until(name, func(svc *corev1.Service) error {
		if len(check.Addresses(svc)) != 1 {
			l.t.Errorf("the address should stay whatever the pods do: %v", check.Addresses(svc))
		}
		return check.Condition(svc, serving, status, reason, named...)
	})
}

// runPod makes a pod with an address that runs and is not ready.
func (l *lab) runPod(name, app, node, ip string) {
	l.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.apps, Name: name, Labels: map[string]string{"app": app}},
		Spec:       corev1.PodSpec{NodeName: l.apps + "-" + node, Containers: []corev1.Container{{Name: "app", Image: "none"}}},
	}
	l.must(l.api.Create(l.t.Context(), pod))
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}}
	l.must(l.api.Status().Update(l.t.Context(), pod))
}

func (l *lab) setReady(name string, status corev1.ConditionStatus) {
	l.t.Helper()
	pod := &corev1.Pod{}
	l.must(l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.apps, Name: name}, pod))
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	l.must(l.api.Status().Update(l.t.Context(), pod))
}

// A Service says whether traffic that arrives can reach a pod.
func TestServing(t *testing.T) {
	t.Parallel()
	l := newLab(t, "serving")
	l.pool("blue", ranges("192.0.2.0/24"))
	l.nodes("a")
	l.start()

	l.create("web")
	l.served("web")
	l.isServing("web", "False", "SelectorMatchesNoPods", "app=web")
	l.runPod("web-1", "web", "a", "10.9.0.1")
	l.isServing("web", "False", "NoReadyEndpoints", "app=web")
	l.setReady("web-1", corev1.ConditionTrue)
	l.isServing("web", "True", "EndpointsReady")
	l.setReady("web-1", corev1.ConditionFalse)
	l.isServing("web", "False", "NoReadyEndpoints")
	l.setReady("web-1", corev1.ConditionTrue)
	l.isServing("web", "True", "EndpointsReady")

	// A second pod changes nothing that a user should hear of.
	before := l.get("web")
	l.runPod("web-2", "web", "a", "10.9.0.2")
	l.setReady("web-2", corev1.ConditionTrue)
	check.Quiet() // Nothing is written.
	if after := l.get("web"); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("written again because of a second pod:\n%s", check.Describe(after))
	}

	l.edit("web", func(svc *corev1.Service) { svc.Spec.Selector = map[string]string{"app": "nobody"} })
	l.isServing("web", "False", "SelectorMatchesNoPods", "app=nobody")
	l.edit("web", func(svc *corev1.Service) { svc.Spec.Selector = map[string]string{"app": "web"} })
	l.isServing("web", "True", "EndpointsReady")
	l.must(l.api.DeleteAllOf(t.Context(), &corev1.Pod{}, client.InNamespace(l.apps), client.GracePeriodSeconds(0)))
	l.isServing("web", "False", "SelectorMatchesNoPods", "app=web")
}

// EndpointSlices of a Service without selector are somebody's own work.
func TestServingByHand(t *testing.T) {
	t.Parallel()
	l := newLab(t, "by-hand")
	l.pool("blue", ranges("192.0.2.0/24"))
	l.start()
	l.create("legacy", func(svc *corev1.Service) { svc.Spec.Selector = nil })
	l.served("legacy")
	l.isServing("legacy", "False", "NoReadyEndpoints", "no selector")

	number, protocol, yes, no := int32(80), corev1.ProtocolTCP, true, false
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: l.apps, Name: "legacy-1", Labels: map[string]string{discoveryv1.LabelServiceName: "legacy"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.9.1.1"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}}},
		Ports:       []discoveryv1.EndpointPort{{Port: &number, Protocol: &protocol}},
	}
	l.must(l.api.Create(t.Context(), slice))
	l.isServing("legacy", "False", "NoReadyEndpoints", "none of their endpoints is ready")
	slice.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: &yes}
	l.must(l.api.Update(t.Context(), slice))
	l.isServing("legacy", "True", "EndpointsReady")
	// What ends and still serves counts while nothing else is ready.
	slice.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: &no, Serving: &yes, Terminating: &yes}
	before := l.get("legacy")
	l.must(l.api.Update(t.Context(), slice))
	check.Quiet() // The condition stays.
	if after := l.get("legacy"); after.ResourceVersion != before.ResourceVersion {
		t.Errorf("an endpoint that ends and still serves counts:\n%s", check.Describe(after))
	}
	l.must(l.api.Delete(t.Context(), slice))
	l.isServing("legacy", "False", "NoReadyEndpoints", "no selector")
}
