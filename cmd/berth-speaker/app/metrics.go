package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-lb/berth/l2"
)

// collector reads the counters of layer 2 when it is asked for them.
type collector struct {
	counters func() l2.Counters
	totals   []total
	dropped  *prometheus.Desc
	peers    *prometheus.Desc
}

// total is one counter and the names under which it is served.
type total struct {
	descs []*prometheus.Desc
	value func(l2.Counters) uint64
}

// newCollector returns the metrics of layer 2. With metallbNames they are served
// under the names that MetalLB gives them as well, summed over all addresses.
func newCollector(counters func() l2.Counters, metallbNames bool) *collector {
	c := &collector{
		counters: counters,
		dropped: prometheus.NewDesc("berth_layer2_frames_dropped_total",
			"ARP and NDP frames that were malformed.", []string{"fault"}, nil),
		peers: prometheus.NewDesc("berth_layer2_peers",
			"Nodes that this one watches, by what it knows of them.", []string{"state"}, nil),
	}
	add := func(name, metallbName, help string, value func(l2.Counters) uint64) {
		t := total{value: value, descs: []*prometheus.Desc{prometheus.NewDesc("berth_layer2_"+name, help, nil, nil)}}
		if metallbNames && metallbName != "" {
			t.descs = append(t.descs, prometheus.NewDesc("metallb_layer2_"+metallbName, help, nil, nil))
		}
		c.totals = append(c.totals, t)
	}
	add("frames_received_total", "requests_received", "ARP and NDP frames that passed the filters.",
		func(c l2.Counters) uint64 { return c.Received })
	add("answers_sent_total", "responses_sent", "Questions that were answered, in the node's own name or another's.",
		func(c l2.Counters) uint64 { return c.Answered })
	add("gratuitous_sent_total", "gratuitous_sent", "Times that an address was told of unasked.",
		func(c l2.Counters) uint64 { return c.Gratuitous })
	add("gratuitous_heard_total", "", "Times that another host told of an address.",
		func(c l2.Counters) uint64 { return c.Heard })
	add("frames_unsent_total", "", "Frames that an interface did not take.",
		func(c l2.Counters) uint64 { return c.Unsent })
	add("frames_missed_total", "", "Frames that passed the filters and were not read in time.",
		func(c l2.Counters) uint64 { return c.Missed })
	return c
}

func (c *collector) Describe(descs chan<- *prometheus.Desc) {
	for _, t := range c.totals {
		for _, d := range t.descs {
			descs <- d
		}
	}
	descs <- c.dropped
	descs <- c.peers
}

func (c *collector) Collect(metrics chan<- prometheus.Metric) {
	now := c.counters()
	for _, t := range c.totals {
		for _, d := range t.descs {
			metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(t.value(now)))
		}
	}
	for fault, n := range now.Dropped {
		metrics <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(n), fault)
	}
	for state, n := range now.Peers {
		metrics <- prometheus.MustNewConstMetric(c.peers, prometheus.GaugeValue, float64(n), state)
	}
}
