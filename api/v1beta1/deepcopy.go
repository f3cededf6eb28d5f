package v1beta1

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// DeepCopyInto writes a copy of s into out that shares nothing with it.
func (s *BGPNodeStatus) DeepCopyInto(out *BGPNodeStatus) {
	*out = *s
	s.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Sessions = slices.Clone(s.Status.Sessions)
	for i := range out.Status.Sessions {
		out.Status.Sessions[i].Lacks = slices.Clone(s.Status.Sessions[i].Lacks)
	}
}

// DeepCopy returns a copy that shares nothing with s.
func (s *BGPNodeStatus) DeepCopy() *BGPNodeStatus {
	if s == nil {
		return nil
	}
	out := new(BGPNodeStatus)
	s.DeepCopyInto(out)
	return out
}

// DeepCopyObject is DeepCopy for whoever does not know the kind.
func (s *BGPNodeStatus) DeepCopyObject() runtime.Object {
	if s == nil {
		return nil
	}
	return s.DeepCopy()
}

// DeepCopyInto writes a copy of l into out that shares nothing with it.
func (l *BGPNodeStatusList) DeepCopyInto(out *BGPNodeStatusList) {
	*out = *l
	l.ListMeta.DeepCopyInto(&out.ListMeta)
	if l.Items == nil {
		return
	}
	out.Items = make([]BGPNodeStatus, len(l.Items))
	for i := range l.Items {
		l.Items[i].DeepCopyInto(&out.Items[i])
	}
}

// DeepCopy returns a copy that shares nothing with l.
func (l *BGPNodeStatusList) DeepCopy() *BGPNodeStatusList {
	if l == nil {
		return nil
	}
	out := new(BGPNodeStatusList)
	l.DeepCopyInto(out)
	return out
}

// DeepCopyObject is DeepCopy for whoever does not know the kind.
func (l *BGPNodeStatusList) DeepCopyObject() runtime.Object {
	if l == nil {
		return nil
	}
	return l.DeepCopy()
}
