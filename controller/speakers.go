package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"

	metallb "go.universe.tf/metallb/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/providers"
)

// recordUIDField indexes the records of speakers by the UID of the Service that
// they are of: those of an earlier life don't count.
const recordUIDField = "uid"

// SpeakerCacheByObject says what the caches keep of what speakers report in
// namespace. Asking for it where the cluster lacks ServiceL2Status or
// ConfigurationState is an error.
func SpeakerCacheByObject(namespace string) map[client.Object]cache.ByObject {
	records := keep(func(o client.Object) { trimRecord(o.(*metallb.ServiceL2Status)) })
	states := keep(func(o client.Object) { trimState(o.(*metallb.ConfigurationState)) })
	records.Namespaces = map[string]cache.Config{namespace: {}}
	states.Namespaces = map[string]cache.Config{namespace: {}}
	states.Label = labels.SelectorFromSet(labels.Set{announce.LabelComponent: announce.ComponentSpeaker})
	return map[client.Object]cache.ByObject{&metallb.ServiceL2Status{}: records, &metallb.ConfigurationState{}: states}
}

// trimRecord keeps what a Record is read from.
func trimRecord(o *metallb.ServiceL2Status) {
	o.ObjectMeta = trimmed(&o.ObjectMeta,
		announce.AnnotationService, announce.AnnotationAddress, announce.AnnotationNode, announce.AnnotationReason, announce.AnnotationMessage)
	o.Status = metallb.MetalLBServiceL2Status{}
}

// trimState keeps what a SpeakerReport is read from.
func trimState(o *metallb.ConfigurationState) {
	component := o.Labels[announce.LabelComponent]
	o.ObjectMeta = trimmed(&o.ObjectMeta, announce.ReportAnnotations...)
	o.Labels = map[string]string{announce.LabelComponent: component}
	o.Status = metallb.ConfigurationStateStatus{}
}

// trimmed is m with no more than its name and some annotations.
func trimmed(m *metav1.ObjectMeta, annotations ...string) metav1.ObjectMeta {
	kept := make(map[string]string, len(annotations))
	for _, key := range annotations {
		if value, ok := m.Annotations[key]; ok {
			kept[key] = value
		}
	}
	return metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion, Annotations: kept}
}

// indexRecords has the cache find the records of one Service.
func indexRecords(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &metallb.ServiceL2Status{}, recordUIDField, func(o client.Object) []string {
		if r, ok := announce.RecordOf(o.(*metallb.ServiceL2Status)); ok {
			return []string{string(r.UID)}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("indexing ServiceL2Statuses: %w", err)
	}
	return nil
}

// speakerSources are the events of what speakers report.
func (r *Reconciler) speakerSources(c cache.Cache) []source.TypedSource[providers.Key] {
	return []source.TypedSource[providers.Key]{
		source.TypedKind(c, &metallb.ConfigurationState{}, r.onSpeaker()),
		source.TypedKind(c, &metallb.ServiceL2Status{}, r.onRecord()),
	}
}

// wordOn returns what the speakers say of svc, with those addresses and
// endpoints.
func (r *Reconciler) wordOn(ctx context.Context, svc *corev1.Service, ingress []corev1.LoadBalancerIngress, eps []*discoveryv1.EndpointSlice) (word, error) {
	if !r.speakers.any() {
		return word{}, nil
	}
	namespace := r.backends.installation
	var list metallb.ServiceL2StatusList
	if err := r.informed.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{recordUIDField: string(svc.UID)}); err != nil {
		return word{}, fmt.Errorf("listing ServiceL2Statuses of Service %s/%s: %w", svc.Namespace, svc.Name, err)
	}
	slices.SortFunc(list.Items, func(a, b metallb.ServiceL2Status) int { return strings.Compare(a.Name, b.Name) })
	w := word{heard: true, namespace: namespace}
	for i := range list.Items {
		if record, ok := announce.RecordOf(&list.Items[i]); ok {
			w.records = append(w.records, record)
		}
	}
	routes, err := r.routesOf(ctx, svc, ingress, eps)
	// The lookout tells of the error, and wakes the Service when it is over.
	w.routes, w.unsure = routes, err != nil
	return w, nil
}

// routesOf asks by the addresses that svc is about to have, so that one write
// says all.
func (r *Reconciler) routesOf(ctx context.Context, svc *corev1.Service, ingress []corev1.LoadBalancerIngress, eps []*discoveryv1.EndpointSlice) (routes, error) {
	if !r.watchBGP() {
		return routes{}, nil
	}
	shown := *svc
	shown.Status.LoadBalancer.Ingress = ingress
	return r.lookout.routes(ctx, providers.KeyOf(svc), announce.Input{Service: &shown, EndpointSlices: eps})
}

// speakers remembers the ConfigurationStates of speakers.
type speakers struct {
	mu    sync.Mutex
	known map[string]bool
}

func (s *speakers) any() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.known) > 0
}

// note takes over whether there is a ConfigurationState of a speaker under that
// name, and says whether the first one came with that or the last one went.
func (s *speakers) note(name string, is bool) (turned bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.known) > 0
	if s.known == nil {
		s.known = map[string]bool{}
	}
	if is {
		s.known[name] = true
	} else {
		delete(s.known, name)
	}
	return before != (len(s.known) > 0)
}

// ofOurs says whether a ConfigurationState is of a speaker of Berth's. Those of
// MetalLB have the same names and labels; what they announce they do not record
// as ours do.
func ofOurs(state *metallb.ConfigurationState) bool {
	return state.Annotations[announce.AnnotationNode] != ""
}

// onSpeaker has all Services that wait for the word of speakers looked at when
// the first speaker reports or the last one's report is gone.
func (r *Reconciler) onSpeaker() handler.TypedEventHandler[*metallb.ConfigurationState, providers.Key] {
	note := func(q queue, name string, is bool) {
		if !r.speakers.note(name, is) {
			return
		}
		for _, key := range r.holdings.with(r.announced) {
			add(q, key, true)
		}
	}
	return handler.TypedFuncs[*metallb.ConfigurationState, providers.Key]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*metallb.ConfigurationState], q queue) {
			note(q, e.Object.Name, ofOurs(e.Object))
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*metallb.ConfigurationState], q queue) {
			note(q, e.ObjectNew.Name, ofOurs(e.ObjectNew))
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*metallb.ConfigurationState], q queue) {
			note(q, e.Object.Name, false)
		},
	}
}

// onRecord has a Service looked at when what is said of it changes.
func (r *Reconciler) onRecord() handler.TypedEventHandler[*metallb.ServiceL2Status, providers.Key] {
	look := func(q queue, all ...gist) {
		for _, one := range all {
			if r.announced(r.holdings.of(one.key)) {
				q.Add(one.key)
			}
		}
	}
	return handler.TypedFuncs[*metallb.ServiceL2Status, providers.Key]{
		CreateFunc: func(_ context.Context, e event.TypedCreateEvent[*metallb.ServiceL2Status], q queue) {
			if !e.IsInInitialList {
				look(q, gistOf(e.Object))
			}
		},
		UpdateFunc: func(_ context.Context, e event.TypedUpdateEvent[*metallb.ServiceL2Status], q queue) {
			if before, now := gistOf(e.ObjectOld), gistOf(e.ObjectNew); before != now {
				look(q, before, now)
			}
		},
		DeleteFunc: func(_ context.Context, e event.TypedDeleteEvent[*metallb.ServiceL2Status], q queue) {
			look(q, gistOf(e.Object))
		},
	}
}

// announced says whether speakers announce the addresses of that backend.
func (r *Reconciler) announced(backend string) bool {
	b := r.backends.named[backend]
	return b != nil && b.needs.Announced
}

// gist is what the condition Serving depends on of a record: not which node it
// is that announces.
type gist struct {
	key             providers.Key
	address         netip.Addr
	announced       bool
	reason, message string
}

// gistOf returns the zero gist for what is no record.
func gistOf(o *metallb.ServiceL2Status) gist {
	r, ok := announce.RecordOf(o)
	if !ok {
		return gist{}
	}
	g := gist{key: keyOf(r.Service, r.UID), address: r.Address, announced: r.Node != ""}
	if !g.announced {
		g.reason, g.message = r.Reason, r.Message
	}
	return g
}

func keyOf(name types.NamespacedName, uid types.UID) providers.Key {
	return providers.Key{Namespace: name.Namespace, Name: name.Name, UID: uid}
}

// watchSpeakers says whether there is anything to hear from speakers.
func (r *Reconciler) watchSpeakers() bool { return r.reported && r.backends.Announced() }
