package lab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Trace is what became of questions that were asked at a steady pace.
type Trace struct {
	// Began is when the first question was due.
	Began time.Time
	// Length is from there to when the last one could be asked.
	Length time.Duration
	// Questions are in the order in which they were asked.
	Questions []Question
}

// Question is one of a Trace. Its times count from the begin of the trace.
type Question struct {
	Sent time.Duration
	// Answered is negative where no answer came.
	Answered time.Duration
	// Pod is who answered.
	Pod string
	// Failed is when it was known that no answer comes, and Err why; zero where
	// nobody said so.
	Failed time.Duration
	Err    error
}

// Gap is a time without an answer. It counts from the begin of the trace.
type Gap struct{ From, To time.Duration }

// Length is how long the gap was.
func (g Gap) Length() time.Duration { return g.To - g.From }

// Sent is how many questions were asked.
func (t Trace) Sent() int { return len(t.Questions) }

// Lost is how many questions had no answer.
func (t Trace) Lost() int {
	lost := 0
	for _, q := range t.Questions {
		if q.Answered < 0 {
			lost++
		}
	}
	return lost
}

// slack is how far from each other a busy machine may tell of two things that
// happen at once.
const slack = 500 * time.Millisecond

// Torn are pages that were lost by a reset while flows moved, at those times: the
// node that has them now knows of no connection that is open. One move can tear
// what is under way at once; where more is lost near it, that has another cause,
// and all of it counts as lost.
func (t Trace) Torn(moves []time.Time) (torn int, lost []Question) {
	var near []Question
	for _, q := range t.Questions {
		switch {
		case q.Answered >= 0:
		case errors.Is(q.Err, syscall.ECONNRESET) && slices.ContainsFunc(moves, func(at time.Time) bool { return q.during(at.Sub(t.Began), slack) }):
			near = append(near, q)
		default:
			lost = append(lost, q)
		}
	}
	underWay := 0
	for _, at := range moves {
		underWay += t.atOnce(at.Sub(t.Began))
	}
	if len(near) > underWay {
		return 0, append(lost, near...)
	}
	return len(near), lost
}

// during says whether a question waited at a time, give or take some.
func (q Question) during(at, some time.Duration) bool {
	return q.Sent <= at+some && at-some <= q.until()
}

func (q Question) until() time.Duration { return max(q.Answered, q.Failed) }

// atOnce is how many questions waited at one time near that, at the most.
func (t Trace) atOnce(at time.Duration) (most int) {
	var near []Question
	for _, q := range t.Questions {
		if q.during(at, slack) {
			near = append(near, q)
		}
	}
	for _, one := range near {
		n := 0
		for _, q := range near {
			if q.during(one.Sent, 0) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// Gaps are the times without an answer that are longer than some, in order,
// from one answer to the next, the begin and the end of the trace counted as
// answers. What was asked in a gap and answered after it ends it.
func (t Trace) Gaps(longer time.Duration) []Gap {
	times := []time.Duration{t.Length}
	for _, q := range t.Questions {
		if q.Answered >= 0 {
			times = append(times, q.Answered)
		}
	}
	slices.Sort(times)
	var gaps []Gap
	last := time.Duration(0)
	for _, at := range times {
		if at-last > longer {
			gaps = append(gaps, Gap{From: last, To: at})
		}
		last = at
	}
	return gaps
}

// Gap is the longest time without an answer.
func (t Trace) Gap() time.Duration {
	longest := time.Duration(0)
	for _, gap := range t.Gaps(0) {
		longest = max(longest, gap.Length())
	}
	return longest
}

// Slowest is the longest that a question waited for its answer.
func (t Trace) Slowest() time.Duration {
	slowest := time.Duration(0)
	for _, q := range t.Questions {
		slowest = max(slowest, q.Answered-q.Sent)
	}
	return slowest
}

// Pods are how many questions each pod answered.
func (t Trace) Pods() map[string]int {
	pods := map[string]int{}
	for _, q := range t.Questions {
		if q.Answered >= 0 {
			pods[q.Pod]++
		}
	}
	return pods
}

// String sums the trace up in a line.
func (t Trace) String() string {
	pods := t.Pods()
	return fmt.Sprintf("%d sent, %d lost, longest gap %s, slowest answer %s, answered by %v",
		t.Sent(), t.Lost(), t.Gap().Round(100*time.Microsecond), t.Slowest().Round(100*time.Microsecond),
		slices.Sorted(maps.Keys(pods)))
}

// Progress is a look at a trace that is being made.
type Progress struct {
	Sent, Answered int
	// Silence is how long ago the last answer came, or the trace began.
	Silence time.Duration
}

// recorder makes a trace. The begin is set before use.
type recorder struct {
	began time.Time

	mu        sync.Mutex
	questions []Question
	answered  int
	last      time.Duration
}

// ask notes a question that is about to be sent, and returns its number.
func (r *recorder) ask() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.questions = append(r.questions, Question{Sent: time.Since(r.began), Answered: -1})
	return len(r.questions) - 1
}

// answer notes the first answer to a question. It tells whether it was that.
func (r *recorder) answer(number int, pod string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if number < 0 || number >= len(r.questions) || r.questions[number].Answered >= 0 {
		return false
	}
	r.last = time.Since(r.began)
	r.questions[number].Answered, r.questions[number].Pod = r.last, pod
	r.answered++
	return true
}

// fail notes why a question has no answer.
func (r *recorder) fail(number int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := &r.questions[number]
	q.Failed, q.Err = time.Since(r.began), err
}

func (r *recorder) progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Progress{Sent: len(r.questions), Answered: r.answered, Silence: time.Since(r.began) - r.last}
}

// missing tells whether a question that was asked not longer ago than that has
// no answer.
func (r *recorder) missing(within time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range slices.Backward(r.questions) {
		if time.Since(r.began)-q.Sent > within {
			return false
		}
		if q.Answered < 0 {
			return true
		}
	}
	return false
}

func (r *recorder) trace(length time.Duration) Trace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Trace{Began: r.began, Length: length, Questions: slices.Clone(r.questions)}
}
