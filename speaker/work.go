package speaker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/berth-lb/berth/announce"
)

// compilePace is how far apart two compilations are at least: when the power of
// a row of racks goes, so do many nodes.
const compilePace = 100 * time.Millisecond

// reviewPace is how often the report is looked at though nothing has happened: of
// what kube-proxy sets in the kernel no event tells.
const reviewPace = time.Minute

// Reconcile does one task.
func (s *Speaker) Reconcile(ctx context.Context, t task) (reconcile.Result, error) {
	if !s.started {
		if err := s.start(ctx); err != nil {
			return s.result(ctx, 0, err)
		}
		s.started = true
	}
	switch t.subject {
	case theConfiguration:
		if wait := time.Until(s.compiled.Add(compilePace)); wait > 0 {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
		return s.result(ctx, 0, s.configure(ctx))
	case ownReport:
		return s.result(ctx, reviewPace, s.reviewReport(ctx))
	case thePeers:
		return s.result(ctx, 0, s.reviewPeers(ctx))
	case theSessions:
		return s.result(ctx, 0, s.reviewSessions(ctx))
	case allServices:
		s.sweep(ctx)
		return reconcile.Result{}, nil
	case turnedAddresses:
		s.turn(ctx)
		return reconcile.Result{}, nil
	}
	wait, err := s.decide(ctx, t.service)
	return s.result(ctx, wait, err)
}

func (s *Speaker) result(ctx context.Context, wait time.Duration, err error) (reconcile.Result, error) {
	if ctx.Err() != nil {
		return reconcile.Result{}, nil // the process stops
	}
	return reconcile.Result{RequeueAfter: wait}, err
}

// decide brings one Service, or what is left of one, to where it should be.
// wait is when to look again, zero for no need.
func (s *Speaker) decide(ctx context.Context, service types.NamespacedName) (wait time.Duration, err error) {
	svc, err := s.service(ctx, service)
	if err != nil {
		return 0, err
	}
	records := s.ledger.of(service)
	if svc == nil {
		s.gate.forget(service)
		s.pass(s.book.set(service, nil, nil))
		s.route(service, "", nil)
		s.gauge.set(service, nil)
		return s.keepRecords(service, nil, nil, records, nil), nil
	}
	in := announce.Input{Service: svc, EndpointSlices: s.endpointSlices(service), Owners: s.owners(svc, records)}
	v := s.judge(service, in, records)
	if v.open {
		return 0, nil // the answer brings the Service back
	}
	s.route(service, svc.UID, v.bgp)
	decisions := slices.DeleteFunc(v.layer2, func(d announce.Layer2) bool { return d.Pool == "" })
	s.wakeSharers(service, in.Owners)
	s.pass(s.book.set(service, decisions, in.Owners))
	for _, sharer := range s.book.behind(service) {
		s.waker.wake(task{subject: aService, service: sharer})
	}
	return s.keepRecords(service, svc, decisions, records, v.roles), nil
}

// service returns the Service if it is one that has addresses, else nil.
func (s *Speaker) service(ctx context.Context, name types.NamespacedName) (*corev1.Service, error) {
	svc := &corev1.Service{}
	err := s.Cache.Get(ctx, name, svc)
	if apierrors.IsNotFound(err) || err == nil && len(addressesOf(svc)) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading Service %s: %w", name, err)
	}
	return svc, nil
}

// owners returns who is on record for each address of svc: this node where it
// has just taken over, and what was written last where Services that share an
// address disagree.
func (s *Speaker) owners(svc *corev1.Service, own map[string]*stored) map[netip.Addr]string {
	service := types.NamespacedName{Namespace: svc.Namespace, Name: svc.Name}
	all := map[netip.Addr]string{}
	for _, address := range addressesOf(svc) {
		if slices.Contains(s.taking[address], service) {
			all[address] = s.Node
			continue
		}
		latest := latestOf(address, own, nil)
		for _, sharer := range s.book.sharers(address) {
			if sharer != service {
				latest = latestOf(address, s.ledger.of(sharer), latest)
			}
		}
		if latest != nil {
			all[address] = latest.node()
		}
	}
	return all
}

// latestOf returns the one of latest and of records that names a node for the
// address and is the newest. What this node has yet to write is newer than all
// that is written.
func latestOf(address netip.Addr, records map[string]*stored, latest *stored) *stored {
	for _, r := range records {
		if r.node() != "" && r.address() == address && (latest == nil || r.after(latest)) {
			latest = r
		}
	}
	return latest
}

// address is the one that node is about.
func (s *stored) address() netip.Addr {
	if s.pending != nil {
		return s.pending.record.Address
	}
	return s.record.Address
}

func (s *stored) after(other *stored) bool {
	if (s.pending != nil) != (other.pending != nil) {
		return s.pending != nil
	}
	order, err := resourceversion.CompareResourceVersion(s.version, other.version)
	return err == nil && order > 0
}

// wakeSharers has the other Services on an address looked at when it has
// another owner: the order is theirs too.
func (s *Speaker) wakeSharers(service types.NamespacedName, owners map[netip.Addr]string) {
	for address, owner := range owners {
		if s.book.recorded(address) == owner {
			continue
		}
		for _, sharer := range s.book.sharers(address) {
			if sharer != service {
				s.waker.wake(task{subject: aService, service: sharer})
			}
		}
	}
}

// pass tells layer 2 what changed.
func (s *Speaker) pass(changed []netip.Addr) {
	for _, address := range changed {
		if claim, ok := s.book.claim(address); ok {
			s.Layer2.Claim(address, claim)
		} else {
			s.Layer2.Unclaim(address)
		}
	}
}

// sweep looks at the next Services of those that a change of the configuration
// concerns. One that fails is tried again by itself.
func (s *Speaker) sweep(ctx context.Context) {
	n := min(batch, len(s.due))
	for _, service := range s.due[:n] {
		s.look(ctx, service)
	}
	if s.due = s.due[n:]; len(s.due) == 0 {
		s.due = nil
		return
	}
	s.waker.wakeLater(task{subject: allServices})
}

// look decides a Service beside the one that the task is about.
func (s *Speaker) look(ctx context.Context, service types.NamespacedName) {
	wait, err := s.decide(ctx, service)
	if err != nil {
		s.waker.wake(task{subject: aService, service: service})
	}
	s.waker.wakeAfter(task{subject: aService, service: service}, wait)
}

// turn looks at the next addresses that this node began or ceased to announce.
func (s *Speaker) turn(ctx context.Context) {
	s.mu.Lock()
	n := min(batch, len(s.turned))
	next := s.turned[:n]
	if s.turned = s.turned[n:]; len(s.turned) == 0 {
		s.turned = nil
	} else {
		s.waker.wake(task{subject: turnedAddresses})
	}
	s.mu.Unlock()
	for _, address := range next {
		s.noteTurn(address)
		for _, service := range s.book.sharers(address) {
			s.look(ctx, service)
		}
	}
}

// noteTurn remembers of whom a takeover is news.
func (s *Speaker) noteTurn(address netip.Addr) {
	_, held := s.announcing(address)
	switch {
	case !held:
		delete(s.taking, address)
		delete(s.held, address)
	case !s.held[address]:
		s.held[address] = true
		s.taking[address] = s.book.sharers(address)
	}
}

// soonest returns the shorter of two waits, of which zero is none.
func soonest(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
