package lab

import (
	"errors"
	"syscall"
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

func TestTorn(t *testing.T) {
	began := time.Now()
	reset, refused := error(syscall.ECONNRESET), errors.New("refused")
	failed := func(sent, failed time.Duration, err error) Question {
		return Question{Sent: sent, Answered: -1, Failed: failed, Err: err}
	}
	answered := Question{Sent: 5 * time.Second, Answered: 5*time.Second + 3*ms}
	for name, test := range map[string]struct {
		questions []Question
		moves     []time.Duration
		torn      int
		lost      int
	}{
		"all answered":                   {[]Question{answered}, []time.Duration{5 * time.Second}, 0, 0},
		"a reset while flows move":       {[]Question{answered, failed(1*time.Second, 1003*ms, reset)}, []time.Duration{1001 * ms}, 1, 0},
		"a clock that is read late":      {[]Question{failed(1*time.Second, 1003*ms, reset)}, []time.Duration{1400 * ms}, 1, 0},
		"a reset when nothing moves":     {[]Question{failed(1*time.Second, 1003*ms, reset)}, []time.Duration{3 * time.Second}, 0, 1},
		"without moves":                  {[]Question{failed(1*time.Second, 1003*ms, reset)}, nil, 0, 1},
		"another error while flows move": {[]Question{failed(1*time.Second, 1003*ms, refused)}, []time.Duration{1001 * ms}, 0, 1},
		"all that a slow machine has at once": {[]Question{
			failed(1000*ms, 1100*ms, reset), failed(1020*ms, 1110*ms, reset), failed(1040*ms, 1120*ms, reset),
		}, []time.Duration{1050 * ms}, 3, 0},
		"one after the other, by one move": {[]Question{
			failed(1000*ms, 1005*ms, reset), failed(1020*ms, 1025*ms, reset), failed(1040*ms, 1045*ms, reset),
		}, []time.Duration{1000 * ms}, 0, 3},
		"one after the other, by as many moves": {[]Question{
			failed(1000*ms, 1005*ms, reset), failed(1020*ms, 1025*ms, reset),
		}, []time.Duration{1002 * ms, 1022 * ms}, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var moves []time.Time
			for _, at := range test.moves {
				moves = append(moves, began.Add(at))
			}
			torn, lost := Trace{Began: began, Questions: test.questions}.Torn(moves)
			if torn != test.torn || len(lost) != test.lost {
				t.Errorf("%d torn and %v lost, want %d and %d", torn, lost, test.torn, test.lost)
			}
		})
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
