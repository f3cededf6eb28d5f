package speaker

import (
	"reflect"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestWhatIsKeptForBGP(t *testing.T) {
	transform := map[reflect.Type]func(any) (any, error){}
	for o, by := range cacheOfBGP(testNamespace, "a") {
		transform[reflect.TypeOf(o)] = by.Transform
		if by.Namespaces == nil {
			t.Errorf("%T is watched in all namespaces", o)
		}
	}
	advertisement := advertised()
	profile := &metallb.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast"}}
	community := &metallb.Community{ObjectMeta: metav1.ObjectMeta{Name: "names"}}
	objects := []client.Object{advertisement, tor.DeepCopy(), profile, community}
	for _, o := range objects {
		o.SetGeneration(3)
		o.SetAnnotations(map[string]string{"kubectl": "the whole object once more"})
		o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "x"}})
		if _, err := transform[reflect.TypeOf(o)](o); err != nil {
			t.Fatal(err)
		}
		if o.GetAnnotations() != nil || o.GetManagedFields() != nil || o.GetName() == "" || o.GetGeneration() != 3 {
			t.Errorf("%T keeps %v, %v, %q", o, o.GetAnnotations(), o.GetManagedFields(), o.GetName())
		}
	}
	if kept := objects[1].(*v1beta2.BGPPeer); !reflect.DeepEqual(kept.Spec, tor.Spec) {
		t.Errorf("kept is %+v", kept)
	}
}
