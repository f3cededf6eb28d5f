package controller

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/announce"
	berth "github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/providers"
)

// routed are routes of one address that those nodes announce to the peers
// router-1 and router-2.
func routed(sessions sessions, nodes ...string) routes {
	reach := announce.Reach{Address: netip.MustParseAddr("192.0.2.1"), Pool: "public"}
	for _, node := range nodes {
		reach.Announcers = append(reach.Announcers, announce.Announcer{Node: node, Peers: []string{"router-1", "router-2"}})
	}
	return routes{byBGP: []announce.Reach{reach}, sessions: sessions}
}

// unrouted are routes of one address that no node announces.
func unrouted(reason, message string) routes {
	return routes{byBGP: []announce.Reach{{Address: netip.MustParseAddr("192.0.2.1"), Reason: reason, Message: message}}}
}

func (w word) and(r routes) word {
	w.routes = r
	return w
}

// TestWordServingByBGP follows what layer 2 and BGP say to the condition.
func TestWordServingByBGP(t *testing.T) {
	up := sessions{"a": {"router-1": {v4: true, v6: true}}}
	down := sessions{"a": {"router-1": {address: "198.51.100.1", trouble: "connection refused"}, "router-2": {}}}
	for _, tc := range []struct {
		why     string
		word    word
		status  metav1.ConditionStatus
		reason  string
		message []string // parts of it, in order
		never   string
	}{
		{"one session of one announcer is enough", heard().and(routed(up, "a", "b")), "True", "EndpointsReady", []string{"announces"}, ""},
		{"a session of a node that does not announce is none", heard().and(routed(up, "b")), "False", "NoSession", []string{`node "b"`}, ""},
		{"the message says where to look, and what is known", heard().and(routed(down, "a")), "False", "NoSession",
			[]string{"kubectl -n berth-system get bgpnodestatuses", `node "a" to BGPPeer "router-1" at 198.51.100.1: connection refused`, `BGPPeer "router-2" is not up yet`}, "yet: if"},
		{"a peer that its speaker refuses is not tried", heard().and(routed(sessions{"a": {}}, "a")), "False", "NoSession",
			[]string{`"router-1" has not been tried`, "describe configurationstate speaker-a"}, ""},
		{"a session that does not carry the family is none", heard().and(routed(sessions{"a": {"router-1": {v6: true, trouble: "activate this neighbor"}}}, "a")), "False", "NoSession",
			[]string{"no BGP session carries it", `BGPPeer "router-1": activate this neighbor`}, ""},
		{"whatever is known of it", heard().and(routed(sessions{"a": {"router-1": {v6: true}}}, "a")), "False", "NoSession", []string{"the other family only"}, ""},
		{"many sessions are counted", heard().and(routed(nil, "a", "b", "c")), "False", "NoSession", []string{`"b"`, "and 3 more"}, `"c"`},
		{"what layer 2 announces needs no session", heard(by("a", "192.0.2.1")).and(routed(down, "a")), "True", "EndpointsReady", nil, ""},
		{"nor the other way round", heard(because("NoEligibleNode", "none", "192.0.2.1")).and(routed(up, "a")), "True", "EndpointsReady", nil, ""},
		{"both fail, and both say why", heard(because("NoEligibleNode", "no link", "192.0.2.1")).and(routed(down, "a")), "False", "NoEligibleNode", []string{"no link; no BGP session"}, ""},
		{"layer 2 is not asked", heard(because("NotAdvertised", "no such interface", "192.0.2.1")).and(routed(down, "a")), "False", "NoSession", nil, "interface"},
		{"BGP is not asked", heard(because("NoEligibleNode", "no link", "192.0.2.1")).and(unrouted("NotAdvertised", "no BGPPeer")), "False", "NoEligibleNode", []string{"no link"}, "BGPPeer"},
		{"both are asked in vain", heard(because("NotAdvertised", "no interface", "192.0.2.1")).and(unrouted("NotAdvertised", "no BGPPeer")), "False", "NotAdvertised", []string{"no interface; no BGPPeer"}, ""},
		{"neither is asked, and both say so", heard(because("NotAdvertised", "no advertisement", "192.0.2.1")).and(unrouted("NotAdvertised", "no advertisement")), "False", "NotAdvertised", []string{"no advertisement"}, ";"},
		{"no node may", heard().and(unrouted("NoEligibleNode", "all are excluded")), "False", "NoEligibleNode", []string{"all are excluded"}, "yet"},
		{"where no speaker ever reported, somebody else may announce", word{}.and(routed(down, "a")), "True", "EndpointsReady", nil, ""},
	} {
		got := tc.word.serving(ready, ingress("192.0.2.1"))
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
		if tc.never != "" && strings.Contains(got.Message, tc.never) {
			t.Errorf("%s: the message has %q: %s", tc.why, tc.never, got.Message)
		}
	}
}

// TestOneAddressByEach has the two families announced by different protocols.
func TestOneAddressByEach(t *testing.T) {
	both := ingress("192.0.2.1", "2001:db8::1")
	up := sessions{"a": {"router-1": {v4: true, v6: true}}}
	if got := heard(by("a", "2001:db8::1")).and(routed(up, "a")).serving(ready, both); got.Status != "True" {
		t.Errorf("got %+v", got)
	}
	got := heard().and(routed(up, "a")).serving(ready, both)
	if got.Reason != "NotAdvertised" || !strings.Contains(got.Message, "announces 2001:db8::1 yet") {
		t.Errorf("got %+v", got)
	}
	got = heard(by("a", "2001:db8::1")).and(routed(nil, "a")).serving(ready, both)
	if got.Reason != "NoSession" || !strings.HasPrefix(got.Message, "192.0.2.1: ") {
		t.Errorf("got %+v", got)
	}
}

// TestNoSessionIsShortened: thousands of Services may say it.
func TestNoSessionIsShortened(t *testing.T) {
	long := session{trouble: strings.Repeat("ü", 500)}
	got := heard().and(routed(sessions{"a": {"router-1": long, "router-2": long}, "b": {"router-1": long}}, "a", "b")).serving(ready, ingress("192.0.2.1"))
	if len(got.Message) > maxMessage || strings.ContainsRune(got.Message, '�') {
		t.Errorf("%d bytes: %s", len(got.Message), got.Message)
	}
}

// TestNewsIn: what a speaker reports is news only as far as conditions depend
// on it.
func TestNewsIn(t *testing.T) {
	up := session{v4: true, v6: true}
	refused, expired := session{trouble: "connection refused"}, session{trouble: "hold timer expired"}
	for _, tc := range []struct {
		why         string
		before, now map[string]session
		want        []news
	}{
		{"nothing changed", map[string]session{"x": up, "y": refused}, map[string]session{"x": up, "y": refused}, nil},
		{"a session comes up", map[string]session{"x": refused}, map[string]session{"x": up}, []news{joined}},
		{"a session is lost", map[string]session{"x": up}, map[string]session{"x": expired}, []news{parted}},
		{"it fails otherwise", map[string]session{"x": refused}, map[string]session{"x": expired}, []news{reworded}},
		{"a session carries a family more", map[string]session{"x": {v4: true}}, map[string]session{"x": up}, []news{joined}},
		{"a session carries one less", map[string]session{"x": up}, map[string]session{"x": {v4: true}}, []news{parted}},
		{"another one", map[string]session{"x": {v4: true}}, map[string]session{"x": {v6: true}}, []news{joined, parted}},
		{"a peer is new", nil, map[string]session{"x": {}}, []news{joined}},
		{"a peer is gone", map[string]session{"x": up}, nil, []news{parted}},
		{"one comes, another one goes", map[string]session{"x": up}, map[string]session{"x": expired, "y": up}, []news{joined, parted}},
	} {
		got := newsIn(tc.before, tc.now)
		slices.Sort(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.why, got, tc.want)
		}
	}
}

// TestSessionsOf reads what speakers report.
func TestSessionsOf(t *testing.T) {
	report := berth.BGPNodeStatus{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: berth.NewBGPNodeReport("a", 3, []berth.BGPSession{
		{Peer: "x", Address: "198.51.100.1", State: berth.Established, Error: "hold timer expired, an hour ago", Prefixes: 3},
		{Peer: "y", Address: "198.51.100.2", State: "Active", Error: "connection refused"},
		{Peer: "z", Address: "198.51.100.3", State: berth.Established, Lacks: []berth.Family{berth.IPv6}, Error: "not activated"},
	})}
	trimReport(&report)
	got := sessionsOf([]berth.BGPNodeStatus{report})
	if !got.carries(link{node: "a", peer: "x"}) || got.carries(link{node: "a", peer: "y"}) || got.carries(link{node: "b", peer: "x"}) || got.carries(link{}) {
		t.Errorf("got %+v", got)
	}
	if !got.carries(link{node: "a", peer: "x", v6: true}) || !got.carries(link{node: "a", peer: "z"}) || got.carries(link{node: "a", peer: "z", v6: true}) {
		t.Errorf("got %+v", got)
	}
	if z := got["a"]["z"]; z.trouble != "not activated" {
		t.Errorf("got %+v", z)
	}
	if y := got["a"]["y"]; y.address != "198.51.100.2" || y.trouble != "connection refused" {
		t.Errorf("got %+v", y)
	}
}
