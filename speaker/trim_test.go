package speaker

import (
	"reflect"
	"testing"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

// What decides about a Service by BGP alone is kept, too: clients that must keep
// to one node would be lost on several.
func TestTrimmedServiceKeepsItsAffinity(t *testing.T) {
	svc := testService("web", webAddress)
	svc.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	trimmed(t, "a", svc)
	if svc.Spec.SessionAffinity != corev1.ServiceAffinityClientIP {
		t.Errorf("its session affinity is %q", svc.Spec.SessionAffinity)
	}
}

// Decisions from what the caches keep are those from the whole objects.
func TestTrimmedObjectsDecideAlike(t *testing.T) {
	svc := local(testService("web", webAddress), 30000)
	svc.Labels = map[string]string{"tier": "front"}
	svc.Annotations = map[string]string{"large": "value"}
	svc.Spec.Ports = []corev1.ServicePort{{Port: 80}}
	slice := endpoints("web", "a", "b")
	slice.Endpoints[1].Conditions = discoveryv1.EndpointConditions{Ready: ptr.To(false), Serving: ptr.To(true), Terminating: ptr.To(true)}
	slice.Endpoints[0].TargetRef = &corev1.ObjectReference{Name: "web-0"}
	slice.Ports = []discoveryv1.EndpointPort{{Port: ptr.To(int32(80))}}
	objects := cluster("a", "b")
	objects[2].(*corev1.Node).Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionFalse, LastHeartbeatTime: metav1.Now()}}

	decide := func() []announce.Layer2 {
		c := configuration{Config: announce.Config{Self: "a"}}
		report := &announce.SpeakerReport{Interfaces: []string{"eth0"}}
		for _, o := range objects {
			switch o := o.(type) {
			case *metallb.IPAddressPool:
				c.Pools = append(c.Pools, o)
			case *metallb.L2Advertisement:
				c.L2Advertisements = append(c.L2Advertisements, o)
			case *corev1.Node:
				c.Nodes = append(c.Nodes, announce.Node{Node: o, Speaker: report})
			}
		}
		view, problems := announce.Compile(c.Config)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return view.Layer2(announce.Input{Service: svc, EndpointSlices: []*discoveryv1.EndpointSlice{slice}})
	}
	before := decide()
	trimmed(t, "a", append(objects, svc)...)
	trimSlice(slice)
	_, set := keepSlice(slice)
	slice = sliceOf(&kept[endpointSet]{value: set})
	if after := decide(); !reflect.DeepEqual(before, after) || len(after) != 1 || len(after[0].Candidates) != 2 {
		t.Errorf("whole: %+v\ntrimmed: %+v", before, after)
	}
	if svc.Annotations != nil || svc.Spec.Ports != nil ||
		objects[2].(*corev1.Node).Status.Conditions[0].LastHeartbeatTime != (metav1.Time{}) {
		t.Error("more is kept than is read")
	}
}

// trimmed does to objects what the cache of that node's speaker does.
func trimmed(t *testing.T, node string, objects ...client.Object) {
	t.Helper()
	kinds := map[reflect.Type]func(any) (any, error){}
	for o, by := range CacheByObject(testNamespace, node) {
		kinds[reflect.TypeOf(o)] = by.Transform
	}
	for _, o := range objects {
		if transform := kinds[reflect.TypeOf(o)]; transform != nil {
			if _, err := transform(o); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestWhatIsKeptOfReports(t *testing.T) {
	mine, theirs := onRecord(web, webAddress, "a"), onRecord(web, webAddress, "b")
	mine.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "x", Time: &metav1.Time{Time: time.Unix(1, 0)}}}
	trimRecord(mine)
	if mine.ManagedFields != nil {
		t.Errorf("our own record: %+v", mine)
	}
	keep := recordKeeper("a")
	if service, f := keep(mine); service != f.record.Service || len(f.interfaces) != 1 {
		t.Errorf("our own record: %+v", f)
	}
	if _, f := keep(theirs); f.record.Node != "b" || f.interfaces != nil {
		t.Errorf("another's record: %+v", f)
	}
	own, other := reported("a"), reported("b")
	own.Status.Result, other.Status.Result = metallb.ConfigurationResultValid, metallb.ConfigurationResultValid
	trimmed(t, "a", own, other)
	if own.Status.Result == "" || other.Status.Result != "" {
		t.Errorf("states: %+v, %+v", own.Status, other.Status)
	}
	if node, report, ok := announce.ReportOf(other); !ok || node != "b" || len(report.Interfaces) != 1 {
		t.Errorf("another's report: %+v", other)
	}
	none := testService("internal")
	none.Labels = map[string]string{"a": "b"}
	if trimmed(t, "a", none); none.Labels != nil || none.Name != "internal" {
		t.Errorf("a Service without an address: %+v", none)
	}
}
