package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-lb/berth/bfd"
)

// bfdCollector reads the counters of BFD with routers when it is asked for them.
type bfdCollector struct {
	counters                       func() bfd.Counters
	received, sent, unsent, stalls *prometheus.Desc
	dropped                        *prometheus.Desc
}

func newBFDCollector(counters func() bfd.Counters) *bfdCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("berth_bgp_bfd_"+name, help, labels, nil)
	}
	return &bfdCollector{
		counters: counters,
		received: desc("packets_received_total", "BFD packets that came from anybody."),
		sent:     desc("packets_sent_total", "BFD packets that were sent to routers."),
		unsent:   desc("packets_unsent_total", "BFD packets that the kernel did not take."),
		stalls:   desc("stalls_total", "Times that BFD was kept from running for 20 ms or more."),
		dropped:  desc("packets_dropped_total", "BFD packets that were of no session, or not as it allows.", "reason"),
	}
}

func (c *bfdCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.received, c.sent, c.unsent, c.stalls, c.dropped} {
		descs <- d
	}
}

func (c *bfdCollector) Collect(metrics chan<- prometheus.Metric) {
	now := c.counters()
	tell := func(d *prometheus.Desc, value uint64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	tell(c.received, now.Received)
	tell(c.sent, now.Sent)
	tell(c.unsent, now.SendErrors)
	tell(c.stalls, now.Stalls)
	for reason, n := range now.Dropped {
		tell(c.dropped, n, reason.String())
	}
}
