package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	chart "github.com/berth-lb/berth/charts/berth"
	"github.com/berth-lb/berth/cmd/internal/crds"
	"github.com/berth-lb/berth/cmd/internal/process"
)

// crdOptions are the flags of apply-crds.
type crdOptions struct {
	kubeconfig string
	timeout    time.Duration
	log        process.Log
}

func applyCRDsCommand() *cobra.Command {
	o := &crdOptions{timeout: 2 * time.Minute, log: process.NewLog()}
	cmd := &cobra.Command{
		Use:   "apply-crds",
		Short: "Brings the cluster's CRDs to those of this release, and ends",
		Long: `apply-crds creates Berth's custom resource definitions, or changes those that
are there to what this release needs: its own of another release, or MetalLB's,
whose conversion webhook is taken out. No object is touched. A definition that a
newer release has applied stays as it is. The chart runs this before each install
and upgrade.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := applyCRDs(cmd.Context(), o, cmd.OutOrStdout())
			if errors.Is(err, context.Canceled) {
				// Others are done when they are told to end; this one is not.
				return errors.New("interrupted before all CRDs were applied")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.kubeconfig, "kubeconfig", o.kubeconfig, "path of a kubeconfig; empty uses $KUBECONFIG, the Pod's own ServiceAccount, or ~/.kube/config")
	f.DurationVar(&o.timeout, "timeout", o.timeout, "how long to try again what may pass")
	o.log.AddTo(f)
	return cmd
}

func applyCRDs(ctx context.Context, o *crdOptions, out io.Writer) error {
	log, err := o.log.Start()
	if err != nil {
		return err
	}
	release, err := embedded()
	if err != nil {
		return err
	}
	config, err := process.FindAPIServer(o.kubeconfig, "berth-apply-crds")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := process.AwaitAPIServer(ctx, config, log); err != nil {
		return fmt.Errorf("waiting for the API server: %w", err)
	}
	c, err := client.New(config, client.Options{Scheme: runtime.NewScheme()})
	if err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	return release.Apply(ctx, c, func(name string, what crds.Outcome, newer string) {
		if what == crds.Newer {
			fmt.Fprintf(out, "%s %s: it is of the newer release %s\n", name, what, newer)
			return
		}
		fmt.Fprintf(out, "%s %s\n", name, what)
	})
}

// embedded is what the program was built with.
func embedded() (crds.Release, error) {
	texts, err := chart.CRDs()
	if err != nil {
		return crds.Release{}, err
	}
	version, err := chart.AppVersion()
	if err != nil {
		return crds.Release{}, err
	}
	return crds.NewRelease(version, texts)
}
