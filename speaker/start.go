package speaker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

// start makes the claims that the caches ask for, all of which are filled, and
// then lets layer 2 and BGP begin. Nothing can be announced before: it would be
// by halves.
func (s *Speaker) start(ctx context.Context) error {
	select {
	case <-s.known:
	case <-ctx.Done():
		return ctx.Err()
	}
	// The first compilation tells where health checks are to be asked, the
	// second one knows what kube-proxy answers.
	if err := s.compile(ctx); err != nil {
		return err
	}
	if s.KubeProxyHealthPort != 0 {
		s.gate.watch(wholeNode, s.KubeProxyHealthPort)
	}
	if err := s.gate.settle(ctx); err != nil {
		return err
	}
	if err := s.compile(ctx); err != nil {
		return err
	}
	services, err := s.concerned(ctx)
	if err != nil {
		return err
	}
	s.decidedOn = s.grounds()
	// The first pass finds out which health checks matter, and the second one
	// has their answers.
	for range 2 {
		for _, service := range services {
			wait, err := s.decide(ctx, service)
			if err != nil {
				return err
			}
			s.waker.wakeAfter(task{subject: aService, service: service}, wait)
		}
		if err := s.gate.settle(ctx); err != nil {
			return err
		}
	}
	s.Layer2.Synced()
	s.BGP.Synced()
	s.outbox.post(letter{subject: oldBGPStatuses}, 0)
	s.begun = time.Now()
	s.ready.Store(true)
	s.waker.wake(task{subject: theSessions})
	s.waker.wake(task{subject: ownReport})
	s.Log.Info("Announcing may begin", "services", len(s.book.services), "addresses", len(s.book.addresses), "prefixes", s.routes.count())
	return nil
}

// concerned returns the Services that have addresses, and those that have
// records, be they gone.
func (s *Speaker) concerned(ctx context.Context) ([]types.NamespacedName, error) {
	var services corev1.ServiceList
	if err := s.Cache.List(ctx, &services); err != nil {
		return nil, fmt.Errorf("listing Services: %w", err)
	}
	all := map[types.NamespacedName]bool{}
	for i := range services.Items {
		if svc := &services.Items[i]; len(addressesOf(svc)) > 0 {
			all[client.ObjectKeyFromObject(svc)] = true
		}
	}
	for _, service := range s.ledger.records.about() {
		all[service] = true
	}
	names := make([]types.NamespacedName, 0, len(all))
	for name := range maps.Keys(all) {
		names = append(names, name)
	}
	return names, nil
}

// configure takes over the configuration as it is now, and has all Services
// looked at again, behind what is fresh, where that changes any decision.
func (s *Speaker) configure(ctx context.Context) error {
	if err := s.compile(ctx); err != nil {
		return err
	}
	if now := s.grounds(); !now.same(s.decidedOn) {
		services, err := s.concerned(ctx)
		if err != nil {
			return err
		}
		s.due = joined(s.due, services)
		s.decidedOn = now
		s.waker.wakeLater(task{subject: allServices})
	}
	return nil
}

// grounds are what decisions about all Services depend on.
type grounds struct {
	view     *announce.View
	speakers []peer
	leaving  bool
}

func (s *Speaker) grounds() grounds { return grounds{s.view, s.speakers, s.leaving.Load()} }

func (g grounds) same(other grounds) bool {
	return g.leaving == other.leaving && g.view.Same(other.view) && slices.Equal(g.speakers, other.speakers)
}

// joined is first with those of more that it lacks: who has waited longest is
// next, however often the configuration changes.
func joined(first, more []types.NamespacedName) []types.NamespacedName {
	if len(first) == 0 {
		return more
	}
	waiting := make(map[types.NamespacedName]bool, len(first))
	for _, service := range first {
		waiting[service] = true
	}
	first = slices.Clip(first)
	for _, service := range more {
		if !waiting[service] {
			first = append(first, service)
		}
	}
	return first
}

// compile reads the configuration, and reports what came of it.
func (s *Speaker) compile(ctx context.Context) error {
	report := announce.SpeakerReport{Closed: s.unfit()}
	report.Interfaces, report.Hardware = s.usable()
	c, err := readConfiguration(ctx, s.Cache, s.Namespace, s.Node, report)
	if err != nil {
		return err
	}
	view, problems := announce.Compile(c.Config)
	s.view, s.closed, s.speakers, s.compiled = view, report.Closed, c.speakers, time.Now()
	if !sameHosts(s.hosts, c.hosts) {
		s.hosts = c.hosts
		s.Layer2.SetPeers(maps.Clone(c.hosts))
	}
	own := c.hosts[s.Node].Addresses
	s.asker.hosts.Store(&own)
	if c.own == nil {
		s.Log.Info("There is no Node of that name, so nothing is announced from here", "node", s.Node)
	}
	s.report.set(report, problems, c.own)
	s.sessions.setNode(c.own)
	if err := s.tellPeers(ctx); err != nil {
		return err
	}
	return s.reviewReport(ctx)
}

// reviewReport has this node's report written if the API server has another
// one, and the configuration read anew where kube-proxy's answer changes it.
func (s *Speaker) reviewReport(ctx context.Context) error {
	if s.closed != s.unfit() {
		return s.configure(ctx)
	}
	s.report.answered(s.kubeProxyAnswer())
	if s.IPVS != nil {
		names, _ := s.usable()
		s.report.see(s.IPVS(names))
	}
	differs, err := s.reportDiffers(ctx)
	if err != nil || !differs {
		return err
	}
	s.outbox.post(letter{subject: ownState, name: stateName(s.Node)}, 0)
	return nil
}

// unfit says whether no Service with policy Cluster is to be announced from here.
func (s *Speaker) unfit() bool {
	return s.leaving.Load() || s.kubeProxyAnswer() == trafficpolicy.Unhealthy
}

// usable are the interfaces that can announce, sorted, and their hardware
// addresses. Commas part them in the report.
func (s *Speaker) usable() (names []string, hardware map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hardware = map[string]string{}
	for name, address := range s.interfaces {
		if !strings.Contains(name, ",") {
			names = append(names, name)
			hardware[name] = address
		}
	}
	slices.Sort(names)
	return names, hardware
}
