//go:build linux

package bgp

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

func TestOutbox(t *testing.T) {
	a := classFor(t, Path{}, stranger, prefix(0), hop4)
	b := classFor(t, Path{Communities: []uint32{1}}, stranger, prefix(0), hop4)
	six := classFor(t, Path{}, stranger, prefix6(0), hop6)
	set := func(i int, c class) func(*outbox) { return func(o *outbox) { o.put([]change{{prefix(i), c}}) } }
	take := func(o *outbox) { o.take() }
	repeat := func(o *outbox) { o.repeat(bgp.RF_IPv4_UC) }
	cases := []struct {
		why   string
		do    []func(*outbox)
		want  string // taken
		count int
	}{
		{"what is new", []func(*outbox){set(1, a)}, "1:a", 1},
		{"the last word counts", []func(*outbox){set(1, a), set(1, b)}, "1:b", 1},
		{"what is known", []func(*outbox){set(1, a), take, set(1, a)}, "", 1},
		{"a change", []func(*outbox){set(1, a), take, set(1, b)}, "1:b", 1},
		{"a change and back", []func(*outbox){set(1, a), take, set(1, b), set(1, a)}, "", 1},
		{"gone", []func(*outbox){set(1, a), take, set(1, none)}, "1:-", 0},
		{"gone before it was sent", []func(*outbox){set(1, a), set(1, none)}, "", 0},
		{"gone and back", []func(*outbox){set(1, a), take, set(1, none), set(1, a)}, "", 1},
		{"gone twice", []func(*outbox){set(1, a), take, set(1, none), take, set(1, none)}, "", 0},
		{"all withdrawn", []func(*outbox){set(1, a), take, set(2, a), func(o *outbox) { o.withdraw() }}, "1:-", 0},
		{"once more", []func(*outbox){set(1, a), set(2, a), take, repeat, repeat}, "1:a 2:a", 2},
		{"once more, and a change", []func(*outbox){set(1, a), set(2, a), take, repeat, set(2, b), set(3, a)}, "1:a 2:b 3:a", 3},
		{"once more, but for what goes", []func(*outbox){set(1, a), set(2, a), take, set(2, none), repeat}, "1:a 2:-", 1},
		{"only of that family", []func(*outbox){func(o *outbox) { o.put([]change{{prefix6(1), six}}) }, set(1, a), take, repeat}, "1:a", 2},
	}
	for _, c := range cases {
		o := newOutbox()
		for _, do := range c.do {
			do(o)
		}
		if got := o.count(); got != c.count {
			t.Errorf("%s: %d prefixes, want %d", c.why, got, c.count)
		}
		taken, _ := o.take()
		var got []string
		for _, one := range taken.changes {
			name := map[class]string{a: "a", b: "b", six: "six", none: "-"}[one.class]
			got = append(got, fmt.Sprintf("%d:%s", one.prefix.Addr().As4()[3], name))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", c.why, got, c.want)
		}
	}
}

// All has been sent when who sends comes back for more and there is nothing.
func TestAllSent(t *testing.T) {
	o := newOutbox()
	is := func(what string, done <-chan struct{}, want bool) {
		t.Helper()
		select {
		case <-done:
			if !want {
				t.Errorf("%s: all is sent", what)
			}
		default:
			if want {
				t.Errorf("%s: it is not sent", what)
			}
		}
	}
	is("nothing to say", o.allSent(), true)
	o.put(nil, bgp.RF_IPv4_UC)
	done := o.allSent()
	is("End-of-RIB is to come", done, false)
	o.take()
	is("it is being sent", done, false)
	is("it is being sent", o.allSent(), false)
	o.put([]change{{prefix(1), classFor(t, Path{}, stranger, prefix(1), hop4)}})
	o.take()
	is("something else is being sent", done, false)
	o.take()
	is("there is nothing more", done, true)
}

// A router that takes nothing costs as much as there are prefixes.
func TestOutboxIsBounded(t *testing.T) {
	o := newOutbox()
	for round := range 1000 {
		c := classFor(t, Path{Communities: []uint32{uint32(round)}}, stranger, prefix(0), hop4)
		var all []change
		for i := range 50 {
			all = append(all, change{prefix(i), c})
		}
		o.put(all)
		o.repeat(bgp.RF_IPv4_UC)
	}
	if len(o.pending) != 50 || len(o.told) != 0 || len(o.again) != 1 {
		t.Errorf("%d pending, %d told, %d repeated", len(o.pending), len(o.told), len(o.again))
	}
}
