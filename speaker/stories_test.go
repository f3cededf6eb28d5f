package speaker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

const webAddress = "192.0.2.1"

var web = testService("web", webAddress)

func TestANewServiceIsClaimedAndRecorded(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, cluster("a", "b")...)
		a, b := w.start("a"), w.start("b")
		w.put(endpoints("web", "a", "b"))
		w.put(web)
		a.wantClaim(w, webAddress, "a b; ")
		b.wantClaim(w, webAddress, "a b; ")
		equalStrings(w, "writes before anybody announces", w.counted())

		a.begins(webAddress)
		w.wantNode(web, webAddress, "a")
		name := onRecord(web, webAddress, "a").Name
		equalStrings(w, "writes", w.counted(), "create ServiceL2Status "+name, "status ServiceL2Status "+name)
		b.wantClaim(w, webAddress, "a b; a")
		equalStrings(w, "events", a.events.take(), `web nodeAssigned: announcing from node "a" with protocol "layer2" on eth0`)
		equalStrings(w, "events of the other", b.events.take())

		w.remove(web)
		a.wantClaim(w, webAddress, "")
		b.wantClaim(w, webAddress, "")
		if r := w.record(web, webAddress); r != nil {
			t.Errorf("still on record: %+v", r)
		}
		time.Sleep(2 * time.Second)
		equalStrings(w, "writes", w.counted(), "delete ServiceL2Status "+name)
	})
}

func TestARestartChangesNothing(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "b"))...)
		a, b := w.start("a"), w.start("b")
		if !b.synced || b.Ready(nil) != nil {
			t.Error("announcing has not begun")
		}
		a.wantClaim(w, webAddress, "b a; b")
		b.wantClaim(w, webAddress, "b a; b")
		b.begins(webAddress)
		time.Sleep(10 * time.Second)
		equalStrings(w, "writes", w.counted())
		equalStrings(w, "events", b.events.take())
	})
}

func TestNothingIsClaimedBeforeTheInterfacesAreKnown(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a"), web, endpoints("web", "a"))...)
		a := w.startBlind("a")
		time.Sleep(time.Minute)
		if a.calls > 0 || a.Ready(nil) == nil {
			t.Error("claimed before it is known where")
		}
	})
}

func TestATakeoverIsRecorded(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "a"))...)
		b := w.start("b")
		b.wantClaim(w, webAddress, "a b; a")
		b.begins(webAddress)
		w.wantNode(web, webAddress, "b")
		b.wantClaim(w, webAddress, "b a; b")
		equalStrings(w, "events", b.events.take(), `web nodeAssigned: announcing from node "b" with protocol "layer2" on eth0`)
	})
}

func TestATakeoverWhileTheAPIServerIsAway(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "a"))...)
		b := w.start("b")
		w.setAway(true)
		b.begins(webAddress)
		time.Sleep(5 * time.Minute)
		b.wantClaim(w, webAddress, "b a; b") // what is to be written counts
		w.wantNode(web, webAddress, "a")
		w.setAway(false)
		time.Sleep(maxRetry)
		synctest.Wait()
		w.wantNode(web, webAddress, "b")
	})
}

// Both standbys took over from a; who writes first is the owner.
func TestTwoTakeOverAndOneIsFaster(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b", "c"), web, endpoints("web", "a"), onRecord(web, webAddress, "a"))...)
		b, c := w.start("b"), w.start("c")
		w.setAway(true)
		b.begins(webAddress)
		c.begins(webAddress)
		w.setAway(false)
		time.Sleep(time.Second)
		synctest.Wait()
		r := w.record(web, webAddress)
		loser := map[string]*testSpeaker{"b": c, "c": b}[r.Node]
		if loser == nil {
			t.Fatalf("on record is %q", r.Node)
		}
		b.wantClaim(w, webAddress, fmt.Sprintf("%s a %s; %s", r.Node, loser.Node, r.Node))
		c.wantClaim(w, webAddress, b.claim(webAddress))
		w.counted()
		loser.ceases(webAddress)
		time.Sleep(time.Minute)
		equalStrings(w, "writes", w.counted())
	})
}

// In a segment that is in two halves both announce. The record can't be right
// for both, and does not go back and forth.
func TestTwoThatAnnounceDoNotFightForTheRecord(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "a"))...)
		a, b := w.start("a"), w.start("b")
		a.begins(webAddress)
		b.begins(webAddress)
		w.wantNode(web, webAddress, "b")
		w.counted()
		time.Sleep(time.Hour)
		if n := len(w.counted()); n > 4 {
			t.Errorf("%d writes", n)
		}
	})
}

// The record names a node that never comes, while another one announces.
func TestADisputeEnds(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "b"))...)
		b := w.start("b")
		b.begins(webAddress)
		w.put(onRecord(web, webAddress, "a"))
		b.wantClaim(w, webAddress, "a b; a")
		time.Sleep(disputeTime - time.Second)
		w.wantNode(web, webAddress, "a")
		time.Sleep(2 * time.Second)
		w.wantNode(web, webAddress, "b")
	})
}

func TestAnAddressInNoPoolIsNotOurs(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, cluster("a")...)
		a := w.start("a")
		w.put(endpoints("web", "a"))
		w.put(testService("web", "198.51.100.1"))
		time.Sleep(time.Minute)
		a.wantClaim(w, "198.51.100.1", "")
		equalStrings(w, "writes", w.counted())
	})
}

func TestNobodyMayAnnounceAndOneSaysSo(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b", "c"), web, endpoints("web", "a"), onRecord(web, webAddress, "b"))...)
		a := w.start("a")
		b := w.start("b")
		b.begins(webAddress)
		w.start("c")
		time.Sleep(time.Second)
		w.counted()
		w.put(endpoints("web"))
		b.ceases(webAddress)
		time.Sleep(5 * time.Second)
		r := w.record(web, webAddress)
		if r == nil || r.Node != "" || r.Reason != trafficpolicy.ReasonSelectorMatchesNoPods || r.Message == "" {
			t.Errorf("on record is %+v", r)
		}
		name := onRecord(web, webAddress, "b").Name
		equalStrings(w, "writes", w.counted(), "patch ServiceL2Status "+name, "status ServiceL2Status "+name)
		a.wantClaim(w, webAddress, "; ")

		w.put(endpoints("web", "a"))
		a.wantClaim(w, webAddress, "a b c; ")
		a.begins(webAddress)
		w.wantNode(web, webAddress, "a")
	})
}

// The node on record is gone, and so is the speaker that would be the first of
// the others.
func TestSomebodySaysWhyNotThoughSpeakersAreGone(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b", "c"), web, onRecord(web, webAddress, "a"))...)
		w.start("b")
		time.Sleep(writers * writerDelay)
		w.wantNode(web, webAddress, "")
	})
}

func TestRecordsWithoutServiceAreDeletedAtStart(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), onRecord(web, webAddress, "b"))...)
		w.start("a")
		time.Sleep(time.Second)
		if r := w.record(web, webAddress); r != nil {
			t.Errorf("still on record: %+v", r)
		}
	})
}

// Services that come and go before the cache shows what was written of them leave
// nothing behind.
func TestShortLivedServicesLeaveNoAccounts(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, cluster("a")...)
		a := w.start("a")
		for i := range 3 {
			svc := testService(fmt.Sprintf("job-%d", i), webAddress)
			w.put(endpoints(svc.Name, "a"))
			w.put(svc)
			a.begins(webAddress)
			w.remove(svc)
			a.ceases(webAddress)
			time.Sleep(writerDelay)
			synctest.Wait()
			if r := w.record(svc, webAddress); r != nil {
				t.Fatalf("still on record: %+v", r)
			}
		}
		time.Sleep(2 * echoTime)
		synctest.Wait()
		if n := len(a.ledger.open); n > 0 {
			t.Errorf("%d accounts are open", n)
		}
	})
}

func TestForeignStatusesAreLeftAlone(t *testing.T) {
	in(t, func(t *testing.T) {
		foreign := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: "l2-abcde"}}
		w := newWorld(t, append(cluster("a"), foreign)...)
		w.start("a")
		time.Sleep(time.Minute)
		equalStrings(w, "writes", w.counted())
	})
}

func TestKubeProxyThatCanNotServeHandsOver(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "a"))...)
		a, b := w.start("a"), w.start("b")
		a.begins(webAddress)
		a.health.set(trafficpolicy.KubeProxyHealthPort, trafficpolicy.Unhealthy)
		time.Sleep(nodePace + compilePace)
		synctest.Wait()
		a.wantClaim(w, webAddress, "b; a")
		b.wantClaim(w, webAddress, "b; a")
		state := &metallb.ConfigurationState{}
		if err := w.api.Get(t.Context(), client.ObjectKey{Namespace: testNamespace, Name: "speaker-a"}, state); err != nil {
			t.Fatal(err)
		}
		if state.Annotations[announce.AnnotationClosed] != "true" {
			t.Errorf("the report is %v", state.Annotations)
		}
		b.begins(webAddress)
		a.ceases(webAddress)
		w.wantNode(web, webAddress, "b")

		a.health.set(trafficpolicy.KubeProxyHealthPort, trafficpolicy.Silent)
		time.Sleep(patience*nodePace + compilePace)
		synctest.Wait()
		a.wantClaim(w, webAddress, "b a; b") // open again, and nothing moves back
	})
}

func TestSharedAddressesHaveOneOwner(t *testing.T) {
	in(t, func(t *testing.T) {
		api := testService("api", webAddress)
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "b"))...)
		a, b := w.start("a"), w.start("b")
		b.begins(webAddress)
		w.put(endpoints("api", "a"))
		w.put(api)
		a.wantClaim(w, webAddress, "b a; b")
		w.wantNode(api, webAddress, "b")
		w.remove(web)
		a.wantClaim(w, webAddress, "b a; b")
		w.remove(api)
		a.wantClaim(w, webAddress, "")
	})
}

func TestHeartbeatsAndStatusesCostNothing(t *testing.T) {
	in(t, func(t *testing.T) {
		before := testNode("a")
		before.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		after := before.DeepCopy()
		after.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
		if nodeChanged(before, after) {
			t.Error("a heartbeat counts")
		}
		after.Status.Conditions[0].Status = corev1.ConditionUnknown
		if !nodeChanged(before, after) {
			t.Error("a node that is lost does not count")
		}
		record := onRecord(web, webAddress, "a")
		stated := record.DeepCopy()
		stated.Status.Node = "b"
		_, is := recordKeeper("a")(record)
		if _, now := recordKeeper("a")(stated); !sameRecord(is, now) {
			t.Error("the status of a record counts")
		}
	})
}

func TestANodeThatLeavesTheAdvertisementHandsOver(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "a"))...)
		a, b := w.start("a"), w.start("b")
		a.begins(webAddress)
		time.Sleep(time.Second)
		excluded := testNode("a")
		excluded.Labels[corev1.LabelNodeExcludeBalancers] = ""
		w.put(excluded)
		a.wantClaim(w, webAddress, "b; a")
		b.wantClaim(w, webAddress, "b; a")
		w.wantNode(web, webAddress, "a")
		b.begins(webAddress)
		w.wantNode(web, webAddress, "b")
		a.wantClaim(w, webAddress, "b; b")
		w.counted()
		time.Sleep(time.Minute)
		equalStrings(w, "writes", w.counted())
	})
}

// What layer 2 has done counts at once: it is told so before the API server is.
func TestATakeoverCountsBeforeItIsWritten(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"), onRecord(web, webAddress, "a"))...)
		b := w.start("b")
		w.setAway(true)
		b.begins(webAddress)
		b.wantClaim(w, webAddress, "b a; b")
		b.ceases(webAddress)
		b.wantClaim(w, webAddress, "a b; a")
		w.setAway(false)
		time.Sleep(time.Minute)
		w.wantNode(web, webAddress, "a")
	})
}
