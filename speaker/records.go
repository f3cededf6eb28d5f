package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

// eventAssigned is the reason of the event when an address comes to this node,
// as users and tools of MetalLB look for it.
const eventAssigned = "nodeAssigned"

// refusalDelay is how long a node that was counted on and can't serve keeps that
// to itself: its endpoint may be new, and kube-proxy gathers changes for up to a
// second.
const refusalDelay = time.Second

// keepRecords has the records of a Service say what has been decided, as far as
// that is for this node to say. svc is nil where it is gone, or has no address.
func (s *Speaker) keepRecords(service types.NamespacedName, svc *corev1.Service, decisions []announce.Layer2, records map[string]*stored, roles map[netip.Addr]role) (wait time.Duration) {
	var wanted []string
	var announced []netip.Addr
	for _, d := range decisions {
		record := announce.Record{Service: service, UID: svc.UID, Address: d.Address}
		name := record.Name()
		wanted = append(wanted, name)
		w, delay := s.wish(record, d, records[name], roles[d.Address])
		if _, held := s.announcing(d.Address); held {
			announced = append(announced, d.Address)
		}
		s.tell(svc, name, records[name], w)
		s.took(d.Address, service)
		again, turned := s.ledger.settle(records[name], w, delay)
		if wait = soonest(wait, again); turned {
			s.waker.wake(task{subject: aService, service: service})
		}
	}
	s.gauge.set(service, announced)
	for name, r := range records {
		if !slices.Contains(wanted, name) {
			delete(s.told, name)
			s.discard(name, r)
			if r.echo {
				// The cache will never show it, so that nobody asks again.
				wait = soonest(wait, echoTime)
			}
		}
	}
	return wait
}

// took notes that what is to be said of a takeover has been said.
func (s *Speaker) took(address netip.Addr, service types.NamespacedName) {
	left := slices.DeleteFunc(s.taking[address], func(n types.NamespacedName) bool { return n == service })
	if s.taking[address] = left; len(left) == 0 {
		delete(s.taking, address)
	}
}

// discard has a record deleted whose Service, or whose address, is gone.
func (s *Speaker) discard(name string, r *stored) {
	w := wish{purpose: leaveIt}
	place, ok := rank(s.Node, name, r.node(), s.speakers)
	if ok {
		w.purpose = dropIt
	}
	if w.record = r.known(); w.record.UID != "" {
		s.ledger.settle(r, w, time.Duration(place)*writerDelay)
	}
}

// wish is what this node wants of the record about one address, and how long it
// leaves it to others to write that.
func (s *Speaker) wish(record announce.Record, d announce.Layer2, has *stored, r role) (w wish, delay time.Duration) {
	claim, _ := s.book.claim(d.Address)
	_, held := s.announcing(d.Address)
	candidate := slices.Contains(claim.Order, s.Node)
	w.record = record
	switch {
	case len(claim.Order) == 0:
		w.record.Reason, w.record.Message = d.Reason, d.Message
		place, ok := rank(s.Node, record.Name(), has.node(), s.speakers)
		if r == refuses {
			place, ok = 0, true // others don't know
		}
		if ok {
			w.purpose = sayWhyNot
		}
		return w, time.Duration(place) * writerDelay
	case r == refuses && !candidate && held && has.refused():
		// Who was named refuses too, and the others offer.
	case r == refuses && !candidate && held:
		w.purpose, w.record.Node = sayNext, claim.Order[0]
	case r == refuses && !candidate:
		w.purpose = sayWhyNot
		w.record.Reason, w.record.Message = trafficpolicy.ReasonNoEligibleNode, s.refusal()
		return w, refusalDelay
	case held && candidate:
		w.purpose, w.record.Node = sayHeld, s.Node
		w.taking = slices.Contains(s.taking[d.Address], record.Service)
	case r == offers:
		w.purpose, w.record.Node = stepIn, s.Node
		place := slices.Index(d.Candidates, s.Node)
		return w, time.Duration(min(place, writers)) * writerDelay
	}
	return w, 0
}

// refusal is what the record says while no node has stepped in.
func (s *Speaker) refusal() string {
	return fmt.Sprintf("%q, which was to announce it, %s, and no other node with a serving endpoint has offered to: look at kube-proxy and at draining there",
		s.Node, trafficpolicy.HealthCheckFails.Message())
}

// tell sends an event when an address has come to this node. One that a record
// gave to it before this process began is no news.
func (s *Speaker) tell(svc *corev1.Service, name string, has *stored, w wish) {
	switch {
	case !s.started && has.node() == s.Node:
		s.told[name] = true
	case w.purpose != sayHeld && has.node() != s.Node:
		delete(s.told, name)
	}
	if w.purpose != sayHeld || !w.taking || s.told[name] {
		return
	}
	s.told[name] = true
	interfaces, _ := s.announcing(w.record.Address)
	message := fmt.Sprintf("announcing from node %q with protocol %q", s.Node, "layer2")
	if len(interfaces) > 0 {
		message += " on " + strings.Join(interfaces, ", ")
	}
	s.Events.Event(svc, corev1.EventTypeNormal, eventAssigned, message)
}
