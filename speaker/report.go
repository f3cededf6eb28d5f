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

// Names in the metadata of a speaker's ConfigurationState, besides those that
// carry its report.
const (
	labelComponent   = announce.LabelComponent
	labelNodeName    = "metallb.io/node-name"
	componentSpeaker = announce.ComponentSpeaker
)

// stateAnnotations are those that this package writes.
var stateAnnotations = announce.ReportAnnotations

// Conditions of the ConfigurationState.
const (
	conditionL2        = "berth-lb.dev/L2AdvertisementsValid"
	conditionBGP       = "berth-lb.dev/BGPConfigurationValid"
	conditionKubeProxy = "berth-lb.dev/KubeProxyHealthy"
)

const (
	// maxTold bounds how many problems a status spells out.
	maxTold = 20
	// maxProblem is the length, in bytes, at which one of them is cut.
	maxProblem = 500
)

// stateName is that of the ConfigurationState of a node.
func stateName(node string) string { return announce.ReportName(node) }

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
	var atLayer2, byBGP []announce.Problem
	for _, p := range problems {
		if strings.HasPrefix(p.Object, "L2Advertisement ") {
			atLayer2 = append(atLayer2, p)
		} else {
			byBGP = append(byBGP, p)
		}
	}
	status.Result = metallb.ConfigurationResultValid
	if status.ErrorSummary = summary(problems); len(problems) > 0 {
		status.Result = metallb.ConfigurationResultInvalid
	}
	meta.SetStatusCondition(&status.Conditions, validity(conditionL2, "every L2Advertisement is in use", atLayer2))
	meta.SetStatusCondition(&status.Conditions, validity(conditionBGP, "every BGPAdvertisement, BGPPeer, BFDProfile and Community can be followed", byBGP))
	if kubeProxy == nil {
		meta.RemoveStatusCondition(&status.Conditions, conditionKubeProxy)
		return
	}
	meta.SetStatusCondition(&status.Conditions, *kubeProxy)
}

// validity tells of a part of the configuration; fine is what it says where
// there is no problem with it.
func validity(condition, fine string, problems []announce.Problem) metav1.Condition {
	if len(problems) == 0 {
		return metav1.Condition{Type: condition, Status: metav1.ConditionTrue, Reason: "Valid", Message: fine}
	}
	return metav1.Condition{Type: condition, Status: metav1.ConditionFalse, Reason: "Refused", Message: summary(problems)}
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
