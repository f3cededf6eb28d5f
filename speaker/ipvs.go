package speaker

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const conditionARP = "berth-lb.dev/StrictARP"

// IPVS is what kube-proxy makes of a node where it works by IPVS: every node has
// all addresses of Services, on an interface of its own.
type IPVS struct {
	Used bool
	// Answering are the interfaces on which the kernel answers ARP for them,
	// whichever node announces them.
	Answering []string
}

// tell puts it into the conditions of a ConfigurationState.
func (i IPVS) tell(conditions *[]metav1.Condition) {
	switch {
	case !i.Used:
		meta.RemoveStatusCondition(conditions, conditionARP)
	case len(i.Answering) == 0:
		meta.SetStatusCondition(conditions, metav1.Condition{Type: conditionARP, Status: metav1.ConditionTrue, Reason: "Strict",
			Message: "kube-proxy works by IPVS, and the kernel leaves the addresses of Services to the speaker"})
	default:
		meta.SetStatusCondition(conditions, metav1.Condition{Type: conditionARP, Status: metav1.ConditionFalse, Reason: "KernelAnswers",
			Message: fmt.Sprintf("kube-proxy works by IPVS, and the kernel answers ARP for the addresses of all Services on %s, whichever node announces them: set ipvs.strictARP in kube-proxy's configuration",
				strings.Join(i.Answering, ", "))})
	}
}
