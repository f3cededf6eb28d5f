package process

import (
	"fmt"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/berth-lb/berth/cmd/internal/version"
)

// Identify logs which build this is, and serves it as a metric.
func Identify(log logr.Logger) error {
	build := version.Get()
	log.Info("Starting", "version", build.Version, "commit", build.Commit, "modified", build.Modified, "go", build.Go)
	if err := metrics.Registry.Register(buildInfo(build)); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// buildInfo is a metric whose labels say which build this is, for dashboards
// and for whoever looks which nodes an upgrade has reached.
func buildInfo(build version.Build) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "berth_build_info",
		Help:        "Always 1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit, "go": build.Go},
	}, func() float64 { return 1 })
}
