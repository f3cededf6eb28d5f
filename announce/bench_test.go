package announce

import (
	"fmt"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// BenchmarkLayer2 decides about one Service with three pods.
func BenchmarkLayer2(b *testing.B) {
	for _, nodes := range []int{3, 100, 1000} {
		for _, count := range []int{1, 3} {
			b.Run(fmt.Sprintf("Cluster/%d-nodes/%d-advertisements", nodes, count), func(b *testing.B) {
				c, in := crowd(nodes, count)
				benchmark(b, c, in)
			})
		}
		b.Run(fmt.Sprintf("Local/%d-nodes", nodes), func(b *testing.B) {
			c, in := crowd(nodes, 1)
			in.Service.Spec.ExternalTrafficPolicy = local
			benchmark(b, c, in)
		})
		b.Run(fmt.Sprintf("WhyNot/%d-nodes", nodes), func(b *testing.B) {
			c, in := crowd(nodes, 1)
			for i := range c.Nodes {
				closed(&c.Nodes[i])
			}
			c.Self = ""
			benchmark(b, c, in)
		})
	}
}

func benchmark(b *testing.B, c Config, in Input) {
	v, _ := Compile(c)
	b.ReportAllocs()
	for b.Loop() {
		v.Layer2(in)
	}
}

func BenchmarkCompile(b *testing.B) {
	c, _ := crowd(1000, 3)
	b.ReportAllocs()
	for b.Loop() {
		Compile(c)
	}
}

func crowd(nodes, advertisements int) (Config, Input) {
	c, in := plain()
	c.L2Advertisements, c.Nodes = nil, nil
	for i := range advertisements {
		c.L2Advertisements = append(c.L2Advertisements, ad(fmt.Sprint("a", i)))
	}
	for i := range nodes {
		c.Nodes = append(c.Nodes, host(fmt.Sprintf("n%d", i+1)))
	}
	for i := range 100 {
		c.Pools = append(c.Pools, makePool(fmt.Sprint("pool", i), fmt.Sprintf("10.%d.0.0/16", i)))
	}
	in.EndpointSlices = pods(discoveryv1.AddressTypeIPv4, "n1", "n2", "n3")
	return c, in
}
