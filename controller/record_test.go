package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/providers"
)

var (
	poolBackend = &Backend{Name: "pool", local: true, record: "berth-system/pool", needs: providers.Needs{Annotations: []string{"example.com/from"}}}
	ready       = metav1.Condition{Type: providers.ConditionServing, Status: metav1.ConditionTrue, Reason: "EndpointsReady"}
)

func ingress(ips ...string) []corev1.LoadBalancerIngress {
	var in []corev1.LoadBalancerIngress
	vip := corev1.LoadBalancerIPModeVIP
	for _, ip := range ips {
		in = append(in, corev1.LoadBalancerIngress{IP: ip, IPMode: &vip})
	}
	return in
}

func holding(ips ...string) *corev1.Service {
	return &corev1.Service{Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: ingress(ips...)}}}
}

// TestServed follows what a backend answers to the conditions of the Service.
func TestServed(t *testing.T) {
	for _, tc := range []struct {
		why               string
		svc               *corev1.Service
		outcome           outcome
		ips               []string
		provisioned       metav1.ConditionStatus
		provisionedReason string
		serving           string
	}{
		{
			why:         "an address and ready pods",
			svc:         holding(),
			outcome:     outcome{Result: providers.Result{Ingress: ingress("192.0.2.1")}},
			ips:         []string{"192.0.2.1"},
			provisioned: "True", provisionedReason: "Provisioned", serving: "EndpointsReady",
		},
		{
			why:         "refused, and nothing is held: what the status showed is gone",
			svc:         holding("192.0.2.1"),
			outcome:     outcome{err: &providers.Refusal{Reason: "PoolExhausted", Message: "full"}},
			provisioned: "False", provisionedReason: "PoolExhausted", serving: "NotProvisioned",
		},
		{
			why:         "refused, but something is held meanwhile",
			svc:         holding("192.0.2.1"),
			outcome:     outcome{Result: providers.Result{Ingress: ingress("192.0.2.1")}, err: &providers.Refusal{Reason: "InvalidRequest", Message: "typo"}},
			ips:         []string{"192.0.2.1"},
			provisioned: "False", provisionedReason: "InvalidRequest", serving: "EndpointsReady",
		},
		{
			why:         "an error of the backend takes nothing away",
			svc:         holding("192.0.2.1"),
			outcome:     outcome{err: errors.New("the API of the cloud timed out")},
			ips:         []string{"192.0.2.1"},
			provisioned: "False", provisionedReason: "BackendError", serving: "EndpointsReady",
		},
		{
			why: "the backend's own words come before the controller's",
			svc: holding(),
			outcome: outcome{Result: providers.Result{
				Ingress: ingress("192.0.2.1"),
				Conditions: []metav1.Condition{
					{Type: providers.ConditionServing, Status: "False", Reason: "TargetsUnhealthy", Message: "no target is healthy"},
				},
			}},
			ips:         []string{"192.0.2.1"},
			provisioned: "True", provisionedReason: "Provisioned", serving: "TargetsUnhealthy",
		},
	} {
		t.Run(tc.why, func(t *testing.T) {
			next := served(tc.svc, poolBackend, tc.outcome, ready, word{})
			if got := addresses(next.status.LoadBalancer.Ingress); got != addresses(ingress(tc.ips...)) {
				t.Errorf("addresses: got %q, want %v", got, tc.ips)
			}
			p := meta.FindStatusCondition(next.status.Conditions, providers.ConditionProvisioned)
			if p == nil || p.Status != tc.provisioned || p.Reason != tc.provisionedReason {
				t.Errorf("Provisioned: got %+v, want %s/%s", p, tc.provisioned, tc.provisionedReason)
			}
			s := meta.FindStatusCondition(next.status.Conditions, providers.ConditionServing)
			if s == nil || s.Reason != tc.serving {
				t.Errorf("Serving: got %+v, want %s", s, tc.serving)
			}
			if !slices.Contains(next.finalizers, finalizer) || next.annotations[providers.AnnotationBackend] != "berth-system/pool" {
				t.Errorf("not marked as served: %v %v", next.finalizers, next.annotations)
			}
		})
	}
}

// TestServedTwiceIsTheSame is what keeps a controller at rest from writing.
func TestServedTwiceIsTheSame(t *testing.T) {
	svc := holding()
	o := outcome{Result: providers.Result{
		Ingress:     ingress("192.0.2.1"),
		Annotations: map[string]string{"example.com/from": "a"},
		Conditions:  []metav1.Condition{{Type: providers.ConditionProvisioned, Status: "False", Reason: "Provisioning"}},
	}}
	first := served(svc, poolBackend, o, ready, word{})
	after := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Finalizers: first.finalizers, Annotations: first.annotations}, Status: first.status}
	if second := served(after, poolBackend, o, ready, word{}); !second.equal(first) {
		t.Errorf("the same answer made another record:\n%+v\n%+v", first, second)
	}
}

// TestUnmarkedUndoesServed: nothing of ours stays on a Service that is no
// longer ours, and everything of others does.
func TestUnmarkedUndoesServed(t *testing.T) {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{
		Finalizers:  []string{"example.com/other"},
		Annotations: map[string]string{"example.com/note": "mine"},
	}}
	svc.Status.Conditions = []metav1.Condition{{Type: "example.com/Checked", Status: "True", Reason: "Yes"}}
	refusal := "example.com/NotServed"
	in := ingress("192.0.2.1")
	in[0].Ports = []corev1.PortStatus{{Port: 53, Protocol: "SCTP", Error: &refusal}}
	next := served(svc, poolBackend, outcome{Result: providers.Result{Ingress: in, Annotations: map[string]string{"example.com/from": "a"}}}, ready, word{})
	if meta.FindStatusCondition(next.status.Conditions, corev1.LoadBalancerPortsError) == nil {
		t.Error("a port with an error makes no LoadBalancerPortsError")
	}
	after := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Finalizers: next.finalizers, Annotations: next.annotations}, Status: next.status}
	if bare := unmarked(after, poolBackend); !bare.equal(recordOf(svc)) {
		t.Errorf("left over: %+v", bare)
	}
}

// A process that begins while a Service is being released, and given back, must not
// take what was noted of it before for true.
func TestRetainedIsNotTrusted(t *testing.T) {
	b := &Backend{Name: "aws", record: "berth-system/aws", needs: providers.Needs{Annotations: []string{"example.com/applied"}}}
	svc := holding("192.0.2.1")
	svc.Annotations = map[string]string{"example.com/applied": "all", providers.AnnotationBackend: b.record}
	got := retained(svc, b, providers.ErrPending)
	if got.annotations["example.com/applied"] != "" || got.annotations[providers.AnnotationBackend] != b.record {
		t.Errorf("its annotations are %v", got.annotations)
	}
	if c := meta.FindStatusCondition(got.status.Conditions, providers.ConditionProvisioned); c == nil || c.Reason != providers.ReasonReleasing {
		t.Errorf("it is told %+v", c)
	}
}

func TestEventsFor(t *testing.T) {
	refused := func(reason, message string) *metav1.Condition {
		return &metav1.Condition{Type: providers.ConditionProvisioned, Status: "False", Reason: reason, Message: message}
	}
	with := func(svc *corev1.Service, c *metav1.Condition) *corev1.Service {
		if c != nil {
			svc.Status.Conditions = []metav1.Condition{*c}
		}
		return svc
	}
	for _, tc := range []struct {
		why         string
		before, now *corev1.Service
		want        []string
	}{
		{"an address is given", holding(), holding("192.0.2.1"), []string{"IPAllocated"}},
		{"nothing changed", holding("192.0.2.1"), holding("192.0.2.1"), nil},
		{"the address moves", holding("192.0.2.1"), holding("192.0.2.2"), []string{"ClearAssignment"}},
		{"the address is lost, and why", holding("192.0.2.1"), with(holding(), refused("NoPool", "gone")), []string{"ClearAssignment", "AllocationFailed"}},
		{"refused at first", holding(), with(holding(), refused("NoPool", "none")), []string{"AllocationFailed"}},
		{"refused as before", with(holding(), refused("NoPool", "none")), with(holding(), refused("NoPool", "none")), nil},
		{"refused for another reason", with(holding(), refused("NoPool", "none")), with(holding(), refused("PoolExhausted", "full")), []string{"AllocationFailed"}},
		{"being built is no failure", holding(), with(holding(), refused("Provisioning", "wait")), nil},
	} {
		var got []string
		for _, e := range eventsFor(tc.before, recordOf(tc.now)) {
			got = append(got, e.reason)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.why, got, tc.want)
		}
	}
}

// TestShorten: what a user wrote comes back in messages, and must not make them
// longer than the API server takes, nor cut a character in two.
func TestShorten(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want int
	}{
		{"short", 5},
		{strings.Repeat("a", maxMessage), maxMessage},
		{strings.Repeat("a", 1<<20), maxMessage + 3},
		{strings.Repeat("ä", 1<<20), maxMessage + 3},
		{"a" + strings.Repeat("ä", 1<<20), maxMessage + 2},
	} {
		got := shorten(tc.in)
		if len(got) != tc.want || !utf8.ValidString(got) {
			t.Errorf("%d bytes became %d, want %d, valid %t", len(tc.in), len(got), tc.want, utf8.ValidString(got))
		}
	}
}
