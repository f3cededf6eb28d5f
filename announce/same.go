package announce

import (
	"reflect"
	"slices"
)

// Same says whether every decision of v is what it would be with other, whatever
// is asked. So it passes over what Compile has read and come to nothing by: labels
// that no selector is about, interfaces that no advertisement is for.
func (v *View) Same(other *View) bool {
	if v == nil || other == nil {
		return v == other
	}
	return v.self == other.self && slices.EqualFunc(v.nodes, other.nodes, sameNode) &&
		same(v.spans, other.spans) && same(v.pools, other.pools) && same(v.invalid, other.invalid) &&
		same(v.routers, other.routers) && same(v.classes, other.classes)
}

func same[T any](a, b T) bool { return reflect.DeepEqual(a, b) }

func sameNode(a, b node) bool {
	return a.Name == b.Name && a.obstacle == b.obstacle && a.late == b.late && a.class == b.class &&
		(a.speaker == nil) == (b.speaker == nil) && (a.speaker == nil || a.speaker.Closed == b.speaker.Closed)
}
