package speaker

import (
	"reflect"
	"strings"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

func TestReportThereAndBack(t *testing.T) {
	for _, tc := range []struct {
		reason string
		node   string
		report announce.SpeakerReport
	}{
		{"a node as most are", "node-a", announce.SpeakerReport{Interfaces: []string{"eth0", "eth1"}}},
		{"kube-proxy can't serve", "node-a", announce.SpeakerReport{Closed: true, Interfaces: []string{"eth0"}}},
		{"no interface", "node-a", announce.SpeakerReport{}},
		{"a name that is no label value", "node-" + strings.Repeat("a", 100), announce.SpeakerReport{}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			state := &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{
				Name: stateName(tc.node), Labels: labelsOf(tc.node), Annotations: annotationsOf(tc.node, tc.report)}}
			node, report, ok := reportOf(state)
			if !ok || node != tc.node || !reflect.DeepEqual(*report, tc.report) {
				t.Errorf("got %q, %+v, %t", node, report, ok)
			}
			if label := state.Labels[labelNodeName]; label != "" && label != tc.node || len(label) > 63 {
				t.Errorf("label %q", label)
			}
		})
	}
	if _, _, ok := reportOf(&metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Name: "speaker-a", Labels: labelsOf("a")}}); ok {
		t.Error("a state of MetalLB's own speaker counts")
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
	if off := r.onto(is, "a", 0); meta.FindStatusCondition(off.Status.Conditions, conditionKubeProxy) != nil {
		t.Errorf("kube-proxy is not asked, and reported: %+v", off.Status.Conditions)
	}
}
