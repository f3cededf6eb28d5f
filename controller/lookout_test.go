package controller

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/providers"
)

// watchtower is a lookout on a world that the test changes.
type watchtower struct {
	*testing.T
	*lookout
	reach    func(announce.Input) []announce.Reach
	view     *announce.View
	sessions sessions
	failing  error
	compiled int
	woken    []string
	services map[providers.Key]*corev1.Service
}

// newWatchtower is to be made inside a bubble. It has three Services: web and
// api are advertised by BGP once bgp is called, old is not.
func newWatchtower(t *testing.T) *watchtower {
	w := &watchtower{T: t, lookout: newLookout(), services: map[providers.Key]*corev1.Service{}}
	for i, name := range []string{"api", "old", "web"} {
		svc := holding(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}).String())
		svc.Name, svc.Labels = name, map[string]string{"by": map[string]string{"old": "l2"}[name]}
		w.services[providers.KeyOf(svc)] = svc
	}
	w.compile = func(context.Context) (survey, error) {
		w.compiled++
		return survey{w.reach, w.view}, w.failing
	}
	w.list = func(context.Context) (sessions, error) { return w.sessions, nil }
	w.announced = func() []providers.Key {
		var keys []providers.Key
		for key := range w.services {
			keys = append(keys, key)
		}
		return keys
	}
	w.service = func(_ context.Context, key providers.Key) (*corev1.Service, error) { return w.services[key], nil }
	w.wake = func(key providers.Key) { w.woken = append(w.woken, key.Name) }
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() { _ = w.lookout.Run(ctx) }()
	return w
}

// bgp has the nodes a and b announce to the peer r.
func (w *watchtower) bgp() {
	w.reach = func(in announce.Input) []announce.Reach {
		if in.Service.Labels["by"] == "l2" {
			return nil
		}
		return []announce.Reach{{
			Address:    netip.MustParseAddr(in.Service.Status.LoadBalancer.Ingress[0].IP),
			Announcers: []announce.Announcer{{Node: "a", Peers: []string{"r"}}, {Node: "b", Peers: []string{"r"}}},
		}}
	}
}

// ask has all Services ask for their routes, as they do when they are looked at.
func (w *watchtower) ask() {
	w.Helper()
	for key, svc := range w.services {
		if _, err := w.routes(w.Context(), key, announce.Input{Service: svc}); err != nil {
			w.Error(err)
		}
	}
}

// after lets time pass and checks who is woken by then.
func (w *watchtower) after(d time.Duration, why string, want ...string) {
	w.Helper()
	// What the test changed, the lookout reads after it locks this too.
	w.mu.Lock()
	w.woken = nil
	w.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	slices.Sort(w.woken)
	if !slices.Equal(w.woken, want) {
		w.Errorf("%s: wakes %v, want %v", why, w.woken, want)
	}
}

func ups(nodes ...string) sessions {
	all := sessions{"a": {"r": {}}, "b": {"r": {}}}
	for _, node := range nodes {
		all[node] = map[string]session{"r": {v4: true, v6: true}}
	}
	return all
}

// TestLookoutAtRest: where nothing is advertised by BGP, nothing is looked at.
func TestLookoutAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchtower(t)
		w.ask()
		w.after(time.Hour, "nothing happens")
		w.note(configured)
		w.after(time.Minute, "another configuration without BGP")
		if w.compiled != 2 || len(w.carried) > 0 {
			t.Errorf("compiled %d times, %d Services are remembered", w.compiled, len(w.carried))
		}
	})
}

// TestLookoutConfiguration wakes those that BGP is for, once for many changes.
func TestLookoutConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchtower(t)
		w.ask()
		w.bgp()
		for range 20 {
			w.note(configured)
		}
		w.after(lag[configured]/2, "more may be on its way")
		w.after(lag[configured], "an advertisement came", "api", "web")
		if w.compiled != 2 {
			t.Errorf("compiled %d times, want twice: at first, and for all changes", w.compiled)
		}
		w.ask()
		w.note(configured)
		w.after(time.Second, "another one", "api", "web")
		w.reach = nil
		w.note(configured)
		w.after(time.Second, "the last one is gone", "api", "web")
		w.ask()
		w.note(configured)
		w.after(time.Second, "which was known already")
		if len(w.carried) > 0 {
			t.Errorf("still remembered: %v", w.carried)
		}
	})
}

// TestLookoutWithoutNews wakes nobody for what changes nothing that is announced.
func TestLookoutWithoutNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		view := func(labels map[string]string, ready corev1.ConditionStatus) *announce.View {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: labels}}
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}
			v, _ := announce.Compile(announce.Config{Nodes: []announce.Node{{Node: n}}})
			return v
		}
		w := newWatchtower(t)
		w.bgp()
		for key, svc := range w.services {
			if key.Name == "api" { // which node comes first matters to no other
				svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
			}
		}
		w.view, w.sessions = view(nil, corev1.ConditionTrue), ups("a")
		w.ask()
		w.view = view(map[string]string{"feature": "x"}, corev1.ConditionTrue)
		w.note(configured)
		w.after(time.Second, "a node has a label that no selector is about")
		w.view = view(nil, corev1.ConditionUnknown)
		w.note(configured)
		w.after(time.Second, "a node is not heard of any more", "api")
		w.after(time.Minute, "that is no news any more")

		w.sessions = ups()
		w.note(parted)
		w.after(time.Minute, "the only session goes", "api", "web")
		w.ask()
		w.view = view(nil, corev1.ConditionTrue)
		w.note(configured)
		w.after(time.Minute, "the node is back, and its session is not", "api")
		w.note(parted)
		w.view = view(nil, corev1.ConditionUnknown)
		w.note(configured)
		w.after(time.Second, "news of sessions comes along with that of nodes", "api", "web")
	})
}

// TestLookoutSessions wakes only those whose condition may change.
func TestLookoutSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchtower(t)
		w.bgp()
		w.ask()
		compiled := w.compiled

		w.sessions = ups("a")
		w.note(joined)
		w.after(time.Second, "the first session", "api", "web")
		w.ask()
		w.sessions = ups("a", "b")
		w.note(joined)
		w.after(time.Minute, "a second one adds nothing")
		w.sessions = ups("a")
		w.note(parted)
		w.after(time.Minute, "it goes again, and nothing goes through it")
		w.sessions = ups("a", "b")
		w.note(joined)
		w.after(time.Minute, "and comes again")
		w.sessions = ups("b")
		w.note(parted)
		w.after(lag[parted]-time.Millisecond, "the one that is relied on goes, perhaps for a moment")
		w.after(time.Millisecond, "it is gone for good", "api", "web")
		w.ask()
		w.sessions = ups()
		w.note(parted)
		w.after(time.Minute, "the last one goes", "api", "web")
		w.ask()
		w.note(reworded)
		w.after(lag[reworded]-time.Millisecond, "other words can wait")
		w.after(time.Millisecond, "but not for ever", "api", "web")
		if w.compiled != compiled {
			t.Error("sessions had the configuration compiled")
		}
	})
}

// TestLookoutRestart: a speaker that is started anew is not noticed.
func TestLookoutRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchtower(t)
		w.bgp()
		w.sessions = ups("a")
		w.ask()
		w.sessions = ups()
		w.note(parted)
		w.after(lag[parted]/2, "its sessions are down")
		w.sessions = ups("a")
		w.note(joined)
		w.after(time.Minute, "and up again")
	})
}

// TestLookoutFails: what can't be read is tried again, and the outlook that
// there was stays.
func TestLookoutFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchtower(t)
		w.failing = errors.New("the API server is away")
		if _, err := w.routes(t.Context(), providers.Key{Name: "web"}, announce.Input{}); err == nil || !strings.Contains(err.Error(), "away") {
			t.Errorf("got %v", err)
		}
		w.failing = nil
		w.after(lookoutRetry, "it is tried again", "web")
		w.ask()
		w.bgp()
		w.failing = errors.New("the API server is away")
		w.note(configured)
		w.after(time.Minute, "it fails all the time")
		w.ask()
		w.failing = nil
		w.after(lookoutRetry, "it is back", "api", "web")
	})
}

// TestLookoutForgets: what is gone is not woken.
func TestLookoutForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchtower(t)
		w.bgp()
		w.ask()
		for key := range w.services {
			if key.Name == "web" {
				w.forget(key)
				delete(w.services, key)
			}
		}
		w.note(joined)
		w.after(time.Second, "a session", "api")
		w.note(configured)
		w.after(time.Second, "a configuration", "api")
	})
}

// TestLookoutMovesOn: a Service that asks while the outlook changes is told of
// the new one, since nobody would wake it for that.
func TestLookoutMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchtower(t)
		key := providers.Key{Name: "web"}
		asked := 0
		w.reach = func(announce.Input) []announce.Reach {
			if asked++; asked == 1 {
				w.sessions = ups("a")
				if err := w.refresh(t.Context()); err != nil {
					t.Error(err)
				}
			}
			return []announce.Reach{{Announcers: []announce.Announcer{{Node: "a", Peers: []string{"r"}}}}}
		}
		got, err := w.routes(t.Context(), key, announce.Input{Service: holding("192.0.2.1")})
		if err != nil || !got.sessions.carries(link{node: "a", peer: "r"}) || asked != 2 {
			t.Errorf("asked %d times, got %+v, %v", asked, got, err)
		}
	})
}

// TestLookoutThatCannotLook: where a kind can't be listed, Services are told so
// in time, once, and looked at again when it can be.
func TestLookoutThatCannotLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatchtower(t)
		w.bgp()
		hangs := true
		compile := w.compile
		w.compile = func(ctx context.Context) (survey, error) {
			if hangs {
				<-ctx.Done()
				return survey{}, ctx.Err()
			}
			return compile(ctx)
		}
		asked := time.Now()
		for range 3 {
			for key, svc := range w.services {
				if _, err := w.routes(t.Context(), key, announce.Input{Service: svc}); err == nil {
					t.Errorf("%s is told something", key)
				}
			}
		}
		if waited := time.Since(asked); waited > lookoutPatience {
			t.Errorf("all together waited for %v", waited)
		}
		w.after(time.Minute, "nothing is known yet")
		hangs = false
		w.after(lookoutPatience+2*lookoutRetry, "it can be looked", "api", "old", "web")
		w.ask()
		w.after(time.Minute, "nobody is woken twice")
	})
}

// TestAddressesWithoutAWord: what can't be found out of who announces an address
// keeps nobody from having it.
func TestAddressesWithoutAWord(t *testing.T) {
	for _, tc := range []struct {
		why   string
		shown *metav1.Condition
		want  string
	}{
		{"a new Service", nil, ""},
		{"one that was served", &metav1.Condition{Type: providers.ConditionServing, Status: metav1.ConditionTrue, Reason: "EndpointsReady"}, "EndpointsReady"},
		{"one that had no address", &metav1.Condition{Type: providers.ConditionServing, Status: metav1.ConditionFalse, Reason: reasonNotProvisioned}, ""},
	} {
		t.Run(tc.why, func(t *testing.T) {
			r, api := routedWorld(t, nil)
			r.lookout.compile = func(context.Context) (survey, error) {
				return survey{}, errors.New("forbidden")
			}
			r.cached, r.events = api, deaf{}
			svc, ingress, eps := webOn("a")
			if tc.shown != nil {
				svc.Status.Conditions = []metav1.Condition{*tc.shown}
			}
			if err := api.Create(t.Context(), svc); err != nil {
				t.Fatal(err)
			}
			o := outcome{Result: providers.Result{Ingress: ingress}}
			if _, err := r.conclude(t.Context(), svc, r.backends.named["pool"], o, eps); err != nil {
				t.Error(err)
			}
			after := &corev1.Service{}
			if err := api.Get(t.Context(), client.ObjectKeyFromObject(svc), after); err != nil {
				t.Fatal(err)
			}
			if len(after.Status.LoadBalancer.Ingress) != 1 {
				t.Error("the address is withheld")
			}
			got := ""
			if c := meta.FindStatusCondition(after.Status.Conditions, providers.ConditionServing); c != nil {
				got = c.Reason
			}
			if got != tc.want {
				t.Errorf("Serving is for the reason %q, want %q", got, tc.want)
			}
		})
	}
}
