//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
)

const (
	// pace is how long after one request the next is sent, and beat how long a
	// line of the meter counts their answers.
	pace = 10 * time.Millisecond
	beat = 250 * time.Millisecond
	// patient is how long a request may take: long enough for TCP to try again
	// twice.
	patient = 4 * time.Second
	// widest is the longest bar.
	widest = 54
)

// meter shows how many requests are answered, a line a beat.
type meter struct {
	load     *lab.Requests
	began    time.Time
	tick     *time.Ticker
	answered int
}

// startMeter has the client ask for a page at the pace, and shows the answers.
func startMeter(from *lab.Client, url string) *meter {
	fmt.Printf("%s asks for %s %d times a second. Answers in each %v:\n\n",
		from.Name, url, time.Second/pace, beat)
	return &meter{load: from.Request(url, pace, patient), began: time.Now(), tick: time.NewTicker(beat)}
}

// stop returns what became of the requests.
func (m *meter) stop() lab.Trace {
	m.tick.Stop()
	return m.load.Stop()
}

// watch shows the next lines.
func (m *meter) watch(ctx context.Context, d time.Duration) error {
	for range d / beat {
		select {
		case <-m.tick.C:
			m.line()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// during shows lines while something is done.
func (m *meter) during(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	for {
		select {
		case <-m.tick.C:
			m.line()
		case err := <-done:
			return err
		}
	}
}

func (m *meter) line() {
	now := m.load.Progress().Answered
	count := now - m.answered
	m.answered = now
	fmt.Printf("  %5.2f s  %3d  %s\n", time.Since(m.began).Seconds(), count, strings.Repeat("#", min(count, widest)))
}

// mark says in a line what happens next.
func (m *meter) mark(what string) func() error {
	return func() error {
		fmt.Printf("  %5.2f s  <----- %s\n", time.Since(m.began).Seconds(), what)
		return nil
	}
}
