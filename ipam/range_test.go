package ipam

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"go4.org/netipx"
)

func TestParseRange(t *testing.T) {
	for _, c := range []struct{ why, in, want, err string }{
		{"a CIDR", "192.0.2.0/24", "192.0.2.0-192.0.2.255", ""},
		{"host bits are ignored, as users of MetalLB expect", "192.0.2.77/24", "192.0.2.0-192.0.2.255", ""},
		{"two ends", "192.0.2.10-192.0.2.20", "192.0.2.10-192.0.2.20", ""},
		{"blanks around the dash", " 192.0.2.10 - 192.0.2.20 ", "192.0.2.10-192.0.2.20", ""},
		{"one address is a range too", "192.0.2.10-192.0.2.10", "192.0.2.10-192.0.2.10", ""},
		{"IPv6", "2001:db8::1-2001:db8::ff", "2001:db8::1-2001:db8::ff", ""},
		{"an IPv6 CIDR", "2001:db8::/126", "2001:db8::-2001:db8::3", ""},
		{"all of IPv4", "0.0.0.0/0", "0.0.0.0-255.255.255.255", ""},
		{"reversed", "192.0.2.20-192.0.2.10", "", "192.0.2.10 comes before 192.0.2.20"},
		{"two families", "192.0.2.1-2001:db8::1", "", "both ends must be of one family"},
		{"mapped IPv4", "::ffff:192.0.2.1-::ffff:192.0.2.9", "192.0.2.1-192.0.2.9", ""},
		{"a mapped CIDR", "::ffff:192.0.2.0/120", "192.0.2.0-192.0.2.255", ""},
		{"a mapped CIDR wider than IPv4", "::ffff:192.0.2.0/90", "", "prefix length"},
		{"zeros before the length", "192.0.2.0/024", "192.0.2.0-192.0.2.255", ""},
		{"a sign before the length", "192.0.2.0/+24", "", "prefix length"},
		{"a zone", "fe80::1%eth0-fe80::2%eth0", "", "has a zone"},
		{"a single address", "192.0.2.1", "", "192.0.2.1-192.0.2.1"},
		{"no prefix length", "192.0.2.0/", "", "prefix length"},
		{"a prefix length that is too long", "192.0.2.0/33", "", "prefix length"},
		{"nonsense", "pool", "", `"pool" is not an IP address`},
		{"one end", "192.0.2.1-", "", `"" is not an IP address`},
		{"nothing", "", "", "is not an IP address"},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := ParseRange(c.in)
			if c.err == "" {
				if err != nil || got.String() != c.want {
					t.Fatalf("got %v, %v, want %s", got, err, c.want)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.in)) {
				t.Fatalf("got %v, %v, want an error that names %q and says %q", got, err, c.in, c.err)
			}
		})
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "10.0.0.1 - 10.0.0.9", "fd00::/8", "a-b", "1.1.1.1-::", "::ffff:1.2.3.4/128", "fe80::1%a/64"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err != nil {
			return
		}
		from, to := r.From(), r.To()
		if !r.IsValid() || from.Is4() != to.Is4() || plain(from) != nil || plain(to) != nil {
			t.Fatalf("%q became %v", s, r)
		}
		if again, err := ParseRange(r.String()); err != nil || again != r {
			t.Fatalf("%q became %v, which became %v, %v", s, r, again, err)
		}
	})
}

func TestOverlaps(t *testing.T) {
	pools := []Pool{
		{Name: "b", Ranges: parseRanges("10.0.1.0/24", "10.0.0.0/24", "fd00::/64")},
		{Name: "a", Ranges: parseRanges("10.0.0.250-10.0.1.5", "10.0.9.0/24", "fd01::/64", "10.0.9.7/32")},
		{Name: "c", Ranges: parseRanges("10.0.2.0/24")},
	}
	var got []string
	for _, o := range Overlaps(pools) {
		got = append(got, fmt.Sprintf("%s[%d] %s[%d]", o.First.Pool, o.First.Index, o.Second.Pool, o.Second.Index))
	}
	want := []string{"a[0] b[0]", "a[0] b[1]", "a[1] a[3]"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOverlapsOfManyEntriesIsFast(t *testing.T) {
	var pool Pool
	for i := range 100_000 {
		from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		pool.Ranges = append(pool.Ranges, netipx.IPRangeFrom(from, from))
	}
	if got := Overlaps([]Pool{pool}); len(got) > 0 {
		t.Errorf("found %d", len(got))
	}
}

// TestBitmap compares with a plain list, at the edges of words too.
func TestBitmap(t *testing.T) {
	for _, c := range []struct {
		first, last uint64
		skip        bool
	}{
		{0, 0, false}, {0, 63, false}, {0, 64, false}, {5, 5, false}, {63, 64, false}, {100, 5000, false},
		{1, 254, true}, {1, 510, true}, {254, 257, true}, {300, 4500, true}, {4000, 4200, false},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			b := newBitmap(c.first, c.last, c.skip)
			var all []uint64
			for n := c.first; n <= c.last; n++ {
				if !c.skip || !buggy(n) {
					all = append(all, n)
				}
			}
			for _, want := range all {
				if got, ok := b.lowest(); !ok || got != want {
					t.Fatalf("got %d, %v, want %d", got, ok, want)
				}
				b.take(want)
			}
			if got, ok := b.lowest(); ok {
				t.Fatalf("got %d from a full one", got)
			}
			for _, n := range slices.Backward(all) {
				b.release(n)
				if got, ok := b.lowest(); !ok || got != n {
					t.Fatalf("got %d, %v, want the released %d", got, ok, n)
				}
			}
			for level, words := range b.levels {
				if len(words) > 0 {
					t.Errorf("%d words are left on level %d", len(words), level)
				}
			}
		})
	}
}
