package controller

import (
	"context"
	"fmt"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	berth "github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/providers"
)

// watchBGP says whether there is anything to find out about BGP.
func (r *Reconciler) watchBGP() bool { return r.routed && r.watchSpeakers() }

func (r *Reconciler) newLookout() *lookout {
	k := newLookout()
	k.compile, k.list = r.compileBGP, r.listSessions
	k.announced = func() []providers.Key { return r.holdings.with(r.announced) }
	k.service = func(ctx context.Context, key providers.Key) (*corev1.Service, error) {
		return read(ctx, r.informed, key)
	}
	k.wake = r.waker.WakeLater
	return k
}

// compileBGP returns who announces what by BGP as the configuration has it; it
// is nobody's where that has nothing of the kind: no more is read, or watched,
// until it has.
func (r *Reconciler) compileBGP(ctx context.Context) (survey, error) {
	var advertisements metallb.BGPAdvertisementList
	if err := r.listHere(ctx, &advertisements); err != nil || len(advertisements.Items) == 0 {
		return survey{}, err
	}
	if r.beginBGP != nil {
		if err := r.beginBGP(); err != nil {
			return survey{}, err
		}
		r.beginBGP = nil
	}
	c, err := r.readBGP(ctx)
	if err != nil {
		return survey{}, err
	}
	c.BGPAdvertisements = pointers(advertisements.Items)
	// What is wrong with an object, the speakers tell.
	view, _ := announce.Compile(c)
	return survey{reach: view.Reach, view: view}, nil
}

// readBGP reads what announcing by BGP depends on besides its advertisements.
func (r *Reconciler) readBGP(ctx context.Context) (announce.Config, error) {
	var pools metallb.IPAddressPoolList
	var atLayer2 metallb.L2AdvertisementList
	var peers v1beta2.BGPPeerList
	var profiles metallb.BFDProfileList
	var communities metallb.CommunityList
	var states metallb.ConfigurationStateList
	var nodes corev1.NodeList
	for _, list := range []client.ObjectList{&pools, &atLayer2, &peers, &profiles, &communities, &states} {
		if err := r.listHere(ctx, list); err != nil {
			return announce.Config{}, err
		}
	}
	if err := r.informed.List(ctx, &nodes); err != nil {
		return announce.Config{}, fmt.Errorf("listing Nodes: %w", err)
	}
	return announce.Config{
		Pools:            pointers(pools.Items),
		L2Advertisements: pointers(atLayer2.Items),
		BGPPeers:         pointers(peers.Items),
		BFDProfiles:      pointers(profiles.Items),
		Communities:      pointers(communities.Items),
		Nodes:            withSpeakers(nodes.Items, states.Items),
	}, nil
}

func withSpeakers(nodes []corev1.Node, states []metallb.ConfigurationState) []announce.Node {
	reports := make(map[string]*announce.SpeakerReport, len(states))
	for i := range states {
		if node, report, ok := announce.ReportOf(&states[i]); ok {
			reports[node] = report
		}
	}
	all := make([]announce.Node, len(nodes))
	for i := range nodes {
		all[i] = announce.Node{Node: &nodes[i], Speaker: reports[nodes[i].Name]}
	}
	return all
}

func (r *Reconciler) listSessions(ctx context.Context) (sessions, error) {
	var reports berth.BGPNodeStatusList
	if err := r.listHere(ctx, &reports); err != nil {
		return nil, err
	}
	return sessionsOf(reports.Items), nil
}

// listHere lists the objects of a kind in the namespace of the installation.
func (r *Reconciler) listHere(ctx context.Context, list client.ObjectList) error {
	if err := r.informed.List(ctx, list, client.InNamespace(r.backends.installation)); err != nil {
		return fmt.Errorf("listing %T: %w", list, err)
	}
	return nil
}

func pointers[T any](items []T) []*T {
	all := make([]*T, len(items))
	for i := range items {
		all[i] = &items[i]
	}
	return all
}
