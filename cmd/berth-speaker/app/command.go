// Package app is the berth-speaker command, apart from its main function.
package app

import (
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/berth-lb/berth/cmd/internal/process"
)

// minProcs is how many threads run Go code at once at least, also on a machine
// with fewer cores: a timer or a frame must not wait for one to be free.
const minProcs = 4

// gcPercent is low: there is a speaker on each node, and it makes little garbage
// except at its start.
const gcPercent = 12

// Main runs the command and returns its exit code.
func Main() int {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minProcs {
		runtime.GOMAXPROCS(minProcs)
	}
	return process.Main(command(), gcPercent)
}

func command() *cobra.Command {
	o := defaults()
	cmd := &cobra.Command{
		Use:   "berth-speaker",
		Short: "Announces the addresses of Kubernetes Services of type LoadBalancer from a node",
		Long: `berth-speaker runs on each node and answers ARP and NDP for the addresses of
Services of type LoadBalancer, as IPAddressPools and L2Advertisements ask for:
one node for each address, and another one when that is lost. Who announces
what, or why nobody does, is in the ServiceL2Statuses of its namespace.

As BGPAdvertisements and BGPPeers ask for, it tells routers of the addresses
that the node can serve. What its sessions with them are like is in the
BGPNodeStatus with the node's name. Stopped to be started anew, it leaves the
routers as they are where graceful restart is enabled; on a node that is
cordoned, excluded, shutting down or deleted, it withdraws everything first.

It has to run in the node's network namespace, with CAP_NET_RAW. With
CAP_NET_ADMIN it can have larger receive buffers than net.core.rmem_max.`,
		Example: `  # On a node, as a Pod does it
  BERTH_NODE_NAME=node-a berth-speaker

  # In place of MetalLB, in its namespace, where Cilium replaces kube-proxy
  berth-speaker --node-name node-a --namespace metallb-system --kube-proxy-health-port 0

  # Not on the interfaces of management and storage
  berth-speaker --node-name node-a --exclude-interfaces 'lo|mgmt.*|storage[0-9]'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return process.Usage(err)
			}
			return run(cmd.Context(), o)
		},
	}
	o.addTo(cmd.Flags())
	return cmd
}
