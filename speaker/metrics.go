package speaker

import (
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// gauge knows which Services this node announces.
type gauge struct {
	mu        sync.Mutex
	announced map[types.NamespacedName][]netip.Addr
}

// set replaces what is known of a Service.
func (g *gauge) set(service types.NamespacedName, addresses []netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.announced == nil {
		g.announced = map[types.NamespacedName][]netip.Addr{}
	}
	if len(addresses) == 0 {
		delete(g.announced, service)
		return
	}
	g.announced[service] = addresses
}

// collector reads what is announced when it is asked for it.
type collector struct {
	speaker *Speaker
	descs   []*prometheus.Desc
}

// Collector returns the metrics of the speaker. With metallbNames they are
// served under the names that MetalLB gives them as well.
func (s *Speaker) Collector(metallbNames bool) prometheus.Collector {
	prefixes := []string{"berth"}
	if metallbNames {
		prefixes = append(prefixes, "metallb")
	}
	c := &collector{speaker: s}
	for _, prefix := range prefixes {
		c.descs = append(c.descs, prometheus.NewDesc(prefix+"_speaker_announced",
			"Addresses of Services that this node announces.", []string{"service", "protocol", "node", "ip"}, nil))
	}
	return c
}

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		descs <- d
	}
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	g := &c.speaker.gauge
	g.mu.Lock()
	defer g.mu.Unlock()
	for service, addresses := range g.announced {
		for _, address := range addresses {
			for _, d := range c.descs {
				metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, 1,
					service.String(), "layer2", c.speaker.Node, address.String())
			}
		}
	}
}
