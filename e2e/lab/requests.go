//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Requests are pages that are asked for at a steady pace, each by a connection
// of its own, so that every one depends on who owns the address by then.
type Requests struct {
	record  recorder
	patient time.Duration
	cancel  context.CancelFunc
	asking  sync.WaitGroup
	once    sync.Once
	trace   Trace
}

// Request asks pods for a page until Stop. A request counts as lost that is
// not answered with status 200 in the time that patient gives.
func (s *Station) Request(url string, every, patient time.Duration) *Requests {
	r := &Requests{patient: patient}
	r.record.began = time.Now()
	var ctx context.Context
	ctx, r.cancel = context.WithCancel(context.Background())
	r.asking.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			number := r.record.ask()
			r.asking.Go(func() { r.ask(s, url, number) })
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return r
}

func (r *Requests) ask(s *Station, url string, number int) {
	ctx, cancel := context.WithTimeout(context.Background(), r.patient)
	defer cancel()
	status, pod, err := s.Get(ctx, url)
	switch {
	case err != nil:
		r.record.fail(number, err)
	case status != http.StatusOK:
		r.record.fail(number, fmt.Errorf("status %d", status))
	default:
		r.record.answer(number, strings.TrimSpace(pod))
	}
}

// Progress is how the requests do.
func (r *Requests) Progress() Progress { return r.record.progress() }

// Stop asks no more, and returns when every request is answered or lost.
func (r *Requests) Stop() Trace {
	r.once.Do(func() {
		length := time.Since(r.record.began)
		r.cancel()
		r.asking.Wait()
		r.trace = r.record.trace(length)
	})
	return r.trace
}
