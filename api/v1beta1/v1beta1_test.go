package v1beta1

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func up(peer string) BGPSession { return BGPSession{Peer: peer, State: Established} }

func down(peer, why string) BGPSession { return BGPSession{Peer: peer, State: "Active", Error: why} }

// TestNewBGPNodeReport follows sessions to the columns.
func TestNewBGPNodeReport(t *testing.T) {
	long := strings.Repeat("ü", 600)
	for _, tc := range []struct {
		why      string
		sessions []BGPSession
		up       string
		trouble  string
	}{
		{"no session, no trouble", nil, "0/0", ""},
		{"what is up is no trouble, whatever it was lost for before", []BGPSession{{Peer: "a", State: Established, Error: "hold timer expired"}}, "1/1", ""},
		{"what is up and lacks a family is", []BGPSession{{Peer: "a", State: Established, Lacks: []Family{IPv6}, Error: "not activated"}, down("b", "refused")}, "1/2", "a: not activated"},
		{"the first in order is told, not the first that came", []BGPSession{down("c", "refused"), up("a"), down("b", "no route")}, "1/3", "b: no route"},
		{"a state is better than nothing", []BGPSession{down("a", "")}, "0/1", "a: Active"},
		{"what is too long is cut between characters", []BGPSession{down("a", long)}, "0/1", "a: " + strings.Repeat("ü", 124) + "…"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			got := NewBGPNodeReport("node-1", 7, tc.sessions)
			if got.Up != tc.up || got.Trouble != tc.trouble || got.Node != "node-1" || got.Prefixes != 7 {
				t.Errorf("got %+v", got)
			}
			for _, s := range got.Sessions {
				if utf8.RuneCountInString(s.Error) > maxError {
					t.Errorf("an error of %d characters", utf8.RuneCountInString(s.Error))
				}
			}
		})
	}
}

// TestReportFits has more sessions than there is room for.
func TestReportFits(t *testing.T) {
	var sessions []BGPSession
	for i := range maxSessions {
		sessions = append(sessions, down(fmt.Sprintf("a-%03d", i), "refused"), up(fmt.Sprintf("b-%03d", i)))
	}
	got := NewBGPNodeReport("node-1", 0, sessions)
	if len(got.Sessions) != maxSessions || got.Up != "256/512" {
		t.Fatalf("%d sessions are kept, and %s are up", len(got.Sessions), got.Up)
	}
	for i, s := range got.Sessions {
		if s.State != Established || i > 0 && s.Peer <= got.Sessions[i-1].Peer {
			t.Errorf("session %d is %+v", i, s)
		}
	}
	if sessions[0].Peer != "a-000" || sessions[1].Peer != "b-000" {
		t.Error("what was given is in another order now")
	}
}

// TestDeepCopy changes all that a copy could share.
func TestDeepCopy(t *testing.T) {
	object := func() *BGPNodeStatus {
		return &BGPNodeStatus{
			ObjectMeta: metav1.ObjectMeta{Name: "node-1", Labels: map[string]string{"a": "b"}},
			Status:     BGPNodeReport{Node: "node-1", Sessions: []BGPSession{{Peer: "a", State: Established, Since: metav1.Unix(1, 0), Lacks: []Family{IPv6}}}},
		}
	}
	var _ runtime.Object = object()
	list := &BGPNodeStatusList{Items: []BGPNodeStatus{*object()}}
	for name, copied := range map[string]*BGPNodeStatus{
		"an object": object().DeepCopyObject().(*BGPNodeStatus),
		"a list":    &list.DeepCopyObject().(*BGPNodeStatusList).Items[0],
	} {
		t.Run(name, func(t *testing.T) {
			if !reflect.DeepEqual(copied, object()) {
				t.Errorf("the copy is %+v", copied)
			}
			copied.Labels["a"], copied.Status.Sessions[0].Peer, copied.Status.Sessions[0].Lacks[0] = "changed", "changed", "changed"
			if !reflect.DeepEqual(&list.Items[0], object()) {
				t.Error("the copy shares something with the original")
			}
		})
	}
}

// TestNothingElseIsShared fails when a field comes that needs a line in the
// hand-written copies.
func TestNothingElseIsShared(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[BGPNodeReport](), reflect.TypeFor[BGPSession]()} {
		for i := range of.NumField() {
			field := of.Field(i)
			switch field.Type.Kind() {
			case reflect.String, reflect.Int32:
			default:
				if field.Name != "Sessions" && field.Name != "Lacks" && field.Type != reflect.TypeFor[metav1.Time]() {
					t.Errorf("%s.%s is a %s: look at DeepCopyInto", of.Name(), field.Name, field.Type)
				}
			}
		}
	}
}

// TestJSON pins the names by which others read the object, and that what is
// not there is left out.
func TestJSON(t *testing.T) {
	o := BGPNodeStatus{Status: NewBGPNodeReport("n", 1, []BGPSession{
		{Peer: "a", Address: "192.0.2.1", State: Established, Since: metav1.NewTime(time.Unix(0, 0).UTC()), Prefixes: 1, BFD: "Up", Lacks: []Family{IPv6}},
		down("b", "refused"),
	})}
	text, err := json.Marshal(o.Status)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"node":"n","up":"1/2","prefixes":1,"trouble":"a: Established","sessions":[` +
		`{"peer":"a","address":"192.0.2.1","state":"Established","since":"1970-01-01T00:00:00Z","lacks":["IPv6"],"prefixes":1,"bfd":"Up"},` +
		`{"peer":"b","state":"Active","error":"refused","prefixes":0}]}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestAddToScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"BGPNodeStatus", "BGPNodeStatusList"} {
		if !scheme.Recognizes(GroupVersion.WithKind(kind)) {
			t.Errorf("the scheme does not know %s", kind)
		}
	}
}
