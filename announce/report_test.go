package announce

import (
	"reflect"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestReportOf reads what was written, and nothing that others wrote.
func TestReportOf(t *testing.T) {
	state := func(name, component string, annotations map[string]string) *metallb.ConfigurationState {
		return &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{LabelComponent: component}, Annotations: annotations}}
	}
	full := SpeakerReport{Closed: true, Interfaces: []string{"eth0", "eth1"}, Hardware: map[string]string{"eth0": "02:00:00:00:00:01", "e=1": "02:00:00:00:00:02"}}
	plain := SpeakerReport{Closed: true, Interfaces: []string{"eth0", "eth1"}}
	for _, tc := range []struct {
		why   string
		state *metallb.ConfigurationState
		want  *SpeakerReport
	}{
		{"all of it", state("speaker-a", ComponentSpeaker, full.Annotations("a")), &full},
		{"a node that can do nothing at layer 2 may still announce by BGP", state("speaker-a", ComponentSpeaker, SpeakerReport{}.Annotations("a")), &SpeakerReport{}},
		{"somebody ordered the interfaces otherwise", state("speaker-a", ComponentSpeaker, map[string]string{AnnotationNode: "a", AnnotationInterfaces: "eth1,eth0", AnnotationClosed: "true"}), &plain},
		{"a speaker of MetalLB's", state("speaker-a", ComponentSpeaker, nil), nil},
		{"a copy under another name", state("speaker-b", ComponentSpeaker, full.Annotations("a")), nil},
		{"the controller's", state("speaker-a", "controller", full.Annotations("a")), nil},
	} {
		node, got, ok := ReportOf(tc.state)
		if ok != (tc.want != nil) || !reflect.DeepEqual(got, tc.want) || ok && node != "a" {
			t.Errorf("%s: %q says %+v", tc.why, node, got)
		}
	}
}
