package speaker

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

// TestWhatIsLookedAtAgain: labels of nodes, and what speakers report, change all
// the time in a large cluster, and few of them decide anything.
func TestWhatIsLookedAtAgain(t *testing.T) {
	const services = 3
	labelled := func(key string) *corev1.Node {
		n := testNode("b")
		n.Labels[key] = "x"
		return n
	}
	reports := func(r announce.SpeakerReport) *metallb.ConfigurationState {
		s := reported("b")
		s.Annotations = r.Annotations("b")
		return s
	}
	for _, tc := range []struct {
		reason string
		change func(w *world, a *testSpeaker)
		want   int
	}{
		{"a label that no selector is about", func(w *world, _ *testSpeaker) { w.put(labelled("feature")) }, 0},
		{"an interface more", func(w *world, _ *testSpeaker) {
			w.put(reports(announce.SpeakerReport{Interfaces: []string{"eth0", "eth1"}}))
		}, 0},
		{"the same interfaces again", func(_ *world, a *testSpeaker) { a.Speaker.Interfaces(map[string]string{"eth0": "02:00:00:00:00:01"}) }, 0},
		{"an excluded node", func(w *world, _ *testSpeaker) { w.put(labelled(corev1.LabelNodeExcludeBalancers)) }, services},
		{"a node that is not heard of", func(w *world, _ *testSpeaker) { w.lose("b") }, services},
		{"a kube-proxy that can't serve", func(w *world, _ *testSpeaker) {
			w.put(reports(announce.SpeakerReport{Closed: true, Interfaces: []string{"eth0"}}))
		}, services},
		{"the only interface", func(w *world, _ *testSpeaker) { w.put(reports(announce.SpeakerReport{})) }, services},
	} {
		in(t, func(t *testing.T) {
			w := newWorld(t, cluster("a", "b")...)
			a := w.start("a")
			for i := range services {
				w.put(testService(fmt.Sprint("web-", i), fmt.Sprint("192.0.2.", i)))
			}
			time.Sleep(time.Second)
			synctest.Wait()
			w.looked()
			tc.change(w, a)
			time.Sleep(time.Second)
			synctest.Wait()
			if got := w.looked(); got != tc.want {
				t.Errorf("%s: %d Services are looked at, want %d", tc.reason, got, tc.want)
			}
		})
	}
}

// lose has the node controller believe a node dead.
func (w *world) lose(node string) {
	w.Helper()
	n := &corev1.Node{}
	if err := w.api.Get(w.Context(), client.ObjectKey{Name: node}, n); err != nil {
		w.Fatal(err)
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
	if err := w.api.Status().Update(w.Context(), n); err != nil {
		w.Fatal(err)
	}
	w.saw(n)
}

// A change that could not be followed up is not taken for one that was.
func TestAChangeIsNotLostToAFailure(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, append(cluster("a", "b"), web, endpoints("web", "a"))...)
		a := w.start("a")
		time.Sleep(time.Second)
		w.setUnlisted(true)
		excluded := testNode("a")
		excluded.Labels[corev1.LabelNodeExcludeBalancers] = ""
		w.put(excluded)
		time.Sleep(time.Second)
		w.setUnlisted(false)
		time.Sleep(maxRetry)
		synctest.Wait()
		a.wantClaim(w, webAddress, "b; ")
	})
}

func TestJoined(t *testing.T) {
	called := func(names ...string) []types.NamespacedName {
		var all []types.NamespacedName
		for _, name := range names {
			all = append(all, types.NamespacedName{Name: name})
		}
		return all
	}
	for _, tc := range []struct {
		reason            string
		first, more, want []types.NamespacedName
	}{
		{"nothing waits", nil, called("a", "b"), called("a", "b")},
		{"who waits stays ahead", called("c", "a"), called("a", "b", "c", "d"), called("c", "a", "b", "d")},
		{"who is gone is looked at all the same", called("x"), called("a"), called("x", "a")},
	} {
		if got := joined(tc.first, tc.more); !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.reason, got, tc.want)
		}
	}
}
