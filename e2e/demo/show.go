package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/providers"
)

// step says what was done since began.
func step(began time.Time, what string) {
	fmt.Printf("  %5.1f s  %s\n", time.Since(began).Seconds(), what)
}

func table() *tabwriter.Writer { return tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0) }

// showTimes shows how long each Service waited for its address.
func showTimes(seen map[string]*sight) {
	fmt.Println("\nFrom the creation of each Service (e2e/demo/services.yaml) to its address:")
	fmt.Println()
	t := table()
	defer t.Flush()
	for _, o := range outcomes {
		s := seen[o.name]
		if s.took == 0 {
			fmt.Fprintf(t, "  %s\tnone\tsee below\n", o.name)
			continue
		}
		fmt.Fprintf(t, "  %s\t%s\t%d ms\n", o.name, strings.Join(addresses(s.service), ", "), s.took.Milliseconds())
	}
}

// showKubectl shows a command and what it prints.
func (d *demo) showKubectl(ctx context.Context, args ...string) error {
	out, err := d.Kubectl(ctx, args...)
	if err != nil {
		return err
	}
	fmt.Printf("\n$ kubectl %s\n%s", strings.Join(args, " "), out)
	return nil
}

// showConditions shows what Berth says of each Service in its status.
func showConditions(seen map[string]*sight) {
	fmt.Println("\nWhat the Services say of themselves in .status.conditions:")
	fmt.Println()
	t := table()
	defer t.Flush()
	fmt.Fprintln(t, "SERVICE\tCONDITION\tSTATUS\tREASON\tMESSAGE")
	for _, o := range outcomes {
		for _, kind := range []string{providers.ConditionProvisioned, providers.ConditionServing} {
			c := conditionOf(seen[o.name].service, kind)
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", o.name, kind, c.Status, c.Reason, c.Message)
		}
	}
}

func hintKeep() {
	fmt.Print("\nAll of it is as it should be. To look around in there: make demo KEEP=1\n")
}

func hintKept(c *cluster.Cluster) {
	fmt.Printf(`
All of it is as it should be, and stays up until Ctrl-C. In another terminal, in
the repository's top folder:

  export KUBECONFIG=%s
  alias kubectl="$PWD/bin/kube kubectl"

Have the Service that asked for an address of no pool ask for a free one:

  kubectl annotate -n demo service outside --overwrite metallb.io/loadBalancerIPs=192.0.2.44
  kubectl get -n demo service outside

Take the pods away from the Services, and see them say so:

  kubectl label -n demo pods --all --overwrite app=gone
  kubectl get -n demo service plain -o yaml

One more Service, and the events that tell its story:

  kubectl create -n demo service loadbalancer mine --tcp=80
  kubectl describe -n demo service mine

Logs and data are in %s.
`, c.Kubeconfig(), c.Dir())
}
