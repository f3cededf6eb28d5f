package announce

import (
	"fmt"
	"slices"
)

func bgpSource(o offering) source { return source{kindBGP, bases(o.matching), o.pool.name} }

// noSite says why no node that o selects has a router to tell.
func (v *View) noSite(o offering) string {
	s := bgpSource(o)
	if message := v.noRouter(o, s); message != "" {
		return message
	}
	if message := v.noSpeaker(s); message != "" {
		return message
	}
	return fmt.Sprintf("no node %s that runs a speaker (%s) has a session with one of its peers, BGPPeer %s: compare spec.nodeSelectors there with the labels of the nodes, and look at what the ConfigurationState says of them",
		s.by(), list(v.namesOf(v.speaking(s))), list(v.exchanging(o)))
}

// noRouter says why there is no BGPPeer for o, whatever the node, empty where
// there is one.
func (v *View) noRouter(o offering, s source) string {
	switch {
	case len(v.routers) == 0:
		return fmt.Sprintf("pool %q is selected by %s, and there is no BGPPeer that can be followed: create one, or look at what the ConfigurationState says of those there are", s.pool, s)
	case len(v.namesOfRouters(o)) == 0:
		return fmt.Sprintf("pool %q is selected by %s, and none of the BGPPeers in spec.peers there can be followed: allowed are %s", s.pool, s, list(v.routerNames()))
	case len(v.exchanging(o)) == 0:
		return fmt.Sprintf("pool %q is selected by %s, and none of its peers, BGPPeer %s, exchanges %s prefixes: set spec.dualStackAddressFamily there, or have one with an %s address",
			s.pool, s, list(v.namesOfRouters(o)), familyOf(o.address), familyOf(o.address))
	}
	return ""
}

// namesOfRouters names the peers of all that match.
func (v *View) namesOfRouters(o offering) []string {
	return v.routersWhere(o, func(*router) bool { return true })
}

// exchanging names those of them that exchange prefixes of the family.
func (v *View) exchanging(o offering) []string {
	return v.routersWhere(o, func(r *router) bool { return r.exchanges(familyIndex(o.address)) })
}

func (v *View) routersWhere(o offering, holds func(*router) bool) []string {
	var names []string
	for i := range v.routers {
		used := slices.ContainsFunc(o.matching, func(a *bgpAdvertisement) bool { return contains(a.routers, i) })
		if used && holds(&v.routers[i]) {
			names = append(names, v.routers[i].Name)
		}
	}
	return names
}
