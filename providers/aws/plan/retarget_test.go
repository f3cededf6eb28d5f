package plan

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// What serves a Service whose settings are not known any more follows it, and
// nothing else of it changes.
func TestRetarget(t *testing.T) {
	label := func(key string) func(*Request) {
		return settings(func(s *annotation.Settings) { s.NodeLabels = labels.Set{key: "1"}.AsSelector() })
	}
	nodes := func(r *Request) {
		r.Nodes = []*corev1.Node{node("b", "aws:///eu-1b/i-0b"), node("c", "aws:///eu-1c/i-0c")}
		r.Nodes[1].ObjectMeta = metav1.ObjectMeta{Name: "c", Labels: map[string]string{"new": "1"}}
	}
	pods := func(r *Request) {
		r.EndpointSlices = []*discoveryv1.EndpointSlice{slice("http", 8080, endpoint("10.0.2.12"), endpoint("192.168.7.7"))}
	}
	families := func(f ...corev1.IPFamily) func(*Request) {
		return service(func(s *corev1.ServiceSpec) { s.IPFamilies = f })
	}
	number := func(n int32) func(*Request) {
		return service(func(s *corev1.ServiceSpec) { s.Ports[0].Port = n })
	}
	for _, tc := range []struct {
		reason        string
		before, after []func(*Request)
		want          []string
	}{
		{"nothing changes", nil, nil, nil},
		{"nodes", nil, []func(*Request){nodes}, []string{"register target i-0c:30080", "deregister target i-0a:30080"}},
		{"nodes, one of which is selected", nil, []func(*Request){nodes, label("new")}, []string{"register target i-0c:30080", "deregister 2 targets (i-0a:30080, i-0b:30080)"}},
		{"a node port", nil, []func(*Request){service(func(s *corev1.ServiceSpec) { s.Ports[0].NodePort = 30081 })},
			[]string{"register 2 targets (i-0a:30081, i-0b:30081)", "deregister 2 targets (i-0a:30080, i-0b:30080)"}},
		{"no node port", nil, []func(*Request){service(func(s *corev1.ServiceSpec) { s.Ports[0].NodePort = 0 })}, nil},
		{"pods, one outside the VPC", []func(*Request){ips}, []func(*Request){ips, pods}, []string{"register target 192.168.7.7:8080", "deregister target 10.0.1.11:8080"}},
		{"nodes are asked for, and what is there has pods", []func(*Request){ips}, []func(*Request){pods, nodes}, []string{"register target 192.168.7.7:8080", "deregister target 10.0.1.11:8080"}},
		{"a pod that waits for its gate", []func(*Request){ips}, []func(*Request){func(r *Request) {
			r.EndpointSlices[0].Endpoints = append(r.EndpointSlices[0].Endpoints, unready("10.0.3.13"))
			r.Gated = map[string]bool{"10.0.3.13": true}
		}}, []string{"register target 10.0.3.13:8080"}},
		{"the port is another, so that its targets are nobody's", nil, []func(*Request){nodes, number(81)}, nil},
		{"the port has another protocol", nil, []func(*Request){nodes, service(func(s *corev1.ServiceSpec) { s.Ports[0].Protocol = corev1.ProtocolUDP })}, nil},
		{"TCP and UDP together", []func(*Request){dnsPorts}, []func(*Request){dnsPorts, nodes}, []string{"register target i-0c:30053", "deregister target i-0a:30053"}},
		{"the family is not the Service's any more", []func(*Request){ips, dual, families(corev1.IPv6Protocol, corev1.IPv4Protocol), func(r *Request) {
			six := slice("http", 8080, endpoint("2001:db8:0:1::11"))
			six.AddressType = discoveryv1.AddressTypeIPv6
			r.EndpointSlices = append(r.EndpointSlices, six)
		}}, []func(*Request){ips, dual, pods, families(corev1.IPv4Protocol)}, nil},
		{"others have targets in there, too", nil, []func(*Request){nodes, settings(func(s *annotation.Settings) { s.MultiCluster = true })},
			[]string{"register target i-0c:30080", "deregister target i-0a:30080"}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			m := newModel()
			if err := m.reach(world(tc.before...)); err != nil {
				t.Fatal(err)
			}
			req := world(tc.after...)
			req.Existing = m.observe()
			groups, changes := Retarget(req)
			var got []string
			for _, c := range changes {
				line, _, _ := strings.Cut(strings.Replace(c.String(), " from ", " with ", 1), " with ")
				got = append(got, line)
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if err := m.apply(changes); err != nil {
				t.Error(err)
			}
			req.Existing = m.observe()
			if _, again := Retarget(req); len(again) > 0 || len(groups) != len(req.Existing.TargetGroups) {
				t.Errorf("leaves %v of %d groups", again, len(groups))
			}
		})
	}
}
