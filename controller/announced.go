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
	// records are what they say of layer 2, and routes what follows for BGP.
	records []announce.Record
	routes  routes
	// unsure is set while what is announced by BGP can't be found out.
	unsure bool
}

// finding is why an address is not announced by one protocol.
type finding struct{ reason, message string }

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
		for _, f := range w.against(address) {
			if len(all) > 1 {
				f.message = address.String() + ": " + f.message
			}
			messages = append(messages, f.message)
			if reason == "" {
				reason = f.reason
			}
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

// against are the reasons why an address is not announced. There are none
// where it is, nor where nothing has been said of it.
func (w word) against(address netip.Addr) []finding {
	route, byBGP := w.routes.of(address)
	if _, carried := w.routes.sessions.carrier(route); carried {
		return nil
	}
	record, recorded := w.of(address)
	if recorded && record.Node != "" {
		return nil
	}
	var found []finding
	if recorded {
		found = append(found, findingOf(record))
	}
	if byBGP {
		found = append(found, w.routes.sessions.against(route, w.namespace))
	}
	return telling(found)
}

// telling leaves out what a protocol that is not asked for says where another
// one is, and what both say.
func telling(all []finding) []finding {
	if len(all) < 2 || all[0] == all[1] {
		return all[:min(len(all), 1)]
	}
	asked := slices.DeleteFunc(slices.Clone(all), func(f finding) bool { return f.reason == announce.ReasonNotAdvertised })
	if len(asked) == 0 {
		return all
	}
	return asked
}

func findingOf(r announce.Record) finding {
	if r.Message == "" {
		r.Message = "the speakers say that no node announces it, and not why"
	}
	return finding{reasonOf(r.Reason), r.Message}
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

// silent are the addresses that no speaker has said anything about, and that
// are for layer 2 to announce if for anybody.
func (w word) silent(ingress []corev1.LoadBalancerIngress) []string {
	var all []string
	for _, address := range ipsOf(ingress) {
		_, recorded := w.of(address)
		if _, byBGP := w.routes.of(address); !recorded && !byBGP {
			all = append(all, address.String())
		}
	}
	return all
}

func (w word) unannounced(addresses []string) string {
	return "no speaker announces " + strings.Join(addresses, " and ") + " yet: if that stays so, see whether the speakers run " +
		"(kubectl -n " + w.namespace + " get pods) and whether an L2Advertisement or a BGPAdvertisement selects the pool"
}

func reasonOf(told string) string {
	if slices.Contains(speakersReasons, told) {
		return told
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
