package speaker

import (
	"slices"
	"strings"
	"sync"

	metallb "go.universe.tf/metallb/api/v1beta1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/berth-lb/berth/announce"
)

// endpointSet is what is kept of an EndpointSlice.
type endpointSet struct {
	family discoveryv1.AddressType
	all    []endpoint
}

type endpoint struct {
	address string
	node    *string
	// As kube-proxy reads them: what is not said is true of ready and serving,
	// and false of terminating.
	ready, serving, terminating bool
}

func sameEndpoints(a, b endpointSet) bool { return a.family == b.family && slices.Equal(a.all, b.all) }

func keepSlice(slice *discoveryv1.EndpointSlice) (types.NamespacedName, endpointSet) {
	service := slice.Labels[discoveryv1.LabelServiceName]
	if service == "" {
		return types.NamespacedName{}, endpointSet{}
	}
	kept := endpointSet{slice.AddressType, make([]endpoint, 0, len(slice.Endpoints))}
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		if len(e.Addresses) == 0 {
			continue // as kube-proxy does
		}
		kept.all = append(kept.all, endpoint{
			address: e.Addresses[0], // the others have no meaning
			node:    shareName(e.NodeName),
			ready:   ptr.Deref(e.Conditions.Ready, true), serving: ptr.Deref(e.Conditions.Serving, true),
			terminating: ptr.Deref(e.Conditions.Terminating, false),
		})
	}
	return types.NamespacedName{Namespace: one(slice.Namespace), Name: service}, kept
}

var yes, no = ptr.To(true), ptr.To(false)

func truth(b bool) *bool {
	if b {
		return yes
	}
	return no
}

// sliceOf is an EndpointSlice that says what is kept of one.
func sliceOf(k *kept[endpointSet]) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: k.name.Namespace, Name: k.name.Name},
		AddressType: k.value.family,
		Endpoints:   make([]discoveryv1.Endpoint, len(k.value.all)),
	}
	for i := range k.value.all {
		e := &k.value.all[i]
		slice.Endpoints[i] = discoveryv1.Endpoint{
			Addresses:  []string{e.address},
			NodeName:   e.node,
			Conditions: discoveryv1.EndpointConditions{Ready: truth(e.ready), Serving: truth(e.serving), Terminating: truth(e.terminating)},
		}
	}
	return slice
}

// nodeNames has one string for each name of a node: every endpoint comes with
// its own.
var nodeNames sync.Map

func shareName(name *string) *string {
	if name == nil {
		return nil
	}
	shared, ok := nodeNames.Load(*name)
	if !ok {
		own := strings.Clone(*name)
		shared, _ = nodeNames.LoadOrStore(own, &own)
	}
	return shared.(*string)
}

// filed is what is kept of a ServiceL2Status.
type filed struct {
	record  announce.Record
	uid     types.UID
	version string
	// interfaces are those in the status of a record that this node is in.
	interfaces []metallb.InterfaceInfo
}

func sameRecord(a, b filed) bool { return a.record == b.record }

// recordKeeper keeps records of Berth's, and of those that name self what their
// status says: self compares it.
func recordKeeper(self string) func(*metallb.ServiceL2Status) (types.NamespacedName, filed) {
	return func(o *metallb.ServiceL2Status) (types.NamespacedName, filed) {
		f, ok := file(o)
		if !ok {
			return types.NamespacedName{}, filed{}
		}
		if f.record.Node != self {
			f.interfaces = nil
		}
		return f.record.Service, f
	}
}

// file returns what is to be kept of o; ok is false where it is no record.
func file(o *metallb.ServiceL2Status) (f filed, ok bool) {
	r, ok := announce.RecordOf(o)
	r.Node, r.Service.Namespace = *shareName(&r.Node), one(r.Service.Namespace)
	return filed{r, o.UID, o.ResourceVersion, o.Status.Interfaces}, ok
}

// trimRecord and trimSlice leave what file and keepSlice read.
func trimRecord(o *metallb.ServiceL2Status) {
	old := *o
	*o = metallb.ServiceL2Status{ObjectMeta: named(old.ObjectMeta)}
	o.Annotations = only(old.Annotations, recordAnnotations)
	o.Status.Interfaces = old.Status.Interfaces
}

func trimSlice(slice *discoveryv1.EndpointSlice) {
	service := slice.Labels[discoveryv1.LabelServiceName]
	slice.ObjectMeta = named(slice.ObjectMeta)
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	slice.Ports = nil
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		*e = discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: e.Conditions, NodeName: e.NodeName}
	}
}
