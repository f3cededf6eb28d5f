package controller

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/providers"
)

// by is a record of an address that a node announces.
func by(node, address string) announce.Record {
	return announce.Record{UID: "uid", Address: netip.MustParseAddr(address), Node: node}
}

// because is a record of an address that no node announces.
func because(reason, message, address string) announce.Record {
	return announce.Record{UID: "uid", Address: netip.MustParseAddr(address), Reason: reason, Message: message}
}

func heard(records ...announce.Record) word {
	return word{heard: true, namespace: "berth-system", records: records}
}

// TestWordServing follows what endpoints and speakers say to the condition.
func TestWordServing(t *testing.T) {
	notReady := metav1.Condition{Type: providers.ConditionServing, Status: "False", Reason: "NoReadyEndpoints", Message: "pods are not ready"}
	v4, v6 := ingress("192.0.2.1"), ingress("192.0.2.1", "2001:db8::1")
	for _, tc := range []struct {
		why       string
		word      word
		endpoints metav1.Condition
		ingress   []corev1.LoadBalancerIngress
		status    metav1.ConditionStatus
		reason    string
		message   []string // parts of it, in order
	}{
		{"where no speaker ever reported, somebody else may announce", word{}, ready, v4, "True", "EndpointsReady", nil},
		{"a node announces the address", heard(by("a", "192.0.2.1")), ready, v4, "True", "EndpointsReady", []string{"announces"}},
		{"without endpoints it does not matter who announces", heard(by("a", "192.0.2.1")), notReady, v4, "False", "NoReadyEndpoints", []string{"pods are not ready"}},
		{"nor that nobody does", heard(), notReady, v4, "False", "NoReadyEndpoints", []string{"pods are not ready"}},
		{"a record says why nobody announces", heard(because("NoEligibleNode", "node a is cordoned off", "192.0.2.1")), ready, v4,
			"False", "NoEligibleNode", []string{"node a is cordoned off"}},
		{"there are speakers, and none says anything", heard(), ready, v4, "False", "NotAdvertised", []string{"192.0.2.1 yet", "-n berth-system", "L2Advertisement"}},
		{"the record is of an address that the Service had before", heard(by("a", "192.0.2.9")), ready, v4, "False", "NotAdvertised", []string{"192.0.2.1 yet"}},
		{"all addresses are announced, by different nodes", heard(by("a", "192.0.2.1"), by("b", "2001:db8::1")), ready, v6, "True", "EndpointsReady", nil},
		{"one of two addresses is not announced", heard(by("a", "192.0.2.1"), because("NotAdvertised", "no interface", "2001:db8::1")), ready, v6,
			"False", "NotAdvertised", []string{"2001:db8::1: no interface"}},
		{"a speaker's reason comes before silence", heard(because("NoEligibleNode", "none", "2001:db8::1")), ready, v6,
			"False", "NoEligibleNode", []string{"2001:db8::1: none", "; ", "192.0.2.1 yet"}},
		{"two addresses without a word", heard(), ready, v6, "False", "NotAdvertised", []string{"192.0.2.1 and 2001:db8::1 yet"}},
		{"a reason that no condition may have", heard(because("no such form!", "odd", "192.0.2.1")), ready, v4, "False", "NotAdvertised", []string{"odd"}},
		{"a reason that nobody knows", heard(because("Unheard", "odd", "192.0.2.1")), ready, v4, "False", "NotAdvertised", []string{"odd"}},
		{"neither reason nor message", heard(because("", "", "192.0.2.1")), ready, v4, "False", "NotAdvertised", []string{"no node announces it"}},
		{"two records of one address: a node counts", heard(because("NoEligibleNode", "none", "192.0.2.1"), by("a", "192.0.2.1")), ready, v4, "True", "EndpointsReady", nil},
		{"a host name is for nobody to announce", heard(), ready, []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}}, "True", "EndpointsReady", nil},
	} {
		got := tc.word.serving(tc.endpoints, tc.ingress)
		if got.Type != providers.ConditionServing || got.Status != tc.status || got.Reason != tc.reason {
			t.Errorf("%s: got %+v, want %s/%s", tc.why, got, tc.status, tc.reason)
		}
		rest := got.Message
		for _, part := range tc.message {
			_, after, ok := strings.Cut(rest, part)
			if !ok {
				t.Errorf("%s: the message lacks %q: %s", tc.why, part, got.Message)
			}
			rest = after
		}
	}
}

// TestWordServingStays: an address that moves to another node changes nothing
// on the Service, or a node that dies would cost a write for each that it had.
func TestWordServingStays(t *testing.T) {
	before := heard(by("a", "192.0.2.1")).serving(ready, ingress("192.0.2.1"))
	if after := heard(by("b", "192.0.2.1")).serving(ready, ingress("192.0.2.1")); after != before {
		t.Errorf("it was %+v and becomes %+v", before, after)
	}
}

// TestWordIsShortened: what a speaker says is bounded like all that is told.
func TestWordIsShortened(t *testing.T) {
	w := heard(because("NotAdvertised", strings.Repeat("x", 1<<20), "192.0.2.1"))
	next := served(holding(), poolBackend, outcome{Result: providers.Result{Ingress: ingress("192.0.2.1")}}, ready, w)
	if c := meta.FindStatusCondition(next.status.Conditions, providers.ConditionServing); c == nil || c.Reason != "NotAdvertised" || len(c.Message) > maxMessage+3 {
		t.Errorf("got %+v", c)
	}
}

// TestAwait: what a Service says of its pods stays for a moment when they come,
// since the speakers' word is about to; nothing else waits.
func TestAwait(t *testing.T) {
	now := time.Now()
	told := func(status metav1.ConditionStatus, reason string, ago time.Duration) metav1.Condition {
		return metav1.Condition{Type: providers.ConditionServing, Status: status, Reason: reason, LastTransitionTime: metav1.NewTime(now.Add(-ago))}
	}
	for _, tc := range []struct {
		why    string
		was    metav1.Condition
		word   word
		wait   time.Duration
		reason string
	}{
		{"a new Service, whose endpoints just came", told("False", "SelectorMatchesNoPods", time.Second/2), heard(), wordDelay - time.Second/2, "SelectorMatchesNoPods"},
		{"no word came", told("False", "SelectorMatchesNoPods", wordDelay), heard(), 0, "NotAdvertised"},
		{"the word came", told("False", "NoReadyEndpoints", 0), heard(by("a", "192.0.2.1")), 0, "EndpointsReady"},
		{"a speaker says why not", told("False", "NoReadyEndpoints", 0), heard(because("NotAdvertised", "no interface", "192.0.2.1")), 0, "NotAdvertised"},
		{"it was announced, and the record is gone", told("True", "EndpointsReady", 0), heard(), 0, "NotAdvertised"},
		{"there was no address", told("False", "NotProvisioned", 0), heard(), 0, "NotAdvertised"},
		{"the clock was set back since", told("False", "NoReadyEndpoints", -time.Hour), heard(), 0, "NotAdvertised"},
		{"nobody is waited for where no speaker ever reported", told("False", "NoReadyEndpoints", 0), word{}, 0, "EndpointsReady"},
	} {
		svc := holding("192.0.2.1")
		svc.Status.Conditions = []metav1.Condition{tc.was}
		next := served(svc, poolBackend, outcome{Result: providers.Result{Ingress: ingress("192.0.2.1")}}, ready, tc.word)
		if wait := tc.word.await(svc, next, now); wait != tc.wait {
			t.Errorf("%s: waits %v, want %v", tc.why, wait, tc.wait)
		}
		if c := meta.FindStatusCondition(next.status.Conditions, providers.ConditionServing); c.Reason != tc.reason {
			t.Errorf("%s: got %+v, want %s", tc.why, c, tc.reason)
		}
		if svc.Status.Conditions[0] != tc.was {
			t.Errorf("%s: the Service itself was changed", tc.why)
		}
	}
}
