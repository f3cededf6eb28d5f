package speaker

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

// Stories of Services with policy Local at layer 2. What the check of such a
// Service answers on a node is known there alone.

const webCheck = 30123

func localWeb() *corev1.Service { return local(testService("web", webAddress), webCheck) }

// The record tells the other nodes who is to take over.
func TestALocalServiceWhoseCheckFailsHandsOver(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := local(testService("web", webAddress), 30123)
		w := newWorld(t, append(cluster("a", "b"), svc, endpoints("web", "a", "b"), onRecord(svc, webAddress, "a"))...)
		a, b := w.start("a"), w.start("b")
		a.begins(webAddress)
		if n := b.health.count(30123); n != 0 {
			t.Errorf("a standby asked %d times", n)
		}
		a.health.set(30123, trafficpolicy.Unhealthy)
		time.Sleep(servicePace)
		synctest.Wait()
		w.wantNode(svc, webAddress, "b")
		b.wantClaim(w, webAddress, "b a; b")
		a.wantClaim(w, webAddress, "b; b")
		b.begins(webAddress)
		a.ceases(webAddress)
		a.wantClaim(w, webAddress, "b a; b")
		equalStrings(w, "events", b.events.take(), `web nodeAssigned: announcing from node "b" with protocol "layer2" on eth0`)
		time.Sleep(time.Minute)
		w.wantNode(svc, webAddress, "b")
		if n := b.health.count(30123); n < 25 || n > 35 {
			t.Errorf("the owner asked %d times in a minute", n)
		}
	})
}

func TestOneLocalNodeThatFails(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := local(testService("web", webAddress), 30123)
		w := newWorld(t, cluster("a")...)
		a := w.start("a")
		a.health.set(30123, trafficpolicy.Unhealthy)
		w.put(endpoints("web", "a"))
		w.put(svc)
		if r := w.record(svc, webAddress); r == nil || r.Reason != trafficpolicy.ReasonNoEligibleNode {
			t.Errorf("on record is %+v", r)
		}
		a.health.set(30123, trafficpolicy.Healthy)
		time.Sleep(servicePace)
		synctest.Wait()
		a.wantClaim(w, webAddress, "a; ")
	})
}

// Who comes first refuses, and the others offer to step in.
func TestALocalServiceIsAskedBeforeItIsClaimed(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := localWeb()
		w := newWorld(t, cluster("a", "b")...)
		a, b := w.start("a"), w.start("b")
		a.health.set(webCheck, trafficpolicy.Unhealthy)
		w.put(endpoints("web", "a", "b"))
		w.put(svc)
		a.wantClaim(w, webAddress, "b; ")
		b.wantClaim(w, webAddress, "a b; ")
		equalStrings(w, "writes while kube-proxy may be about to follow", w.counted())
		time.Sleep(refusalDelay + writerDelay)
		synctest.Wait()
		w.wantNode(svc, webAddress, "b")
		for _, s := range []*testSpeaker{a, b} {
			s.wantClaim(w, webAddress, "b a; b")
		}
	})
}

func TestALocalServiceWhoseKubeProxyFollows(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := localWeb()
		w := newWorld(t, cluster("a", "b")...)
		a := w.start("a")
		w.start("b")
		a.health.set(webCheck, trafficpolicy.Unhealthy)
		w.put(endpoints("web", "a", "b"))
		w.put(svc)
		time.Sleep(refusalDelay / 2)
		a.health.set(webCheck, trafficpolicy.Healthy)
		time.Sleep(eagerPace)
		synctest.Wait()
		a.wantClaim(w, webAddress, "a b; ")
		time.Sleep(time.Minute)
		equalStrings(w, "writes", w.counted())
	})
}

// A rollout with a long grace period: where pods terminate, the check fails long
// before the last one is gone.
func TestALocalServiceGoesToTheNewPod(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := localWeb()
		w := newWorld(t, append(cluster("a", "b", "c"), svc, endpoints("web", "a", "b"), onRecord(svc, webAddress, "a"))...)
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		a.begins(webAddress)
		w.put(drained(endpoints("web", "a", "b", "c"), "a", "b"))
		for _, s := range []*testSpeaker{a, b, c} {
			s.wantClaim(w, webAddress, "a c b; a")
		}
		a.health.set(webCheck, trafficpolicy.Unhealthy)
		b.health.set(webCheck, trafficpolicy.Unhealthy)
		time.Sleep(servicePace)
		synctest.Wait()
		w.wantNode(svc, webAddress, "c")
		a.wantClaim(w, webAddress, "c b; c")
		c.begins(webAddress)
		a.ceases(webAddress)
		w.counted()
		time.Sleep(time.Minute)
		equalStrings(w, "writes", w.counted())
	})
}

// Of three nodes only the last one can serve, and it is the only one to know.
func TestALocalServiceThatTwoNodesRefuse(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := localWeb()
		w := newWorld(t, append(cluster("a", "b", "c"), svc, endpoints("web", "a", "b", "c"), onRecord(svc, webAddress, "a"))...)
		a, b, c := w.start("a"), w.start("b"), w.start("c")
		a.begins(webAddress)
		a.health.set(webCheck, trafficpolicy.Unhealthy)
		b.health.set(webCheck, trafficpolicy.Unhealthy)
		time.Sleep(servicePace)
		synctest.Wait()
		w.wantNode(svc, webAddress, "b")
		b.wantClaim(w, webAddress, "a c; b")
		time.Sleep(refusalDelay + 2*writerDelay)
		synctest.Wait()
		w.wantNode(svc, webAddress, "c")
		c.wantClaim(w, webAddress, "c a b; c")
		c.begins(webAddress)
		a.ceases(webAddress)
		w.counted()
		time.Sleep(time.Minute)
		equalStrings(w, "writes once it is settled", w.counted())
	})
}

// A speaker that is started anew holds nothing, and is counted on all the same.
func TestALocalServiceWhoseNodeOnRecordStartsUnfit(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := localWeb()
		w := newWorld(t, append(cluster("a", "b"), svc, endpoints("web", "a", "b"), onRecord(svc, webAddress, "a"))...)
		b, a := w.start("b"), w.startBlind("a")
		a.health.set(webCheck, trafficpolicy.Unhealthy)
		a.Speaker.Interfaces(map[string]string{"eth0": "02:00:00:00:00:01"})
		time.Sleep(refusalDelay + writerDelay)
		synctest.Wait()
		w.wantNode(svc, webAddress, "b")
		b.wantClaim(w, webAddress, "b a; b")
	})
}

// As long as no node can serve, the record says so and is left in peace.
func TestALocalServiceThatAllRefuse(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := localWeb()
		w := newWorld(t, append(cluster("a", "b", "c"), svc, endpoints("web", "a", "b", "c"))...)
		all := []*testSpeaker{w.startBlind("a"), w.startBlind("b"), w.startBlind("c")}
		for _, s := range all {
			s.health.set(webCheck, trafficpolicy.Unhealthy)
			s.Speaker.Interfaces(map[string]string{"eth0": "02:00:00:00:00:01"})
		}
		time.Sleep(time.Minute)
		if r := w.record(svc, webAddress); r == nil || r.Node != "" || r.Reason != trafficpolicy.ReasonNoEligibleNode {
			t.Errorf("on record is %+v", r)
		}
		w.counted()
		time.Sleep(time.Hour)
		equalStrings(w, "writes", w.counted())
		all[2].health.set(webCheck, trafficpolicy.Healthy)
		time.Sleep(servicePace + 2*writerDelay)
		synctest.Wait()
		w.wantNode(svc, webAddress, "c")
	})
}

// All that refused can serve again: one of them steps in, and not each.
func TestALocalServiceThatAllOffer(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := localWeb()
		w := newWorld(t, append(cluster("a", "b", "c"), svc, endpoints("web", "a", "b", "c"))...)
		a, b, c := w.startBlind("a"), w.start("b"), w.start("c")
		a.health.set(webCheck, trafficpolicy.Unhealthy)
		a.Speaker.Interfaces(map[string]string{"eth0": "02:00:00:00:00:01"})
		time.Sleep(refusalDelay)
		synctest.Wait()
		w.counted()
		time.Sleep(time.Minute)
		w.wantNode(svc, webAddress, "b")
		for _, s := range []*testSpeaker{b, c} {
			s.wantClaim(w, webAddress, "b a c; b")
		}
		name := onRecord(svc, webAddress, "b").Name
		equalStrings(w, "writes", w.counted(), "patch ServiceL2Status "+name, "status ServiceL2Status "+name)
	})
}
