// Package process is what the commands have in common as processes: how they
// end, log, and reach the API server.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/berth-lb/berth/cmd/internal/version"
)

// Exit codes: a mistake in how it was called is told apart from a failure.
const (
	exitFailure = 1
	exitUsage   = 2
)

// UsageError is a mistake in how the command was called.
type UsageError struct{ error }

// Usage makes err a UsageError.
func Usage(err error) error { return UsageError{err} }

// Main runs the command until it ends or a signal ends it, and returns the exit
// code of the process. gcPercent is how far the heap grows before the garbage in
// it is collected, unless $GOGC says otherwise: most of it is caches, which are
// no garbage, and what Go's default of 100 would set aside for them is better
// left to others.
func Main(cmd *cobra.Command, gcPercent int) int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	prepare(cmd)
	err := cmd.ExecuteContext(ctrl.SetupSignalHandler())
	if err == nil || errors.Is(err, context.Canceled) {
		return 0
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
	if errors.As(err, &UsageError{}) {
		fmt.Fprintf(os.Stderr, "See '%s --help'.\n", cmd.Name())
		return exitUsage
	}
	return exitFailure
}

// prepare has all mistakes of the caller be UsageErrors, told once.
func prepare(cmd *cobra.Command) {
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.Version = version.Get().String()
	for _, c := range append(cmd.Commands(), cmd) {
		c.Args = func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return Usage(fmt.Errorf("%q is not understood", args[0]))
			}
			return nil
		}
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
}
