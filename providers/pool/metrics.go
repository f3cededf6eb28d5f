package pool

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// collector reads the counts of addresses when it is asked for them.
type collector struct {
	provider     *Provider
	inUse, total []*prometheus.Desc
}

// Collector returns the metrics of the provider. With metallbNames they are
// served under the names that MetalLB gives them as well.
func (p *Provider) Collector(metallbNames bool) prometheus.Collector {
	c := &collector{provider: p}
	prefixes := []string{"berth"}
	if metallbNames {
		prefixes = append(prefixes, "metallb")
	}
	for _, prefix := range prefixes {
		c.inUse = append(c.inUse, prometheus.NewDesc(prefix+"_allocator_addresses_in_use_total",
			"Addresses of the pool that Services hold.", []string{"pool"}, nil))
		c.total = append(c.total, prometheus.NewDesc(prefix+"_allocator_addresses_total",
			"Addresses of the pool that can be given out.", []string{"pool"}, nil))
	}
	return c
}

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range slices.Concat(c.inUse, c.total) {
		descs <- d
	}
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	c.provider.mu.Lock()
	defer c.provider.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.provider.pools)) {
		if name == unconfigured {
			continue
		}
		u := c.provider.addresses.Usage(name)
		inUse := float64(u.Assigned4) + float64(u.Assigned6)
		free := float64(u.Available4) + float64(u.Available6)
		for i := range c.inUse {
			metrics <- prometheus.MustNewConstMetric(c.inUse[i], prometheus.GaugeValue, inUse, name)
			metrics <- prometheus.MustNewConstMetric(c.total[i], prometheus.GaugeValue, inUse+free, name)
		}
	}
}
