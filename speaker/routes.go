package speaker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/announce"
)

// routes keeps what each Service has this node announce by BGP, and adds it up
// by prefix, since several Services may share an address, or an aggregate. It is
// changed by the worker alone.
type routes struct {
	mu       sync.Mutex // for who reads beside the worker
	services map[types.NamespacedName][]part
	prefixes map[netip.Prefix]*route
	paths    interned
}

// part is what one address of a Service adds to a prefix.
type part struct {
	address netip.Addr
	bits    uint8
	paths   *paths
}

func (p part) prefix() netip.Prefix {
	prefix, _ := p.address.Prefix(int(p.bits))
	return prefix
}

// route is one prefix that is announced.
type route struct {
	holders []types.NamespacedName // sorted
	told    *paths
}

func newRoutes() *routes {
	return &routes{
		services: map[types.NamespacedName][]part{},
		prefixes: map[netip.Prefix]*route{},
		paths:    interned{},
	}
}

// set replaces what the Service has announced, and returns the prefixes of which
// peers are to be told something else from now on, or nothing any more, sorted.
func (r *routes) set(service types.NamespacedName, decisions []announce.BGP) []netip.Prefix {
	r.mu.Lock()
	defer r.mu.Unlock()
	before, after := r.services[service], r.parts(r.services[service], decisions)
	defer r.paths.release(before)
	if slices.Equal(before, after) {
		return nil
	}
	if r.services[service] = after; len(after) == 0 {
		delete(r.services, service)
	}
	var changed []netip.Prefix
	for _, prefix := range prefixesOf(before, after) {
		if r.refresh(prefix, service, contains(after, prefix)) {
			changed = append(changed, prefix)
		}
	}
	return changed
}

// parts are what decisions come to. Nearly always they are what they were.
func (r *routes) parts(before []part, decisions []announce.BGP) []part {
	var all []part
	for _, d := range decisions {
		for _, route := range d.Routes {
			p := part{address: d.Address, bits: uint8(route.Prefix.Bits())}
			if i := slices.IndexFunc(before, func(b part) bool { return b.address == p.address && b.bits == p.bits }); i >= 0 {
				p.paths = before[i].paths
			}
			p.paths = r.paths.take(route.Paths, p.paths)
			all = append(all, p)
		}
	}
	return slices.Clip(all)
}

// refresh notes whether the service holds the prefix, and says whether peers are
// to be told something else of it.
func (r *routes) refresh(prefix netip.Prefix, service types.NamespacedName, holds bool) bool {
	entry := r.prefixes[prefix]
	if entry == nil {
		entry = &route{}
		r.prefixes[prefix] = entry
	}
	i, held := slices.BinarySearchFunc(entry.holders, service, compareNames)
	switch {
	case holds && !held:
		entry.holders = slices.Insert(entry.holders, i, service)
	case held && !holds:
		entry.holders = slices.Delete(entry.holders, i, i+1)
	}
	before := entry.told
	if len(entry.holders) == 0 {
		delete(r.prefixes, prefix)
		r.paths.drop(before)
		return true
	}
	entry.told = r.merge(prefix, entry.holders, before)
	changed := entry.told != before
	r.paths.drop(before)
	return changed
}

// merge adds up what the holders want peers to be told of the prefix.
func (r *routes) merge(prefix netip.Prefix, holders []types.NamespacedName, before *paths) *paths {
	var all [][]announce.Path
	for _, service := range holders {
		for _, p := range r.services[service] {
			if p.prefix() == prefix {
				all = append(all, p.paths.list)
			}
		}
	}
	return r.paths.take(announce.MergeRoutes(all...), before)
}

// told returns what peers are told of the prefix; ok is false for nothing.
func (r *routes) told(prefix netip.Prefix) (paths []announce.Path, ok bool) {
	if entry := r.prefixes[prefix]; entry != nil {
		return entry.told.list, true
	}
	return nil, false
}

// peersOf names the peers that are told of addresses of the Service, sorted.
func (r *routes) peersOf(service types.NamespacedName) []string {
	var all []string
	for _, p := range r.services[service] {
		for _, path := range p.paths.list {
			all = append(all, path.Peers...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// count is how many prefixes are announced.
func (r *routes) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.prefixes)
}

// each calls do for each address that is announced, while nothing changes.
func (r *routes) each(do func(types.NamespacedName, netip.Addr)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for service, parts := range r.services {
		for i, p := range parts {
			if i == 0 || parts[i-1].address != p.address {
				do(service, p.address)
			}
		}
	}
}

// prefixesOf are those of all lists, sorted.
func prefixesOf(lists ...[]part) []netip.Prefix {
	var all []netip.Prefix
	for _, parts := range lists {
		for _, p := range parts {
			all = append(all, p.prefix())
		}
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

func contains(parts []part, prefix netip.Prefix) bool {
	return slices.ContainsFunc(parts, func(p part) bool { return p.prefix() == prefix })
}

// paths is a list of paths that many prefixes have: nearly all are announced
// alike, and each need not keep its own copy.
type paths struct {
	list  []announce.Path
	key   string
	users int
}

// interned are all lists in use.
type interned map[string]*paths

// take returns the one that equals list, which guess may be. Each is given back
// by drop.
func (n interned) take(list []announce.Path, guess *paths) *paths {
	if guess == nil || !samePaths(guess.list, list) {
		key := fmt.Sprint(list)
		if guess = n[key]; guess == nil {
			guess = &paths{list: list, key: key}
			n[key] = guess
		}
	}
	guess.users++
	return guess
}

// drop takes nil for nothing.
func (n interned) drop(p *paths) {
	if p == nil {
		return
	}
	if p.users--; p.users == 0 {
		delete(n, p.key)
	}
}

func (n interned) release(parts []part) {
	for _, p := range parts {
		n.drop(p.paths)
	}
}

func samePaths(a, b []announce.Path) bool { return slices.EqualFunc(a, b, samePath) }

func samePath(a, b announce.Path) bool {
	return slices.Equal(a.Peers, b.Peers) && a.LocalPref == b.LocalPref && a.Prepend == b.Prepend && a.Standby == b.Standby &&
		slices.Equal(a.Communities, b.Communities) && slices.Equal(a.LargeCommunities, b.LargeCommunities)
}
