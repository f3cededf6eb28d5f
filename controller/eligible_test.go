package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

// TestEligible: nodes are listed once, until one of them changes, and never given
// as they were before that.
func TestEligible(t *testing.T) {
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	r := New(Options{})
	var there []*corev1.Node
	lists := 0
	list := func() ([]*corev1.Node, error) { lists++; return there, nil }
	look := func(why string, wantLists int) {
		t.Helper()
		if got, err := r.eligible.get(list); err != nil || len(got) != len(there) || lists != wantLists {
			t.Errorf("%s: %d nodes after %d lists, want %d after %d: %v", why, len(got), lists, len(there), wantLists, err)
		}
	}
	look("at first", 1)
	look("nothing happens, and there are none", 1)
	on := r.onNode()
	there = append(there, node("a"))
	on.Create(t.Context(), event.TypedCreateEvent[*corev1.Node]{Object: there[0], IsInInitialList: true}, nil)
	look("a node comes", 2)
	look("nothing happens", 2)
	q := newQueue(t)
	on.Update(t.Context(), event.TypedUpdateEvent[*corev1.Node]{ObjectOld: there[0], ObjectNew: node("a")}, q)
	look("a kubelet says that it is well", 3)
	on.Delete(t.Context(), event.TypedDeleteEvent[*corev1.Node]{Object: there[0]}, q)
	there = nil
	look("it goes", 4)

	late := func() ([]*corev1.Node, error) {
		r.eligible.forget() // while the list is on its way
		return []*corev1.Node{node("gone")}, nil
	}
	r.eligible.forget()
	if _, err := r.eligible.get(late); err != nil {
		t.Error(err)
	}
	look("a list that was late is not remembered", 5)
}
