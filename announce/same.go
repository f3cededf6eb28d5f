package announce

import (
	"reflect"
	"slices"
)

// Same says whether every decision of v is what it would be with other, whatever
// is asked. So it passes over what Compile has read and come to nothing by: labels
// that no selector is about, interfaces that no advertisement is for.
func (v *View) Same(other *View) bool {
	return v.SameForMany(other) && (v == nil || slices.EqualFunc(v.nodes, other.nodes, func(a, b node) bool { return a.late == b.late }))
}

// SameForMany says whether Reach tells the same, whatever it is asked, of Services
// that several nodes may announce (see OneNode): which nodes are believed dead is no
// matter to those, since a router does not wait to be told.
func (v *View) SameForMany(other *View) bool {
	if v == nil || other == nil {
		return v == other
	}
	return v.self == other.self && slices.EqualFunc(v.nodes, other.nodes, sameNode) &&
		same(v.spans, other.spans) && same(v.pools, other.pools) && same(v.invalid, other.invalid) &&
		same(v.routers, other.routers) && same(v.classes, other.classes)
}

func same[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

func sameNode(a, b node) bool {
	return a.Name == b.Name && a.obstacle == b.obstacle && a.class == b.class &&
		(a.speaker == nil) == (b.speaker == nil) && (a.speaker == nil || a.speaker.Closed == b.speaker.Closed)
}
