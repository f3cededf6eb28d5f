//go:build linux

package bgp

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

var (
	hop4, hop6 = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1")
	stranger   = audience{asn: 64512, fourOctets: true}
)

func classFor(t *testing.T, p Path, to audience, prefix netip.Prefix, hop netip.Addr) class {
	t.Helper()
	c, err := classOf(&p, to, familyOf(prefix), hop)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func prefix6(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i >> 8), 15: byte(i)}), 128)
}

// Read back with the codec, UPDATEs say what they should, in as few messages as
// that takes and always in the same way.
func TestUpdates(t *testing.T) {
	plain := classFor(t, Path{}, stranger, prefix(0), hop4)
	tagged := classFor(t, Path{Communities: []uint32{1}}, stranger, prefix(0), hop4)
	over6 := classFor(t, Path{}, stranger, prefix(0), hop6)
	six := classFor(t, Path{}, stranger, prefix6(0), hop6)
	many := func(n int, of func(int) netip.Prefix, c class) []change {
		var all []change
		for i := range n {
			all = append(all, change{of(i), c})
		}
		return all
	}
	cases := []struct {
		why     string
		changes []change
		want    int // messages
	}{
		{"one", many(1, prefix, plain), 1},
		{"what fits, and one more", many(817, prefix, plain), 2},
		{"lots", many(10_000, prefix, plain), 13},
		{"IPv6", many(1000, prefix6, six), 5},
		{"IPv4 by IPv6", many(1000, prefix, over6), 2},
		{"withdrawn", many(1000, prefix, none), 2},
		{"IPv6 withdrawn", many(1000, prefix6, none), 5},
		{"two classes, and both families", slices.Concat(many(3, prefix, plain), many(3, func(i int) netip.Prefix { return prefix(10 + i) }, tagged),
			many(3, prefix6, six), many(3, func(i int) netip.Prefix { return prefix(20 + i) }, none), many(3, func(i int) netip.Prefix { return prefix6(20 + i) }, none)), 5},
		{"part of an address", []change{{netip.MustParsePrefix("0.0.0.0/0"), plain}, {netip.MustParsePrefix("10.0.0.0/9"), plain}, {netip.MustParsePrefix("2001:db8::/33"), six}}, 2},
	}
	for _, c := range cases {
		first, want := readBack(t, c.changes), map[netip.Prefix]string{}
		for _, one := range c.changes {
			want[one.prefix] = describe(one)
		}
		if len(first.wire) != c.want || len(first.told) != len(want) {
			t.Errorf("%s: %d messages about %d prefixes, want %d", c.why, len(first.wire), len(first.told), c.want)
		}
		for p, text := range want {
			if first.told[p] != text {
				t.Errorf("%s: %v is told as %q, want %q", c.why, p, first.told[p], text)
			}
		}
		slices.Reverse(c.changes)
		if again := readBack(t, c.changes); !slices.EqualFunc(first.wire, again.wire, bytes.Equal) {
			t.Errorf("%s: in another order it is told in another way", c.why)
		}
	}
}

// A prefix that takes the place of others is there before they go: traffic would
// find none of them.
func TestWithdrawnLast(t *testing.T) {
	whole := netip.MustParsePrefix("10.1.0.0/24")
	six := netip.MustParsePrefix("2001:db8::/64")
	all := []change{
		{prefix(1), none}, {prefix(2), none}, {whole, classFor(t, Path{}, stranger, whole, hop4)},
		{prefix6(1), none}, {six, classFor(t, Path{}, stranger, six, hop6)},
	}
	order := readBack(t, all).order
	if i := slices.Index(order, "withdrawn"); i != 2 || len(order) != 5 {
		t.Errorf("told in the order %q", order)
	}
}

func describe(c change) string {
	hop := "192.0.2.1"
	switch a := value(c.class); {
	case c.class == none:
		return "withdrawn"
	case a.hop.IsValid():
		hop = a.hop.String()
	case strings.Contains(a.wire, "\xc0\x08\x04\x00\x00\x00\x01"):
		return "path [64512], via 192.0.2.1, {Communities: 0:1}"
	}
	return "path [64512], via " + hop
}

type heard struct {
	wire [][]byte
	told map[netip.Prefix]string
	// order has what was told of each prefix.
	order []string
}

func readBack(t *testing.T, changes []change, options ...*bgp.MarshallingOption) heard {
	t.Helper()
	h := heard{told: map[netip.Prefix]string{}}
	say := func(all []bgp.PathNLRI, text string) {
		for _, n := range all {
			h.told[n.NLRI.(*bgp.IPAddrPrefix).Prefix] += text
			h.order = append(h.order, text)
		}
	}
	for m := range (batch{changes: changes}).updates(make([]byte, 0, maxMessage)) {
		if len(m) > maxMessage {
			t.Errorf("a message of %d bytes", len(m))
		}
		h.wire = append(h.wire, bytes.Clone(m))
		parsed, err := bgp.ParseBGPMessage(m, options...)
		if err != nil {
			t.Fatal(err)
		}
		u := parsed.Body.(*bgp.BGPUpdate)
		text, reach := render(u.PathAttributes)
		say(u.WithdrawnRoutes, "withdrawn")
		for _, a := range u.PathAttributes {
			if gone, ok := a.(*bgp.PathAttributeMpUnreachNLRI); ok {
				say(gone.Value, "withdrawn")
			}
		}
		say(append(reach, u.NLRI...), text)
	}
	return h
}

func TestClasses(t *testing.T) {
	internal, short, long := audience{asn: 64512, internal: true, fourOctets: true}, audience{asn: 64512}, audience{asn: 4200000000}
	cases := []struct {
		why  string
		path Path
		to   audience
		want string
	}{
		{"external", Path{LocalPref: 7}, stranger, "path [64512], via 192.0.2.1"},
		{"internal", Path{Prepend: 3}, internal, "path [], via 192.0.2.1, {LocalPref: 100}"},
		{"prepended", Path{Prepend: 2}, stranger, "path [64512 64512 64512], via 192.0.2.1"},
		{"short numbers", Path{Prepend: 1}, short, "path [64512 64512], via 192.0.2.1"},
		{"a long number to one who knows none (RFC 6793)", Path{Prepend: 1}, long, "4200000000 4200000000, path [23456 23456], via 192.0.2.1"},
		{"all of it", Path{Communities: []uint32{1}, LargeCommunities: [][3]uint32{{1, 2, 3}}}, stranger,
			"path [64512], via 192.0.2.1, {Communities: 0:1}, {LargeCommunity: [ 1:2:3]}"},
	}
	for _, c := range cases {
		h := readBack(t, []change{{prefix(1), classFor(t, c.path, c.to, prefix(1), hop4)}},
			&bgp.MarshallingOption{Use2ByteAS: !c.to.fourOctets})
		if got := h.told[prefix(1)]; got != c.want {
			t.Errorf("%s: got %s, want %s", c.why, got, c.want)
		}
	}
	// More than a segment holds.
	h := readBack(t, []change{{prefix(1), classFor(t, Path{Prepend: 255}, stranger, prefix(1), hop4)}})
	if got := strings.Count(h.told[prefix(1)], "64512"); got != 256 {
		t.Errorf("prepended 255 times: %d numbers", got)
	}
	if one, two := classFor(t, Path{}, stranger, prefix(1), hop4), classFor(t, Path{Peers: []string{"x"}}, stranger, prefix(2), hop4); one != two {
		t.Error("equal attributes make two classes")
	}
	for n, want := range map[int]bool{900: true, 2000: false} {
		_, err := classOf(&Path{Communities: make([]uint32, n)}, stranger, bgp.RF_IPv4_UC, hop4)
		if (err == nil) != want {
			t.Errorf("%d communities: %v", n, err)
		}
	}
	largest := Path{Communities: make([]uint32, (maxAttributes-60)/4)}
	if h := readBack(t, []change{{prefix6(1), classFor(t, largest, stranger, prefix6(1), hop6)}}); len(h.wire) != 1 {
		t.Errorf("the most that fits: %d messages", len(h.wire))
	}
}

func TestEndOfRIB(t *testing.T) {
	for _, f := range (families{true, true}).list() {
		m, err := bgp.ParseBGPMessage(endOfRIB(nil, f))
		if err != nil {
			t.Fatal(err)
		}
		if end, of := m.Body.(*bgp.BGPUpdate).IsEndOfRib(); !end || of != f {
			t.Errorf("%v: %v, %v", f, end, of)
		}
	}
}

func BenchmarkUpdates(b *testing.B) {
	path := &Path{Peers: []string{"r"}}
	c, _ := classOf(path, stranger, bgp.RF_IPv4_UC, hop4)
	buffer := make([]byte, 0, maxMessage)
	for b.Loop() {
		o := newOutbox()
		var all []change
		for i := range 10_000 {
			all = append(all, change{prefix(i), c})
		}
		o.put(all)
		taken, _ := o.take()
		n := 0
		for m := range taken.updates(buffer) {
			n += len(m)
		}
		if n == 0 {
			b.Fatal(fmt.Sprint(n))
		}
	}
}
