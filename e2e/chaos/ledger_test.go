package chaos

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// hindsight is how long the terms count that a Service had: the controller
// decides by what it has seen, and a user may have changed his mind since.
const hindsight = 15 * time.Second

// ledger sees every version of every Service, in the order in which they came
// to be, and notes each write that shows an address which another status shows
// and which the two may not share.
//
// A user who takes a sharing key away makes a double by himself; the controller
// is to end that, which the audit asks for, but didn't do it.
type ledger struct {
	client client.WithWatch

	mu       sync.Mutex
	entries  map[types.UID]*entry
	holders  map[netip.Addr]map[types.UID]*entry
	trails   map[netip.Addr][]string
	still    map[string][]netip.Addr // what they have shown, of those that nobody touches
	faults   []string
	told     map[string]int // versions by the reason of the condition
	events   int
	relisted int
}

// entry is one life of a Service.
type entry struct {
	name, version string
	deleting      bool
	addrs         []netip.Addr
	terms         terms
	earlier       []past
}

// past are terms that counted until then.
type past struct {
	terms terms
	until time.Time
}

func startLedger(t *testing.T, cl client.WithWatch) *ledger {
	t.Helper()
	l := &ledger{
		client:  cl,
		entries: map[types.UID]*entry{},
		holders: map[netip.Addr]map[types.UID]*entry{},
		trails:  map[netip.Addr][]string{},
		still:   map[string][]netip.Addr{},
		told:    map[string]int{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		for _, fault := range l.faults {
			t.Error(fault)
		}
		t.Logf("the ledger saw %d events (%v), and had to list anew %d times", l.events, l.told, l.relisted)
	})
	return l
}

// run watches until ctx ends. Where the API server was away for so long that
// the watch can't go on where it ended, it begins with a list.
func (l *ledger) run(ctx context.Context) {
	version := ""
	for ctx.Err() == nil {
		if version == "" {
			version = l.list(ctx)
		}
		if version != "" {
			version = l.watch(ctx, version)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (l *ledger) list(ctx context.Context) string {
	var all corev1.ServiceList
	if l.client.List(ctx, &all, client.InNamespace(shop)) != nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.events > 0 {
		l.relisted++
	}
	alive := map[types.UID]bool{}
	for i := range all.Items {
		alive[all.Items[i].UID] = true
	}
	for uid := range l.entries {
		if !alive[uid] {
			l.drop(uid)
		}
	}
	for i := range all.Items {
		l.see(&all.Items[i])
	}
	return all.ResourceVersion
}

// watch returns the version to go on from, none for a list.
func (l *ledger) watch(ctx context.Context, version string) string {
	w, err := l.client.Watch(ctx, &corev1.ServiceList{}, client.InNamespace(shop), &client.ListOptions{
		Raw: &metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true},
	})
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return ""
	}
	if err != nil {
		return version
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		svc, ok := event.Object.(*corev1.Service)
		if !ok {
			return ""
		}
		version = svc.ResourceVersion
		l.take(event.Type, svc)
	}
	return version
}

func (l *ledger) take(kind watch.EventType, svc *corev1.Service) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch kind {
	case watch.Added, watch.Modified:
		l.events++
		l.see(svc)
	case watch.Deleted:
		l.events++
		l.drop(svc.UID)
	}
}

// see enters a version of a Service. The caller holds mu.
func (l *ledger) see(svc *corev1.Service) {
	now := time.Now()
	e := l.entries[svc.UID]
	if e == nil {
		e = &entry{name: svc.Name, terms: termsOf(svc)}
		l.entries[svc.UID] = e
	}
	if t := termsOf(svc); t != e.terms {
		e.earlier = append(slices.DeleteFunc(e.earlier, func(p past) bool { return now.Sub(p.until) > hindsight }), past{e.terms, now})
		e.terms = t
	}
	if c := conditionOf(svc); c != nil {
		l.told[c.Reason]++
	}
	e.version, e.deleting = svc.ResourceVersion, svc.DeletionTimestamp != nil
	before := e.addrs
	e.addrs = addressesOf(svc)
	for _, x := range before {
		if !slices.Contains(e.addrs, x) {
			delete(l.holders[x], svc.UID)
			l.trace(x, e, "no longer shows it")
		}
	}
	for _, x := range e.addrs {
		if !slices.Contains(before, x) {
			l.trace(x, e, "shows it")
			l.enter(x, svc.UID, e, now)
		}
	}
	l.keep(e)
}

// enter notes that e shows x from now on, and who else does.
func (l *ledger) enter(x netip.Addr, uid types.UID, e *entry, now time.Time) {
	if l.holders[x] == nil {
		l.holders[x] = map[types.UID]*entry{}
	}
	for _, other := range l.holders[x] {
		if !sharedOf(e, other, now) {
			l.faults = append(l.faults, fmt.Sprintf(
				"%s, %s was given to %s (version %s, %+v) while the status of %s (version %s, %+v, deleting: %t) shows it; what happened to it:\n\t%s",
				now.Format(time.TimeOnly+".000"), x, e.name, e.version, e.terms, other.name, other.version, other.terms, other.deleting, strings.Join(l.trails[x], "\n\t")))
		}
	}
	l.holders[x][uid] = e
}

// sharedOf says whether the two could share on terms that each had lately.
func sharedOf(a, b *entry, now time.Time) bool {
	for _, ta := range a.lately(now) {
		for _, tb := range b.lately(now) {
			if ta.share(tb) {
				return true
			}
		}
	}
	return false
}

func (e *entry) lately(now time.Time) []terms {
	all := []terms{e.terms}
	for _, p := range e.earlier {
		if now.Sub(p.until) <= hindsight {
			all = append(all, p.terms)
		}
	}
	return all
}

// keep notes an untouched Service that lost the address it had.
func (l *ledger) keep(e *entry) {
	had, watched := l.still[e.name]
	if !watched || slices.Equal(had, e.addrs) {
		return
	}
	if len(had) > 0 {
		l.faults = append(l.faults, fmt.Sprintf("%s, %s, which nobody touches, showed %v and now shows %v",
			time.Now().Format(time.TimeOnly+".000"), e.name, had, e.addrs))
	}
	l.still[e.name] = e.addrs
}

func (l *ledger) drop(uid types.UID) {
	e := l.entries[uid]
	if e == nil {
		return
	}
	for _, x := range e.addrs {
		delete(l.holders[x], uid)
		l.trace(x, e, "is gone")
	}
	delete(l.entries, uid)
}

func (l *ledger) trace(x netip.Addr, e *entry, what string) {
	line := fmt.Sprintf("%s %s %s, version %s", time.Now().Format(time.TimeOnly+".000"), e.name, what, e.version)
	trail := append(l.trails[x], line)
	l.trails[x] = trail[max(0, len(trail)-12):]
}

// watchOver has the addresses of a Service stay from now on.
func (l *ledger) watchOver(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		l.still[name] = nil
		for _, e := range l.entries {
			if e.name == name {
				l.still[name] = e.addrs
			}
		}
	}
}

// release ends what watchOver began, for all.
func (l *ledger) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.still)
}

// count is how many events there were.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events
}
