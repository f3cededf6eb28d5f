// Package app is the berth-controller command, apart from its main function so
// that one with further clouds built in is three lines: import the cloud, which
// registers itself with k8s.io/cloud-provider, and call Main.
package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Exit codes: a mistake in how it was called is told apart from a failure.
const (
	exitFailure = 1
	exitUsage   = 2
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

// gcPercent is how far the heap grows before the garbage in it is collected,
// unless $GOGC says otherwise: most of it is caches, which are no garbage, and
// what the default of 100 would set aside for them is better left to others.
const gcPercent = 50

// Main runs the command and returns its exit code.
func Main() int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	cmd := command()
	err := cmd.ExecuteContext(ctrl.SetupSignalHandler())
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	fmt.Fprintln(os.Stderr, "berth-controller:", err)
	if errors.As(err, &usageError{}) {
		fmt.Fprintln(os.Stderr, "See 'berth-controller --help'.")
		return exitUsage
	}
	return exitFailure
}

func command() *cobra.Command {
	o := defaults()
	cmd := &cobra.Command{
		Use:   "berth-controller",
		Short: "Gives Kubernetes Services of type LoadBalancer an address that works",
		Long: `berth-controller watches the Services of a cluster and has a backend give each
one of type LoadBalancer its address: from an IPAddressPool (backend "pool"), or
from a cloud (backends "cloud" and "fake"). What a Service got, or why it got
nothing, is in its status.

Any number may run at once; one leads and the others stand by.`,
		Example: `  # Bare metal: addresses from the IPAddressPools in berth-system
  berth-controller --backends pool --default-backend pool

  # In place of MetalLB, in its namespace and for its class
  berth-controller --namespace metallb-system --load-balancer-class pool=metallb.io/metallb`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("%q is not understood; there are only flags", args[0])}
			}
			return nil
		},
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return usageError{err}
			}
			return run(cmd.Context(), o)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	o.addTo(cmd.Flags())
	return cmd
}
