package speaker

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/trafficpolicy"
)

// verdict is what is decided for one Service.
type verdict struct {
	layer2 []announce.Layer2
	bgp    []announce.BGP
	// unfit is set where this node would come first at layer 2 but for the health
	// check, which no other node knows the answer of.
	unfit bool
	// open is set until the health check has been asked.
	open bool
}

// judge decides what the Service asks of the nodes, this one's health check
// included.
func (s *Speaker) judge(service types.NamespacedName, in announce.Input) verdict {
	if isLocal(in) {
		return s.judgeLocal(service, in)
	}
	s.gate.forget(service)
	if s.closed {
		in.Health = trafficpolicy.Unhealthy
	}
	return s.decided(in)
}

// judgeLocal asks the Service's own health check, where the answer matters.
func (s *Speaker) judgeLocal(service types.NamespacedName, in announce.Input) verdict {
	v := s.decided(in)
	atLayer2 := s.first(v.layer2)
	byBGP := slices.ContainsFunc(v.bgp, func(d announce.BGP) bool { return d.Local })
	check, err := trafficpolicy.HealthCheckOf(in.Service, s.KubeProxyHealthPort)
	if err != nil || s.KubeProxyHealthPort == 0 || !atLayer2 && !byBGP {
		s.gate.forget(service)
		return v
	}
	answer, asked := s.gate.watch(service, check.Port)
	v.open = !asked
	if answer != trafficpolicy.Unhealthy {
		return v
	}
	in.Health = answer
	v.bgp = s.view.BGP(in)
	// A standby of layer 2 is in the order of all nodes, and stays so.
	if atLayer2 {
		v.layer2, v.unfit = s.view.Layer2(in), true
	}
	return v
}

func (s *Speaker) decided(in announce.Input) verdict {
	return verdict{layer2: s.view.Layer2(in), bgp: s.view.BGP(in)}
}

func isLocal(in announce.Input) bool {
	return in.Service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}
