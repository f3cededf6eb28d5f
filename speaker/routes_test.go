package speaker

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/berth-lb/berth/announce"
)

// routesOf are decisions from text: "address/bits>peer@preference".
func routesOf(text ...string) []announce.BGP {
	var all []announce.BGP
	for _, one := range text {
		where, who, _ := strings.Cut(one, ">")
		address, _, _ := strings.Cut(where, "/")
		d := announce.BGP{Address: netip.MustParseAddr(address)}
		path := announce.Path{}
		peer, preference, _ := strings.Cut(who, "@")
		path.Peers = []string{peer}
		_, _ = fmt.Sscan(preference, &path.LocalPref)
		d.Routes = []announce.Route{{Prefix: netip.MustParsePrefix(where).Masked(), Paths: []announce.Path{path}}}
		all = append(all, d)
	}
	return all
}

func TestRoutes(t *testing.T) {
	type step struct {
		service string
		has     []string
		changed string // prefixes, and what is told of them
	}
	for _, tc := range []struct {
		reason string
		steps  []step
	}{
		{"a Service comes, stays and goes", []step{
			{"web", []string{"192.0.2.1/32>tor"}, "192.0.2.1/32 tor"},
			{"web", []string{"192.0.2.1/32>tor"}, ""},
			{"web", nil, "192.0.2.1/32 -"},
			{"web", nil, ""},
		}},
		{"both families", []step{
			{"web", []string{"192.0.2.1/32>tor", "2001:db8::1/128>tor"}, "192.0.2.1/32 tor, 2001:db8::1/128 tor"},
			{"web", []string{"2001:db8::1/128>tor"}, "192.0.2.1/32 -"},
		}},
		{"other attributes", []step{
			{"web", []string{"192.0.2.1/32>tor"}, "192.0.2.1/32 tor"},
			{"web", []string{"192.0.2.1/32>tor@200"}, "192.0.2.1/32 tor@200"},
		}},
		{"two in an aggregate", []step{
			{"api", []string{"192.0.2.1/24>tor"}, "192.0.2.0/24 tor"},
			{"web", []string{"192.0.2.2/24>tor"}, ""},
			{"api", nil, ""},
			{"web", nil, "192.0.2.0/24 -"},
		}},
		{"two addresses of one Service in an aggregate", []step{
			{"web", []string{"192.0.2.1/24>tor", "192.0.2.2/24>tor"}, "192.0.2.0/24 tor"},
			{"web", []string{"192.0.2.2/24>tor"}, ""},
			{"web", nil, "192.0.2.0/24 -"},
		}},
		{"two that disagree about an address: the first by name counts", []step{
			{"web", []string{"192.0.2.1/32>tor@200"}, "192.0.2.1/32 tor@200"},
			{"api", []string{"192.0.2.1/32>tor@100"}, "192.0.2.1/32 tor@100"},
			{"web", []string{"192.0.2.1/32>tor@300"}, ""},
			{"api", nil, "192.0.2.1/32 tor@300"},
		}},
		{"a longer prefix takes the place of a shorter one", []step{
			{"web", []string{"192.0.2.1/24>tor"}, "192.0.2.0/24 tor"},
			{"web", []string{"192.0.2.1/32>tor"}, "192.0.2.0/24 -, 192.0.2.1/32 tor"},
		}},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			r := newRoutes()
			for i, s := range tc.steps {
				var got []string
				for _, prefix := range r.set(called(s.service), routesOf(s.has...)) {
					text := prefix.String() + " -"
					if paths, ok := r.told(prefix); ok {
						text = prefix.String() + " " + told(paths)
					}
					got = append(got, text)
				}
				if text := strings.Join(got, ", "); text != s.changed {
					t.Errorf("step %d: got %q, want %q", i, text, s.changed)
				}
			}
			for _, name := range []string{"api", "web"} {
				r.set(called(name), nil)
			}
			if len(r.services)+len(r.prefixes)+len(r.paths) > 0 {
				t.Errorf("left over are %v, %v, %v", r.services, r.prefixes, r.paths)
			}
		})
	}
}

// Nearly all Services are announced alike: what a route takes besides is the
// speaker's memory with 10,000 of them.
func TestRoutesTakeLittle(t *testing.T) {
	const services = 10_000
	names := make([]string, services)
	addresses := make([]string, services)
	address := netip.MustParseAddr("10.0.0.0")
	for i := range names {
		names[i], addresses[i] = fmt.Sprintf("web-%d", i), address.String()+"/32>tor"
		address = address.Next()
	}
	r := newRoutes()
	before := heap()
	for i, name := range names {
		r.set(called(name), routesOf(addresses[i]))
	}
	each := (int64(heap()) - int64(before)) / services
	t.Logf("%d bytes for a Service", each)
	if each > 512 {
		t.Errorf("a Service takes %d bytes", each)
	}
	if len(r.paths) != 1 {
		t.Errorf("%d lists of paths", len(r.paths))
	}
	runtime.KeepAlive(r)
	runtime.KeepAlive(slices.Clone(names))
}

func heap() uint64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
