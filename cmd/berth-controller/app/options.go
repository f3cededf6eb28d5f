package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-lb/berth/cmd/internal/process"
	"github.com/berth-lb/berth/providers/aws/annotation"
)

// options are the flags.
type options struct {
	kubeconfig string
	namespace  string

	backends       []string
	defaultBackend string
	classes        map[string]string
	concurrency    int

	clusterName   string
	cloudProvider string
	cloudConfig   string
	aws           awsOptions
	dryRun        bool

	leaderElect   bool
	leaseDuration time.Duration
	renewDeadline time.Duration
	retryPeriod   time.Duration

	endpoints process.Endpoints
	log       process.Log
}

// classOf is the spec.loadBalancerClass of each backend, unless a flag says
// otherwise. Its keys are the backends that there are.
var classOf = map[string]string{
	"pool":  "berth-lb.dev/pool",
	"cloud": "berth-lb.dev/cloud",
	"fake":  "berth-lb.dev/fake",
	"aws":   annotation.LoadBalancerClass,
}

func defaults() *options {
	return &options{
		namespace:     "berth-system",
		backends:      []string{"pool"},
		concurrency:   16,
		clusterName:   "kubernetes",
		aws:           defaultsForAWS(),
		leaderElect:   true,
		leaseDuration: 15 * time.Second,
		renewDeadline: 10 * time.Second,
		retryPeriod:   2 * time.Second,
		endpoints:     process.Endpoints{Metrics: ":8080", Probes: ":8081"},
		log:           process.NewLog(),
	}
}

func (o *options) addTo(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "path of a kubeconfig; empty uses $KUBECONFIG, the Pod's own ServiceAccount, or ~/.kube/config")
	f.StringVar(&o.namespace, "namespace", o.namespace, "namespace whose configuration objects count, and where the leader's lease is")
	f.StringSliceVar(&o.backends, "backends", o.backends, "backends to run, of: "+strings.Join(backendNames(), ", "))
	f.StringVar(&o.defaultBackend, "default-backend", o.defaultBackend, "backend that serves Services without spec.loadBalancerClass; empty leaves them alone")
	f.StringToStringVar(&o.classes, "load-balancer-class", nil, "class by which Services choose a backend, as backend=class (defaults: "+classList()+")")
	f.IntVar(&o.concurrency, "concurrency", o.concurrency, "Services that are worked on at once")

	f.StringVar(&o.clusterName, "cluster-name", o.clusterName, "name of the cluster, for the backend cloud")
	f.StringVar(&o.cloudProvider, "cloud-provider", o.cloudProvider, "cloud of the backend cloud; it has to be built in")
	f.StringVar(&o.cloudConfig, "cloud-config", o.cloudConfig, "path of the cloud's configuration file")

	o.aws.addTo(f)
	f.BoolVar(&o.dryRun, "dry-run", false, "print for each Service what the backend aws would change, change nothing, and end")

	f.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect, "run only while leading, so that several may be started")
	f.DurationVar(&o.leaseDuration, "leader-elect-lease-duration", o.leaseDuration, "how long a leader that has vanished is waited for")
	f.DurationVar(&o.renewDeadline, "leader-elect-renew-deadline", o.renewDeadline, "how long a leader tries to stay one before it gives up")
	f.DurationVar(&o.retryPeriod, "leader-elect-retry-period", o.retryPeriod, "pause between tries to become or stay leader")

	o.endpoints.AddTo(f)
	o.log.AddTo(f)
}

// validate finds what the flags' types can't say. Each message names the flag,
// the value and what is allowed.
func (o *options) validate() error {
	if len(o.backends) == 0 {
		return fmt.Errorf("--backends is empty; allowed are one or more of: %s", strings.Join(backendNames(), ", "))
	}
	for i, name := range o.backends {
		if _, ok := classOf[name]; !ok {
			return fmt.Errorf("--backends: %q is not a backend; allowed are: %s", name, strings.Join(backendNames(), ", "))
		}
		if slices.Contains(o.backends[:i], name) {
			return fmt.Errorf("--backends: %q is named twice; allowed is each once of: %s", name, strings.Join(backendNames(), ", "))
		}
	}
	if o.defaultBackend != "" && !slices.Contains(o.backends, o.defaultBackend) {
		return fmt.Errorf("--default-backend: %q is not among --backends (%s)", o.defaultBackend, strings.Join(o.backends, ", "))
	}
	for name, class := range o.classes {
		if !slices.Contains(o.backends, name) {
			return fmt.Errorf("--load-balancer-class: %q is not among --backends (%s)", name, strings.Join(o.backends, ", "))
		}
		if class == "" {
			return fmt.Errorf("--load-balancer-class: the class of %q is empty; give backend=class", name)
		}
	}
	if slices.Contains(o.backends, "cloud") && o.cloudProvider == "" {
		return fmt.Errorf("--cloud-provider is empty; the backend cloud needs to know which")
	}
	if slices.Contains(o.backends, "aws") {
		if err := o.aws.validate(); err != nil {
			return err
		}
	} else if o.dryRun {
		return fmt.Errorf("--dry-run needs the backend aws, which is not among --backends (%s)", strings.Join(o.backends, ", "))
	}
	if o.concurrency < 1 {
		return fmt.Errorf("--concurrency: %d; allowed are 1 and more", o.concurrency)
	}
	if !(o.retryPeriod < o.renewDeadline && o.renewDeadline < o.leaseDuration) {
		return fmt.Errorf("--leader-elect-retry-period (%v) must be below --leader-elect-renew-deadline (%v), and that below --leader-elect-lease-duration (%v)",
			o.retryPeriod, o.renewDeadline, o.leaseDuration)
	}
	return nil
}

// class returns the class of a backend.
func (o *options) class(backend string) string {
	if class, ok := o.classes[backend]; ok {
		return class
	}
	return classOf[backend]
}

// defaultOf returns the default backend where no other is looked at than those.
func (o *options) defaultOf(backends ...string) string {
	if slices.Contains(backends, o.defaultBackend) {
		return o.defaultBackend
	}
	return ""
}

func backendNames() []string { return slices.Sorted(maps.Keys(classOf)) }

func classList() string {
	var list []string
	for _, name := range backendNames() {
		list = append(list, name+"="+classOf[name])
	}
	return strings.Join(list, ",")
}
