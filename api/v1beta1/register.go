package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is that of the kinds here.
var GroupVersion = schema.GroupVersion{Group: "berth-lb.dev", Version: "v1beta1"}

// AddToScheme makes the kinds known to a client's scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &BGPNodeStatus{}, &BGPNodeStatusList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
