package app

import (
	"context"
	"fmt"
	"io"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/cmd/internal/process"
	"github.com/berth-lb/berth/controller"
	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/gates"
	"github.com/berth-lb/berth/providers/aws/plan"
)

// dryRun prints for each Service that the backend aws serves what would be
// changed at AWS, then what would be deleted of Services that it serves no more,
// and changes nothing. It prints nothing where all is as wanted.
func dryRun(ctx context.Context, o *options, out io.Writer) error {
	log, err := o.log.Start()
	if err != nil {
		return err
	}
	config, err := process.FindAPIServer(o.kubeconfig, "berth-controller")
	if err != nil {
		return err
	}
	scheme, err := process.NewScheme()
	if err != nil {
		return err
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	options, err := o.aws.options(ctx, log)
	if err != nil {
		return err
	}
	pods, err := newPods(config, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	w, err := look(ctx, c)
	if err != nil {
		return err
	}
	options.DryRun, options.Wake, options.Service = true, func(providers.Key) {}, w.service
	shut := gates.New(unchanged{pods}, options.Wake, log)
	var running sync.WaitGroup
	defer running.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	running.Go(func() { _ = shut.Run(ctx) })
	options.Gates = shut
	p := aws.New(options)
	backends, err := controller.NewBackends(o.namespace, o.defaultOf("aws"),
		controller.Backend{Name: "aws", Class: o.class("aws"), Claims: annotation.Wants, Provider: p})
	if err != nil {
		return process.Usage(err)
	}
	if err := printPlans(ctx, out, p, w.requests(backends)); err != nil {
		return err
	}
	leaving, err := w.leaving(ctx, c, backends, p)
	if err != nil {
		return err
	}
	return printReleases(ctx, out, p, leaving)
}

func printPlans(ctx context.Context, out io.Writer, p *aws.Provider, requests []providers.Request) error {
	for _, req := range requests {
		changes, err := p.Plan(ctx, req)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && len(changes) == 0 {
			continue
		}
		fmt.Fprintf(out, "Service %s\n", req.Key())
		printChanges(out, changes)
		if err != nil {
			fmt.Fprintf(out, "  can't be served: %v\n", err)
		}
	}
	return nil
}

func printReleases(ctx context.Context, out io.Writer, p *aws.Provider, keys []providers.Key) error {
	for _, key := range keys {
		changes, err := p.PlanRelease(ctx, key)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && len(changes) == 0 {
			continue
		}
		fmt.Fprintf(out, "Service %s, which is gone or served no more\n", key)
		printChanges(out, changes)
		if err != nil {
			fmt.Fprintf(out, "  can't be released: %v\n", err)
		}
	}
	return nil
}

func printChanges(out io.Writer, changes []plan.Change) {
	for _, change := range changes {
		fmt.Fprintf(out, "  %s\n", change)
	}
}
