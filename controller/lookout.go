package controller

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/providers"
)

// news is something that changes the outlook.
type news int

const (
	// configured: what is announced where may be another.
	configured news = iota
	// joined: a session came up, or is spoken of for the first time.
	joined
	// parted: a session is not up any more.
	parted
	// reworded: a session that is not up has another reason for it.
	reworded
)

// lag is how long each kind of news waits for more of its like. A session that
// is lost for the moment in which a speaker is started anew is no news: routers
// go on forwarding (RFC 4724). Nor may a session that fails for two reasons in
// turn have thousands of conditions written at its pace.
var lag = map[news]time.Duration{
	configured: 100 * time.Millisecond,
	joined:     50 * time.Millisecond,
	parted:     3 * time.Second,
	reworded:   30 * time.Second,
}

const (
	// lookoutPatience is how long an outlook may take: the cache waits for ever
	// for a kind that it may not list.
	lookoutPatience = 5 * time.Second
	// lookoutRetry is the pause before an outlook is tried again that failed.
	lookoutRetry = time.Second
)

// lookout keeps the outlook up to date, and has the Services looked at again
// that another one concerns.
type lookout struct {
	// compile returns what the outlook's survey is to be, and list the sessions.
	compile func(context.Context) (survey, error)
	list    func(context.Context) (sessions, error)
	// announced are the Services that speakers announce, service reads one (nil
	// where it is gone), and wake has one looked at when there is time.
	announced func() []providers.Key
	service   func(context.Context, providers.Key) (*corev1.Service, error)
	wake      func(providers.Key)

	// building is held while an outlook is made.
	building sync.Mutex

	mu  sync.Mutex
	now *outlook
	// carried are the Services with addresses that are not for layer 2 alone.
	carried map[providers.Key]carriage
	// failure is why there is no outlook yet, and unanswered are the Services that
	// had to do without.
	failure    error
	unanswered map[providers.Key]bool
	// stale is set while now.reach is to be made anew, and moved while there is news
	// of sessions; due is when the next outlook is to be made, the zero time for never.
	stale, moved bool
	due          time.Time
	bell         chan struct{}
}

// carriage is what carries the addresses of a Service; some have no links.
type carriage struct {
	links   []link
	oneNode bool
}

func newLookout() *lookout {
	return &lookout{carried: map[providers.Key]carriage{}, unanswered: map[providers.Key]bool{}, bell: make(chan struct{}, 1)}
}

// note has n taken into account in time.
func (k *lookout) note(n news) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stale, k.moved = k.stale || n == configured, k.moved || n != configured
	k.schedule(lag[n])
}

// schedule has the next outlook made in wait, or when it is to be made anyway
// if that is earlier. k.mu is held.
func (k *lookout) schedule(wait time.Duration) {
	at := time.Now().Add(wait)
	if !k.due.IsZero() && !at.Before(k.due) {
		return
	}
	k.due = at
	select {
	case k.bell <- struct{}{}:
	default:
	}
}

// Run makes outlooks when they are due. It returns when ctx ends.
func (k *lookout) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.bell:
		case <-timer.C:
		}
		wait, pending := k.pending()
		switch {
		case !pending:
		case wait > 0:
			timer.Reset(wait)
		default:
			if err := k.refresh(ctx); err != nil && ctx.Err() == nil {
				logr.FromContextOrDiscard(ctx).Error(err, "finding out what is announced by BGP")
			}
			timer.Reset(0) // there may be news already
		}
	}
}

// pending says how long it is until the next outlook is due, if there is one.
func (k *lookout) pending() (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Until(k.due), !k.due.IsZero()
}

// routes returns those of a Service, and remembers what carries them.
func (k *lookout) routes(ctx context.Context, key providers.Key, in announce.Input) (routes, error) {
	for {
		o, err := k.current(ctx)
		if err != nil {
			k.await(key)
			return routes{}, err
		}
		r := o.ask(in)
		if k.remember(key, o, r, announce.OneNode(in.Service)) {
			return r, nil
		}
		// There is another outlook by now, and this Service was not among those
		// that it was compared for.
	}
}

// remember says whether o is still the outlook.
func (k *lookout) remember(key providers.Key, o *outlook, r routes, oneNode bool) bool {
	links := r.links()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.now != o {
		return false
	}
	if len(r.byBGP) == 0 {
		delete(k.carried, key)
	} else if known, ok := k.carried[key]; !ok || known.oneNode != oneNode || !slices.Equal(known.links, links) {
		k.carried[key] = carriage{links, oneNode}
	}
	return true
}

// forget drops what is remembered of a Service.
func (k *lookout) forget(key providers.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.carried, key)
	delete(k.unanswered, key)
}

// current returns the outlook; only the first one is made for that, and only
// once: if it fails, Run tries again.
func (k *lookout) current(ctx context.Context) (*outlook, error) {
	if o, err := k.tried(); o != nil || err != nil {
		return o, err
	}
	k.building.Lock()
	defer k.building.Unlock()
	if o, err := k.tried(); o != nil || err != nil {
		return o, err
	}
	o, err := k.next(ctx, nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = o
	if k.failure = err; err != nil {
		k.schedule(lookoutRetry)
	}
	return o, err
}

// tried returns the outlook, or why there is none; nothing before the first try.
func (k *lookout) tried() (*outlook, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now, k.failure
}

// await has a Service woken by the first outlook that there is.
func (k *lookout) await(key providers.Key) {
	k.mu.Lock()
	answered := k.now != nil
	if !answered {
		k.unanswered[key] = true
	}
	k.mu.Unlock()
	if answered {
		k.wake(key)
	}
}

// next makes an outlook, with the survey of before where there is one.
func (k *lookout) next(ctx context.Context, before *outlook) (*outlook, error) {
	ctx, stop := context.WithTimeout(ctx, lookoutPatience)
	defer stop()
	o := &outlook{}
	var err error
	if before != nil {
		o.survey = before.survey
	} else if o.survey, err = k.compile(ctx); err != nil {
		return nil, err
	}
	if o.reach == nil {
		return o, nil
	}
	if o.sessions, err = k.list(ctx); err != nil {
		return nil, err
	}
	return o, nil
}

// refresh makes the next outlook and wakes the Services that it concerns.
func (k *lookout) refresh(ctx context.Context) error {
	k.building.Lock()
	defer k.building.Unlock()
	k.mu.Lock()
	stale, moved := k.stale || k.now == nil, k.moved
	before := k.now
	k.stale, k.moved, k.due = false, false, time.Time{}
	k.mu.Unlock()

	if stale {
		before = nil
	}
	o, err := k.next(ctx, before)
	if err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.stale, k.moved = k.stale || stale, k.moved || moved
		if k.now == nil {
			k.failure = err
		}
		k.schedule(lookoutRetry)
		return err
	}
	k.mu.Lock()
	apart := ofNone
	if stale {
		apart = k.surveyed().apart(o.survey)
	}
	k.now, k.failure = o, nil
	concerned := slices.AppendSeq(k.concerned(o, apart, moved), maps.Keys(k.unanswered))
	clear(k.unanswered)
	k.mu.Unlock()
	if apart == ofAll {
		concerned = k.newlyAdvertised(ctx, o, concerned)
	}
	for _, key := range concerned {
		k.wake(key)
	}
	return nil
}

// surveyed is the survey that there is. k.mu is held.
func (k *lookout) surveyed() survey {
	if k.now == nil {
		return survey{}
	}
	return k.now.survey
}

// concerned are those Services for whom the survey is another one and, where sessions
// moved, those with an address that is carried by what does not carry it in o, or by
// nothing. k.mu is held.
func (k *lookout) concerned(o *outlook, apart scope, moved bool) []providers.Key {
	var keys []providers.Key
	for key, c := range k.carried {
		if apart == ofAll || apart == ofOneNode && c.oneNode || moved && slices.ContainsFunc(c.links, func(l link) bool { return !o.sessions.carries(l) }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// newlyAdvertised adds to known the Services with addresses that o is about.
func (k *lookout) newlyAdvertised(ctx context.Context, o *outlook, known []providers.Key) []providers.Key {
	seen := make(map[providers.Key]bool, len(known))
	for _, key := range known {
		seen[key] = true
	}
	for _, key := range k.announced() {
		if seen[key] {
			continue
		}
		svc, err := k.service(ctx, key)
		if err == nil && svc != nil && len(o.ask(announce.Input{Service: svc}).byBGP) > 0 {
			known = append(known, key)
		}
	}
	return known
}
