package gates

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/berth-lb/berth/providers"
)

const (
	// grace is how long a pod may be in no EndpointSlice before that counts: while
	// it moves from one to another it is in none.
	grace = 10 * time.Second
	// Pauses after a failure, the first and the longest.
	firstPause, longestPause = time.Second, 30 * time.Second
)

// follower watches one pod while a Service has it and it is not ready.
type follower struct {
	gates *Gates
	pod   pod
	// news says that Services have something else to say of the pod.
	news chan struct{}
	// known is closed once the pod was seen, or could not be.
	known chan struct{}
	// abandoned is since when no Service has had the pod, failures how often in a
	// row it could not be watched; only run looks at them.
	abandoned time.Time
	failures  int

	// These are under the lock of Gates. services are those that have the pod,
	// waits says that it is ready but for gates that are answered here, and over
	// that there is nothing to watch, as it has no such gate or is gone.
	services    map[providers.Key]bool
	waits, over bool
}

func newFollower(g *Gates, p pod) *follower {
	return &follower{gates: g, pod: p, news: make(chan struct{}, 1), known: make(chan struct{}), services: map[providers.Key]bool{}}
}

var (
	// errAgain has a watch that ended in order be begun again.
	errAgain = errors.New("the watch ended")
	// errAbandoned says that no Service has the pod any more.
	errAbandoned = errors.New("no Service has the pod")
)

// run watches the pod until there is nothing left to do for it.
func (f *follower) run(ctx context.Context) {
	for {
		err := f.watch(ctx)
		f.meet()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.finish()
			return
		case errors.Is(err, errAbandoned):
			if f.drop() {
				return
			}
		case f.failures == 0 && !errors.Is(err, errAgain): // the same again is no news
			f.gates.log.Error(err, "following a pod that is not ready, for its readiness gates",
				"pod", f.pod.namespace+"/"+f.pod.name)
		}
		timer := time.NewTimer(min(firstPause<<min(f.failures, 10), longestPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		f.failures++
	}
}

// watch reads the pod and does what is due at each change. It returns nil when
// the pod needs nobody who follows it.
func (f *follower) watch(ctx context.Context) error {
	p, err := f.gates.pods.Get(ctx, f.pod.namespace, f.pod.name)
	if apierrors.IsNotFound(err) || err == nil && p.UID != f.pod.uid {
		return nil
	}
	if err != nil {
		return err
	}
	if len(gatesOf(p)) == 0 {
		return nil
	}
	w, err := f.gates.pods.Watch(ctx, p)
	if err != nil {
		return err
	}
	defer w.Stop()
	f.failures = 0
	for {
		wait, err := f.step(ctx, p)
		if err != nil {
			return err
		}
		if p, err = f.next(ctx, w, p, wait); p == nil || err != nil {
			return err
		}
	}
}

// step does what follows from how the pod is and what Services say of it. It says
// when it is due again though nothing happens; 0 is never.
func (f *follower) step(ctx context.Context, p *corev1.Pod) (time.Duration, error) {
	f.note(Waits(p))
	f.meet()
	v := f.verdict()
	if !v.orphaned {
		f.abandoned = time.Time{}
		return 0, f.answer(ctx, p, v)
	}
	if f.abandoned.IsZero() {
		f.abandoned = time.Now()
	}
	if left := grace - time.Since(f.abandoned); left > 0 {
		return left, nil
	}
	if err := f.answer(ctx, p, v); err != nil {
		return 0, err
	}
	return 0, errAbandoned
}

// next returns the pod as it is after something happened; nil if it is gone.
func (f *follower) next(ctx context.Context, w watch.Interface, p *corev1.Pod, wait time.Duration) (*corev1.Pod, error) {
	var due <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case e, open := <-w.ResultChan():
		if !open {
			return nil, errAgain
		}
		switch now, isPod := e.Object.(*corev1.Pod); {
		case e.Type == watch.Error:
			return nil, apierrors.FromObject(e.Object)
		case e.Type == watch.Deleted || isPod && now.UID != f.pod.uid:
			return nil, nil
		case isPod:
			return now, nil
		}
		return p, nil
	case <-f.news:
		return p, nil
	case <-due:
		return p, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// meet lets those go on who wait for the pod to be known.
func (f *follower) meet() {
	select {
	case <-f.known:
	default:
		close(f.known)
	}
}

// note notes whether the pod waits, and wakes the Services that have it if that
// has changed.
func (f *follower) note(waits bool) {
	g := f.gates
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.waits == waits {
		return
	}
	f.waits = waits
	for key := range f.services {
		g.wake(key)
	}
}

// finish notes that there is nothing to watch. As long as Services have the pod it
// is not to be followed again.
func (f *follower) finish() {
	f.note(false)
	g := f.gates
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.over = true; len(f.services) == 0 {
		delete(g.followed, f.pod)
	}
}

// drop forgets the pod, unless a Service has it again.
func (f *follower) drop() bool {
	g := f.gates
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(f.services) > 0 {
		return false
	}
	delete(g.followed, f.pod)
	return true
}

func (f *follower) verdict() verdict {
	f.gates.mu.Lock()
	defer f.gates.mu.Unlock()
	return f.gates.judge(f)
}

// answer writes the conditions that differ from what Services say.
func (f *follower) answer(ctx context.Context, p *corev1.Pod, v verdict) error {
	for _, c := range answers(p, v) {
		c.LastTransitionTime = metav1.Now()
		if err := f.gates.pods.SetCondition(ctx, p, c); err != nil {
			return err
		}
	}
	return nil
}
