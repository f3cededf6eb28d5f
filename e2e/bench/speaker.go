package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-lb/berth/e2e/site"
)

const (
	// changesASecond is how many endpoints change.
	changesASecond = 100
	// settled is how long a start has consequences.
	settled = 30 * time.Second
)

// measureSpeaker has three nodes announce the addresses of a large cluster, and
// says what the speaker takes that takes the most.
func measureSpeaker(ctx context.Context, b *bench) error {
	opts := site.Options{Clients: -1, WithoutController: true, WithoutKubeProxy: true, WithoutSpeakers: true}
	return withSite(ctx, opts, func(s *site.Site) error {
		if err := advertiseCrowd(ctx, s); err != nil {
			return err
		}
		g, err := crowd(ctx, b, s)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := s.StartSpeakers(ctx); err != nil {
			return err
		}
		if err := awaitRecords(ctx, s, b.large); err != nil {
			return err
		}
		progress("  %d addresses are announced, and on record, after %v", b.large, time.Since(began).Round(time.Second))
		if err := pause(ctx, settled); err != nil {
			return err
		}
		rest, err := worst(s, func() error { return pause(ctx, b.watch) })
		if err != nil {
			return err
		}
		b.add(loadFigure(fmt.Sprintf("CPU at rest over %v", b.watch), b.large, rest, 1))
		changed := time.Now()
		var changes int
		busy, err := worst(s, func() error { changes, err = g.churn(ctx, b, changesASecond); return err })
		if err != nil {
			return err
		}
		pace := float64(changes) / time.Since(changed).Seconds()
		b.add(loadFigure(fmt.Sprintf("CPU with %.0f endpoint changes a second, over %v", pace, b.watch), b.large, busy, 10))
		return measureMemory(ctx, b, s, "", 100)
	})
}

// advertiseCrowd has the pool of the crowd announced on the segment.
func advertiseCrowd(ctx context.Context, s *site.Site) error {
	all := &metallb.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Namespace: site.Namespace, Name: "bench"}}
	all.Spec.IPAddressPools = []string{"bench"}
	return s.API.Create(ctx, all)
}

// awaitRecords returns when as many addresses have a node.
func awaitRecords(ctx context.Context, s *site.Site, want int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for {
		owners, err := s.Owners(ctx)
		if err != nil || len(owners) >= want {
			return err
		}
		// To list thousands is work, for the API server too.
		if err := pause(ctx, 5*time.Second); err != nil {
			return fmt.Errorf("%d of %d addresses are announced: %w", len(owners), want, err)
		}
	}
}

// worst does something and returns what that speaker used meanwhile that used
// the most.
func worst(s *site.Site, do func() error) (most spent, err error) {
	var before []usage
	for _, p := range s.Speakers {
		u, err := used(p.PID())
		if err != nil {
			return spent{}, err
		}
		before = append(before, u)
	}
	if err := do(); err != nil {
		return spent{}, err
	}
	for i, p := range s.Speakers {
		u, err := used(p.PID())
		if err != nil {
			return spent{}, err
		}
		if d := u.since(before[i]); d.cpu >= most.cpu {
			most = d
		}
	}
	return most, nil
}

func loadFigure(what string, services int, s spent, limit float64) figure {
	return figure{
		What:     fmt.Sprintf("speaker, %d Services, %d endpoints: %s", services, endpointsEach*services, what),
		Measured: s.String(),
		Limit:    "the worst of 3 speakers, of one core",
		Target:   fmt.Sprintf("under %g %%", limit),
		Met:      s.core() < limit,
	}
}

// measureMemory reads what speakers took so far, and what they take when they
// start anew and find all records. The limit is in MB.
func measureMemory(ctx context.Context, b *bench, s *site.Site, with string, limit int64) error {
	now, first, err := mostMemory(s)
	if err != nil {
		return err
	}
	if err := restartAll(ctx, s, nil); err != nil {
		return err
	}
	if err := pause(ctx, settled); err != nil {
		return err
	}
	after, again, err := mostMemory(s)
	if err != nil {
		return err
	}
	b.add(figure{
		What:     fmt.Sprintf("speaker, %d Services, %d endpoints: %sresident memory", b.large, endpointsEach*b.large, with),
		Measured: fmt.Sprintf("%d MB, at most %d MB; after a restart %d MB, at most %d MB", now>>20, first>>20, after>>20, again>>20),
		Limit:    "the worst of 3 speakers",
		Target:   fmt.Sprintf("under %d MB", limit),
		Met:      max(first, again) < limit<<20,
	})
	return nil
}

func mostMemory(s *site.Site) (now, peak int64, err error) {
	for _, p := range s.Speakers {
		n, m, failed := memory(p.PID())
		now, peak, err = max(now, n), max(peak, m), errors.Join(err, failed)
	}
	return now, peak, err
}
