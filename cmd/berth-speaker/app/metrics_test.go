package app

import (
	"maps"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/berth-lb/berth/bfd"
	"github.com/berth-lb/berth/l2"
)

func TestLayer2Metrics(t *testing.T) {
	counters := func() l2.Counters {
		return l2.Counters{Received: 7, Answered: 5, Gratuitous: 2, Heard: 1, Unsent: 4, Missed: 6, Dropped: map[string]uint64{"short": 3}, Peers: map[string]int64{"away": 8}}
	}
	ours := map[string]float64{
		"berth_layer2_frames_received_total": 7, "berth_layer2_answers_sent_total": 5, "berth_layer2_gratuitous_sent_total": 2,
		"berth_layer2_gratuitous_heard_total": 1, "berth_layer2_frames_unsent_total": 4, "berth_layer2_frames_dropped_total": 3,
		"berth_layer2_frames_missed_total": 6, "berth_layer2_peers": 8,
	}
	if got := gathered(t, newCollector(counters, false)); !maps.Equal(got, ours) {
		t.Errorf("got %v, want %v", got, ours)
	}
	maps.Copy(ours, map[string]float64{
		"metallb_layer2_requests_received": 7, "metallb_layer2_responses_sent": 5, "metallb_layer2_gratuitous_sent": 2,
	})
	if got := gathered(t, newCollector(counters, true)); !maps.Equal(got, ours) {
		t.Errorf("with MetalLB's names: got %v, want %v", got, ours)
	}
}

func TestBFDMetrics(t *testing.T) {
	counters := func() bfd.Counters {
		return bfd.Counters{Received: 7, Sent: 5, SendErrors: 2, Stalls: 1, Dropped: map[bfd.Reason]uint64{bfd.WrongTTL: 3}}
	}
	want := map[string]float64{
		"berth_bgp_bfd_packets_received_total": 7, "berth_bgp_bfd_packets_sent_total": 5, "berth_bgp_bfd_packets_unsent_total": 2,
		"berth_bgp_bfd_stalls_total": 1, "berth_bgp_bfd_packets_dropped_total": 3,
	}
	if got := gathered(t, newBFDCollector(counters)); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// gathered returns the first value of each metric.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		values[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
	}
	return values
}
