package speaker

import (
	"cmp"
	"net"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// bgpMetric is one value of each session, under the names by which it is served.
type bgpMetric struct {
	descs []*prometheus.Desc
	kind  prometheus.ValueType
	// value has no value where ok is false.
	value func(row) (value float64, ok bool)
}

// sessionMetrics are those of sessions. Ours carry the name of the BGPPeer,
// MetalLB's the address and port, and the VRF, as there.
func sessionMetrics(metallbNames bool) []bgpMetric {
	var all []bgpMetric
	add := func(name, metallbName, help string, kind prometheus.ValueType, value func(row) (float64, bool)) {
		m := bgpMetric{kind: kind, value: value, descs: []*prometheus.Desc{prometheus.NewDesc("berth_bgp_"+name, help, []string{"peer"}, nil)}}
		if metallbNames {
			m.descs = append(m.descs, prometheus.NewDesc("metallb_"+metallbName, help, []string{"peer", "vrf"}, nil))
		}
		all = append(all, m)
	}
	add("session_up", "bgp_session_up", "Whether the BGP session is established: 1 is yes.", prometheus.GaugeValue,
		func(r row) (float64, bool) { return number(r.session.Established), true })
	add("updates_total", "bgp_updates_total", "UPDATE messages sent.", prometheus.CounterValue,
		func(r row) (float64, bool) { return float64(r.session.Updates), true })
	add("announced_prefixes_total", "bgp_announced_prefixes_total", "Prefixes that the router has been told of.", prometheus.GaugeValue,
		func(r row) (float64, bool) { return float64(r.session.Prefixes), true })
	add("bfd_session_up", "bfd_session_up", "Whether the BFD session is up: 1 is yes.", prometheus.GaugeValue,
		func(r row) (float64, bool) { return number(r.session.BFD == "Up"), r.peer.BFD != nil })
	return all
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m bgpMetric) collect(r row, metrics chan<- prometheus.Metric) {
	value, ok := m.value(r)
	if !ok {
		return
	}
	for i, desc := range m.descs {
		labels := []string{r.peer.Name}
		if i > 0 {
			labels = []string{r.endpoint(), cmp.Or(r.peer.Device, "default")}
		}
		metrics <- prometheus.MustNewConstMetric(desc, m.kind, value, labels...)
	}
}

// endpoint is the address and port of the router; the interface stands for an
// address that is not known yet.
func (r row) endpoint() string {
	host := r.peer.Interface
	if r.session.Address.IsValid() {
		host = r.session.Address.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(r.peer.Port)))
}
