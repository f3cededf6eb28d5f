package plan

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/providers/aws/annotation"
)

// Retarget returns the target groups of Existing with the targets that they
// ought to have, and the calls by which they get these: what serves a Service
// that is refused has to follow nodes and pods all the same.
//
// Of Settings NodeLabels and MultiCluster say who is a target, of Cloud the VPC. A
// group whose port or family the Service does not have any more stays as it is.
func Retarget(req Request) ([]TargetGroup, []Change) {
	var groups []TargetGroup
	var in, out []Change
	for _, has := range req.Existing.TargetGroups {
		want := retargeted(req, has)
		in = append(in, register(has.ARN, want.Targets, has.Targets)...)
		out = append(out, deregister(has, want)...)
		groups = append(groups, want)
	}
	return groups, slices.Concat(in, out)
}

// retargeted returns g with the targets that it ought to have, its own where that
// can't be told.
func retargeted(req Request, g TargetGroup) TargetGroup {
	o := outline{Request: req}
	o.Settings.TargetType = g.TargetType
	g.MultiCluster = req.Settings.MultiCluster
	protocol := corev1.ProtocolTCP
	if g.Protocol == udp {
		protocol = corev1.ProtocolUDP
	}
	i := slices.IndexFunc(req.Service.Spec.Ports, func(p corev1.ServicePort) bool {
		return cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol && o.targetGroupKey(p.Port) == g.Key
	})
	if i < 0 {
		return g
	}
	p := req.Service.Spec.Ports[i]
	if preserve, set := req.Settings.TargetGroupAttributes[p.Port][preserveClientIP]; set {
		g.Attributes = map[string]string{preserveClientIP: preserve} // which says whose packets come
	}
	switch {
	case g.TargetType == annotation.IP && !slices.Contains(familiesOf(req.Service), corev1.IPFamily(addressType(g.IPAddressType))):
	case g.TargetType == annotation.IP:
		g.Targets = o.podTargets(p, g.IPAddressType)
	case p.NodePort != 0:
		ids, _ := o.nodeTargets()
		g.Port, g.Targets = p.NodePort, onPort(ids, p.NodePort)
	}
	return g
}

// Outgoing is what there is, without the target groups that go on being used.
func Outgoing(observed, desired Stack) Stack {
	kept := matchOf(observed, desired).targetGroups
	observed.TargetGroups = filter(observed.TargetGroups, func(g TargetGroup) bool {
		return kept[g.Key] == nil || kept[g.Key].ARN != g.ARN
	})
	return observed
}
