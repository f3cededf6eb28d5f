package speaker

import (
	"net/netip"
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
	// roles are what this node has to say of addresses at layer 2 because of the
	// health check, which no other node knows the answer of.
	roles map[netip.Addr]role
	// open is set until the health check has been asked.
	open bool
}

// role is what the answer of this node's health check makes of it for an
// address. Without one, others decide.
type role int

const (
	// refuses: all nodes count on this one, which can't serve.
	refuses role = iota + 1
	// offers: who was counted on refused, and this one can serve.
	offers
)

// judge decides what the Service asks of the nodes, this one's health check
// included.
func (s *Speaker) judge(service types.NamespacedName, in announce.Input, records map[string]*stored) verdict {
	if isLocal(in) {
		return s.judgeLocal(service, in, records)
	}
	s.gate.forget(service)
	if s.closed {
		in.Health = trafficpolicy.Unhealthy
	}
	return s.decided(in)
}

// judgeLocal asks the Service's own health check, where the answer matters.
func (s *Speaker) judgeLocal(service types.NamespacedName, in announce.Input, records map[string]*stored) verdict {
	v := s.decided(in)
	atLayer2 := slices.ContainsFunc(v.layer2, s.counts(in.Owners))
	offered := s.offered(v.layer2, in, records)
	byBGP := slices.ContainsFunc(v.bgp, func(d announce.BGP) bool { return d.Local })
	check, err := trafficpolicy.HealthCheckOf(in.Service, s.KubeProxyHealthPort)
	leaving := s.leaving.Load()
	if !leaving && (err != nil || s.KubeProxyHealthPort == 0) || !atLayer2 && !byBGP && len(offered) == 0 {
		s.gate.forget(service)
		return v
	}
	answer, asked := trafficpolicy.Unhealthy, true
	if !leaving {
		answer, asked = s.gate.watch(service, check.Port)
	}
	if v.open = !asked; answer != trafficpolicy.Unhealthy {
		v.roles = offered
		return v
	}
	in.Health = answer
	v.bgp = s.view.BGP(in)
	// A standby of layer 2 is in the order of all nodes, and stays so.
	if atLayer2 {
		v.layer2, v.roles = s.view.Layer2(in), s.refused(v.layer2, in.Owners)
	}
	return v
}

// counts says of a decision whether all nodes count on this one: because it
// announces the address, is on record, or comes first.
func (s *Speaker) counts(owners map[netip.Addr]string) func(announce.Layer2) bool {
	return func(d announce.Layer2) bool {
		_, held := s.announcing(d.Address)
		return slices.Contains(d.Candidates, s.Node) && (held || d.Candidates[0] == s.Node || owners[d.Address] == s.Node)
	}
}

// refused are the addresses that this node is counted on for, and has to say that
// it can't serve them.
func (s *Speaker) refused(decisions []announce.Layer2, owners map[netip.Addr]string) map[netip.Addr]role {
	roles, counts := map[netip.Addr]role{}, s.counts(owners)
	for _, d := range decisions {
		if counts(d) {
			roles[d.Address] = refuses
		}
	}
	return roles
}

// offered are the addresses that the record says no node can announce, and that
// nobody counts on this one for though it may.
func (s *Speaker) offered(decisions []announce.Layer2, in announce.Input, records map[string]*stored) map[netip.Addr]role {
	var roles map[netip.Addr]role
	for _, d := range decisions {
		has := records[announce.Record{UID: in.Service.UID, Address: d.Address}.Name()]
		if in.Owners[d.Address] != "" || !has.refused() || slices.Index(d.Candidates, s.Node) < 1 {
			continue
		}
		if roles == nil {
			roles = map[netip.Addr]role{}
		}
		roles[d.Address] = offers
	}
	return roles
}

func (s *Speaker) decided(in announce.Input) verdict {
	return verdict{layer2: s.view.Layer2(in), bgp: s.view.BGP(in)}
}

func isLocal(in announce.Input) bool {
	return in.Service.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}
