package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/cmd/internal/process"
	"github.com/berth-lb/berth/controller"
	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/providers/aws"
	"github.com/berth-lb/berth/providers/aws/annotation"
	"github.com/berth-lb/berth/providers/aws/gates"
	"github.com/berth-lb/berth/trafficpolicy"
)

// dryRun prints for each Service that the backend aws serves what would be
// changed at AWS, and changes nothing. It prints nothing where all is as wanted.
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
	options.DryRun, options.Wake, options.Service = true, func(providers.Key) {}, servicesIn(ctx, c)
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
	all, err := requests(ctx, c, backends)
	if err != nil {
		return err
	}
	return printPlans(ctx, out, p, all)
}

// requests are what the controller would ask for now, in order of the Services'
// names.
func requests(ctx context.Context, c client.Reader, backends controller.Backends) ([]providers.Request, error) {
	services, slicesOf, nodes := &corev1.ServiceList{}, &discoveryv1.EndpointSliceList{}, &corev1.NodeList{}
	for _, list := range []client.ObjectList{services, slicesOf, nodes} {
		if err := c.List(ctx, list); err != nil {
			return nil, fmt.Errorf("reading the cluster: %w", err)
		}
	}
	eligible := trafficpolicy.EligibleNodes(pointers(nodes.Items))
	endpoints := map[client.ObjectKey][]*discoveryv1.EndpointSlice{}
	for _, s := range pointers(slicesOf.Items) {
		key := client.ObjectKey{Namespace: s.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
		endpoints[key] = append(endpoints[key], s)
	}
	var all []providers.Request
	for _, svc := range pointers(services.Items) {
		if backends.Choose(svc) != "" {
			all = append(all, providers.Request{Service: svc, Nodes: eligible, EndpointSlices: endpoints[client.ObjectKeyFromObject(svc)]})
		}
	}
	slices.SortFunc(all, func(a, b providers.Request) int { return strings.Compare(a.Key().String(), b.Key().String()) })
	return all, nil
}

func pointers[T any](all []T) []*T {
	pointers := make([]*T, len(all))
	for i := range all {
		pointers[i] = &all[i]
	}
	return pointers
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
		for _, change := range changes {
			fmt.Fprintf(out, "  %s\n", change)
		}
		if err != nil {
			fmt.Fprintf(out, "  can't be served: %v\n", err)
		}
	}
	return nil
}
