package speaker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
)

// bgpStatuses are the ServiceBGPStatuses that this node should have: one for
// each Service that it announces by BGP, for those who rely on them. Nothing
// here depends on them.
type bgpStatuses struct {
	mu sync.Mutex
	// names are those of the objects.
	names map[types.NamespacedName]string
	peers map[string][]string // by name
}

func newBGPStatuses() *bgpStatuses {
	return &bgpStatuses{names: map[types.NamespacedName]string{}, peers: map[string][]string{}}
}

// bgpStatusName is that of the ServiceBGPStatus of a Service on a node, and ends
// in what is the same for all of the node.
func bgpStatusName(uid types.UID, node string) string {
	return "bgp-" + string(uid) + bgpStatusSuffix(node)
}

func bgpStatusSuffix(node string) string { return fmt.Sprintf("-%016x", weight(node, "bgp")) }

// wantStatus notes what the ServiceBGPStatus of the Service should say; without
// peers there should be none.
func (s *Speaker) wantStatus(service types.NamespacedName, uid types.UID, peers []string) {
	b := s.bgpStatuses
	b.mu.Lock()
	defer b.mu.Unlock()
	last, name := b.names[service], bgpStatusName(uid, s.Node)
	if last != "" && (last != name || len(peers) == 0) {
		delete(b.names, service)
		delete(b.peers, last)
		s.outbox.post(letter{aBGPStatus, service, last}, 0)
	}
	if len(peers) == 0 || slices.Equal(b.peers[name], peers) {
		return
	}
	b.names[service], b.peers[name] = name, peers
	s.outbox.post(letter{aBGPStatus, service, name}, 0)
}

func (b *bgpStatuses) wanted(name string) (peers []string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	peers, ok = b.peers[name]
	return peers, ok
}

// writeBGPStatus makes one ServiceBGPStatus what it should be.
func (s *Speaker) writeBGPStatus(ctx context.Context, about letter) error {
	peers, ok := s.bgpStatuses.wanted(about.name)
	object := &metallb.ServiceBGPStatus{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: about.name}}
	if !ok {
		if err := s.Client.Delete(ctx, object); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("deleting ServiceBGPStatus %s: %w", about.name, err)
		}
		return nil
	}
	err := s.Live.Get(ctx, client.ObjectKeyFromObject(object), object)
	if apierrors.IsNotFound(err) {
		object.Labels = announce.Record{Service: about.service, Node: s.Node}.Labels()
		err = s.Client.Create(ctx, object)
	}
	if err != nil {
		return fmt.Errorf("making ServiceBGPStatus %s: %w", about.name, err)
	}
	want := metallb.MetalLBServiceBGPStatus{Node: s.Node, ServiceName: about.service.Name, ServiceNamespace: about.service.Namespace, Peers: peers}
	if equality.Semantic.DeepEqual(object.Status, want) {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"status": want})
	if err != nil {
		return fmt.Errorf("computing the status of ServiceBGPStatus %s: %w", about.name, err)
	}
	if err := s.Client.Status().Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("writing the status of ServiceBGPStatus %s: %w", about.name, err)
	}
	return nil
}

// dropBGPStatuses deletes those that an earlier process left on behalf of this
// node and that are not wanted.
func (s *Speaker) dropBGPStatuses(ctx context.Context) error {
	var all metallb.ServiceBGPStatusList
	err := s.Live.List(ctx, &all, client.InNamespace(s.Namespace), client.MatchingLabels(announce.Record{Node: s.Node}.Labels()))
	if apierrors.IsForbidden(err) || meta.IsNoMatchError(err) {
		return nil // who may not see them has made none
	}
	if err != nil {
		return fmt.Errorf("listing ServiceBGPStatuses: %w", err)
	}
	for i := range all.Items {
		name := all.Items[i].Name
		if _, ok := s.bgpStatuses.wanted(name); !ok && strings.HasSuffix(name, bgpStatusSuffix(s.Node)) {
			s.outbox.post(letter{subject: aBGPStatus, name: name}, 0)
		}
	}
	return nil
}
