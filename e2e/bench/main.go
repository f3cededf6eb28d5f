// Command bench measures the control plane: each figure is printed beside the
// limit that was measured in the same run, on the same machine, with a client
// that does nothing but the writes that can't be avoided.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/berth-lb/berth/e2e/cluster"
)

// figure is a row of what is printed.
type figure struct {
	What     string `json:"figure"`
	Measured string `json:"measured"`
	Limit    string `json:"limit"`
	Target   string `json:"target"`
	Met      bool   `json:"met"`
}

// bench is the setting of a run.
type bench struct {
	controller string
	workers    int
	rounds     int
	samples    int
	large      int
	rest       time.Duration
	figures    []figure
}

// measures are what there is to measure, in order.
var measures = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"ipam", measureAllocator},
	{"start", measureStart},
	{"latency", measureLatency},
	{"restart", measureRestart},
	{"exhausted", measureExhausted},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	log.SetLogger(logr.Discard())
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var names []string
	for _, m := range measures {
		names = append(names, m.name)
	}
	b := &bench{}
	only := flag.String("only", strings.Join(names, ","), "what to measure")
	output := flag.String("o", "table", "table or json")
	flag.StringVar(&b.controller, "controller", "", "the berth-controller to measure; bin/berth-controller of this repository if empty")
	flag.IntVar(&b.workers, "workers", 16, "workers of the bare client, and of the controller")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds of each start, of which the median counts")
	flag.IntVar(&b.samples, "samples", 300, "Services that are created one by one for a latency")
	flag.IntVar(&b.large, "services", 10_000, "Services of the large cluster")
	flag.DurationVar(&b.rest, "rest", 10*time.Minute, "how long the controller is watched at rest")
	flag.Parse()
	if b.controller == "" {
		root, err := cluster.Root()
		if err != nil {
			return err
		}
		b.controller = filepath.Join(root, "bin", "berth-controller")
	}
	for _, m := range measures {
		if !slices.Contains(strings.Split(*only, ","), m.name) {
			continue
		}
		began := time.Now()
		progress("measuring %s", m.name)
		if err := m.run(ctx, b); err != nil {
			return fmt.Errorf("measuring %s: %w", m.name, err)
		}
		progress("measured %s in %v", m.name, time.Since(began).Round(time.Second))
	}
	return b.print(*output)
}

func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (b *bench) add(f figure) {
	b.figures = append(b.figures, f)
	progress("  %s: %s (limit: %s, target: %s)", f.What, f.Measured, f.Limit, f.Target)
}

func (b *bench) print(output string) error {
	if output == "json" {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(b.figures)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tMEASURED\tLIMIT IN THE SAME RUN\tTARGET\tMET")
	for _, f := range b.figures {
		met := "yes"
		if !f.Met {
			met = "NO"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.What, f.Measured, f.Limit, f.Target, met)
	}
	return w.Flush()
}
