package speaker

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

// Names in the metadata of a speaker's ConfigurationState. What other speakers
// decide by is there, so that one write carries it: a status can't be created
// along with its object.
const (
	annotationClosed     = "berth-lb.dev/closed"
	annotationInterfaces = "berth-lb.dev/interfaces"

	labelComponent   = "metallb.io/component-type"
	labelNodeName    = "metallb.io/node-name"
	componentSpeaker = "speaker"
)

// stateAnnotations are those that this package writes.
var stateAnnotations = []string{announce.AnnotationNode, annotationClosed, annotationInterfaces}

// Conditions of the ConfigurationState.
const (
	conditionConfiguration = "berth-lb.dev/L2AdvertisementsValid"
	conditionKubeProxy     = "berth-lb.dev/KubeProxyHealthy"
)

const (
	// maxTold bounds how many problems a status spells out.
	maxTold = 20
	// maxProblem is the length, in bytes, at which one of them is cut.
	maxProblem = 500
)

// stateName is that of the ConfigurationState of a node.
func stateName(node string) string { return "speaker-" + node }

// reportOf reads the report of a speaker; ok is false for a ConfigurationState
// that Berth did not write.
func reportOf(state *metallb.ConfigurationState) (node string, report *announce.SpeakerReport, ok bool) {
	node, ok = state.Annotations[announce.AnnotationNode]
	if !ok || state.Labels[labelComponent] != componentSpeaker {
		return "", nil, false
	}
	report = &announce.SpeakerReport{Closed: state.Annotations[annotationClosed] == "true"}
	if list := state.Annotations[annotationInterfaces]; list != "" {
		report.Interfaces = strings.Split(list, ",")
		slices.Sort(report.Interfaces)
	}
	return node, report, true
}

// annotationsOf are those of the ConfigurationState that carries the report.
func annotationsOf(node string, report announce.SpeakerReport) map[string]string {
	all := map[string]string{announce.AnnotationNode: node}
	if report.Closed {
		all[annotationClosed] = "true"
	}
	if len(report.Interfaces) > 0 {
		all[annotationInterfaces] = strings.Join(report.Interfaces, ",")
	}
	return all
}

// labelsOf are those of the ConfigurationState of a node. A name that is no
// label value is left out: nothing here depends on it.
func labelsOf(node string) map[string]string {
	all := map[string]string{labelComponent: componentSpeaker}
	if len(validation.IsValidLabelValue(node)) == 0 {
		all[labelNodeName] = node
	}
	return all
}

// withOwner has the ConfigurationState go away with its node, in place of one
// of an earlier life.
func withOwner(owners []metav1.OwnerReference, node *corev1.Node) []metav1.OwnerReference {
	if node == nil || slices.ContainsFunc(owners, func(o metav1.OwnerReference) bool { return o.UID == node.UID }) {
		return owners
	}
	owners = slices.DeleteFunc(owners, func(o metav1.OwnerReference) bool { return o.Kind == "Node" })
	return append(owners, metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID})
}

// describe puts into status what this speaker can't follow, and how its
// kube-proxy is.
func describe(status *metallb.ConfigurationStateStatus, problems []announce.Problem, kubeProxy *metav1.Condition) {
	c := metav1.Condition{Type: conditionConfiguration, Status: metav1.ConditionTrue, Reason: "Valid", Message: "every L2Advertisement is in use"}
	status.Result = metallb.ConfigurationResultValid
	status.ErrorSummary = summary(problems)
	if len(problems) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Refused", status.ErrorSummary
		status.Result = metallb.ConfigurationResultInvalid
	}
	meta.SetStatusCondition(&status.Conditions, c)
	if kubeProxy == nil {
		meta.RemoveStatusCondition(&status.Conditions, conditionKubeProxy)
		return
	}
	meta.SetStatusCondition(&status.Conditions, *kubeProxy)
}

// kubeProxyCondition tells what kube-proxy answers on port.
func kubeProxyCondition(answer trafficpolicy.Answer, port int32) *metav1.Condition {
	c := &metav1.Condition{Type: conditionKubeProxy, Status: metav1.ConditionTrue, Reason: "Healthy", Message: "kube-proxy answers that it can serve"}
	switch answer {
	case trafficpolicy.Unhealthy:
		c.Status, c.Reason = metav1.ConditionFalse, "Unhealthy"
		c.Message = "kube-proxy answers that it can't serve, so this node announces no Service with externalTrafficPolicy Cluster: look at kube-proxy's log, and whether the node is being deleted"
	case trafficpolicy.Silent:
		c.Status, c.Reason = metav1.ConditionUnknown, "Silent"
		c.Message = fmt.Sprintf("nothing answers on port %d of this node, which goes on announcing: if kube-proxy serves its health elsewhere, set --kube-proxy-health-port; 0 if another program replaces it", port)
	}
	return c
}

func summary(problems []announce.Problem) string {
	var told []string
	for i, p := range problems {
		if i == maxTold {
			told = append(told, fmt.Sprintf("and %d more", len(problems)-i))
			break
		}
		text := p.Object
		if p.Field != "" {
			text += " " + p.Field
		}
		text += ": " + p.Message
		told = append(told, strings.ToValidUTF8(text[:min(len(text), maxProblem)], ""))
	}
	return strings.Join(told, "; ")
}

// sameReport compares what other speakers see of a state.
func sameReport(a, b *metallb.ConfigurationState) bool {
	return maps.Equal(a.Annotations, b.Annotations) && maps.Equal(a.Labels, b.Labels)
}
