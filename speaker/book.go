package speaker

import (
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/berth-lb/berth/announce"
)

// book keeps what has been decided for each Service, and adds it up by
// address, since several Services may share one.
type book struct {
	services  map[types.NamespacedName][]netip.Addr
	addresses map[netip.Addr]*entry
}

// entry is one address in the book.
type entry struct {
	holders  []holder // sorted by Service
	recorded string
	claim    Claim
}

// holder is a Service that has the address, with what a claim is made from.
type holder struct {
	service    types.NamespacedName
	candidates []string
	interfaces []string
	// cut is set where only the first candidates were kept, since the Service
	// had the address for itself.
	cut bool
}

func newBook() *book {
	return &book{services: map[types.NamespacedName][]netip.Addr{}, addresses: map[netip.Addr]*entry{}}
}

// set replaces what the Service has, and returns the addresses for which
// another claim follows from that, or none any more, sorted. recorded names the
// node on record for each address, if any.
func (b *book) set(service types.NamespacedName, decisions []announce.Layer2, recorded map[netip.Addr]string) []netip.Addr {
	var changed []netip.Addr
	now := make([]netip.Addr, 0, len(decisions))
	for _, d := range decisions {
		now = append(now, d.Address)
	}
	for _, address := range b.services[service] {
		if !slices.Contains(now, address) && b.remove(service, address) {
			changed = append(changed, address)
		}
	}
	for _, d := range decisions {
		if b.put(service, d, recorded[d.Address]) {
			changed = append(changed, d.Address)
		}
	}
	if b.services[service] = now; len(now) == 0 {
		delete(b.services, service)
	}
	slices.SortFunc(changed, netip.Addr.Compare)
	return changed
}

// put says whether the claim for the address is another one now.
func (b *book) put(service types.NamespacedName, d announce.Layer2, recorded string) bool {
	e := b.addresses[d.Address]
	isNew := e == nil
	if isNew {
		e = &entry{}
		b.addresses[d.Address] = e
	}
	i, found := e.find(service)
	if !found {
		e.holders = slices.Insert(e.holders, i, holder{service: service})
	}
	e.holders[i] = holder{service: service, candidates: d.Candidates, interfaces: d.Interfaces}
	e.recorded = recorded
	return e.refresh() || isNew
}

// remove says whether the claim for the address is another one now.
func (b *book) remove(service types.NamespacedName, address netip.Addr) bool {
	e := b.addresses[address]
	i, _ := e.find(service)
	e.holders = slices.Delete(e.holders, i, i+1)
	if len(e.holders) == 0 {
		delete(b.addresses, address)
		return true
	}
	return e.refresh()
}

// claim returns the claim for the address; ok is false where no Service has it.
func (b *book) claim(address netip.Addr) (c Claim, ok bool) {
	if e := b.addresses[address]; e != nil {
		return e.claim, true
	}
	return Claim{}, false
}

// sharers returns the Services that have the address, sorted.
func (b *book) sharers(address netip.Addr) []types.NamespacedName {
	e := b.addresses[address]
	if e == nil {
		return nil
	}
	all := make([]types.NamespacedName, len(e.holders))
	for i, h := range e.holders {
		all[i] = h.service
	}
	return all
}

// behind returns the other Services on the addresses of this one that have to
// be decided again: those of whose candidates only the first are known, which
// don't suffice to see on which nodes the Services agree.
func (b *book) behind(service types.NamespacedName) []types.NamespacedName {
	var all []types.NamespacedName
	for _, address := range b.services[service] {
		for _, h := range b.addresses[address].holders {
			if h.cut && h.service != service {
				all = append(all, h.service)
			}
		}
	}
	return all
}

// recorded returns the node on record for the address when its claim was made.
func (b *book) recorded(address netip.Addr) string {
	if e := b.addresses[address]; e != nil {
		return e.recorded
	}
	return ""
}

func (e *entry) find(service types.NamespacedName) (int, bool) {
	return slices.BinarySearchFunc(e.holders, service, func(h holder, s types.NamespacedName) int {
		return compareNames(h.service, s)
	})
}

// refresh makes the claim anew and says whether it is another one.
func (e *entry) refresh() bool {
	var next Claim
	if len(e.holders) == 1 {
		e.holders[0].shorten()
		next = Claim{Order: e.holders[0].candidates, Recorded: e.recorded, Interfaces: e.holders[0].interfaces}
	} else {
		decisions := make([]announce.Layer2, len(e.holders))
		for i, h := range e.holders {
			decisions[i] = announce.Layer2{Candidates: h.candidates, Interfaces: h.interfaces}
		}
		merged := announce.Merge(decisions)
		next = Claim{Order: firsts(merged.Candidates), Recorded: e.recorded, Interfaces: merged.Interfaces}
	}
	if e.claim.equal(next) {
		return false
	}
	e.claim = next
	return true
}

// shorten drops all candidates but the first: a cluster has many nodes, and as
// many Services.
func (h *holder) shorten() {
	if len(h.candidates) > maxOrder {
		h.candidates, h.cut = firsts(h.candidates), true
	}
}

// firsts returns a copy of the beginning of candidates.
func firsts(candidates []string) []string {
	return slices.Clone(candidates[:min(len(candidates), maxOrder)])
}

func compareNames(a, b types.NamespacedName) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}
