package announce

import (
	"slices"
	"strings"
	"sync"
)

// plan is what a set of advertisements comes to in one family, before anything
// is known of a Service.
type plan struct {
	// sites are the nodes that have a speaker and at least one of the peers, by
	// node.
	sites []site
	// told is what Self tells, by length, and spare the same as a standby. They are
	// empty where Self is no site.
	told, spare []told
}

// site is a node with those of its peers that are told. They are sorted, and
// shared by the nodes that have the same.
type site struct {
	node  int
	peers []string
}

// told is what peers are told about prefixes of one length.
type told struct {
	length int
	paths  []Path
}

// makePlans makes those that most Services need: of each advertisement alone,
// and of all of a pool, which several pools mostly share.
func (v *View) makePlans() {
	for family := range families {
		var before *offer
		for i := range v.pools {
			o := &v.pools[i].bgp[family]
			if before != nil && slices.Equal(before.all, o.all) {
				o.plan = before.plan
				continue
			}
			for _, a := range o.all {
				if a.plans[family] == nil {
					a.plans[family] = v.planOf(a, family)
				}
			}
			o.plan = v.together(o.all, family)
			before = o
		}
	}
}

// planOf is what a alone comes to.
func (v *View) planOf(a *bgpAdvertisement, family int) *plan {
	p := &plan{}
	byClass := v.peersByClass(a.routers, family)
	for _, i := range a.selected {
		peers := byClass[v.nodes[i].class]
		if len(peers) == 0 || v.nodes[i].speaker == nil {
			continue
		}
		p.sites = append(p.sites, site{i, peers})
		if i == v.own {
			p.told = []told{{a.lengths[family], []Path{{peers, a.attributes}}}}
			p.spare = standby(p.told)
		}
	}
	return p
}

// peersByClass names, for each of View.classes, those of routers that a node
// has and that exchange prefixes of the family.
func (v *View) peersByClass(routers []int, family int) [][]string {
	wanted := make([]bool, len(v.routers))
	for _, i := range routers {
		wanted[i] = v.routers[i].exchanges(family)
	}
	byClass := make([][]string, len(v.classes))
	for class, list := range v.classes {
		for _, i := range list {
			if wanted[i] {
				byClass[class] = append(byClass[class], v.routers[i].Name)
			}
		}
	}
	return byClass
}

func (p *Peer) exchanges(family int) bool {
	if family == ipv4 {
		return p.IPv4
	}
	return p.IPv6
}

// together is what all come to, which are sorted by name.
func (v *View) together(all []*bgpAdvertisement, family int) *plan {
	switch len(all) {
	case 0:
		return &plan{}
	case 1:
		return all[0].plans[family]
	}
	joined := &plan{}
	peers := make([][]string, len(v.nodes))
	byLength := map[int][][]Path{}
	unions := unions{}
	for _, a := range all {
		p := a.plans[family]
		for _, s := range p.sites {
			peers[s.node] = unions.of(peers[s.node], s.peers)
		}
		for _, t := range p.told {
			byLength[t.length] = append(byLength[t.length], t.paths)
		}
	}
	for i, names := range peers {
		if len(names) > 0 {
			joined.sites = append(joined.sites, site{i, names})
		}
	}
	for length, contributions := range byLength {
		joined.told = append(joined.told, told{length, MergeRoutes(contributions...)})
	}
	slices.SortFunc(joined.told, func(a, b told) int { return a.length - b.length })
	joined.spare = standby(joined.told)
	return joined
}

// memo keeps what sets of advertisements come to that select the same Services,
// of which there are few. It is the one part of a View that changes.
type memo struct {
	mu    sync.Mutex
	plans map[string]*plan
}

// maxMemo bounds how many are kept.
const maxMemo = 256

// partly is what those come to, sorted by name, that select a Service while
// others of the pool do not.
func (v *View) partly(matching []*bgpAdvertisement, family int) *plan {
	if len(matching) < 2 {
		return v.together(matching, family)
	}
	names := make([]string, len(matching), len(matching)+1)
	for i, a := range matching {
		names[i] = a.name
	}
	key := strings.Join(append(names, [families]string{"IPv4", "IPv6"}[family]), " ")
	v.memo.mu.Lock()
	defer v.memo.mu.Unlock()
	p := v.memo.plans[key]
	if p == nil {
		p = v.together(matching, family)
		if len(v.memo.plans) == maxMemo {
			clear(v.memo.plans)
		}
		v.memo.plans[key] = p
	}
	return p
}

// unions remembers the unions of lists, of which there are few and shared ones.
type unions map[[2]*string][]string

func (u unions) of(a, b []string) []string {
	if len(a) == 0 || len(b) > 0 && &a[0] == &b[0] {
		return b
	}
	key := [2]*string{&a[0], &b[0]}
	joined, known := u[key]
	if !known {
		if joined = distinct(slices.Concat(a, b)); slices.Equal(joined, a) {
			joined = a
		}
		u[key] = joined
	}
	return joined
}
