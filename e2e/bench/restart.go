package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/apiproxy"
	"github.com/berth-lb/berth/e2e/cluster"
)

// measureRestart measures a controller that starts where everything is served:
// how soon the next Service is, what it writes then and at rest, and the memory
// that it takes.
func measureRestart(ctx context.Context, b *bench) error {
	return withGround(ctx, b, func(g *ground) error {
		if err := g.pool(ctx, "10.128.0.0/12"); err != nil {
			return err
		}
		if err := g.nodes(ctx, 1000); err != nil {
			return err
		}
		if err := g.fill(ctx, 0, b.large); err != nil {
			return err
		}
		seen, err := g.watchServed(ctx)
		if err != nil {
			return err
		}
		defer seen.stop()
		p, err := g.serve(ctx, b, g.Kubeconfig())
		if err != nil {
			return err
		}
		if err := seen.until(ctx, p.Done(), "all to be served", func() bool { return seen.count() >= b.large }); err != nil {
			return err
		}
		// Events and counters follow.
		if err := pause(ctx, 20*time.Second); err != nil {
			return err
		}
		if err := stop(ctx, p); err != nil {
			return err
		}
		if err := g.restarts(ctx, b, seen); err != nil {
			return err
		}
		return g.rests(ctx, b)
	})
}

// restarts measures how soon a Service is served that is created together with
// the start of the controller.
func (g *ground) restarts(ctx context.Context, b *bench, seen *served) error {
	var ours, lists []time.Duration
	for i := range b.rounds {
		began := time.Now()
		if _, err := g.client.CoreV1().Services("").List(ctx, metav1.ListOptions{}); err != nil {
			return err
		}
		lists = append(lists, time.Since(began))

		next := fmt.Sprintf("next-%d", i)
		began = time.Now()
		p, err := g.serve(ctx, b, g.Kubeconfig())
		if err != nil {
			return err
		}
		if _, err := g.create(ctx, service(next, nil)); err != nil {
			return err
		}
		if err := seen.until(ctx, p.Done(), next, func() bool { _, ok := seen.when(next); return ok }); err != nil {
			return err
		}
		ours = append(ours, time.Since(began))
		if err := stop(ctx, p); err != nil {
			return err
		}
	}
	took := median(ours)
	b.add(figure{
		What:     fmt.Sprintf("restart with %d served Services until a new one is served", b.large),
		Measured: fmt.Sprintf("%.2f s", took.Seconds()),
		Limit:    fmt.Sprintf("time to list them: %.2f s", median(lists).Seconds()),
		Target:   "under 2 s",
		Met:      took < 2*time.Second,
	})
	return nil
}

// rests counts what a controller writes when there is nothing to do.
func (g *ground) rests(ctx context.Context, b *bench) error {
	p, proxy, err := g.serveCounted(ctx, b)
	if err != nil {
		return err
	}
	defer proxy.Close()
	if err := pause(ctx, 20*time.Second); err != nil {
		return err
	}
	atStart := proxy.Counts().Writes("leases")
	b.add(figure{
		What:     "writes in that restart, the leader's lease aside",
		Measured: count(atStart),
		Limit:    "0",
		Target:   "0",
		Met:      atStart.Total() == 0,
	})
	if err := pause(ctx, b.rest); err != nil {
		return err
	}
	writes := proxy.Counts().Writes("leases")
	b.add(figure{
		What:     fmt.Sprintf("writes in %v of rest after it", b.rest),
		Measured: count(writes),
		Limit:    "0",
		Target:   "0",
		Met:      writes.Total() == atStart.Total(),
	})
	now, peak, err := memory(p.PID())
	if err != nil {
		return err
	}
	b.add(figure{
		What:     fmt.Sprintf("resident memory, %d Services and 1,000 Nodes", b.large),
		Measured: fmt.Sprintf("%d MB, at most %d MB", now>>20, peak>>20),
		Limit:    "",
		Target:   "under 150 MB",
		Met:      peak < 150<<20,
	})
	return stop(ctx, p)
}

func count(c apiproxy.Counts) string {
	if c.Total() == 0 {
		return "0"
	}
	return fmt.Sprintf("%d: %s", c.Total(), c)
}

func stop(ctx context.Context, p *cluster.Process) error {
	p.Term()
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("stopping the controller: %w: %w", err, ended(p))
	}
	return nil
}

// memory returns the resident memory of a process in bytes, now and at its
// highest (proc(5), VmRSS and VmHWM).
func memory(pid int) (now, peak int64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			now = kb << 10
		case "VmHWM:":
			peak = kb << 10
		}
	}
	return now, peak, nil
}
