package announce

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-lb/berth/trafficpolicy"
)

// BGP decides for each address in the status of the Service, sorted. Addresses
// that the configuration asks layer 2 alone to announce are left out. The Paths
// are shared by all decisions of v, and must not be modified.
func (v *View) BGP(in Input) []BGP {
	var decided []BGP
	ask := asker{in: in}
	for _, address := range addressesOf(in.Service) {
		o, concerned := v.offering(in.Service, address)
		if !concerned {
			continue
		}
		if decided == nil {
			decided = make([]BGP, 0, len(in.Service.Status.LoadBalancer.Ingress))
		}
		decided = append(decided, v.bgp(&ask, o))
	}
	return decided
}

func (v *View) bgp(ask *asker, o offering) BGP {
	d := BGP{Address: o.address, Pool: o.poolName()}
	if reason, message := v.unoffered(ask.in.Service, o); reason != "" {
		return d.because(reason, message)
	}
	q := ask.about(o.address)
	if len(q.endpoints) == 0 {
		return d.because(q.unreachable())
	}
	var p part
	if len(o.plan.told) > 0 {
		p, d.Local = v.ownPart(q, o.plan.sites)
	}
	switch {
	case p == announces:
		d.Routes = routes(o.address, o.plan.told)
	case p == standsBy:
		d.Routes = routes(o.address, o.plan.spare)
	case !v.anyAnnounces(q, o.plan.sites):
		return d.because(v.noEligibleNode(q, bgpSource(o), nodesOf(o.plan.sites)))
	}
	return d
}

func (d BGP) because(reason, message string) BGP {
	d.Reason, d.Message = reason, message
	return d
}

// Reach tells for each address in the status of the Service, sorted, who
// announces it by BGP. Addresses that the configuration asks layer 2 alone to
// announce are left out. The lists of peers are shared by all that v tells, and
// must not be modified.
func (v *View) Reach(in Input) []Reach {
	var all []Reach
	ask := asker{in: in}
	for _, address := range addressesOf(in.Service) {
		if o, concerned := v.offering(in.Service, address); concerned {
			all = append(all, v.reach(&ask, o))
		}
	}
	return all
}

func (v *View) reach(ask *asker, o offering) Reach {
	r := Reach{Address: o.address, Pool: o.poolName()}
	if reason, message := v.unoffered(ask.in.Service, o); reason != "" {
		return r.because(reason, message)
	}
	q := ask.about(o.address)
	if len(q.endpoints) == 0 {
		return r.because(q.unreachable())
	}
	announcing := v.announcing(q, o.plan.sites)
	if len(announcing) == 0 {
		return r.because(v.noEligibleNode(q, bgpSource(o), nodesOf(o.plan.sites)))
	}
	r.Announcers = make([]Announcer, len(announcing))
	for i, s := range announcing {
		r.Announcers[i] = Announcer{Node: v.nodes[s.node].Name, Peers: s.peers}
	}
	return r
}

func (r Reach) because(reason, message string) Reach {
	r.Reason, r.Message = reason, message
	return r
}

// offering is what the configuration says about announcing an address by BGP.
type offering struct {
	address netip.Addr
	pool    *pool
	// matching select the Service, and plan is what they come to.
	matching []*bgpAdvertisement
	plan     *plan
}

func (o offering) poolName() string {
	if o.pool == nil {
		return ""
	}
	return o.pool.name
}

// offering is not concerned where layer 2 alone is asked.
func (v *View) offering(svc *corev1.Service, address netip.Addr) (o offering, concerned bool) {
	o = offering{address: address, pool: v.poolOf(address)}
	if o.pool == nil {
		return o, true
	}
	family := familyIndex(address)
	all := &o.pool.bgp[family]
	o.matching = matching(all.all, svc)
	if len(o.matching) == 0 && leaves(len(all.all)+len(all.refused), 0, len(o.pool.l2), len(matching(o.pool.l2, svc))) {
		return o, false
	}
	if o.plan = all.plan; len(o.matching) < len(all.all) {
		o.plan = v.partly(o.matching, family)
	}
	return o, true
}

// unoffered says why o has no site, if it has none.
func (v *View) unoffered(svc *corev1.Service, o offering) (reason, message string) {
	switch {
	case o.pool == nil:
		return inNoPool(o.address)
	case len(o.matching) == 0:
		return v.unselected(o.pool, o.address, svc)
	case len(o.plan.sites) == 0:
		return ReasonNotAdvertised, v.noSite(o)
	}
	return "", ""
}

func routes(address netip.Addr, all []told) []Route {
	routes := make([]Route, len(all))
	for i, t := range all {
		prefix, _ := address.Prefix(t.length) // lengths fit the family
		routes[i] = Route{Prefix: prefix, Paths: t.paths}
	}
	return routes
}

// part is what a node has in announcing an address.
type part int

const (
	abstains part = iota
	announces
	// standsBy is for where one node alone may announce.
	standsBy
)

// ownPart says what Self, which is one of sites, has in it, and with local
// whether that is for its answer to the check of the Service to say.
func (v *View) ownPart(q question, sites []site) (p part, local bool) {
	if !isLocal(q.Service) {
		return v.partOf(q, sites, v.own), false
	}
	refuses := q.Health == trafficpolicy.Unhealthy
	q.Health = trafficpolicy.Silent
	if p = v.partOf(q, sites, v.own); refuses {
		return abstains, p != abstains
	}
	return p, p != abstains
}

func (v *View) partOf(q question, sites []site, node int) part {
	if OneNode(q.Service) {
		at := slices.IndexFunc(v.chosen(q, sites), func(s site) bool { return s.node == node })
		return [...]part{abstains, announces, standsBy}[at+1]
	}
	q = v.withoutDraining(q, sites)
	if v.obstacle(q, &v.nodes[node]) != trafficpolicy.NoObstacle {
		return abstains
	}
	return announces
}

func (v *View) anyAnnounces(q question, sites []site) bool {
	q = v.withoutDraining(q, sites)
	return slices.ContainsFunc(sites, func(s site) bool { return v.obstacle(q, &v.nodes[s.node]) == trafficpolicy.NoObstacle })
}

// announcing are those of sites that announce.
func (v *View) announcing(q question, sites []site) []site {
	if OneNode(q.Service) {
		chosen := v.chosen(q, sites)
		slices.SortFunc(chosen, func(a, b site) int { return a.node - b.node })
		return chosen
	}
	q = v.withoutDraining(q, sites)
	announcing := make([]site, 0, len(sites))
	for _, s := range sites {
		if v.obstacle(q, &v.nodes[s.node]) == trafficpolicy.NoObstacle {
			announcing = append(announcing, s)
		}
	}
	return announcing
}

// OneNode says whether the clients of svc must keep to one node, which alone then
// announces by BGP: each kube-proxy remembers them for itself, and routers spread
// them over all who announce alike.
func OneNode(svc *corev1.Service) bool {
	return svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP
}

// chosen are those of sites that announce where only one may: that one, and the
// one that stands by.
func (v *View) chosen(q question, sites []site) []site {
	type candidate struct {
		rank
		site
	}
	moves := q.drains() && v.moves(q, nodesOf(sites))
	best := make([]candidate, 0, 3)
	for _, s := range sites {
		n := &v.nodes[s.node]
		if v.obstacle(q, n) != trafficpolicy.NoObstacle {
			continue
		}
		c := candidate{rank{node: s.node, tier: q.tier(n, "", moves), score: score(n.hash, q.address)}, s}
		at, _ := slices.BinarySearchFunc(best, c, func(a, b candidate) int { return compareRanks(a.rank, b.rank) })
		best = slices.Insert(best, at, c)
		best = best[:min(len(best), 2)]
	}
	chosen := make([]site, len(best))
	for i, c := range best {
		chosen[i] = c.site
	}
	return chosen
}

// withoutDraining leaves out the endpoints that are terminating, under Local and
// while there is a ready one where it can be announced: so a node that is drained
// withdraws while its pods still serve what is under way.
func (v *View) withoutDraining(q question, sites []site) question {
	if !isLocal(q.Service) || !slices.ContainsFunc(q.endpoints, terminating) {
		return q
	}
	ready := slices.DeleteFunc(slices.Clone(q.endpoints), terminating)
	if slices.ContainsFunc(ready, func(e trafficpolicy.Endpoint) bool { return v.canAnnounce(q, sites, e.Node) }) {
		q.endpoints = ready
	}
	return q
}

func (v *View) canAnnounce(q question, sites []site, name string) bool {
	i, found := slices.BinarySearchFunc(sites, name, func(s site, name string) int { return cmp.Compare(v.nodes[s.node].Name, name) })
	return found && v.obstacle(q, &v.nodes[sites[i].node]) == trafficpolicy.NoObstacle
}
