package announce

import (
	"fmt"
	"slices"

	metallb "go.universe.tf/metallb/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// preference is a weight for the nodes that match.
type preference struct {
	selector labels.Selector
	weight   int64
}

func weigh(all []preference, of labels.Set) int64 {
	var sum int64
	for _, p := range all {
		if p.selector.Matches(of) {
			sum += p.weight
		}
	}
	return sum
}

// selectors match what any of them matches; none at all match everything.
type selectors []labels.Selector

func (s selectors) match(set labels.Set) bool {
	return len(s) == 0 || slices.ContainsFunc(s, func(one labels.Selector) bool { return one.Matches(set) })
}

// reader turns the parts of one object into their compiled form, and collects
// what is wrong with it.
type reader struct {
	object   string
	problems []Problem
	// refused is set where the object as a whole can't be followed.
	refused bool
}

// tell notes what is wrong with a field, while the rest is followed.
func (r *reader) tell(field, format string, args ...any) {
	r.problems = append(r.problems, Problem{Object: r.object, Field: field, Message: fmt.Sprintf(format, args...)})
}

// refuse notes what is wrong with a field without which the object makes no
// sense, or would do what nobody asked for.
func (r *reader) refuse(field, format string, args ...any) {
	r.tell(field, format, args...)
	r.refused = true
}

func (r *reader) selectors(field string, all []metav1.LabelSelector) selectors {
	var read selectors
	for i := range all {
		read = append(read, r.selector(fmt.Sprintf("%s[%d]", field, i), &all[i]))
	}
	return read
}

func (r *reader) preferences(all []metallb.PreferredNodeSelector) []preference {
	var read []preference
	for i := range all {
		selector := r.selector(fmt.Sprintf("spec.preferredNodeSelectors[%d].preference", i), &all[i].Preference)
		read = append(read, preference{selector, int64(all[i].Weight)})
	}
	return read
}

func (r *reader) selector(field string, s *metav1.LabelSelector) labels.Selector {
	read, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		r.refuse(field, "%s", notSelector(err))
	}
	return read
}
