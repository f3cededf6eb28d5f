package speaker

import (
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// gauge knows which Services this node announces at layer 2.
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

// each calls do for each address that is announced.
func (g *gauge) each(do func(types.NamespacedName, netip.Addr)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for service, addresses := range g.announced {
		for _, address := range addresses {
			do(service, address)
		}
	}
}

// collector reads what is announced when it is asked for it.
type collector struct {
	speaker  *Speaker
	descs    []*prometheus.Desc
	sessions []bgpMetric
}

// Collector returns the metrics of the speaker. With metallbNames they are
// served under the names that MetalLB gives them as well.
func (s *Speaker) Collector(metallbNames bool) prometheus.Collector {
	prefixes := []string{"berth"}
	if metallbNames {
		prefixes = append(prefixes, "metallb")
	}
	c := &collector{speaker: s, sessions: sessionMetrics(metallbNames)}
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
	for _, m := range c.sessions {
		for _, d := range m.descs {
			descs <- d
		}
	}
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	c.speaker.gauge.each(func(service types.NamespacedName, address netip.Addr) {
		c.announced("layer2", service, address, metrics)
	})
	c.speaker.routes.each(func(service types.NamespacedName, address netip.Addr) { c.announced("bgp", service, address, metrics) })
	for _, r := range c.speaker.sessions.rows(c.speaker.BGP.Sessions()) {
		for _, m := range c.sessions {
			m.collect(r, metrics)
		}
	}
}

func (c *collector) announced(protocol string, service types.NamespacedName, address netip.Addr, metrics chan<- prometheus.Metric) {
	for _, d := range c.descs {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, 1, service.String(), protocol, c.speaker.Node, address.String())
	}
}
