package announce

import (
	"fmt"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkRoutes10000 decides about 10,000 Services with three pods each, as
// after a change of the configuration.
func BenchmarkRoutes10000(b *testing.B) {
	one, two, selecting := bgpAds(bgpAd("a")), bgpAds(bgpAd("a"), bgpAd("b", communities("1:1"))), bgpAds(bgpAd("a", ofServices(match("app", "web"))), bgpAd("b", ofServices(match("app", "db"))))
	for _, bm := range []struct {
		name   string
		change func(*Config, *Input)
	}{
		{"Cluster", one},
		{"Cluster/2-advertisements", two},
		{"Cluster/1-of-2-selects", selecting},
		{"Local", together(one, isLocalWith("n1", "n2", "n3"))},
		{"ClientIP", together(one, clientIP)},
	} {
		b.Run(bm.name, func(b *testing.B) {
			c, in := routedCrowd(3)
			bm.change(&c, &in)
			v, _ := Compile(c)
			services := make([]*corev1.Service, 10000)
			for i := range services {
				services[i] = in.Service.DeepCopy()
				services[i].Status.LoadBalancer.Ingress[0].IP = fmt.Sprintf("10.0.%d.%d", i/250, i%250)
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, svc := range services {
					in.Service = svc
					v.BGP(in)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(services)), "ns/Service")
		})
	}
}

func BenchmarkReach(b *testing.B) {
	for _, nodes := range []int{3, 1000} {
		for _, racks := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d-nodes/racks-%v", nodes, racks), func(b *testing.B) {
				c, in := routedCrowd(nodes)
				if racks {
					c.BGPPeers = rackPeers(nodes)
				}
				v, _ := Compile(c)
				b.ReportAllocs()
				for b.Loop() {
					v.Reach(in)
				}
			})
		}
	}
}

func BenchmarkCompileRoutes(b *testing.B) {
	c, _ := routedCrowd(1000)
	c.BGPPeers = rackPeers(1000)
	b.ReportAllocs()
	for b.Loop() {
		Compile(c)
	}
}

// BenchmarkMergeRoutes merges what 256 Services say of one aggregate.
func BenchmarkMergeRoutes(b *testing.B) {
	c, in := routedCrowd(3)
	v, _ := Compile(c)
	all := make([][]Path, 256)
	for i := range all {
		all[i] = v.BGP(in)[0].Routes[0].Paths
	}
	b.ReportAllocs()
	for b.Loop() {
		MergeRoutes(all...)
	}
}

// routedCrowd has many pools beside the one that is asked about.
func routedCrowd(nodes int) (Config, Input) {
	c, in := crowd(nodes, 0)
	c.BGPAdvertisements, c.BGPPeers = []*metallb.BGPAdvertisement{bgpAd("a")}, rackPeers(1)
	in.Service = web(cluster, "10.0.0.1")
	in.EndpointSlices = pods(discoveryv1.AddressTypeIPv4, "n1", "n2", "n3")
	return c, in
}

// rackPeers are two routers for each 20 nodes.
func rackPeers(nodes int) []*v1beta2.BGPPeer {
	var all []*v1beta2.BGPPeer
	for rack := 0; rack*20 < nodes; rack++ {
		var change []func(*v1beta2.BGPPeerSpec)
		if nodes > 1 {
			var names []string
			for i := range 20 {
				names = append(names, fmt.Sprint("n", rack*20+i+1))
			}
			change = append(change, atNodes(oneOf("name", names...)))
		}
		all = append(all, peer(fmt.Sprint("a", rack), fmt.Sprintf("10.200.%d.1", rack), change...), peer(fmt.Sprint("b", rack), fmt.Sprintf("10.200.%d.2", rack), change...))
	}
	return all
}

func oneOf(key string, values ...string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values}}}
}
