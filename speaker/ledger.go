package speaker

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
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
	records   *shelf[*metallb.ServiceL2Status, filed]
	cache     client.Reader // Services
	live      client.Reader // both as the API server has them
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

func newLedger(self, namespace string, changed func(types.NamespacedName)) *ledger {
	return &ledger{self: self, namespace: namespace, open: map[types.NamespacedName]map[string]*account{},
		records: newShelf(recordKeeper(self), sameRecord, trimRecord, changed)}
}

// stored is a record as it is known to be.
type stored struct {
	// record is nil where there is none yet.
	record  *announce.Record
	version string
	// interfaces are those in the status, of this node's own records only.
	interfaces []metallb.InterfaceInfo
	// echo is set where this node wrote it and has not seen it in the cache.
	echo bool
	// pending is what this node has yet to write.
	pending *intent
}

// refused says whether nobody is on record since none of the candidates was fit.
func (s *stored) refused() bool {
	return s != nil && s.record != nil && s.record.Node == "" && s.record.Reason == trafficpolicy.ReasonNoEligibleNode
}

// node is who is on record as announcing; what this node has yet to write
// counts as written, but for an offer: several nodes make one.
func (s *stored) node() string {
	switch {
	case s == nil:
		return ""
	case s.pending != nil && s.pending.record.Node != "" && s.pending.purpose != stepIn:
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
func (l *ledger) of(service types.NamespacedName) map[string]*stored {
	records := l.records.of(service)
	all := make(map[string]*stored, len(records))
	for _, k := range records {
		f := &k.value
		all[k.name.Name] = &stored{record: &f.record, version: f.version, interfaces: f.interfaces}
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
	return all
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
// again, zero for no need; turned is set where another node counts as on record
// from now on.
func (l *ledger) settle(has *stored, w wish, delay time.Duration) (wait time.Duration, turned bool) {
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
	counts := stored{record: has.record, pending: next}
	turned = counts.node() != has.node()
	switch {
	case next == nil:
		if w.purpose == sayHeld && !disputed {
			l.restate(a, name, has)
		}
	case next != old:
		next.due = time.Now().Add(delay)
		l.outbox.post(letter{aRecord, service, name}, delay)
	}
	return wait, turned
}

// restate corrects the status of our own record where it tells other
// interfaces than those in use. The lock is held.
func (l *ledger) restate(a *account, name string, has *stored) {
	if has.record == nil || has.echo || a.statement != nil || has.record.Node != l.self {
		return
	}
	if !slices.Equal(has.interfaces, infos(l.interfaces(has.record.Address))) {
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
