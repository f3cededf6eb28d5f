package speaker

import (
	"fmt"
	"net/netip"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/berth-lb/berth/announce"
)

// A change of the configuration has each of 10,000 Services decided again: from
// objects to what layer 2 is told.
func BenchmarkDecide10000(b *testing.B) {
	const services = 10_000
	var c announce.Config
	c.Self = "node-0"
	for _, o := range cluster() {
		switch o := o.(type) {
		case *metallb.IPAddressPool:
			c.Pools = append(c.Pools, o)
		case *metallb.L2Advertisement:
			c.L2Advertisements = append(c.L2Advertisements, o)
		}
	}
	var names []string
	for i := range 30 {
		name := fmt.Sprintf("node-%d", i)
		names = append(names, name)
		c.Nodes = append(c.Nodes, announce.Node{Node: testNode(name), Speaker: &announce.SpeakerReport{Interfaces: []string{"eth0"}}})
	}
	c.Pools[0].Spec.Addresses = []string{"10.0.0.0/16"}
	all := make([]*corev1.Service, services)
	eps := make([][]*discoveryv1.EndpointSlice, services)
	address := netip.MustParseAddr("10.0.0.1")
	for i := range all {
		all[i] = testService(fmt.Sprintf("web-%d", i), address.String())
		eps[i] = []*discoveryv1.EndpointSlice{endpoints(all[i].Name, names[i%30], names[(i+1)%30], names[(i+2)%30])}
		address = address.Next()
	}
	s := New(Options{Node: c.Self, Namespace: testNamespace, BGP: asBGP{newFakeBGP()},
		Layer2: &fakeLayer2{claims: map[netip.Addr]Claim{}, peers: map[string]Host{}}})
	s.view, _ = announce.Compile(c)
	b.ReportAllocs()
	for b.Loop() {
		for i, svc := range all {
			key := called(svc.Name)
			v := s.judge(key, announce.Input{Service: svc, EndpointSlices: eps[i]}, nil)
			s.pass(s.book.set(key, v.layer2, nil))
		}
	}
	b.ReportMetric(float64(services*b.N)/b.Elapsed().Seconds(), "services/s")
}
