package ipam

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"go4.org/netipx"
)

func benchID(n int) ID {
	return ID{Namespace: "default", Name: fmt.Sprintf("service-%06d", n), UID: fmt.Sprintf("7f1b2c9e-0000-4000-8000-%012d", n)}
}

func benchRequest(n int, f Family) Request {
	return Request{ID: benchID(n), Created: time.Unix(int64(n), 0), Families: []Family{f}, Ports: []Port{{"TCP", 80}}}
}

// filled returns an Allocator with one pool of which held addresses are held.
func filled(b *testing.B, entry string, held int) *Allocator {
	b.Helper()
	r, err := ParseRange(entry)
	if err != nil {
		b.Fatal(err)
	}
	a := New()
	a.SetPools([]Pool{{Name: "pool", Ranges: []netipx.IPRange{r}, AutoAssign: true}})
	for n := range held {
		if _, _, err := a.Ensure(benchRequest(n, FamilyOf(r.From()))); err != nil {
			b.Fatal(err)
		}
	}
	return a
}

// BenchmarkTakeRelease takes and releases one address while others are held.
func BenchmarkTakeRelease(b *testing.B) {
	for _, c := range []struct {
		name, entry string
		held        int
	}{
		{"pool=2^8/held=10", "10.0.0.0/24", 10},
		{"pool=2^8/nearly-full", "10.0.0.0/24", 255},
		{"pool=2^16/held=10", "10.0.0.0/16", 10},
		{"pool=2^16/nearly-full", "10.0.0.0/16", 65535},
		{"pool=2^24/held=100000", "10.0.0.0/8", 100_000},
		{"pool=2^64/held=10", "fd00::/64", 10},
		{"pool=2^64/held=100000", "fd00::/64", 100_000},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := filled(b, c.entry, c.held)
			family := FamilyOf(netip.MustParsePrefix(c.entry).Addr())
			req := benchRequest(c.held, family)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := a.Ensure(req); err != nil {
					b.Fatal(err)
				}
				a.Release(req.ID)
			}
		})
	}
}

// BenchmarkExhausted asks a full pool for which a thousand wait.
func BenchmarkExhausted(b *testing.B) {
	const held, waiting = 256, 1000
	waitFor := func(b *testing.B) *Allocator {
		a := filled(b, "10.0.0.0/24", held)
		for n := range waiting {
			a.Ensure(benchRequest(held+n, IPv4))
		}
		return a
	}
	b.Run("refuse", func(b *testing.B) {
		a := waitFor(b)
		req := benchRequest(held+waiting, IPv4)
		b.ReportAllocs()
		for b.Loop() {
			a.Ensure(req)
			a.Release(req.ID)
		}
	})
	// Who holds an address releases it, the oldest waiter gets it, and who
	// released asks anew as the youngest.
	b.Run("hand over", func(b *testing.B) {
		a := waitFor(b)
		reqs := make([]Request, held+waiting)
		for n := range reqs {
			reqs[n] = benchRequest(n, IPv4)
		}
		born := len(reqs)
		next := 0
		b.ReportAllocs()
		for b.Loop() {
			req := &reqs[next]
			woken := a.Release(req.ID)
			if oldest := reqs[(next+held)%len(reqs)].ID; len(woken) != 1 || woken[0] != oldest {
				b.Fatalf("woken: %v, want %v", woken, oldest)
			}
			req.Created = time.Unix(int64(born), 0)
			a.Ensure(*req)
			born++
			next = (next + 1) % len(reqs)
		}
	})
}

// BenchmarkEnsureAgain repeats an Ensure that changes nothing.
func BenchmarkEnsureAgain(b *testing.B) {
	a := filled(b, "10.0.0.0/16", 10_000)
	req := benchRequest(5_000, IPv4)
	b.ReportAllocs()
	for b.Loop() {
		a.Ensure(req)
	}
}

// BenchmarkSetPoolsOneOfThousand sets a thousand pools of which one changes.
func BenchmarkSetPoolsOneOfThousand(b *testing.B) {
	pools := make([]Pool, 1000)
	for i := range pools {
		r, _ := ParseRange(fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))
		pools[i] = Pool{Name: fmt.Sprintf("pool-%04d", i), Ranges: []netipx.IPRange{r}, AutoAssign: true}
	}
	a := New()
	a.SetPools(pools)
	for n := range 100_000 {
		a.Ensure(benchRequest(n, IPv4))
	}
	b.ReportAllocs()
	for b.Loop() {
		pools[500].AutoAssign = !pools[500].AutoAssign
		a.SetPools(pools)
	}
}
