package announce

import (
	"maps"
	"net/netip"
	"strings"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

const uid = "7f1b2c9e-0000-4000-8000-000000000001"

func record(change ...func(*Record)) Record {
	r := Record{
		Service: types.NamespacedName{Namespace: "default", Name: "web"}, UID: uid,
		Address: netip.MustParseAddr("192.0.2.1"), Node: "n1",
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func TestRecord(t *testing.T) {
	long := strings.Repeat("a", 64)
	labels := func(of ...string) map[string]string {
		all := map[string]string{}
		for i, key := range []string{LabelNode, LabelServiceName, LabelServiceNamespace} {
			if of[i] != "" {
				all[key] = of[i]
			}
		}
		return all
	}
	for _, tc := range []struct {
		reason      string
		record      Record
		name        string
		annotations map[string]string
		labels      map[string]string
	}{
		{"announced", record(), "l2-" + uid + "-ipv4",
			map[string]string{AnnotationService: "default/web", AnnotationAddress: "192.0.2.1", AnnotationNode: "n1"},
			labels("n1", "web", "default")},
		{"the families of a Service are two records", record(func(r *Record) { r.Address = netip.MustParseAddr("2001:db8::1") }), "l2-" + uid + "-ipv6",
			map[string]string{AnnotationService: "default/web", AnnotationAddress: "2001:db8::1", AnnotationNode: "n1"},
			labels("n1", "web", "default")},
		{"by nobody, and why", record(func(r *Record) { r.Node, r.Reason, r.Message = "", "NotAdvertised", "no L2Advertisement, \"so\" there" }), "l2-" + uid + "-ipv4",
			map[string]string{AnnotationService: "default/web", AnnotationAddress: "192.0.2.1", AnnotationReason: "NotAdvertised", AnnotationMessage: "no L2Advertisement, \"so\" there"},
			labels("", "web", "default")},
		{"a node whose name is too long for a label", record(func(r *Record) { r.Node = long }), "l2-" + uid + "-ipv4",
			map[string]string{AnnotationService: "default/web", AnnotationAddress: "192.0.2.1", AnnotationNode: long},
			labels("", "web", "default")},
		{"a node whose name has dots is one", record(func(r *Record) { r.Node = "n1.example.com" }), "l2-" + uid + "-ipv4",
			map[string]string{AnnotationService: "default/web", AnnotationAddress: "192.0.2.1", AnnotationNode: "n1.example.com"},
			labels("n1.example.com", "web", "default")},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			if got := tc.record.Name(); got != tc.name {
				t.Errorf("name %s, want %s", got, tc.name)
			}
			if wrong := validation.IsDNS1123Subdomain(tc.record.Name()); len(wrong) > 0 {
				t.Errorf("the API server refuses the name: %v", wrong)
			}
			if got := tc.record.Annotations(); !maps.Equal(got, tc.annotations) {
				t.Errorf("annotations %v, want %v", got, tc.annotations)
			}
			if got := tc.record.Labels(); !maps.Equal(got, tc.labels) {
				t.Errorf("labels %v, want %v", got, tc.labels)
			}
			object := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Name: tc.record.Name(), Annotations: tc.record.Annotations()}}
			if got, ok := RecordOf(object); !ok || got != tc.record {
				t.Errorf("read back: %+v, %v", got, ok)
			}
		})
	}
}

func TestForeignRecords(t *testing.T) {
	for _, tc := range []struct {
		reason string
		change func(*metallb.ServiceL2Status)
	}{
		{"MetalLB's own has no annotations", func(o *metallb.ServiceL2Status) { o.Name, o.Annotations = "l2-x7k2p", nil }},
		{"a name of another kind", func(o *metallb.ServiceL2Status) { o.Name = uid + "-ipv4" }},
		{"a name without an end", func(o *metallb.ServiceL2Status) { o.Name = "l2-x7k2p" }},
		{"the name of the other family", func(o *metallb.ServiceL2Status) { o.Name = "l2-" + uid + "-ipv6" }},
		{"a copy under a name of its own", func(o *metallb.ServiceL2Status) { o.Name = "l2-" + uid + "-copy" }},
		{"no address", func(o *metallb.ServiceL2Status) { delete(o.Annotations, AnnotationAddress) }},
		{"an address that is none", func(o *metallb.ServiceL2Status) { o.Annotations[AnnotationAddress] = "192.0.2" }},
		{"no Service", func(o *metallb.ServiceL2Status) { delete(o.Annotations, AnnotationService) }},
		{"a Service without a namespace", func(o *metallb.ServiceL2Status) { o.Annotations[AnnotationService] = "web" }},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			object := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Name: record().Name(), Annotations: record().Annotations()}}
			tc.change(object)
			if got, ok := RecordOf(object); ok || got != (Record{}) {
				t.Errorf("taken for ours: %+v", got)
			}
		})
	}
}
