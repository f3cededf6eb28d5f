package controller

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/trafficpolicy"
)

const (
	// messageAnnounced names no node: an address that moves is none the less
	// announced, and the conditions of all that a node had stay as they are.
	messageAnnounced = "a node announces it and an endpoint can take traffic"
	// wordDelay is how long speakers have to follow the endpoints of a Service
	// before its condition says that they do not. Else a new Service, whose
	// EndpointSlices come a little after it, would be written three times.
	wordDelay = 3 * time.Second
)

// speakersReasons are those that a speaker may give. Anything else in a record
// is read as NotAdvertised: a condition's reason has a form, and each of ours
// has a meaning.
var speakersReasons = []string{
	announce.ReasonNotAdvertised,
	trafficpolicy.ReasonNoEligibleNode,
	trafficpolicy.ReasonNoReadyEndpoints,
	trafficpolicy.ReasonSelectorMatchesNoPods,
}

// word is what the speakers of an installation say of one Service.
type word struct {
	// heard is false where no speaker ever reported: somebody else may announce
	// then, so that nothing follows from silence.
	heard bool
	// namespace is where the speakers run.
	namespace string
	records   []announce.Record
}

// serving is the condition of that name for a Service with those addresses,
// given what its endpoints say.
func (w word) serving(endpoints metav1.Condition, ingress []corev1.LoadBalancerIngress) metav1.Condition {
	if !w.heard || endpoints.Status != metav1.ConditionTrue {
		return endpoints
	}
	all := ipsOf(ingress)
	var reason string
	var messages []string
	for _, address := range all {
		r, ok := w.of(address)
		if !ok || r.Node != "" {
			continue
		}
		message := r.Message
		if message == "" {
			message = "the speakers say that no node announces it, and not why"
		}
		if len(all) > 1 {
			message = address.String() + ": " + message
		}
		messages = append(messages, message)
		if reason == "" {
			reason = reasonOf(r)
		}
	}
	if silent := w.silent(ingress); len(silent) > 0 {
		messages = append(messages, w.unannounced(silent))
		if reason == "" {
			reason = announce.ReasonNotAdvertised
		}
	}
	if reason == "" {
		endpoints.Message = messageAnnounced
		return endpoints
	}
	return metav1.Condition{Type: providers.ConditionServing, Status: metav1.ConditionFalse,
		Reason: reason, Message: strings.Join(messages, "; ")}
}

// await keeps the condition Serving in next as svc shows it while speakers may
// still be about to follow endpoints that just came, and returns for how long.
func (w word) await(svc *corev1.Service, next record, now time.Time) time.Duration {
	was := meta.FindStatusCondition(svc.Status.Conditions, providers.ConditionServing)
	is := meta.FindStatusCondition(next.status.Conditions, providers.ConditionServing)
	if was == nil || is == nil || is.Reason != announce.ReasonNotAdvertised || len(w.silent(next.status.LoadBalancer.Ingress)) == 0 {
		return 0
	}
	if was.Reason != trafficpolicy.ReasonNoReadyEndpoints && was.Reason != trafficpolicy.ReasonSelectorMatchesNoPods {
		return 0
	}
	passed := now.Sub(was.LastTransitionTime.Time)
	if passed < 0 || passed >= wordDelay {
		return 0
	}
	*is = *was
	return wordDelay - passed
}

// of returns the record of an address; one that names a node comes first.
func (w word) of(address netip.Addr) (announce.Record, bool) {
	var found announce.Record
	ok := false
	for _, r := range w.records {
		if r.Address == address && (!ok || found.Node == "") {
			found, ok = r, true
		}
	}
	return found, ok
}

// silent are the addresses that no speaker has said anything about.
func (w word) silent(ingress []corev1.LoadBalancerIngress) []string {
	var all []string
	for _, address := range ipsOf(ingress) {
		if _, ok := w.of(address); !ok {
			all = append(all, address.String())
		}
	}
	return all
}

func (w word) unannounced(addresses []string) string {
	return "no speaker announces " + strings.Join(addresses, " and ") + " yet: if that stays so, see whether the speakers run " +
		"(kubectl -n " + w.namespace + " get pods) and whether an L2Advertisement selects the pool"
}

func reasonOf(r announce.Record) string {
	if slices.Contains(speakersReasons, r.Reason) {
		return r.Reason
	}
	return announce.ReasonNotAdvertised
}

// ipsOf are the addresses that can be announced: host names can't.
func ipsOf(ingress []corev1.LoadBalancerIngress) []netip.Addr {
	var all []netip.Addr
	for _, in := range ingress {
		if address, err := netip.ParseAddr(in.IP); err == nil {
			all = append(all, address)
		}
	}
	return all
}
