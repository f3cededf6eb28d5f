package speaker

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-lb/berth/announce"
)

func TestSessionsAreReported(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(routed([]string{"a"}, tor), web, endpoints("web", "a"))...)
		a := w.start("a")
		w.wantSessions("a", "0/1; tor Active")
		equalStrings(w, "writes of a start", w.wrote("BGPNodeStatus"), "create BGPNodeStatus a")
		a.turns("tor", true, "")
		w.wantSessions("a", "1/1; tor Established")
		equalStrings(w, "writes", w.wrote("BGPNodeStatus"), "patch BGPNodeStatus a")
		time.Sleep(time.Hour)
		equalStrings(w, "writes when nothing changes", w.wrote("BGPNodeStatus"))
		unlock := a.lock()
		s := a.bgp.sessions["tor"]
		s.LacksIPv6, s.Error = true, "not activated"
		a.bgp.sessions["tor"] = s
		unlock()
		a.SessionChanged("tor")
		synctest.Wait()
		w.wantSessions("a", "1/1; tor Established not activated [IPv6]")
		a.turns("tor", false, "hold timer expired")
		w.wantSessions("a", "0/1; tor Active hold timer expired")
	})
}

// Routers go on forwarding meanwhile, and the Service's conditions are made from
// these reports.
func TestARestartIsNotReportedWhileSessionsComeBack(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(routed([]string{"a"}, tor), web, endpoints("web", "a"))...)
		a := w.start("a")
		a.turns("tor", true, "")
		a.stop()
		w.wrote("")
		a = w.start("a")
		time.Sleep(settleTime / 2)
		equalStrings(w, "writes at first", w.wrote("BGPNodeStatus"))
		a.turns("tor", true, "")
		w.wantSessions("a", "1/1; tor Established")
		a.stop()

		w.start("a")
		time.Sleep(settleTime + time.Second)
		synctest.Wait()
		w.wantSessions("a", "0/1; tor Active")
	})
}

func TestCountsOfPrefixesAreReportedTogether(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, routed([]string{"a"}, tor)...)
		a := w.start("a")
		a.turns("tor", true, "")
		w.wrote("")
		for i := range 100 {
			name := fmt.Sprintf("web-%d", i)
			w.put(endpoints(name, "a"))
			w.put(testService(name, fmt.Sprintf("192.0.2.%d", i)))
			a.SessionChanged("tor")
			time.Sleep(30 * time.Millisecond)
		}
		time.Sleep(3 * sessionPace)
		synctest.Wait()
		if n := len(w.wrote("BGPNodeStatus")); n < 1 || n > 5 {
			t.Errorf("%d writes in three seconds", n)
		}
		status, err := a.ownSessions(t.Context(), w.api)
		if err != nil || status.Status.Prefixes != 100 || status.Status.Sessions[0].Prefixes != 100 {
			t.Errorf("reported are %+v, %v", status, err)
		}
	})
}

func TestALostSessionIsAnEvent(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, routed([]string{"a"}, tor)...)
		a := w.start("a")
		a.turns("tor", true, "")
		equalStrings(w, "events of a start", a.events.take())
		a.turns("tor", false, "hold timer expired")
		equalStrings(w, "events", a.events.take(), `tor SessionLost: node "a" lost its session with 10.0.0.1: hold timer expired`)
		a.turns("tor", false, "connection refused")
		equalStrings(w, "events of a further attempt", a.events.take())
		a.turns("tor", true, "")
		equalStrings(w, "events", a.events.take(), `tor SessionEstablished: node "a" has its session with 10.0.0.1 again`)

		other := tor.DeepCopy()
		other.Generation, other.Spec.ASN = 2, 64513
		a.turns("tor", false, "the peer is another one")
		a.events.take()
		a.turns("tor", true, "")
		a.events.take()
		w.put(other)
		time.Sleep(time.Second)
		synctest.Wait()
		a.turns("tor", false, "")
		equalStrings(w, "events when the user changed the peer", a.events.take())
	})
}

func TestReportsThatSomebodyElseWroteAreCorrected(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, routed([]string{"a"}, tor)...)
		a := w.start("a")
		status, err := a.ownSessions(t.Context(), w.api)
		if err != nil {
			t.Fatal(err)
		}
		w.remove(status)
		w.wantSessions("a", "0/1; tor Active")
	})
}

func TestMetricsOfBGP(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(routed([]string{"a"}, tor), web, endpoints("web", "a"))...)
		a := w.start("a")
		a.turns("tor", true, "")
		want := map[string]float64{
			"berth_speaker_announced bgp 192.0.2.1 a shop/web": 1, "berth_bgp_session_up tor": 1,
			"berth_bgp_updates_total tor": 0, "berth_bgp_announced_prefixes_total tor": 1,
		}
		a.sessions.peers[0].BFD = nil
		if got := gathered(t, a.Collector(false)); !maps.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
		a.sessions.peers[0].BFD = &announce.BFD{Profile: "fast"}
		maps.Copy(want, map[string]float64{
			"metallb_speaker_announced bgp 192.0.2.1 a shop/web": 1, "metallb_bgp_session_up 10.0.0.1:179 default": 1,
			"metallb_bgp_updates_total 10.0.0.1:179 default": 0, "metallb_bgp_announced_prefixes_total 10.0.0.1:179 default": 1,
			"berth_bgp_bfd_session_up tor": 1, "metallb_bfd_session_up 10.0.0.1:179 default": 1,
		})
		if got := gathered(t, a.Collector(true)); !maps.Equal(got, want) {
			t.Errorf("with MetalLB's names:\n got %v\nwant %v", got, want)
		}
	})
}

// One metric that is there twice would have all of them refused.
func TestMetricsOfOneAddressInTwoVRFs(t *testing.T) {
	in(t, func(t *testing.T) {
		red := tor.DeepCopy()
		red.Name, red.Spec.VRFName = "tor-red", "red"
		w := newWorld(t, append(routed([]string{"a"}, tor), red)...)
		a := w.start("a")
		a.turns("tor-red", true, "")
		got := gathered(t, a.Collector(true))
		for name, want := range map[string]float64{"metallb_bgp_session_up 10.0.0.1:179 default": 0, "metallb_bgp_session_up 10.0.0.1:179 red": 1} {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s is %v (%t), want %v", name, value, ok, want)
			}
		}
	})
}

// gathered returns the value of each metric by name and labels.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			for _, key := range []string{"protocol", "ip", "node", "service", "peer", "vrf"} {
				if value, ok := labels[key]; ok {
					name += " " + value
				}
			}
			values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return values
}
