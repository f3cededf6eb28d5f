package lab

import (
	"testing"
	"time"
)

const ms = time.Millisecond

func TestGap(t *testing.T) {
	const none = -1 * ms
	for name, test := range map[string]struct {
		answers []time.Duration // asked every 5 ms from 0 on
		length  time.Duration
		gap     time.Duration
		lost    int
	}{
		"nothing asked":                      {nil, 20 * ms, 20 * ms, 0},
		"all answered":                       {[]time.Duration{1 * ms, 6 * ms, 11 * ms}, 12 * ms, 5 * ms, 0},
		"none answered":                      {[]time.Duration{none, none, none}, 15 * ms, 15 * ms, 3},
		"one lost in the middle":             {[]time.Duration{1 * ms, none, 11 * ms}, 12 * ms, 10 * ms, 1},
		"a burst after a wait for ARP":       {[]time.Duration{1 * ms, 40 * ms, 40 * ms, 41 * ms}, 42 * ms, 39 * ms, 0},
		"answers in another order":           {[]time.Duration{12 * ms, 6 * ms, 13 * ms}, 14 * ms, 6 * ms, 0},
		"silence at the end counts":          {[]time.Duration{1 * ms, 6 * ms, none, none}, 20 * ms, 14 * ms, 2},
		"silence at the start counts":        {[]time.Duration{none, none, none, 16 * ms}, 17 * ms, 16 * ms, 3},
		"a late answer ends no earlier gap":  {[]time.Duration{30 * ms, none, 31 * ms}, 32 * ms, 30 * ms, 1},
		"an answer after the end is no loss": {[]time.Duration{1 * ms, 25 * ms}, 10 * ms, 15 * ms, 0},
	} {
		t.Run(name, func(t *testing.T) {
			trace := Trace{Length: test.length}
			for i, at := range test.answers {
				trace.Questions = append(trace.Questions, Question{Sent: time.Duration(i) * 5 * ms, Answered: at})
			}
			if got := trace.Gap(); got != test.gap {
				t.Errorf("the gap is %s, want %s", got, test.gap)
			}
			if got := trace.Lost(); got != test.lost {
				t.Errorf("%d are lost, want %d", got, test.lost)
			}
		})
	}
}

func TestGaps(t *testing.T) {
	trace := Trace{Length: 100 * ms}
	for _, at := range []time.Duration{2 * ms, 30 * ms, 33 * ms, 70 * ms, 90 * ms, 99 * ms} {
		trace.Questions = append(trace.Questions, Question{Answered: at})
	}
	want := []Gap{{2 * ms, 30 * ms}, {33 * ms, 70 * ms}}
	got := trace.Gaps(20 * ms)
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("the gaps over 20 ms are %v, want %v", got, want)
	}
}

func TestRecorder(t *testing.T) {
	r := &recorder{began: time.Now()}
	first, second := r.ask(), r.ask()
	if !r.answer(first, "a") || r.answer(first, "b") {
		t.Error("only the first answer to a question counts")
	}
	for _, wrong := range []int{-1, 2} {
		if r.answer(wrong, "a") {
			t.Errorf("an answer to question %d, which nobody asked, counted", wrong)
		}
	}
	if !r.missing(time.Minute) {
		t.Error("the second answer is not missed")
	}
	r.answer(second, "a")
	if r.missing(time.Minute) {
		t.Error("an answer is missed after all came")
	}
	trace := r.trace(time.Second)
	if p := trace.Pods(); p["a"] != 2 || len(p) != 1 {
		t.Errorf("answered by %v, want twice by a", p)
	}
}
