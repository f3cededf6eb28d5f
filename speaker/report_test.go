package speaker

import (
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

// A node whose name is no label value reports all the same.
func TestLabelsOfAReport(t *testing.T) {
	for _, name := range []string{"node-a", "node-" + strings.Repeat("a", 100)} {
		labels := labelsOf(name)
		if label := labels[labelNodeName]; label != "" && label != name || len(label) > 63 {
			t.Errorf("label %q", label)
		}
		if labels[labelComponent] != componentSpeaker {
			t.Errorf("labels %v", labels)
		}
	}
}

func TestStateIsWrittenOnceAndKeepsWhatIsNotOurs(t *testing.T) {
	var r report
	r.set(announce.SpeakerReport{Interfaces: []string{"eth0"}},
		[]announce.Problem{{Object: "L2Advertisement all", Field: "spec.nodeSelectors[0]", Message: "no"}}, testNode("a"))
	r.answered(trafficpolicy.Unhealthy)
	was := &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Name: "speaker-a", Annotations: map[string]string{"mine": "kept"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Node", Name: "a", UID: "earlier"}}}}
	is := r.onto(was, "a", 10256)
	if is.Annotations["mine"] != "kept" || is.Annotations[announce.AnnotationNode] != "a" {
		t.Errorf("annotations %v", is.Annotations)
	}
	if len(is.OwnerReferences) != 1 || is.OwnerReferences[0].UID != "uid-a" {
		t.Errorf("owners %v", is.OwnerReferences)
	}
	if is.Status.Result != metallb.ConfigurationResultInvalid || is.Status.ErrorSummary != "L2Advertisement all spec.nodeSelectors[0]: no" {
		t.Errorf("status %+v", is.Status)
	}
	if !meta.IsStatusConditionFalse(is.Status.Conditions, conditionKubeProxy) {
		t.Errorf("conditions %+v", is.Status.Conditions)
	}
	if again := r.onto(is, "a", 10256); !reflect.DeepEqual(is, again) {
		t.Errorf("a second look changes it:\n%+v\n%+v", is, again)
	}
	if c := meta.FindStatusCondition(is.Status.Conditions, conditionBGP); c == nil || c.Status != metav1.ConditionTrue {
		t.Errorf("what is wrong at layer 2 counts for BGP: %+v", c)
	}
	r.refuse([]announce.Problem{{Object: "BGPPeer tor", Field: "spec.passwordSecret.name", Message: "gone"}})
	two := r.onto(is, "a", 10256)
	if two.Status.ErrorSummary != "L2Advertisement all spec.nodeSelectors[0]: no; BGPPeer tor spec.passwordSecret.name: gone" {
		t.Errorf("summary %q", two.Status.ErrorSummary)
	}
	if c := meta.FindStatusCondition(two.Status.Conditions, conditionBGP); c.Status != metav1.ConditionFalse || c.Message != "BGPPeer tor spec.passwordSecret.name: gone" {
		t.Errorf("condition %+v", c)
	}
	if c := meta.FindStatusCondition(two.Status.Conditions, conditionL2); c.Message != "L2Advertisement all spec.nodeSelectors[0]: no" {
		t.Errorf("condition %+v", c)
	}
	r.refuse(nil)
	if off := r.onto(is, "a", 0); meta.FindStatusCondition(off.Status.Conditions, conditionKubeProxy) != nil {
		t.Errorf("kube-proxy is not asked, and reported: %+v", off.Status.Conditions)
	}
	for _, c := range []struct {
		ipvs IPVS
		want metav1.ConditionStatus
	}{{IPVS{}, ""}, {IPVS{Used: true}, metav1.ConditionTrue}, {IPVS{Used: true, Answering: []string{"eth0"}}, metav1.ConditionFalse}, {IPVS{}, ""}} {
		r.see(c.ipvs)
		is = r.onto(is, "a", 10256)
		status := metav1.ConditionStatus("")
		if condition := meta.FindStatusCondition(is.Status.Conditions, conditionARP); condition != nil {
			status = condition.Status
		}
		if status != c.want {
			t.Errorf("%+v is reported as %q", c.ipvs, status)
		}
	}
}

// No event tells what kube-proxy sets in the kernel, when it starts after the speaker
// or its configuration is another one.
func TestWhatKubeProxySetsIsSeenInTheEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		w := newWorld(t, cluster("a")...)
		a := w.startBlind("a")
		var now atomic.Pointer[IPVS]
		now.Store(&IPVS{})
		a.Speaker.IPVS = func([]string) IPVS { return *now.Load() }
		a.Speaker.Interfaces(map[string]string{"eth0": "02:00:00:00:00:01"})
		for _, c := range []struct {
			ipvs IPVS
			want metav1.ConditionStatus
		}{{IPVS{}, ""}, {IPVS{Used: true, Answering: []string{"eth0"}}, metav1.ConditionFalse}, {IPVS{Used: true}, metav1.ConditionTrue}} {
			now.Store(&c.ipvs)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			state, err := a.ownState(t.Context(), w.api)
			if err != nil {
				t.Fatal(err)
			}
			var status metav1.ConditionStatus
			if condition := meta.FindStatusCondition(state.Status.Conditions, conditionARP); condition != nil {
				status = condition.Status
			}
			if status != c.want {
				t.Errorf("%+v is reported as %q", c.ipvs, status)
			}
		}
	})
}
