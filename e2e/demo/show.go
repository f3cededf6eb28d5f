//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
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
func (s *stage) showKubectl(ctx context.Context, args ...string) error {
	out, err := s.kube.Kubectl(ctx, args...)
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

// heading begins an act.
func heading(what string) { fmt.Printf("\n== %s ==\n\n", what) }

// showGap shows what a power cut did to requests.
func showGap(trace lab.Trace) {
	late := 0
	for _, q := range trace.Questions {
		if q.Answered-q.Sent > waited {
			late++
		}
	}
	fmt.Printf("\nNo answer for %d ms. Of %d requests, %d were sent in that time and answered when TCP\n"+
		"tried again, a second later. Lost, being under way through the node: %d.\n",
		trace.Gap().Milliseconds(), trace.Sent(), late, trace.Lost())
}

// showReroute shows what became of requests when a router changed its route.
func showReroute(trace lab.Trace, node *lab.Node, cut, changed time.Time) {
	late := 0
	for _, q := range trace.Questions {
		if q.Answered-q.Sent > waited {
			late++
		}
	}
	fmt.Printf("\nNothing was sent to %s any more after %d ms. Of %d requests, %d were sent there until then\n"+
		"and answered when TCP tried again, a second later. Lost, being under way: %d.\n",
		node.Name, changed.Sub(cut).Milliseconds(), trace.Sent(), late, trace.Lost())
}

// showLoad shows what became of requests.
func showLoad(trace lab.Trace) {
	fmt.Printf("%d requests in %.1f s, %d lost, the longest time without an answer %d ms.\n",
		trace.Sent(), trace.Length.Seconds(), trace.Lost(), trace.Gap().Milliseconds())
}
