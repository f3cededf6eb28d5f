// Command bench measures Berth: each figure is printed beside the limit that
// was measured in the same run, on the same machine. For the control plane that
// is a client that does nothing but the writes that can't be avoided; for layer
// 2 it is VRRP, and the kernel; for AWS it is what AWS lets through.
package main

import (
	"context"
	"encoding/json"
	"errors"
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
	"github.com/berth-lb/berth/e2e/lab"
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

	cuts      int
	manyCuts  int
	manyPace  time.Duration
	addresses int
	restarts  int
	frozen    time.Duration
	watch     time.Duration
	flood     time.Duration
	firsts    int

	routes  int
	changes int
	bgpCuts int

	figures []figure
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
	{"powercut", measurePowerCut},
	{"many", measureMany},
	{"rolling", measureRolling},
	{"frozen", measureFrozen},
	{"speaker", measureSpeaker},
	{"arp", measureARP},
	{"first", measureFirst},
	{"route", measureRoute},
	{"prefixes", measurePrefixes},
	{"bgpcut", measureBGPCut},
	{"bgprestart", measureBGPRestart},
	{"bgpspeaker", measureBGPSpeaker},
	{"aws", measureAWS},
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == bareArgument {
		fmt.Fprintln(os.Stderr, serveBare(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	lab.Main()
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
	flag.IntVar(&b.cuts, "cuts", 100, "power cuts of a node with the addresses of one Service")
	flag.IntVar(&b.manyCuts, "many-cuts", 10, "power cuts of a node with many addresses")
	flag.IntVar(&b.addresses, "addresses", 500, "addresses of that node")
	flag.DurationVar(&b.manyPace, "many-pace", 50*time.Millisecond, "how often each of them is asked")
	flag.IntVar(&b.restarts, "restarts", 3, "rounds of each way to restart speakers and to take a node out")
	flag.DurationVar(&b.frozen, "frozen", 10*time.Minute, "how long speakers are stopped in turn on a busy machine")
	flag.DurationVar(&b.watch, "watch", time.Minute, "how long speakers of the large cluster are watched at rest, and under changes")
	flag.DurationVar(&b.flood, "flood", 5*time.Second, "how long ARP requests are sent, for each figure")
	flag.IntVar(&b.firsts, "firsts", 200, "Services that are created one by one until they answer ARP")
	flag.IntVar(&b.routes, "routes", 200, "Services that get their addresses one by one until routers have the routes")
	flag.IntVar(&b.changes, "changes", 100, "changes of one Service each that update messages are counted for")
	flag.IntVar(&b.bgpCuts, "bgp-cuts", 30, "power cuts of a node that announces by BGP")
	flag.Parse()
	if b.controller == "" {
		root, err := cluster.Root()
		if err != nil {
			return err
		}
		b.controller = filepath.Join(root, "bin", "berth-controller")
	}
	chosen := strings.Split(*only, ",")
	for _, name := range chosen {
		if !slices.Contains(names, name) {
			return fmt.Errorf("-only: %q is none of %s", name, strings.Join(names, ","))
		}
	}
	// What fails takes nothing away from what was measured.
	err := b.measure(ctx, chosen)
	return errors.Join(b.print(*output), err)
}

func (b *bench) measure(ctx context.Context, only []string) (errs error) {
	for _, m := range measures {
		if !slices.Contains(only, m.name) {
			continue
		}
		began := time.Now()
		progress("measuring %s", m.name)
		if err := m.run(ctx, b); err != nil {
			err = fmt.Errorf("measuring %s: %w", m.name, err)
			progress("  %v", err)
			errs = errors.Join(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
		progress("measured %s in %v", m.name, time.Since(began).Round(time.Second))
	}
	return errs
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
