package ipam

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go4.org/netipx"
)

// world is an Allocator that is spoken to in short words.
type world struct {
	*testing.T
	*Allocator
	born map[string]int
}

func newWorld(t *testing.T, pools ...Pool) *world {
	w := &world{t, New(), map[string]int{}}
	w.SetPools(pools)
	return w
}

// auto is a pool that gives automatically.
func auto(name string, entries ...string) Pool {
	return Pool{Name: name, AutoAssign: true, Ranges: parseRanges(entries...)}
}

func (p Pool) with(change func(*Pool)) Pool {
	change(&p)
	return p
}

func manual(p *Pool) { p.AutoAssign = false }
func frozen(p *Pool) { p.Frozen = true }

func only(s ServiceAllocation) func(*Pool) {
	return func(p *Pool) { p.Allocation = &s }
}

func named(name string) ID { return ID{"default", name, "uid-" + name} }

// request is that of an IPv4 Service of the given name, the younger the later
// it was first heard of.
func (w *world) request(name string, changes ...func(*Request)) Request {
	if _, ok := w.born[name]; !ok {
		w.born[name] = len(w.born)
	}
	r := Request{ID: named(name), Created: time.Unix(int64(w.born[name]), 0), Families: []Family{IPv4}, Ports: []Port{{"TCP", 80}}}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func families(required int, f ...Family) func(*Request) {
	return func(r *Request) { r.Families, r.Required = f, required }
}

func asking(addrs ...string) func(*Request) {
	return func(r *Request) { r.Addresses = parseAddrs(addrs...) }
}

func from(pool string) func(*Request) { return func(r *Request) { r.Pool = pool } }

func sharing(key string, ports ...uint16) func(*Request) {
	return func(r *Request) {
		r.SharingKey, r.Ports = key, nil
		for _, n := range ports {
			r.Ports = append(r.Ports, Port{"TCP", n})
		}
	}
}

func backend(b string) func(*Request) { return func(r *Request) { r.Backend = b } }

func labelled(key string) func(*Request) {
	return func(r *Request) { r.Labels = map[string]string{key: "yes"} }
}

func parseAddrs(addrs ...string) []netip.Addr {
	var all []netip.Addr
	for _, s := range addrs {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func (w *world) ensure(name string, changes ...func(*Request)) (Allocation, error) {
	got, _, err := w.Ensure(w.request(name, changes...))
	return got, err
}

// gets expects that the Service has these addresses, separated by blanks.
func (w *world) gets(want, name string, changes ...func(*Request)) Allocation {
	w.Helper()
	got, err := w.ensure(name, changes...)
	if err != nil {
		w.Fatalf("%s: refused: %v", name, err)
	}
	if s := strings.Trim(fmt.Sprint(got.Addrs()), "[]"); s != want {
		w.Fatalf("%s: got %s, want %s", name, s, want)
	}
	return got
}

// refused expects a refusal by rule whose sentence contains all words.
func (w *world) refused(rule Rule, words []string, name string, changes ...func(*Request)) {
	w.Helper()
	got, err := w.ensure(name, changes...)
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		w.Fatalf("%s: got %v, want a refusal by %v", name, got.Addrs(), rule)
	}
	w.says(refusal, rule, words...)
}

func (w *world) says(refusal *Refusal, rule Rule, words ...string) {
	w.Helper()
	if refusal == nil || refusal.Rule != rule {
		w.Fatalf("got %v, want %v", refusal, rule)
	}
	for _, word := range words {
		if !strings.Contains(refusal.Error(), word) {
			w.Errorf("%q does not say %q", refusal, word)
		}
	}
}

// woken expects that exactly these Services are to be woken.
func (w *world) woken(got []ID, want ...string) {
	w.Helper()
	var names []string
	for _, id := range got {
		names = append(names, id.Name)
	}
	if !slices.Equal(names, want) {
		w.Fatalf("woken: %v, want %v", names, want)
	}
}

func (w *world) shows(name string, addrs ...string) []ID {
	return w.Confirm(named(name), parseAddrs(addrs...))
}

func TestChoice(t *testing.T) {
	prod := []Selector{has("prod")}
	for _, c := range []struct {
		why   string
		pools []Pool
		asks  func(*Request)
		want  string
	}{
		{"the lowest address of the first entry", []Pool{auto("a", "10.0.9.0/24", "10.0.1.0/24")}, nil, "10.0.9.0"},
		{"an address that ends in .0 is avoided on demand", []Pool{auto("a", "10.0.9.255-10.0.10.9").with(func(p *Pool) { p.AvoidBuggyIPs = true })}, nil, "10.0.10.1"},
		{"what is excluded is skipped", []Pool{auto("a", "10.0.9.0/24").with(func(p *Pool) { p.Exclude = parseRanges("10.0.9.0/30") })}, nil, "10.0.9.4"},
		{"pools in the order of their names", []Pool{auto("b", "10.0.2.0/24"), auto("a", "10.0.1.0/24")}, nil, "10.0.1.0"},
		{"a pool of the right family", []Pool{auto("a", "fd00::/64"), auto("b", "10.0.2.0/24")}, nil, "10.0.2.0"},
		{"no pool without autoAssign", []Pool{auto("a", "10.0.1.0/24").with(manual), auto("b", "10.0.2.0/24")}, nil, "10.0.2.0"},
		{"such a pool where it is requested", []Pool{auto("a", "10.0.1.0/24").with(manual), auto("b", "10.0.2.0/24")}, from("a"), "10.0.1.0"},
		{"such a pool where its address is requested", []Pool{auto("a", "10.0.1.0/24").with(manual)}, asking("10.0.1.7"), "10.0.1.7"},
		{"a frozen pool gives nothing", []Pool{auto("a", "10.0.1.0/24").with(frozen), auto("b", "10.0.2.0/24")}, nil, "10.0.2.0"},
		{"a pool for the namespace before a pool for all", []Pool{auto("a", "10.0.1.0/24"), auto("b", "10.0.2.0/24").with(only(ServiceAllocation{Namespaces: []string{"default"}}))}, nil, "10.0.2.0"},
		{"a pool for another namespace never", []Pool{auto("a", "10.0.1.0/24").with(only(ServiceAllocation{Namespaces: []string{"other"}})), auto("b", "10.0.2.0/24")}, nil, "10.0.2.0"},
		{"the lower priority number first, none last", []Pool{
			auto("a", "10.0.1.0/24").with(only(ServiceAllocation{})),
			auto("b", "10.0.2.0/24").with(only(ServiceAllocation{Priority: 20})),
			auto("c", "10.0.3.0/24").with(only(ServiceAllocation{Priority: 10})),
		}, nil, "10.0.3.0"},
		{"a namespace by name or by label", []Pool{auto("a", "10.0.1.0/24").with(only(ServiceAllocation{Namespaces: []string{"other"}, NamespaceSelectors: prod}))},
			func(r *Request) { r.NamespaceLabels = map[string]string{"prod": "yes"} }, "10.0.1.0"},
		{"one of several selectors is enough", []Pool{auto("a", "10.0.1.0/24").with(only(ServiceAllocation{ServiceSelectors: []Selector{has("web"), has("db")}}))}, labelled("db"), "10.0.1.0"},
		{"both families from the first pool that has both", []Pool{auto("a", "10.0.1.0/24"), auto("b", "10.0.2.0/24", "fd00::/64")}, families(2, IPv6, IPv4), "fd00:: 10.0.2.0"},
		{"both families from two pools where none has both", []Pool{auto("a", "10.0.1.0/24"), auto("b", "fd00::/64")}, families(2, IPv4, IPv6), "10.0.1.0 fd00::"},
		{"the other family from the pool of the requested address", []Pool{auto("a", "10.0.1.0/24", "fd00::/64"), auto("b", "10.0.2.0/24", "fd02::/64").with(manual)},
			func(r *Request) { families(2, IPv4, IPv6)(r); asking("10.0.2.9")(r) }, "10.0.2.9 fd02::"},
		{"or from any pool", []Pool{auto("a", "10.0.1.0/24", "fd00::/64"), auto("b", "10.0.2.0/24")},
			func(r *Request) { families(2, IPv4, IPv6)(r); asking("10.0.2.9")(r) }, "10.0.2.9 fd00::"},
		{"a requested address in the far part of a huge range", []Pool{auto("a", "fd00::/8")}, func(r *Request) { families(1, IPv6)(r); asking("fdff::1")(r) }, "fdff::1"},
	} {
		t.Run(c.why, func(t *testing.T) {
			asks := c.asks
			if asks == nil {
				asks = func(*Request) {}
			}
			newWorld(t, c.pools...).gets(c.want, "web", asks)
		})
	}
}

func TestRefusal(t *testing.T) {
	small := auto("small", "10.0.1.1-10.0.1.1")
	taken := func(changes ...func(*Request)) func(w *world) {
		return func(w *world) { w.gets("10.0.1.1", "first", changes...) }
	}
	for _, c := range []struct {
		why    string
		pools  []Pool
		before func(*world)
		asks   []func(*Request)
		rule   Rule
		words  []string
	}{
		{"no families", []Pool{small}, nil, []func(*Request){families(1)}, RuleMalformed, []string{"IP families"}},
		{"one family twice", []Pool{small}, nil, []func(*Request){families(1, IPv4, IPv4)}, RuleMalformed, nil},
		{"a mapped address", []Pool{small}, nil, []func(*Request){asking("::ffff:10.0.1.1")}, RuleMalformed, []string{"10.0.1.1"}},
		{"two addresses of one family", []Pool{small}, nil, []func(*Request){asking("10.0.1.1", "10.0.1.2")}, RuleTwoAddresses, []string{"10.0.1.1", "10.0.1.2", "at most one IPv4"}},
		{"an address of another family", []Pool{small}, nil, []func(*Request){asking("fd00::1")}, RuleAddressFamily, []string{"fd00::1", "IPv6", "ipFamilies"}},
		{"addresses in different pools", []Pool{small, auto("six", "fd00::/64")}, nil, []func(*Request){families(2, IPv4, IPv6), asking("fd00::1", "10.0.1.1")}, RuleDifferentPools, []string{"small", "six", "10.0.1.1", "fd00::1"}},
		{"an address outside the requested pool", []Pool{small, auto("b", "10.0.2.0/24")}, nil, []func(*Request){asking("10.0.1.1"), from("b")}, RuleOutsidePool, []string{"pool small", "pool b"}},
		{"an unknown pool", []Pool{small}, nil, []func(*Request){from("gold")}, RuleUnknownPool, []string{"gold", "create it"}},
		{"an address in no pool", []Pool{small}, nil, []func(*Request){asking("192.0.2.1")}, RuleAddressInNoPool, []string{"192.0.2.1"}},
		{"an address that is avoided", []Pool{auto("a", "10.0.1.0/24").with(func(p *Pool) { p.AvoidBuggyIPs = true })}, nil, []func(*Request){asking("10.0.1.255")}, RuleAddressExcluded, []string{"10.0.1.255", "pool a", "avoidBuggyIPs"}},
		{"an address that is excluded", []Pool{auto("a", "10.0.1.0/24").with(func(p *Pool) { p.Exclude = parseRanges("10.0.1.4/30") })}, nil, []func(*Request){asking("10.0.1.5")}, RuleAddressExcluded, []string{"10.0.1.5"}},
		{"a pool for other namespaces", []Pool{small.with(only(ServiceAllocation{Namespaces: []string{"other"}}))}, nil, []func(*Request){from("small")}, RuleNamespace, []string{"pool small", "namespace"}},
		{"a selector of namespaces that matches none", []Pool{small.with(only(ServiceAllocation{NamespaceSelectors: []Selector{has("prod")}}))}, nil, []func(*Request){asking("10.0.1.1")}, RuleNamespace, nil},
		{"a pool for other Services", []Pool{small.with(only(ServiceAllocation{ServiceSelectors: []Selector{has("web")}}))}, nil, []func(*Request){from("small")}, RuleServiceSelector, []string{"serviceSelectors"}},
		{"the namespace matches but not the Service", []Pool{small.with(only(ServiceAllocation{Namespaces: []string{"default"}, ServiceSelectors: []Selector{has("web")}}))}, nil, []func(*Request){from("small")}, RuleServiceSelector, nil},
		{"a pool that is not valid", []Pool{small.with(frozen)}, nil, []func(*Request){asking("10.0.1.1")}, RuleFrozen, []string{"pool small is not valid"}},
		{"a pool without the family", []Pool{small}, nil, []func(*Request){families(1, IPv6), from("small")}, RuleNoFamily, []string{"pool small has no range of IPv6"}},
		{"a pool that is exhausted", []Pool{small}, taken(), []func(*Request){from("small")}, RuleExhausted, []string{"pool small has no free IPv4 address"}},
		{"no pools", nil, nil, nil, RuleNoPools, []string{"create"}},
		{"no pool that gives automatically", []Pool{small.with(manual)}, nil, nil, RuleNoAutoAssign, []string{"autoAssign"}},
		{"no pool that is for the Service", []Pool{small.with(only(ServiceAllocation{Namespaces: []string{"other"}}))}, nil, nil, RuleNoPoolMatches, []string{"pool small is not for the Service's namespace"}},
		{"each pool has its reason", []Pool{
			small, auto("six", "fd00::/64"), auto("broken", "10.0.7.0/24").with(frozen),
			auto("others", "10.0.8.0/24").with(only(ServiceAllocation{Namespaces: []string{"other"}})),
		}, taken(), nil, RuleExhausted, []string{"pool small has no free IPv4 address", "pool six has no range of IPv4", "pool broken is not valid", "pool others is not for"}},
		{"an address in use", []Pool{small}, taken(), []func(*Request){asking("10.0.1.1")}, RuleInUse, []string{"10.0.1.1", "pool small", "default/first", "sharing key"}},
		{"an address in use under a key, asked for without one", []Pool{small}, taken(sharing("k", 80)), []func(*Request){asking("10.0.1.1")}, RuleInUse, nil},
		{"under another key", []Pool{small}, taken(sharing("k", 80)), []func(*Request){asking("10.0.1.1"), sharing("l", 81)}, RuleInUseKey, []string{"another sharing key", "default/first"}},
		{"on the same port", []Pool{small}, taken(sharing("k", 80, 443)), []func(*Request){asking("10.0.1.1"), sharing("k", 22, 443)}, RuleInUsePort, []string{"TCP/443", "default/first"}},
		{"with another selector", []Pool{small}, taken(sharing("k", 80), backend("app=a")), []func(*Request){asking("10.0.1.1"), sharing("k", 81), backend("app=b")}, RuleInUseBackend, []string{"externalTrafficPolicy", "default/first"}},
		{"one Local, one Cluster", []Pool{small}, taken(sharing("k", 80), backend("app=a")), []func(*Request){asking("10.0.1.1"), sharing("k", 81)}, RuleInUseBackend, nil},
		{"still shown by its last holder", []Pool{small, auto("b", "10.0.2.0/24")}, func(w *world) { taken(from("small"))(w); w.gets("10.0.2.0", "first", from("b")) }, []func(*Request){asking("10.0.1.1")}, RuleInUseRetiring, []string{"still shown", "default/first"}},
	} {
		t.Run(c.why, func(t *testing.T) {
			w := newWorld(t, c.pools...)
			if c.before != nil {
				c.before(w)
			}
			w.refused(c.rule, c.words, "second", c.asks...)
		})
	}
}

func TestRefusalIsBounded(t *testing.T) {
	var pools []Pool
	for i := range 100 {
		pools = append(pools, auto(fmt.Sprintf("pool-%02d", i), fmt.Sprintf("fd00:%x::/64", i)))
	}
	newWorld(t, pools...).refused(RuleNoFamily, []string{"pool-07", "and 92 more"}, "web")
}

func TestSharersLandTogether(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.0/24"), auto("b", "10.0.2.0/24"))
	w.gets("10.0.2.5", "first", asking("10.0.2.5"), sharing("k", 80))
	w.gets("10.0.2.5", "second", sharing("k", 81))
	w.gets("10.0.1.0", "clashing", sharing("k", 80))
	w.gets("10.0.1.0", "joins it by the order of pools", sharing("k", 82))
	w.gets("10.0.1.1", "of another key", sharing("l", 80))
	w.gets("10.0.1.2", "of another selector", sharing("k", 83), backend("app=a"))
	w.gets("10.0.2.5", "not for every pool", sharing("k", 84), from("b"))
	if got := w.Usage("b"); got != (Usage{Assigned4: 1, Available4: 255}) {
		t.Errorf("a shared address counts once: %+v", got)
	}
}

func TestWhoChangesGivesWay(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.0/24"))
	w.gets("10.0.1.0", "first", sharing("k", 80))
	w.gets("10.0.1.0", "second", sharing("k", 81))
	w.gets("10.0.1.1", "second", sharing("k", 80, 81))
	w.gets("10.0.1.0", "first", sharing("k", 80))
}

func TestAnAddressIsKeptWhileItFits(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.0/24"))
	w.gets("10.0.1.7", "web", asking("10.0.1.7"))
	w.gets("10.0.1.7", "web")
	w.woken(w.SetPools([]Pool{auto("a", "10.0.1.0/24"), auto("0", "10.0.0.0/24")}))
	w.gets("10.0.1.7", "web")
	w.woken(w.SetPools([]Pool{auto("a", "10.0.1.0/24").with(manual), auto("0", "10.0.0.0/24")}))
	w.gets("10.0.1.7", "web")
	w.woken(w.SetPools([]Pool{auto("0", "10.0.1.0/24"), auto("b", "10.0.2.0/24")}), "web")
	if got := w.gets("10.0.1.7", "web").Assigned()[0].Pool; got != "0" {
		t.Errorf("it is of pool %s", got)
	}
	w.gets("10.0.2.0", "web", from("b"))
}

func TestAFrozenPoolKeepsWhatIsHeld(t *testing.T) {
	closed := only(ServiceAllocation{Namespaces: []string{"other"}})
	w := newWorld(t, auto("a", "10.0.1.0/24"))
	w.gets("10.0.1.0", "web")
	w.woken(w.SetPools([]Pool{auto("a", "10.0.1.0/24").with(closed).with(frozen).with(func(p *Pool) { p.AvoidBuggyIPs = true })}))
	w.gets("10.0.1.0", "web")
	w.woken(w.SetPools([]Pool{auto("a", "10.0.1.0/24").with(closed)}), "web")
	w.refused(RuleNoPoolMatches, nil, "web")
}

func TestAnAddressIsGivenOnOnlyOnceItIsNoLongerShown(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.1-10.0.1.1"), auto("b", "10.0.2.1-10.0.2.1").with(manual))
	w.gets("10.0.1.1", "first")
	w.gets("10.0.2.1", "first", from("b"))
	w.refused(RuleExhausted, nil, "second")
	w.woken(w.shows("first", "10.0.1.1"))
	w.refused(RuleExhausted, nil, "second")
	w.woken(w.shows("first", "10.0.2.1"), "second")
	w.gets("10.0.1.1", "second")
}

func TestAnAddressThatIsStillShownMayBeTakenBack(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.1-10.0.1.1"))
	w.gets("10.0.1.1", "first")
	w.refused(RuleUnknownPool, nil, "first", from("b"))
	w.refused(RuleExhausted, nil, "second")
	w.gets("10.0.1.1", "first")
	w.woken(w.shows("first"))
}

func TestTheOldestWaiterGetsWhatComesFree(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.1-10.0.1.1"))
	w.gets("10.0.1.1", "first")
	for i := range 1000 {
		w.request(fmt.Sprint(i)) // born in this order
	}
	for i := 999; i >= 0; i-- {
		w.refused(RuleExhausted, nil, fmt.Sprint(i))
	}
	w.woken(w.Release(named("first")), "0")
	w.refused(RuleExhausted, nil, "newcomer")
	w.woken(w.Release(named("5")))
	w.gets("10.0.1.1", "0")
	w.woken(w.Release(named("0")), "1")
	if got := len(w.Owned()); got != 1 {
		t.Errorf("%d hold the one address", got)
	}
}

func TestAWaiterIsServedByAnySourceItHas(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.1-10.0.1.1"), auto("b", "10.0.2.1-10.0.2.1"))
	w.gets("10.0.1.1", "first", sharing("k", 80))
	w.gets("10.0.2.1", "second")
	w.refused(RuleExhausted, nil, "shares", sharing("k", 80))
	w.refused(RuleInUse, nil, "insists", asking("10.0.2.1"))
	w.refused(RuleUnknownPool, nil, "hopes", from("c"))
	w.woken(w.Release(named("second")), "shares", "insists") // on another holder now
	w.woken(w.Release(named("shares")), "insists")
	w.woken(w.SetPools([]Pool{auto("a", "10.0.1.1-10.0.1.1"), auto("b", "10.0.2.1-10.0.2.1"), auto("c", "10.0.3.0/24").with(manual)}), "hopes")
	w.gets("10.0.3.0", "hopes", from("c"))
}

func TestAChangedKeyCanServeAWaiter(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.1-10.0.1.1"))
	w.gets("10.0.1.1", "first")
	w.refused(RuleExhausted, nil, "second", sharing("k", 81))
	_, woken, err := w.Ensure(w.request("first", sharing("k", 80)))
	if err != nil {
		t.Fatal(err)
	}
	w.woken(woken, "second")
	w.gets("10.0.1.1", "second", sharing("k", 81))
}

func TestAGrantCanServeSharersToo(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.1-10.0.1.1"))
	w.gets("10.0.1.1", "first")
	w.refused(RuleExhausted, nil, "second", sharing("k", 80))
	w.refused(RuleExhausted, nil, "third")
	w.refused(RuleExhausted, nil, "fourth", sharing("k", 81))
	w.woken(w.Release(named("first")), "second", "fourth")
}

// TestAWaiterIsToldWhatItWaitsForNow: the reason that it was given names who is in
// the way, and by which rule.
func TestAWaiterIsToldWhatItWaitsForNow(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.0/24"))
	one := asking("10.0.1.1")
	w.gets("10.0.1.1", "first", one, sharing("k", 80))
	w.refused(RuleInUseKey, []string{"first"}, "second", one, sharing("l", 80))
	w.refused(RuleInUse, []string{"first"}, "third", one)

	_, woken, err := w.Ensure(w.request("first", one, sharing("l", 80)))
	if err != nil {
		t.Fatal(err)
	}
	w.woken(woken, "second")
	w.refused(RuleInUsePort, []string{"first"}, "second", one, sharing("l", 80))

	w.woken(w.Release(named("first")), "second", "third")
	w.refused(RuleInUse, []string{"second"}, "third", one)

	w.gets("10.0.1.2", "second", asking("10.0.1.2"))
	w.woken(w.shows("second", "10.0.1.1")) // it has not come free yet
	w.woken(w.shows("second", "10.0.1.2"), "third")
}

func TestPreferDualStack(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.0/24"))
	both := families(1, IPv4, IPv6)
	got := w.gets("10.0.1.0", "web", both)
	w.says(got.Missing, RuleNoFamily, "pool a has no range of IPv6")
	w.refused(RuleNoFamily, nil, "six first", families(1, IPv6, IPv4))

	w.woken(w.SetPools([]Pool{auto("a", "10.0.1.0/24"), auto("b", "fd00::1-fd00::1")}), "web", "six first")
	if got := w.gets("10.0.1.0 fd00::1", "web", both); got.Missing != nil {
		t.Errorf("complete, and yet %v", got.Missing)
	}
	w.woken(w.Release(named("web")), "six first")
	w.gets("fd00::1 10.0.1.0", "six first", families(1, IPv6, IPv4))
}

func TestRequireDualStackTakesBothOrNone(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.1-10.0.1.1", "fd00::1-fd00::1"))
	both := families(2, IPv4, IPv6)
	w.gets("fd00::1", "six", families(1, IPv6))
	w.refused(RuleExhausted, []string{"IPv6"}, "both", both)
	w.gets("10.0.1.1", "four")
	w.woken(w.Release(named("six")), "both") // for another family now
	w.refused(RuleExhausted, []string{"IPv4"}, "both", both)
	w.woken(w.Release(named("four")), "both")
	w.gets("10.0.1.1 fd00::1", "both", both)
}

func TestAnEditedPoolMovesWhoNoLongerFits(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.1-10.0.1.3"))
	w.gets("10.0.1.1", "first")
	w.gets("10.0.1.2", "second")
	w.gets("10.0.1.3", "third")
	w.woken(w.SetPools([]Pool{auto("a", "10.0.1.1-10.0.1.1", "10.0.5.5-10.0.5.5")}), "second", "third")
	w.gets("10.0.5.5", "second")
	w.refused(RuleExhausted, nil, "third")
	w.woken(w.SetPools(nil), "first", "second", "third")
	w.refused(RuleNoPools, nil, "first")

	w.woken(w.shows("third"))
	w.woken(w.SetPools([]Pool{auto("b", "10.0.1.1-10.0.1.2")}), "first", "second", "third")
	w.gets("10.0.1.1", "first")
	w.gets("10.0.1.2", "second")
}

func TestSetPoolsTellsOnlyThoseConcerned(t *testing.T) {
	pools := []Pool{auto("a", "10.0.1.1-10.0.1.1"), auto("b", "10.0.2.1-10.0.2.1").with(manual)}
	w := newWorld(t, pools...)
	w.gets("10.0.1.1", "first")
	w.gets("10.0.2.1", "second", from("b"))
	w.refused(RuleExhausted, nil, "third")
	w.refused(RuleExhausted, nil, "fourth", from("b"))
	w.woken(w.SetPools(pools))
	w.woken(w.SetPools([]Pool{pools[0], auto("b", "10.0.2.1-10.0.2.2").with(manual)}), "fourth")
	w.woken(w.SetPools(pools[:1]), "second", "fourth")
	w.refused(RuleUnknownPool, nil, "fourth", from("b"))
}

func TestAdopt(t *testing.T) {
	w := newWorld(t, auto("a", "10.0.1.0/24", "fd00::/64"))
	if err := w.Adopt(w.request("fits"), parseAddrs("10.0.1.9")); err != nil {
		t.Fatal(err)
	}
	w.says(w.adoptRefused("clashes", "10.0.1.9"), RuleInUse, "default/fits")
	w.says(w.adoptRefused("gone", "192.0.2.1"), RuleAddressInNoPool, "192.0.2.1")
	w.says(w.adoptRefused("wants another", "10.0.1.3", asking("10.0.1.4")), RuleOtherRequested, "10.0.1.3", "10.0.1.4")
	w.says(w.adoptRefused("wants IPv6", "10.0.1.5", families(1, IPv6)), RuleAddressFamily, "10.0.1.5")
	w.gets("10.0.1.9", "fits")

	// What a status shows is nobody else's, even if it does not fit there.
	w.refused(RuleInUseRetiring, []string{"wants another"}, "newcomer", asking("10.0.1.3"))
	w.gets("10.0.1.4", "wants another", asking("10.0.1.4"))
	w.woken(w.shows("wants another", "10.0.1.4"), "newcomer")

	w.gets("10.0.1.0", "clashes")
	w.woken(w.shows("clashes", "10.0.1.0"))
	if err := w.Adopt(w.request("clashes"), parseAddrs("10.0.1.200")); err != nil {
		t.Errorf("who is known is not adopted again: %v", err)
	}
	w.gets("10.0.1.0", "clashes")
}

func (w *world) adoptRefused(name, addr string, changes ...func(*Request)) *Refusal {
	var refusal *Refusal
	errors.As(w.Adopt(w.request(name, changes...), parseAddrs(addr)), &refusal)
	return refusal
}

func TestNoAddressIsOfTwoPoolsEvenWhereTheyOverlap(t *testing.T) {
	w := newWorld(t,
		auto("a", "10.0.1.1-10.0.1.2").with(frozen),
		auto("b", "10.0.1.2-10.0.1.3", "10.0.1.3-10.0.1.4"),
		auto("c", "10.0.1.1-10.0.1.5"),
		auto("c", "10.9.9.0/24"),
	)
	w.gets("10.0.1.2", "1")
	w.gets("10.0.1.3", "2")
	w.gets("10.0.1.4", "3")
	w.gets("10.0.1.1", "4")
	w.gets("10.0.1.5", "5")
	w.refused(RuleExhausted, nil, "6")
	w.woken(w.SetPools([]Pool{auto("a", "10.0.1.1-10.0.1.5")}), "1", "2", "3", "4", "5", "6")
	w.gets("10.0.1.3", "2")
}

func TestUsage(t *testing.T) {
	w := newWorld(t,
		auto("a", "10.0.0.0/16", "fd00::/8").with(func(p *Pool) {
			p.AvoidBuggyIPs = true
			p.Exclude = parseRanges("10.0.1.1-10.0.1.10")
		}),
		auto("b", "10.9.0.0/24", "fe00::/127"))
	want := Usage{Available4: 65536 - 2*256 - 10, Available6: math.MaxInt64}
	if got := w.Usage("a"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	w.gets("10.0.0.1 fd00::", "web", families(2, IPv4, IPv6))
	w.gets("10.9.0.0", "moves", from("b"))
	w.gets("10.0.0.2", "moves", from("a"))
	if got, want := w.Usage("a"), (Usage{2, 1, want.Available4 - 2, math.MaxInt64}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := w.Usage("b"), (Usage{1, 0, 255, 2}); got != want {
		t.Errorf("what is reserved counts as in use: got %+v, want %+v", got, want)
	}
	if got := w.Usage("c"); got != (Usage{}) {
		t.Errorf("no such pool: %+v", got)
	}
}

func TestMemoryDoesNotGoWithTheRange(t *testing.T) {
	for _, entry := range []string{"10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "fd00::/64", "::/0"} {
		r, _ := ParseRange(entry)
		words := 0
		a := New()
		allocs := testing.AllocsPerRun(1, func() {
			a = New()
			a.SetPools([]Pool{{Name: "a", Ranges: []netipx.IPRange{r}, AutoAssign: true, AvoidBuggyIPs: true}})
			a.Ensure(Request{ID: named("web"), Families: []Family{FamilyOf(r.From())}})
		})
		for _, level := range a.find(r.To().Prev()).taken.levels {
			words += len(level)
		}
		if words > 1 || allocs > 150 {
			t.Errorf("%s: %d words and %v allocations for one address", entry, words, allocs)
		}
	}
}

// Addrs returns the addresses held, in the order of the request's families.
func (a Allocation) Addrs() []netip.Addr {
	addrs := make([]netip.Addr, 0, len(a.held))
	for _, h := range a.Assigned() {
		addrs = append(addrs, h.Addr)
	}
	return addrs
}
