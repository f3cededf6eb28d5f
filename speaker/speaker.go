// Package speaker is the Kubernetes side of a node: it watches what is to be
// announced, asks announce what this node's part in it is, has layer 2 and BGP
// do it, and reports what came of it.
package speaker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

// Options are what a Speaker works with.
type Options struct {
	// Node is the name of the node that it runs on, Namespace that of the
	// installation.
	Node, Namespace string
	// KubeProxyHealthPort is where kube-proxy answers for its node. With 0 no
	// health check is asked, that of no Service either.
	KubeProxyHealthPort int32
	Layer2              Layer2
	// IPVS says, where it is set, what kube-proxy makes of these interfaces.
	IPVS func(interfaces []string) IPVS
	BGP  BGP
	// ServiceBGPStatus has a ServiceBGPStatus kept for each Service that is
	// announced by BGP.
	ServiceBGPStatus bool
	// Cache is trimmed by CacheByObject.
	Cache client.Reader
	// Live bypasses all caches; Client writes.
	Live   client.WithWatch
	Client client.Client
	Events EventRecorder
	Log    logr.Logger
}

// EventRecorder tells users what changed; client-go's recorders are one.
type EventRecorder interface {
	Event(object runtime.Object, eventtype, reason, message string)
}

// Speaker decides for one node. What is not behind the lock belongs to the one
// worker that does its tasks.
type Speaker struct {
	Options
	asker   *asker
	gate    *gate
	ledger  *ledger
	outbox  *outbox
	slices  *shelf[*discoveryv1.EndpointSlice, endpointSet]
	waker   waker
	report  report
	gauge   gauge
	started bool
	ready   atomic.Bool // what started is, for others
	// begun is when announcing began, set before ready.
	begun time.Time
	// settled is set once rollouts need not wait any longer.
	settled atomic.Bool
	// leaving is set when the speaker is about to stop on a node that is on its way
	// out, and silent gets a value when layer 2 announces nothing any more.
	leaving atomic.Bool
	silent  chan struct{}

	view     *announce.View
	closed   bool // as compiled into the view
	speakers []peer
	hosts    map[string]Host
	compiled time.Time
	// decidedOn is what all Services have been, or are due to be, decided on.
	decidedOn grounds
	book      *book
	routes    *routes
	// peers are those that BGP was told of, and passwords what was read of
	// Secrets for them.
	peers       []announce.Peer
	passwords   map[string]string
	secrets     *secrets
	sessions    sessions
	heralds     heralds
	bgpStatuses *bgpStatuses
	// taking are the Services on whose record it has yet to be said that this
	// node has just begun to announce the address.
	taking map[netip.Addr][]types.NamespacedName
	// told are the records of which it is known that they name this node.
	told map[string]bool
	// due are the Services that a change of the configuration concerns and that
	// have yet to be looked at.
	due []types.NamespacedName
	// held is what was last worked on of heard.
	held map[netip.Addr]bool

	mu sync.Mutex
	// heard is where layer 2 announces which address.
	heard map[netip.Addr][]string
	// turned are the addresses that layer 2 told something new of.
	turned []netip.Addr
	// interfaces are those that can announce, with their hardware addresses;
	// known is closed when layer 2 has told them.
	interfaces map[string]string
	known      chan struct{}
}

// New returns a Speaker that has yet to be set up with a manager.
func New(o Options) *Speaker {
	s := &Speaker{
		Options:     o,
		asker:       newAsker(),
		book:        newBook(),
		routes:      newRoutes(),
		heralds:     newHeralds(),
		bgpStatuses: newBGPStatuses(),
		taking:      map[netip.Addr][]types.NamespacedName{},
		told:        map[string]bool{},
		held:        map[netip.Addr]bool{},
		heard:       map[netip.Addr][]string{},
		known:       make(chan struct{}),
		silent:      make(chan struct{}, 1),
	}
	s.slices = newShelf(keepSlice, sameEndpoints, trimSlice, s.wakeService)
	s.secrets = newSecrets(followSecret(o.Live, o.Namespace), func() { s.waker.wake(task{subject: thePeers}) })
	s.gate = newGate(s.asker.ask, s.asker.forget, s.answered)
	s.ledger = newLedger(o.Node, o.Namespace, s.wakeService)
	s.ledger.cache, s.ledger.live, s.ledger.client = o.Cache, o.Live, o.Client
	s.ledger.interfaces = func(address netip.Addr) []string { names, _ := s.announcing(address); return names }
	s.outbox = newOutbox(o.Log, s.send)
	s.ledger.outbox = s.outbox
	return s
}

// Held says that this node began, or ceased, to announce the address, and on
// which interfaces. It returns at once.
func (s *Speaker) Held(address netip.Addr, held bool, interfaces []string) {
	s.mu.Lock()
	if held {
		s.heard[address] = interfaces
	} else {
		delete(s.heard, address)
	}
	s.turned = append(s.turned, address)
	if len(s.heard) == 0 {
		select {
		case s.silent <- struct{}{}:
		default:
		}
	}
	s.mu.Unlock()
	s.waker.wake(task{subject: turnedAddresses})
}

// Interfaces says which interfaces of this node can announce, with their
// hardware addresses. It returns at once, and keeps the map.
func (s *Speaker) Interfaces(hardware map[string]string) {
	s.mu.Lock()
	changed := !maps.Equal(s.interfaces, hardware)
	s.interfaces = hardware
	select {
	case <-s.known:
	default:
		close(s.known)
	}
	s.mu.Unlock()
	if changed {
		s.waker.wake(task{subject: theConfiguration})
	}
}

// answered is told by the gate.
func (s *Speaker) answered(whose types.NamespacedName) {
	if whose == wholeNode {
		s.waker.wake(task{subject: ownReport})
		return
	}
	s.waker.wake(task{subject: aService, service: whose})
}

// announcing says whether layer 2 announces the address, and where.
func (s *Speaker) announcing(address netip.Addr) (interfaces []string, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	interfaces, held = s.heard[address]
	return interfaces, held
}

// Ready is a readiness check: it fails until announcing may begin, and for a
// while until all routers know of it, so that a rollout takes one node after the
// other.
func (s *Speaker) Ready(*http.Request) error {
	if !s.ready.Load() {
		return errors.New("not all claims have been made yet")
	}
	return s.settle()
}

// send is the outbox's.
func (s *Speaker) send(ctx context.Context, l letter) (time.Duration, error) {
	switch l.subject {
	case aRecord:
		return s.ledger.write(ctx, l)
	case aStatus:
		return 0, s.ledger.writeStatus(ctx, l)
	case ownState:
		return 0, s.writeState(ctx)
	case ownSessions:
		return 0, s.writeSessions(ctx)
	case aBGPStatus:
		return 0, s.writeBGPStatus(ctx, l)
	case oldBGPStatuses:
		return 0, s.dropBGPStatuses(ctx)
	}
	return 0, fmt.Errorf("no letter %v", l)
}

// addressesOf returns the addresses in the status of svc.
func addressesOf(svc *corev1.Service) []netip.Addr {
	var all []netip.Addr
	for _, in := range svc.Status.LoadBalancer.Ingress {
		if address, err := netip.ParseAddr(in.IP); err == nil {
			all = append(all, address.Unmap())
		}
	}
	return all
}
