package speaker

import (
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/ptr"

	"github.com/berth-lb/berth/trafficpolicy"
)

const webRoute = webAddress + "/32"

func TestEveryNodeAnnouncesAServiceToItsRouters(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, routed([]string{"a", "b"}, tor, router("spine", "10.0.0.2"))...)
		a, b := w.start("a"), w.start("b")
		equalStrings(w, "calls of a start", a.takeCalls(), "peers spine tor", "synced")
		w.put(endpoints("web", "a"))
		w.put(web)
		equalStrings(w, "calls", a.takeCalls(), "announce "+webRoute+" spine+tor")
		b.wantRoutes(w, webRoute+" spine+tor")
		w.put(web)
		equalStrings(w, "calls when nothing changed", a.takeCalls())
		w.remove(web)
		equalStrings(w, "calls", a.takeCalls(), "withdraw "+webRoute)
		b.wantRoutes(w)
		time.Sleep(time.Minute)
		equalStrings(w, "records of layer 2", w.counted())
		equalStrings(w, "events", a.events.take())
	})
}

func TestEverythingIsAnnouncedBeforeSessionsBegin(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(routed([]string{"a"}, tor), web, endpoints("web", "a"), testService("api", "192.0.2.2"), endpoints("api", "a"))...)
		a := w.start("a")
		calls := a.takeCalls()
		if len(calls) != 4 || calls[0] != "peers tor" || calls[3] != "synced" {
			t.Errorf("calls %q", calls)
		}
		a.wantRoutes(w, webRoute+" tor", "192.0.2.2/32 tor")
	})
}

func TestWithoutPeersThereIsNothingOfBGP(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a"), web, endpoints("web", "a"))...)
		a := w.start("a")
		time.Sleep(time.Minute)
		equalStrings(w, "calls", a.takeCalls(), "synced")
		w.wantSessions("a", "")
	})
}

func TestOneServiceIsOneCallAmongMany(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(routed([]string{"a"}, tor), web, endpoints("web", "a"), testService("api", "192.0.2.2"), endpoints("api", "a"))...)
		a := w.start("a")
		a.takeCalls()
		w.put(testService("web", "192.0.2.9"))
		equalStrings(w, "another address", a.takeCalls(), "announce 192.0.2.9/32 tor", "withdraw "+webRoute)
		preferred := advertised()
		preferred.Generation, preferred.Spec.LocalPref = 2, 200
		w.put(preferred)
		time.Sleep(time.Second)
		synctest.Wait()
		a.wantRoutes(w, "192.0.2.2/32 tor@200", "192.0.2.9/32 tor@200")
	})
}

func TestAnAggregateIsAnnouncedWhileAnyAddressInItIs(t *testing.T) {
	in(t, func(t *testing.T) {
		objects := routed([]string{"a"}, tor)
		wide := advertised()
		wide.Spec.AggregationLength = ptr.To(int32(24))
		objects[1] = wide
		w := newWorld(t, append(objects, web, endpoints("web", "a"), testService("api", "192.0.2.2"), endpoints("api", "a"))...)
		a := w.start("a")
		a.wantRoutes(w, "192.0.2.0/24 tor")
		a.takeCalls()
		w.remove(web)
		equalStrings(w, "calls while one is left", a.takeCalls())
		narrow := advertised()
		narrow.Generation = 2
		w.put(narrow)
		time.Sleep(time.Second)
		synctest.Wait()
		// Never a moment without a route.
		equalStrings(w, "calls", a.takeCalls(), "announce 192.0.2.2/32 tor", "withdraw 192.0.2.0/24")
	})
}

func TestALocalServiceWhoseCheckFailsIsWithdrawn(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := local(testService("web", webAddress), 30123)
		w := newWorld(t, append(routed([]string{"a", "b"}, tor), svc, endpoints("web", "a", "b"))...)
		a, b := w.start("a"), w.start("b")
		if a.health.count(30123) == 0 || b.health.count(30123) == 0 {
			t.Error("a node announces and has not asked")
		}
		a.health.set(30123, trafficpolicy.Unhealthy)
		time.Sleep(servicePace)
		synctest.Wait()
		a.wantRoutes(w)
		b.wantRoutes(w, webRoute+" tor")
		a.health.set(30123, trafficpolicy.Healthy)
		time.Sleep(servicePace)
		synctest.Wait()
		a.wantRoutes(w, webRoute+" tor")
	})
}

// kube-proxy learns of a new endpoint about when the speaker does, and says no
// until it has put it into the kernel.
func TestACheckThatSaysNoAtFirstIsAskedAgainSoon(t *testing.T) {
	in(t, func(t *testing.T) {
		svc := local(testService("web", webAddress), 30123)
		w := newWorld(t, append(routed([]string{"a"}, tor), svc)...)
		a := w.start("a")
		a.health.set(30123, trafficpolicy.Unhealthy)
		w.put(endpoints("web", "a"))
		a.wantRoutes(w)
		time.Sleep(eagerPace / 2)
		a.health.set(30123, trafficpolicy.Healthy)
		time.Sleep(eagerPace)
		synctest.Wait()
		a.wantRoutes(w, webRoute+" tor")
	})
}

func TestKubeProxyThatCanNotServeWithdraws(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(routed([]string{"a", "b"}, tor), web, endpoints("web", "a"))...)
		a, b := w.start("a"), w.start("b")
		a.health.set(trafficpolicy.KubeProxyHealthPort, trafficpolicy.Unhealthy)
		time.Sleep(nodePace + compilePace)
		synctest.Wait()
		a.wantRoutes(w)
		b.wantRoutes(w, webRoute+" tor")
	})
}

func TestAServiceThatSharesItsAddress(t *testing.T) {
	in(t, func(t *testing.T) {
		api := testService("api", webAddress)
		w := newWorld(t, append(routed([]string{"a"}, tor), web, endpoints("web", "a"), api, endpoints("api", "a"))...)
		a := w.start("a")
		a.takeCalls()
		w.remove(web)
		equalStrings(w, "calls while one is left", a.takeCalls())
		w.remove(api)
		equalStrings(w, "calls", a.takeCalls(), "withdraw "+webRoute)
	})
}

func TestPeersComeAndGo(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(routed([]string{"a"}), web, endpoints("web", "a"))...)
		a := w.start("a")
		a.wantRoutes(w)
		w.wantSessions("a", "")
		w.put(tor)
		time.Sleep(compilePace)
		synctest.Wait()
		a.wantRoutes(w, webRoute+" tor")
		w.wantSessions("a", "0/1; tor Active")
		a.takeCalls()
		again := tor.DeepCopy()
		again.Labels, again.ObjectMeta.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d"}
		w.put(again)
		time.Sleep(time.Second)
		equalStrings(w, "calls for what does not count", a.takeCalls())
		w.remove(tor)
		time.Sleep(time.Second)
		synctest.Wait()
		a.wantRoutes(w)
		w.wantSessions("a", "")
	})
}

func TestARolloutWaitsForSessionsAWhile(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, routed([]string{"a", "b"}, tor)...)
		a, b := w.start("a"), w.start("b")
		if a.Ready(nil) == nil {
			t.Error("ready before the router knows of this node")
		}
		a.turns("tor", true, "")
		if err := a.Ready(nil); err != nil {
			t.Error(err)
		}
		a.turns("tor", false, "hold timer expired")
		if err := a.Ready(nil); err != nil {
			t.Errorf("a router that is lost holds up a rollout: %v", err)
		}
		time.Sleep(settleTime)
		if err := b.Ready(nil); err != nil {
			t.Errorf("a router that is dead holds up a rollout: %v", err)
		}
	})
}
