package announce

import (
	"net/netip"
	"strings"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Names in the metadata of a ServiceL2Status. The record is in the metadata, so
// that one write changes it: the status can't be created along with its object,
// and MetalLB's own CRD refuses to change the node in it. Labels and status
// follow, for those who look there.
const (
	AnnotationService = "berth-lb.dev/service"
	AnnotationAddress = "berth-lb.dev/address"
	AnnotationNode    = "berth-lb.dev/node"
	AnnotationReason  = "berth-lb.dev/reason"
	AnnotationMessage = "berth-lb.dev/message"

	LabelNode             = "metallb.io/node"
	LabelServiceName      = "metallb.io/service-name"
	LabelServiceNamespace = "metallb.io/service-namespace"
)

// namePrefix begins the name of every record.
const namePrefix = "l2-"

// Record says which node announces one address of one Service at layer 2, or
// why none does. Speakers write it as a ServiceL2Status in the namespace of the
// installation.
type Record struct {
	Service types.NamespacedName
	UID     types.UID
	Address netip.Addr
	// Node announces the address; empty where none does.
	Node string
	// Reason and Message say why there is no Node.
	Reason, Message string
}

// Name is that of the ServiceL2Status, the same whoever writes it.
func (r Record) Name() string {
	family := "ipv4"
	if r.Address.Is6() {
		family = "ipv6"
	}
	return namePrefix + string(r.UID) + "-" + family
}

// Annotations are those of the ServiceL2Status.
func (r Record) Annotations() map[string]string {
	all := map[string]string{AnnotationService: r.Service.String(), AnnotationAddress: r.Address.String()}
	for key, value := range map[string]string{AnnotationNode: r.Node, AnnotationReason: r.Reason, AnnotationMessage: r.Message} {
		if value != "" {
			all[key] = value
		}
	}
	return all
}

// Labels are those by which MetalLB's users find a ServiceL2Status. A name that
// is no label value is left out: nothing here depends on them.
func (r Record) Labels() map[string]string {
	all := map[string]string{}
	for key, value := range map[string]string{LabelNode: r.Node, LabelServiceName: r.Service.Name, LabelServiceNamespace: r.Service.Namespace} {
		if value != "" && len(validation.IsValidLabelValue(value)) == 0 {
			all[key] = value
		}
	}
	return all
}

// RecordOf reads a ServiceL2Status; ok is false for one that Berth did not
// write: the Name of r is that of the object.
func RecordOf(object *metallb.ServiceL2Status) (r Record, ok bool) {
	address, err := netip.ParseAddr(object.Annotations[AnnotationAddress])
	namespace, name, named := strings.Cut(object.Annotations[AnnotationService], "/")
	uid, prefixed := strings.CutPrefix(object.Name, namePrefix)
	end := strings.LastIndexByte(uid, '-')
	if err != nil || !named || !prefixed || end < 0 {
		return Record{}, false
	}
	r = Record{
		Service: types.NamespacedName{Namespace: namespace, Name: name},
		UID:     types.UID(uid[:end]),
		Address: address,
		Node:    object.Annotations[AnnotationNode],
		Reason:  object.Annotations[AnnotationReason],
		Message: object.Annotations[AnnotationMessage],
	}
	if r.Name() != object.Name {
		return Record{}, false // a copy, or edited by hand
	}
	return r, true
}
