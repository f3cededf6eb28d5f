package controller

import (
	"net/netip"
	"slices"
	"testing"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/providers"
)

// listener is a Reconciler that serves one Service from an announced backend
// and one from another.
func listener(t *testing.T) (r *Reconciler, pooled, clouded providers.Key) {
	t.Helper()
	backends, err := NewBackends("berth-system", "",
		Backend{Name: "pool", Class: "x/1", Provider: remote{providers.Needs{Announced: true}}},
		Backend{Name: "cloud", Class: "x/2", Provider: remote{}})
	if err != nil {
		t.Fatal(err)
	}
	r = New(Options{Backends: backends, Reported: true})
	pooled, clouded = providers.Key{Namespace: "web", Name: "a", UID: "1"}, providers.Key{Namespace: "web", Name: "b", UID: "2"}
	r.holdings.put(pooled, "pool")
	r.holdings.put(clouded, "cloud")
	return r, pooled, clouded
}

func newQueue(t *testing.T) queue {
	t.Helper()
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[providers.Key]())
	t.Cleanup(q.ShutDown)
	return q
}

// drain returns the keys in the queue.
func drain(q queue) []providers.Key {
	var keys []providers.Key
	for q.Len() > 0 {
		key, _ := q.Get()
		q.Done(key)
		keys = append(keys, key)
	}
	return keys
}

// recordOn is the object that a speaker writes about the Service of key.
func recordOn(key providers.Key, change func(*announce.Record)) *metallb.ServiceL2Status {
	r := announce.Record{Service: types.NamespacedName{Namespace: key.Namespace, Name: key.Name}, UID: key.UID, Address: netip.MustParseAddr("192.0.2.1")}
	change(&r)
	return &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: "berth-system", Name: r.Name(), Annotations: r.Annotations(), Labels: r.Labels()}}
}

// TestOnRecord: a record wakes its own Service, and only when the condition
// depends on what changed.
func TestOnRecord(t *testing.T) {
	node := func(name string) func(*announce.Record) { return func(r *announce.Record) { r.Node = name } }
	why := func(reason, message string) func(*announce.Record) {
		return func(r *announce.Record) { r.Reason, r.Message = reason, message }
	}
	elsewhere := func(r *announce.Record) { r.Node, r.Address = "a", netip.MustParseAddr("192.0.2.2") }
	for _, tc := range []struct {
		why         string
		before, now func(*announce.Record)
		wakes       bool
	}{
		{"the address moves", node("a"), node("b"), false},
		{"a node begins to announce", why("NoEligibleNode", "none"), node("a"), true},
		{"the node ceases", node("a"), why("NoEligibleNode", "none"), true},
		{"another reason", why("NoEligibleNode", "none"), why("NotAdvertised", "none"), true},
		{"another message", why("NoEligibleNode", "none"), why("NoEligibleNode", "still none"), true},
		{"written again as it was", why("NoEligibleNode", "none"), why("NoEligibleNode", "none"), false},
		{"another address", node("a"), elsewhere, true},
	} {
		r, pooled, clouded := listener(t)
		for key, want := range map[providers.Key]bool{pooled: tc.wakes, clouded: false} {
			q := newQueue(t)
			r.onRecord().Update(t.Context(), event.TypedUpdateEvent[*metallb.ServiceL2Status]{ObjectOld: recordOn(key, tc.before), ObjectNew: recordOn(key, tc.now)}, q)
			if got := drain(q); len(got) > 0 != want || len(got) > 1 || len(got) == 1 && got[0] != key {
				t.Errorf("%s: wakes %v of %v, want: %t", tc.why, got, key, want)
			}
		}
	}
}

// TestOnRecordComesAndGoes: what a start finds is looked at anyway.
func TestOnRecordComesAndGoes(t *testing.T) {
	r, pooled, _ := listener(t)
	q := newQueue(t)
	object := recordOn(pooled, func(r *announce.Record) { r.Node = "a" })
	foreign := &metallb.ServiceL2Status{ObjectMeta: metav1.ObjectMeta{Namespace: "berth-system", Name: "l2-x"}}
	reborn := pooled
	reborn.UID = "3"
	for _, tc := range []struct {
		why    string
		object *metallb.ServiceL2Status
		begin  bool
		want   []providers.Key
	}{
		{"one that a start finds", object, true, nil},
		{"a new one", object, false, []providers.Key{pooled}},
		{"one that Berth did not write", foreign, false, nil},
		{"one of another life of the Service", recordOn(reborn, func(*announce.Record) {}), false, nil},
	} {
		r.onRecord().Create(t.Context(), event.TypedCreateEvent[*metallb.ServiceL2Status]{Object: tc.object, IsInInitialList: tc.begin}, q)
		if got := drain(q); !slices.Equal(got, tc.want) {
			t.Errorf("%s: wakes %v, want %v", tc.why, got, tc.want)
		}
	}
	r.onRecord().Delete(t.Context(), event.TypedDeleteEvent[*metallb.ServiceL2Status]{Object: object}, q)
	if got := drain(q); !slices.Equal(got, []providers.Key{pooled}) {
		t.Errorf("one that goes wakes %v", got)
	}
}

// TestOnSpeaker: the first speaker that ever reports and the last one that is
// gone concern all Services that speakers announce, and no other.
func TestOnSpeaker(t *testing.T) {
	r, pooled, _ := listener(t)
	q := newQueue(t)
	state := func(name, node string) *metallb.ConfigurationState {
		s := &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if node != "" {
			s.Annotations = map[string]string{announce.AnnotationNode: node}
		}
		return s
	}
	on := r.onSpeaker()
	create := func(s *metallb.ConfigurationState) {
		on.Create(t.Context(), event.TypedCreateEvent[*metallb.ConfigurationState]{Object: s}, q)
	}
	for _, step := range []struct {
		why   string
		do    func()
		wakes bool
		heard bool
	}{
		{"a speaker of MetalLB's is none of ours", func() { create(state("speaker-a", "")) }, false, false},
		{"it gives way to ours, under the same name", func() {
			on.Update(t.Context(), event.TypedUpdateEvent[*metallb.ConfigurationState]{ObjectOld: state("speaker-a", ""), ObjectNew: state("speaker-a", "a")}, q)
		}, true, true},
		{"a second one", func() { create(state("speaker-b", "b")) }, false, true},
		{"the first one's node goes", func() {
			on.Delete(t.Context(), event.TypedDeleteEvent[*metallb.ConfigurationState]{Object: state("speaker-a", "a")}, q)
		}, false, true},
		{"the last one's node goes", func() {
			on.Delete(t.Context(), event.TypedDeleteEvent[*metallb.ConfigurationState]{Object: state("speaker-b", "b")}, q)
		}, true, false},
	} {
		step.do()
		got := drain(q)
		if want := []providers.Key{pooled}; step.wakes && !slices.Equal(got, want) || !step.wakes && len(got) > 0 {
			t.Errorf("%s: wakes %v", step.why, got)
		}
		if r.speakers.any() != step.heard {
			t.Errorf("%s: heard is %t", step.why, !step.heard)
		}
	}
}

// TestTrimRecord: what is kept of a record still says all that it said.
func TestTrimRecord(t *testing.T) {
	for _, change := range []func(*announce.Record){
		func(r *announce.Record) { r.Node = "a" },
		func(r *announce.Record) { r.Reason, r.Message = "NoEligibleNode", "none" },
	} {
		object := recordOn(providers.Key{Namespace: "web", Name: "a", UID: "1"}, change)
		object.Annotations["example.com/large"] = "x"
		object.ResourceVersion, object.Status.Node = "7", "a"
		before, _ := announce.RecordOf(object)
		trimRecord(object)
		if after, ok := announce.RecordOf(object); !ok || after != before {
			t.Errorf("%+v became %+v", before, after)
		}
		if len(object.Labels) > 0 || object.Annotations["example.com/large"] != "" || object.Status.Node != "" || object.ResourceVersion != "7" {
			t.Errorf("left: %+v", object)
		}
	}
}
