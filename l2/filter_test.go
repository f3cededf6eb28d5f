package l2

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"go4.org/netipx"
	"golang.org/x/net/bpf"
)

// passes runs a filter without its check of the kernel's class, which only the
// kernel can run.
func passes(t testing.TB, program []bpf.Instruction) func([]byte) bool {
	t.Helper()
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	return func(b []byte) bool {
		n, err := vm.Run(b)
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
}

func addrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

func TestFilterARP(t *testing.T) {
	vip, peer, other := vip4, netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("192.0.2.11")
	in := interest{rangesOf([]netip.Addr{vip, vip6}), rangesOf([]netip.Addr{peer})}
	asked := appendARPRequest(nil, askerMAC, asker4, broadcast, vip)
	for _, c := range []struct {
		name  string
		bytes []byte
		want  bool
	}{
		{"asks for an announced address", asked, true},
		{"asks this host alone", appendARPRequest(nil, askerMAC, asker4, ownMAC, vip), true},
		{"probes for an announced address", appendARPRequest(nil, askerMAC, none4, broadcast, vip), true},
		{"another speaker announces, as request", appendARPGratuitous(nil, request, askerMAC, askerMAC, vip), true},
		{"another speaker announces, as reply", appendARPGratuitous(nil, reply, askerMAC, askerMAC, vip), true},
		{"another speaker answers", appendARPReply(nil, askerMAC, askerMAC, vip, ownMAC, other), true},
		{"a peer's kernel answers", appendARPReply(nil, askerMAC, askerMAC, peer, ownMAC, other), true},
		{"a peer announces its own address", appendARPGratuitous(nil, request, askerMAC, askerMAC, peer), true},
		{"somebody probes for a peer's address", appendARPRequest(nil, askerMAC, none4, broadcast, peer), true},
		{"every host asks for nodes", appendARPRequest(nil, askerMAC, asker4, broadcast, peer), false},
		{"a peer asks for others", appendARPRequest(nil, askerMAC, peer, broadcast, other), false},
		{"an address beside", appendARPRequest(nil, askerMAC, asker4, broadcast, other), false},
		{"an address beside announces", appendARPGratuitous(nil, reply, askerMAC, askerMAC, other), false},
		{"others answer each other", appendARPReply(nil, askerMAC, askerMAC, other, ownMAC, asker4), false},
		{"others answer an announced address", appendARPReply(nil, askerMAC, askerMAC, other, ownMAC, vip), false},
		{"RARP", edit(asked, arpOperation, 0, 3), false},
		{"InfiniBand", edit(asked, arpFormat, 0, 32), false},
		{"long addresses", edit(asked, arpFormat+4, 8, 4), false},
		{"another protocol", edit(asked, 12, 0x08, 0x00), false},
		{"cut off", asked[:arpEnd-1], false},
		{"nothing", nil, false},
	} {
		if got := passes(t, arpFilter(in, mostRanges))(c.bytes); got != c.want {
			t.Errorf("%s: passes %v, want %v", c.name, got, c.want)
		}
		if passes(t, arpFilter(interest{}, mostRanges))(c.bytes) {
			t.Errorf("%s: passes though nothing is of interest", c.name)
		}
	}
}

func TestFilterNDP(t *testing.T) {
	vip, peer, other := vip6, netip.MustParseAddr("fe80::7"), netip.MustParseAddr("2001:db8::11")
	in := interest{rangesOf([]netip.Addr{vip, vip4}), rangesOf([]netip.Addr{peer})}
	asked := appendNS(nil, askerMAC, asker6, broadcast, vip)
	for _, c := range []struct {
		name  string
		bytes []byte
		want  bool
	}{
		{"asks for an announced address", asked, true},
		{"probes for it", appendNS(nil, askerMAC, netip.Addr{}, broadcast, vip), true},
		{"another speaker announces", appendGratuitous(nil, reply, askerMAC, askerMAC, vip), true},
		{"another speaker answers", appendNA(nil, askerMAC, askerMAC, vip, ownMAC, asker6, solicited), true},
		{"a peer's kernel answers", appendNA(nil, askerMAC, askerMAC, peer, ownMAC, asker6, solicited), true},
		{"a peer tells of itself", appendGratuitous(nil, reply, askerMAC, askerMAC, peer), true},
		{"somebody probes for a peer's address", appendNS(nil, askerMAC, netip.Addr{}, broadcast, peer), true},
		{"every host asks for nodes", appendNS(nil, askerMAC, asker6, broadcast, peer), false},
		{"an address beside", appendNS(nil, askerMAC, asker6, broadcast, other), false},
		{"an address beside announces", appendGratuitous(nil, reply, askerMAC, askerMAC, other), false},
		{"a router advertisement", edit(asked, ndpType, 134), false},
		{"a redirect", edit(asked, ndpType, 137), false},
		{"UDP", edit(asked, ipv6Next, 17), false},
		{"after an extension header", edit(asked, ipv6Next, 0), false},
		{"IPv4", edit(asked, 12, 0x08, 0x00), false},
		{"cut off", asked[:ndpOptions-1], false},
		{"nothing", nil, false},
	} {
		if got := passes(t, ndpFilter(in, mostRanges))(c.bytes); got != c.want {
			t.Errorf("%s: passes %v, want %v", c.name, got, c.want)
		}
		if passes(t, ndpFilter(interest{}, mostRanges))(c.bytes) {
			t.Errorf("%s: passes though nothing is of interest", c.name)
		}
	}
}

// nearby draws addresses that like to be neighbours, at boundaries of words too.
func nearby(r *rand.Rand, v6 bool, n int) []netip.Addr {
	edges := addrs("10.0.0.0", "127.255.255.250", "192.0.2.1", "223.255.255.0")
	if v6 {
		edges = addrs("fd00::", "2001:db8::ffff:fffa", "2001:db8::1:ffff:fffb", "2001:db8:0:0:ffff:ffff:ffff:fffc", "2001:db8:ffff:ffff:ffff:ffff:ffff:fffd", "fd00:0:0:7::")
	}
	var all []netip.Addr
	for range n {
		a := edges[r.IntN(len(edges))]
		for range r.IntN(3 * n) {
			a = a.Next()
		}
		all = append(all, a)
	}
	return all
}

// TestFilterIsExact compares what programs accept with what they were made from,
// for the addresses in and around the ranges.
func TestFilterIsExact(t *testing.T) {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		for _, v6 := range []bool{false, true} {
			announced, peers := nearby(r, v6, 1+r.IntN(60)), nearby(r, v6, r.IntN(4))
			in := interest{rangesOf(slices.Clone(announced)), rangesOf(slices.Clone(peers))}
			filter, asks := arpFilter, func(a netip.Addr) []byte { return appendARPGratuitous(nil, request, askerMAC, askerMAC, a) }
			if v6 {
				filter, asks = ndpFilter, func(a netip.Addr) []byte { return appendNS(nil, askerMAC, netip.Addr{}, broadcast, a) }
			}
			pass := passes(t, filter(in, mostRanges))
			for _, a := range append(announced, peers...) {
				for _, a := range []netip.Addr{a.Prev(), a, a.Next(), flip(a, r.IntN(a.BitLen()))} {
					want := slices.Contains(announced, a) || slices.Contains(peers, a)
					if got := pass(asks(a)); got != want {
						t.Fatalf("seed %d: %v passes %v, want %v; announced %v, peers %v", seed, a, got, want, in.announced, in.peers)
					}
				}
			}
		}
	}
}

// flip returns a with one bit changed.
func flip(a netip.Addr, bit int) netip.Addr {
	b := a.AsSlice()
	b[bit/8] ^= 0x80 >> (bit % 8)
	changed, _ := netip.AddrFromSlice(b)
	return changed
}

func TestFilterOfLongRanges(t *testing.T) {
	longest := netipx.MustParseIPRange("2001:db8:0:5::7-2001:db9::3")
	pass := passes(t, ndpFilter(interest{announced: []netipx.IPRange{longest}}, mostRanges))
	for _, text := range []string{"2001:db8:0:5::6", "2001:db8:0:4:ffff:ffff:ffff:ffff", "2001:db8:0:5::7", "2001:db8:0:5::1:0", "2001:db8:0:6::", "2001:db8:ffff::",
		"2001:db9::", "2001:db9::3", "2001:db9::4", "2001:db9::1:0:0", "2001:db9:0:1::", "2001:db7::", "2001:dba::"} {
		a := netip.MustParseAddr(text)
		if got := pass(appendNS(nil, askerMAC, asker6, broadcast, a)); got != longest.Contains(a) {
			t.Errorf("%v passes %v", a, got)
		}
	}
}

func TestFilterFits(t *testing.T) {
	var scattered4, scattered6 []netip.Addr
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		scattered4 = append(scattered4, netip.AddrFrom4([4]byte{10, byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())}))
		var b [16]byte
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[0] = 0x20
		scattered6 = append(scattered6, netip.AddrFrom16(b))
	}
	in := interest{rangesOf(append(slices.Clone(scattered4), scattered6...)), rangesOf(append(slices.Clone(scattered6), scattered4...))}
	for name, filter := range map[string]func(interest, int) []bpf.Instruction{"ARP": arpFilter, "NDP": ndpFilter} {
		program, err := assembleFilter(filter, in, 1, mostRanges)
		if err != nil || len(program) > maxInstructions {
			t.Errorf("%s: %d instructions of %d, %v", name, len(program), maxInstructions, err)
		}
	}
	pass4, pass6 := passes(t, arpFilter(in, 64)), passes(t, ndpFilter(in, 64))
	for i := range scattered4 {
		if !pass4(appendARPRequest(nil, askerMAC, asker4, broadcast, scattered4[i])) || !pass6(appendNS(nil, askerMAC, asker6, broadcast, scattered6[i])) {
			t.Fatalf("%v or %v was lost in joining", scattered4[i], scattered6[i])
		}
	}
}

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		addresses []netip.Addr
		limit     int
		want      string
	}{
		{nil, 4, "[]"},
		{addrs("10.0.0.2", "10.0.0.1", "10.0.0.1"), 4, "[10.0.0.1-10.0.0.2]"},
		{addrs("255.255.255.255", "::", "0.0.0.0"), 4, "[0.0.0.0-0.0.0.0 255.255.255.255-255.255.255.255 ::-::]"},
		{addrs("10.0.0.1", "10.0.0.3", "10.0.0.9", "10.0.0.11"), 2, "[10.0.0.1-10.0.0.3 10.0.0.9-10.0.0.11]"},
		{addrs("10.0.0.1", "10.0.0.3", "10.0.0.9", "10.0.0.11"), 3, "[10.0.0.1-10.0.0.1 10.0.0.3-10.0.0.3 10.0.0.9-10.0.0.11]"},
		{addrs("10.0.0.1", "10.0.0.3", "10.0.0.9"), 1, "[10.0.0.1-10.0.0.9]"},
		{addrs("fd00::1", "fd00:0:0:1::", "fd00::9"), 2, "[fd00::1-fd00::9 fd00:0:0:1::-fd00:0:0:1::]"},
		{addrs("fd00::ffff:ffff:ffff:ffff", "fd00:0:0:1::1", "fd00:0:0:1::5"), 2, "[fd00::ffff:ffff:ffff:ffff-fd00:0:0:1::1 fd00:0:0:1::5-fd00:0:0:1::5]"},
	} {
		if got := fmt.Sprint(joinNearest(rangesOf(c.addresses), c.limit)); got != c.want {
			t.Errorf("at most %d of %v: got %s, want %s", c.limit, c.addresses, got, c.want)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var announced []netip.Addr
	for range 10000 {
		announced = append(announced, netip.AddrFrom4([4]byte{10, 0, byte(r.Uint32()), byte(r.Uint32())}))
	}
	in := interest{announced: rangesOf(announced)}
	for b.Loop() {
		if _, err := assembleFilter(arpFilter, in, 1, mostRanges); err != nil {
			b.Fatal(err)
		}
	}
}
