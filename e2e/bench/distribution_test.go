package main

import (
	"os"
	"testing"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
)

const msec = time.Millisecond

func TestDistribution(t *testing.T) {
	hundred := distribution{}
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1)*msec)
	}
	for _, tc := range []struct {
		reason string
		of     distribution
		want   string
	}{
		{"no cut counted", nil, "nothing measured"},
		{"one is all of them", distribution{250 * msec}, "p50 250 ms, p99 250 ms, max 250 ms"},
		{"small ones have a decimal", hundred, "p50 51.0 ms, p99 100 ms, max 100 ms"},
	} {
		if got := tc.of.String(); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.reason, got, tc.want)
		}
	}
}

func TestGapAfterACut(t *testing.T) {
	began := time.Now()
	trace := lab.Trace{Began: began, Length: 1000 * msec}
	// Answers from 300 ms on, as the first had to wait for ARP, until 500 ms,
	// and again from 740 ms on.
	for at := time.Duration(0); at < trace.Length; at += 20 * msec {
		q := lab.Question{Sent: at, Answered: -1}
		if at >= 300*msec && at <= 500*msec || at >= 740*msec {
			q.Answered = at
		}
		trace.Questions = append(trace.Questions, q)
	}
	if got := gapAfter(trace, began.Add(510*msec)); got != 240*msec {
		t.Errorf("got %v, want the gap of the cut, not the longer one before it", got)
	}
}

func TestUsageGrows(t *testing.T) {
	before, err := used(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 50*msec; {
		if _, err := os.ReadFile("/proc/self/stat"); err != nil {
			t.Fatal(err)
		}
	}
	after, err := used(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if d := after.since(before); d.cpu <= 0 || d.reads <= 0 || d.core() <= 0 {
		t.Errorf("this process read files for a while, and used %+v", d)
	}
}
