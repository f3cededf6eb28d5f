package app

import (
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/spf13/pflag"

	"github.com/berth-lb/berth/cmd/internal/process"
)

// nodeNameVariable names the node where the flag doesn't.
const nodeNameVariable = "BERTH_NODE_NAME"

// internalInterfaces are those that lead to containers or nowhere, as container
// runtimes, network plugins and kube-proxy name them.
const internalInterfaces = `lo|docker.*|cbr.*|dummy.*|virbr.*|lxcbr.*|veth.*|cali.*|tunl.*|flannel.*|cni.*|kube-ipvs.*|nodelocaldns.*|lxc.*|cilium.*`

// options are the flags.
type options struct {
	kubeconfig string
	namespace  string
	nodeName   string

	healthPort int
	excluded   string
	// exclude is made from excluded.
	exclude *regexp.Regexp

	livenessPort       int
	livenessInterval   time.Duration
	livenessMultiplier int
	standIn            bool
	standInLimit       time.Duration

	serviceBGPStatus bool

	endpoints process.Endpoints
	log       process.Log
}

func defaults() *options {
	return &options{
		namespace:          "berth-system",
		nodeName:           os.Getenv(nodeNameVariable),
		healthPort:         10256,
		excluded:           internalInterfaces,
		livenessPort:       7784,
		livenessInterval:   100 * time.Millisecond,
		livenessMultiplier: 3,
		standIn:            true,
		standInLimit:       30 * time.Second,
		endpoints:          process.Endpoints{Metrics: ":7472", Probes: ":7474"},
		log:                process.NewLog(),
	}
}

func (o *options) addTo(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.nodeName, "node-name", o.nodeName, "name of the Node that this is; empty uses $"+nodeNameVariable)
	f.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "path of a kubeconfig; empty uses $KUBECONFIG, the Pod's own ServiceAccount, or ~/.kube/config")
	f.StringVar(&o.namespace, "namespace", o.namespace, "namespace whose configuration objects count, and where speakers report")

	f.IntVar(&o.healthPort, "kube-proxy-health-port", o.healthPort, "port of kube-proxy's /healthz on the node; 0 asks no health checks, those of Services neither")
	f.StringVar(&o.excluded, "exclude-interfaces", o.excluded, "regular expression of the names, as a whole, of interfaces that nothing is announced on")

	f.IntVar(&o.livenessPort, "liveness-port", o.livenessPort, "UDP port by which speakers watch each other; the same on all nodes")
	f.DurationVar(&o.livenessInterval, "liveness-interval", o.livenessInterval, "time between two packets by which speakers watch each other")
	f.IntVar(&o.livenessMultiplier, "liveness-multiplier", o.livenessMultiplier, "packets in a row that are missing when a speaker counts as gone")
	f.BoolVar(&o.standIn, "stand-in", o.standIn, "answer in the name of a speaker that is gone while its node is there, rather than take its addresses over; switch off where the network refuses such answers")
	f.DurationVar(&o.standInLimit, "stand-in-limit", o.standInLimit, "how long to stand in before the addresses are taken over")

	f.BoolVar(&o.serviceBGPStatus, "service-bgp-status", o.serviceBGPStatus, "keep a ServiceBGPStatus for each Service and node that announces it by BGP, as MetalLB does; BGPNodeStatuses tell of sessions without it")

	o.endpoints.AddTo(f)
	o.log.AddTo(f)
}

// validate finds what the flags' types can't say. Each message names the flag,
// the value and what is allowed.
func (o *options) validate() error {
	if o.nodeName == "" {
		return fmt.Errorf("--node-name is empty, and so is $%s; one of them has to name the Node that this is", nodeNameVariable)
	}
	if o.namespace == "" {
		return fmt.Errorf("--namespace is empty; it has to name the namespace of the installation")
	}
	var err error
	if o.exclude, err = regexp.Compile("^(?:" + o.excluded + ")$"); err != nil {
		return fmt.Errorf("--exclude-interfaces: %q is no regular expression: %w", o.excluded, err)
	}
	for _, n := range []struct {
		flag             string
		value, low, high int
	}{
		{"--kube-proxy-health-port", o.healthPort, 0, 65535},
		{"--liveness-port", o.livenessPort, 1, 65535},
		{"--liveness-multiplier", o.livenessMultiplier, 2, 50},
	} {
		if n.value < n.low || n.value > n.high {
			return fmt.Errorf("%s: %d; allowed are %d to %d", n.flag, n.value, n.low, n.high)
		}
	}
	if o.livenessInterval < 10*time.Millisecond || o.livenessInterval > 10*time.Second {
		return fmt.Errorf("--liveness-interval: %v; allowed are 10ms to 10s", o.livenessInterval)
	}
	if o.standIn && o.standInLimit <= 0 {
		return fmt.Errorf("--stand-in-limit: %v; allowed are more than 0s, or --stand-in=false", o.standInLimit)
	}
	return nil
}

// usable says whether addresses may be announced on an interface.
func (o *options) usable(name string) bool { return !o.exclude.MatchString(name) }
