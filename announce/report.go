package announce

import (
	"maps"
	"slices"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
)

// Names in the metadata of a speaker's ConfigurationState, besides
// AnnotationNode. What others decide by is there, so that one write carries it:
// a status can't be created along with its object.
const (
	AnnotationClosed     = "berth-lb.dev/closed"
	AnnotationInterfaces = "berth-lb.dev/interfaces"
	AnnotationHardware   = "berth-lb.dev/hardware"

	LabelComponent   = "metallb.io/component-type"
	ComponentSpeaker = "speaker"
)

// ReportAnnotations are the names of all that a report is read from.
var ReportAnnotations = []string{AnnotationNode, AnnotationClosed, AnnotationInterfaces, AnnotationHardware}

// ReportName is the name of the ConfigurationState of the speaker on a node.
func ReportName(node string) string { return "speaker-" + node }

// Annotations are those of the ConfigurationState that carries the report of
// the speaker on node.
func (r SpeakerReport) Annotations(node string) map[string]string {
	all := map[string]string{AnnotationNode: node}
	if r.Closed {
		all[AnnotationClosed] = "true"
	}
	if len(r.Interfaces) > 0 {
		all[AnnotationInterfaces] = strings.Join(r.Interfaces, ",")
	}
	if len(r.Hardware) > 0 {
		all[AnnotationHardware] = joinHardware(r.Hardware)
	}
	return all
}

// ReportOf reads what the speaker on a node says of it; ok is false for a
// ConfigurationState that Berth's did not write.
func ReportOf(state *metallb.ConfigurationState) (node string, r *SpeakerReport, ok bool) {
	node = state.Annotations[AnnotationNode]
	if node == "" || state.Labels[LabelComponent] != ComponentSpeaker || state.Name != ReportName(node) {
		return "", nil, false
	}
	r = &SpeakerReport{Closed: state.Annotations[AnnotationClosed] == "true"}
	if list := state.Annotations[AnnotationInterfaces]; list != "" {
		r.Interfaces = strings.Split(list, ",")
		slices.Sort(r.Interfaces)
	}
	r.Hardware = splitHardware(state.Annotations[AnnotationHardware])
	return node, r, true
}

func joinHardware(hardware map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(hardware)) {
		all = append(all, name+"="+hardware[name])
	}
	return strings.Join(all, ",")
}

func splitHardware(list string) map[string]string {
	var all map[string]string
	for _, entry := range strings.Split(list, ",") {
		// There may be one in the name as well.
		if i := strings.LastIndex(entry, "="); i > 0 {
			if all == nil {
				all = map[string]string{}
			}
			all[entry[:i]] = entry[i+1:]
		}
	}
	return all
}
