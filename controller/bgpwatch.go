package controller

import (
	"context"
	"maps"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"go.universe.tf/metallb/api/v1beta2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/berth-lb/berth/announce"
	berth "github.com/berth-lb/berth/api/v1beta1"
	"github.com/berth-lb/berth/providers"
	"github.com/berth-lb/berth/trafficpolicy"
)

// BGPCacheByObject says what the caches keep in namespace of what announcing by
// BGP depends on. Asking for it where the cluster lacks one of them is an error.
func BGPCacheByObject(namespace string) map[client.Object]cache.ByObject {
	all := map[client.Object]cache.ByObject{
		&metallb.L2Advertisement{}:  keep(trimSpec),
		&metallb.BGPAdvertisement{}: keep(trimSpec),
		&v1beta2.BGPPeer{}:          keep(func(o client.Object) { trimPeer(o.(*v1beta2.BGPPeer)) }),
		&metallb.BFDProfile{}:       keep(trimSpec),
		&metallb.Community{}:        keep(trimSpec),
		&berth.BGPNodeStatus{}:      keep(func(o client.Object) { trimReport(o.(*berth.BGPNodeStatus)) }),
	}
	for object, kept := range all {
		kept.Namespaces = map[string]cache.Config{namespace: {}}
		all[object] = kept
	}
	return all
}

// trimSpec keeps a spec and its name.
func trimSpec(o client.Object) {
	o.SetAnnotations(nil)
	o.SetLabels(nil)
	o.SetOwnerReferences(nil)
}

// trimPeer keeps no password, and that there is one.
func trimPeer(o *v1beta2.BGPPeer) {
	trimSpec(o)
	if o.Spec.Password != "" {
		o.Spec.Password = "-"
	}
}

// trimReport keeps the sessions.
func trimReport(o *berth.BGPNodeStatus) {
	o.ObjectMeta = metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion}
	for i := range o.Status.Sessions {
		s := &o.Status.Sessions[i]
		*s = berth.BGPSession{Peer: s.Peer, Address: s.Address, State: s.State, Lacks: s.Lacks, Error: s.Error}
	}
}

// advertisementSource is what all else waits for.
func (r *Reconciler) advertisementSource(c cache.Cache) source.TypedSource[providers.Key] {
	return source.TypedKind(c, &metallb.BGPAdvertisement{}, onConfiguration(r.lookout, specChanged[*metallb.BGPAdvertisement]))
}

// bgpSources are the events of what the outlook is made of besides.
func (r *Reconciler) bgpSources(c cache.Cache) []source.TypedSource[providers.Key] {
	return []source.TypedSource[providers.Key]{
		source.TypedKind(c, &metallb.IPAddressPool{}, onConfiguration(r.lookout, poolChanged)),
		source.TypedKind(c, &metallb.L2Advertisement{}, onConfiguration(r.lookout, specChanged[*metallb.L2Advertisement])),
		source.TypedKind(c, &v1beta2.BGPPeer{}, onConfiguration(r.lookout, specChanged[*v1beta2.BGPPeer])),
		source.TypedKind(c, &metallb.BFDProfile{}, onConfiguration(r.lookout, specChanged[*metallb.BFDProfile])),
		source.TypedKind(c, &metallb.Community{}, onConfiguration(r.lookout, specChanged[*metallb.Community])),
		source.TypedKind(c, &corev1.Node{}, onConfiguration(r.lookout, routeNodeChanged)),
		source.TypedKind(c, &metallb.ConfigurationState{}, onConfiguration(r.lookout, reportChanged)),
		source.TypedKind(c, &berth.BGPNodeStatus{}, onSessions(r.lookout)),
	}
}

// onConfiguration notes that an object came, went or changed in a way that
// matters.
func onConfiguration[T client.Object](k *lookout, matters func(before, now T) bool) handler.TypedEventHandler[T, providers.Key] {
	return handler.TypedFuncs[T, providers.Key]{
		CreateFunc: func(context.Context, event.TypedCreateEvent[T], queue) { k.note(configured) },
		DeleteFunc: func(context.Context, event.TypedDeleteEvent[T], queue) { k.note(configured) },
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[T], _ queue) {
			if matters(e.ObjectOld, e.ObjectNew) {
				k.note(configured)
			}
		},
	}
}

func specChanged[T client.Object](before, now T) bool {
	return before.GetUID() != now.GetUID() || before.GetGeneration() != now.GetGeneration()
}

// poolChanged passes over what only the count of addresses changes.
func poolChanged(before, now *metallb.IPAddressPool) bool {
	return specChanged(before, now) || !maps.Equal(before.Labels, now.Labels)
}

// routeNodeChanged passes over heartbeats.
func routeNodeChanged(before, now *corev1.Node) bool {
	return before.UID != now.UID || trafficpolicy.NodeChanged(before, now) || announce.BelievedDead(before) != announce.BelievedDead(now)
}

// reportChanged passes over interfaces, which matter to layer 2 alone.
func reportChanged(before, now *metallb.ConfigurationState) bool {
	_, was, _ := announce.ReportOf(before)
	_, is, _ := announce.ReportOf(now)
	return (was == nil) != (is == nil) || was != nil && was.Closed != is.Closed
}

// onSessions notes what became of the sessions of a node.
func onSessions(k *lookout) handler.TypedEventHandler[*berth.BGPNodeStatus, providers.Key] {
	compare := func(before, now *berth.BGPNodeStatus) {
		for _, n := range newsIn(sessionsIn(before), sessionsIn(now)) {
			k.note(n)
		}
	}
	none := &berth.BGPNodeStatus{}
	return handler.TypedFuncs[*berth.BGPNodeStatus, providers.Key]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*berth.BGPNodeStatus], _ queue) {
			compare(none, e.Object)
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*berth.BGPNodeStatus], _ queue) {
			compare(e.Object, none)
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*berth.BGPNodeStatus], _ queue) {
			compare(e.ObjectOld, e.ObjectNew)
		},
	}
}

// newsIn says what kinds of news there are in the sessions of a node.
func newsIn(before, now map[string]session) []news {
	var all []news
	for peer, is := range now {
		was, known := before[peer]
		gains, loses := is.beyond(was) || !known, was.beyond(is)
		if gains {
			all = append(all, joined)
		}
		if loses {
			all = append(all, parted)
		}
		if !gains && !loses && is != was {
			all = append(all, reworded)
		}
	}
	for peer := range before {
		if _, known := now[peer]; !known {
			all = append(all, parted)
		}
	}
	return all
}
