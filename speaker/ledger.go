package speaker

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

const (
	// echoTime is how long our own write counts for more than what the cache
	// has, should it never show up there.
	echoTime = 10 * time.Second
	// disputeTime is how long a node that announces leaves a record alone that
	// names another one.
	disputeTime = 5 * time.Second
)

// ledger is what is on record about who announces what, with what this node
// wrote last and has yet to write.
type ledger struct {
	self      string
	namespace string
	cache     client.Reader // ServiceL2Statuses and Services
	live      client.Reader // the same as the API server has them
	client    client.Client
	outbox    *outbox
	// interfaces are those that this node announces the address on.
	interfaces func(netip.Addr) []string

	mu sync.Mutex
	// open is what this node has to do with records, by Service and name.
	open map[types.NamespacedName]map[string]*account
}

// account is what this node has to do with one record.
type account struct {
	// intent is what it has yet to write, nil for nothing.
	intent *intent
	// echo is what it wrote last and may not have seen in the cache yet.
	echo *echo
	// statement is the status that it has yet to write, nil for none. refused
	// is set where the API server did not take one.
	statement *statement
	refused   bool
	// dispute is set while this node announces and another one is, or was, on
	// record that it did not take over from.
	dispute *dispute
}

type echo struct {
	record  announce.Record
	version string
	at      time.Time
}

// dispute is over once this node has put itself on record again. If the other
// node does so too it is alive, and the segment may be in two halves: what the
// record says then helps nobody.
type dispute struct {
	node  string
	since time.Time
	over  bool
}

func newLedger(self, namespace string) *ledger {
	return &ledger{self: self, namespace: namespace, open: map[types.NamespacedName]map[string]*account{}}
}

// stored is a record as it is known to be.
type stored struct {
	// record is nil where there is none yet.
	record  *announce.Record
	version string
	status  metallb.MetalLBServiceL2Status // of this node's own records only
	// echo is set where this node wrote it and has not seen it in the cache.
	echo bool
	// pending is what this node has yet to write.
	pending *intent
}

// node is who is on record as announcing; what this node has yet to write
// counts as written.
func (s *stored) node() string {
	switch {
	case s == nil:
		return ""
	case s.pending != nil && s.pending.record.Node != "":
		return s.pending.record.Node
	case s.record == nil:
		return ""
	}
	return s.record.Node
}

// known is the record, or the one that this node has yet to write.
func (s *stored) known() announce.Record {
	if s.record != nil {
		return *s.record
	}
	return s.pending.record
}

// of returns all records of a Service, by name, those of an earlier one under
// its name included.
func (l *ledger) of(ctx context.Context, service types.NamespacedName) (map[string]*stored, error) {
	var list metallb.ServiceL2StatusList
	if err := l.cache.List(ctx, &list, client.InNamespace(l.namespace), client.MatchingFields{recordServiceField: service.String()}); err != nil {
		return nil, fmt.Errorf("listing ServiceL2Statuses of Service %s: %w", service, err)
	}
	all := make(map[string]*stored, len(list.Items))
	for i := range list.Items {
		object := &list.Items[i]
		if r, ok := announce.RecordOf(object); ok && r.Service == service {
			all[object.Name] = &stored{record: &r, version: object.ResourceVersion, status: object.Status}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, a := range l.open[service] {
		s := all[name]
		if a.newer(s) {
			s = &stored{record: &a.echo.record, version: a.echo.version, echo: true}
			all[name] = s
		} else {
			a.echo = nil
		}
		if a.intent != nil {
			if s == nil {
				s = &stored{}
				all[name] = s
			}
			s.pending = a.intent
		}
		l.close(service, name)
	}
	return all, nil
}

// newer says whether our own write counts for more than what the cache has.
func (a *account) newer(cached *stored) bool {
	if a.echo == nil || time.Since(a.echo.at) >= echoTime {
		return false
	}
	if cached == nil {
		return true
	}
	order, err := resourceversion.CompareResourceVersion(cached.version, a.echo.version)
	return err == nil && order < 0
}

// account returns the one of a record, a new one if need be. The lock is held.
func (l *ledger) account(service types.NamespacedName, name string) *account {
	all := l.open[service]
	if all == nil {
		all = map[string]*account{}
		l.open[service] = all
	}
	if all[name] == nil {
		all[name] = &account{}
	}
	return all[name]
}

// close forgets an account with nothing in it. The lock is held.
func (l *ledger) close(service types.NamespacedName, name string) {
	if a := l.open[service][name]; a == nil || *a != (account{}) {
		return
	}
	if delete(l.open[service], name); len(l.open[service]) == 0 {
		delete(l.open, service)
	}
}

// settle has the record become what this node wishes, after delay where others
// are to write it first. has is nil where there is none. wait is when to wish
// again, zero for no need.
func (l *ledger) settle(has *stored, w wish, delay time.Duration) (wait time.Duration) {
	service, name := w.record.Service, w.record.Name()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.close(service, name)
	if has == nil {
		has = &stored{}
	}
	a := l.account(service, name)
	if w.purpose == dropIt {
		a.refused = false
	}
	w.taking = w.taking || a.outlasted(has)
	next, disputed := plan(has.record, a.intent, w)
	switch {
	case w.purpose != sayHeld:
		a.dispute = nil
	case disputed:
		wait = a.disputed(has.record.Node)
	}
	old := a.intent
	a.intent = next
	switch {
	case next == nil:
		if w.purpose == sayHeld && !disputed {
			l.restate(a, name, has)
		}
	case next != old:
		next.due = time.Now().Add(delay)
		l.outbox.post(letter{aRecord, service, name}, delay)
	}
	return wait
}

// restate corrects the status of our own record where it tells other
// interfaces than those in use. The lock is held.
func (l *ledger) restate(a *account, name string, has *stored) {
	if has.record == nil || has.echo || a.statement != nil || has.record.Node != l.self {
		return
	}
	if !slices.Equal(has.status.Interfaces, infos(l.interfaces(has.record.Address))) {
		l.state(a, name, statement{*has.record, has.version})
	}
}

// disputed notes that the record names that other node, and returns how long
// this one leaves it at that.
func (a *account) disputed(node string) (wait time.Duration) {
	if a.dispute == nil || a.dispute.node != node {
		a.dispute = &dispute{node: node, since: time.Now()}
	}
	if a.dispute.over {
		return 0
	}
	return disputeTime
}

// outlasted says whether the record has named the same other node for so long
// that it won't take over any more.
func (a *account) outlasted(has *stored) bool {
	d := a.dispute
	if d == nil || d.over || has.node() != d.node || time.Since(d.since) < disputeTime {
		return false
	}
	d.over = true
	return true
}

// write sends the intent about a record, if it is due.
func (l *ledger) write(ctx context.Context, about letter) (wait time.Duration, err error) {
	l.mu.Lock()
	var in *intent
	if a := l.open[about.service][about.name]; a != nil {
		in = a.intent
	}
	l.mu.Unlock()
	if in == nil {
		return 0, nil
	}
	if wait := time.Until(in.due); wait > 0 {
		return wait, nil
	}
	after, err := l.attempt(ctx, l.cache, about.name, in)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) {
		// The cache was behind: once more upon what the API server has.
		after, err = l.attempt(ctx, l.live, about.name, in)
	}
	if err != nil {
		return 0, err
	}
	l.sent(about, in, after)
	return 0, nil
}

// attempt writes the intent upon what reader has.
func (l *ledger) attempt(ctx context.Context, reader client.Reader, name string, in *intent) (*metallb.ServiceL2Status, error) {
	has := &metallb.ServiceL2Status{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: l.namespace, Name: name}, has)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("reading ServiceL2Status %s: %w", name, err)
	}
	if err != nil {
		has = nil
	}
	return l.send(ctx, name, *in, has)
}

// sent notes what came of the intent: after is the record as written, nil where
// nothing was.
func (l *ledger) sent(about letter, in *intent, after *metallb.ServiceL2Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.close(about.service, about.name)
	a := l.account(about.service, about.name)
	if a.intent == in {
		a.intent = nil
	}
	if after == nil {
		return
	}
	a.echo = &echo{record: in.record, version: after.ResourceVersion, at: time.Now()}
	l.state(a, about.name, statement{in.record, after.ResourceVersion})
}

// send makes one attempt at the intent, upon has, nil where there is no such
// record. It returns the record if it was written.
func (l *ledger) send(ctx context.Context, name string, in intent, has *metallb.ServiceL2Status) (*metallb.ServiceL2Status, error) {
	if in.purpose == dropIt {
		return nil, l.remove(ctx, in, has)
	}
	if has == nil {
		object := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: name,
			Labels: in.record.Labels(), Annotations: in.record.Annotations()}}
		if err := l.client.Create(ctx, object); err != nil {
			return nil, fmt.Errorf("creating ServiceL2Status %s: %w", name, err)
		}
		return object, nil
	}
	if r, ok := announce.RecordOf(has); ok && (r == in.record || lost(r, in)) {
		return nil, nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": has.UID, "resourceVersion": has.ResourceVersion,
		"labels":      changes(recordLabels, in.record.Labels()),
		"annotations": changes(recordAnnotations, in.record.Annotations()),
	}})
	if err != nil {
		return nil, fmt.Errorf("computing the patch of ServiceL2Status %s: %w", name, err)
	}
	object := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: name}}
	if err := l.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return nil, fmt.Errorf("writing ServiceL2Status %s: %w", name, err)
	}
	return object, nil
}

var (
	recordLabels      = []string{announce.LabelNode, announce.LabelServiceName, announce.LabelServiceNamespace}
	recordAnnotations = []string{announce.AnnotationService, announce.AnnotationAddress, announce.AnnotationNode, announce.AnnotationReason, announce.AnnotationMessage}
)

// changes is a merge patch that leaves exactly want of the keys that are ours.
func changes(keys []string, want map[string]string) map[string]*string {
	all := make(map[string]*string, len(keys))
	for _, key := range keys {
		all[key] = nil
		if value, ok := want[key]; ok {
			all[key] = &value
		}
	}
	return all
}

// remove deletes a record whose Service, or whose address, is gone. Caches lag
// behind each other: a record may be seen before the Service that it is about.
func (l *ledger) remove(ctx context.Context, in intent, has *metallb.ServiceL2Status) error {
	if has == nil {
		return nil
	}
	behind, err := l.behind(ctx, in.record)
	if err != nil || behind {
		return err
	}
	err = l.client.Delete(ctx, has.DeepCopy(), client.Preconditions{UID: &has.UID, ResourceVersion: &has.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("deleting ServiceL2Status %s: %w", has.Name, err)
	}
	return nil
}

// behind says whether the API server has a Service that the record is about and
// that the cache doesn't know as it is.
func (l *ledger) behind(ctx context.Context, r announce.Record) (bool, error) {
	key := client.ObjectKey{Namespace: r.Service.Namespace, Name: r.Service.Name}
	var now, cached corev1.Service
	err := l.live.Get(ctx, key, &now)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading Service %s: %w", r.Service, err)
	}
	if now.UID != r.UID || !slices.Contains(addressesOf(&now), r.Address) {
		return false, nil
	}
	err = l.cache.Get(ctx, key, &cached)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading Service %s: %w", r.Service, err)
	}
	return cached.ResourceVersion != now.ResourceVersion, nil
}
