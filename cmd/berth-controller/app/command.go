// Package app is the berth-controller command, apart from its main function so
// that one with further clouds built in is three lines: import the cloud, which
// registers itself with k8s.io/cloud-provider, and call Main.
package app

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/berth-lb/berth/cmd/internal/process"
)

// gcPercent leaves a start with many Services some room; see process.Main.
const gcPercent = 50

// Main runs the command and returns its exit code.
func Main() int { return process.Main(command(), gcPercent) }

func command() *cobra.Command {
	o := defaults()
	cmd := &cobra.Command{
		Use:   "berth-controller",
		Short: "Gives Kubernetes Services of type LoadBalancer an address that works",
		Long: `berth-controller watches the Services of a cluster and has a backend give each
one of type LoadBalancer its address: from an IPAddressPool (backend "pool"), from
AWS (backend "aws", Network Load Balancers), or from another cloud (backends
"cloud" and "fake"). What a Service got, or why it got
nothing, is in its status.

Any number may run at once; one leads and the others stand by.`,
		Example: `  # Bare metal: addresses from the IPAddressPools in berth-system
  berth-controller --backends pool --default-backend pool

  # In place of MetalLB, in its namespace and for its class
  berth-controller --namespace metallb-system --load-balancer-class pool=metallb.io/metallb

  # EKS: what would change if it took over from the AWS Load Balancer Controller
  berth-controller --backends aws --default-backend aws --aws-cluster-name prod --dry-run`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return process.Usage(err)
			}
			if o.dryRun {
				err := dryRun(cmd.Context(), o, cmd.OutOrStdout())
				if errors.Is(err, context.Canceled) {
					return errors.New("interrupted: what is printed is not all that would change")
				}
				return err
			}
			return run(cmd.Context(), o)
		},
	}
	o.addTo(cmd.Flags())
	cmd.AddCommand(applyCRDsCommand())
	cmd.CompletionOptions.DisableDefaultCmd = true
	return cmd
}
