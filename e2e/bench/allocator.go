package main

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"go4.org/netipx"

	"github.com/berth-lb/berth/ipam"
)

// measureAllocator takes and releases an address of a /16 of which all others
// are held.
func measureAllocator(_ context.Context, b *bench) error {
	const size = 1 << 16
	a := ipam.New()
	a.SetPools([]ipam.Pool{{
		Name:       "bench",
		AutoAssign: true,
		Ranges:     []netipx.IPRange{netipx.RangeOfPrefix(netip.MustParsePrefix("10.128.0.0/16"))},
	}})
	request := func(i int) ipam.Request {
		return ipam.Request{
			ID:       ipam.ID{Namespace: namespace, Name: name(i), UID: name(i)},
			Families: []ipam.Family{ipam.IPv4},
			Ports:    []ipam.Port{{Protocol: "TCP", Number: 80}},
		}
	}
	for i := range size - 1 {
		if _, _, err := a.Ensure(request(i)); err != nil {
			return err
		}
	}
	last := request(size)
	result := testing.Benchmark(func(tb *testing.B) {
		tb.ReportAllocs()
		for tb.Loop() {
			if _, _, err := a.Ensure(last); err != nil {
				tb.Fatal(err)
			}
			a.Release(last.ID)
		}
	})
	each := time.Duration(result.NsPerOp())
	b.add(figure{
		What:     "ipam: take and release, a /16 nearly full",
		Measured: fmt.Sprintf("%d ns, %d allocations", each.Nanoseconds(), result.AllocsPerOp()),
		Limit:    "",
		Target:   "under 1 us, none worth speaking of",
		Met:      each < time.Microsecond && result.AllocsPerOp() <= 1,
	})
	return nil
}
