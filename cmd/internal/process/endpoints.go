package process

import "github.com/spf13/pflag"

// Endpoints says what a process tells about itself by HTTP, and where.
type Endpoints struct {
	// Metrics, Probes and Profiles are addresses to listen on.
	Metrics, Probes, Profiles string
	// MetalLBNames has metrics served under the names that MetalLB gives them
	// as well.
	MetalLBNames bool
}

// AddTo adds its flags; what e holds are the defaults.
func (e *Endpoints) AddTo(f *pflag.FlagSet) {
	f.StringVar(&e.Metrics, "metrics-bind-address", e.Metrics, "address of /metrics, 0 for none")
	f.StringVar(&e.Probes, "health-probe-bind-address", e.Probes, "address of /healthz and /readyz, 0 for none")
	f.StringVar(&e.Profiles, "pprof-bind-address", e.Profiles, "address of /debug/pprof, empty for none")
	f.BoolVar(&e.MetalLBNames, "metallb-metrics", e.MetalLBNames, "serve metrics under the names that MetalLB gives them as well")
}
