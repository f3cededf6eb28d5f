//go:build linux

package l2

import (
	"bufio"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// memberships returns the groups that an interface of the thread's namespace is
// in, with the kernel's count for each.
func memberships(t *testing.T, name string) map[netip.Addr]string {
	t.Helper()
	file, err := os.Open("/proc/thread-self/net/igmp6")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	groups := map[netip.Addr]string{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		// Index, name, group, users, flags, timer.
		words := strings.Fields(lines.Text())
		if words[1] != name {
			continue
		}
		group, err := hex.DecodeString(words[2])
		if err != nil {
			t.Fatal(err)
		}
		if a := netip.AddrFrom16([16]byte(group)); isSolicitedNode(a) {
			groups[a] = words[3]
		}
	}
	return groups
}

func addressSet(addresses ...netip.Addr) map[netip.Addr]struct{} {
	set := map[netip.Addr]struct{}{}
	for _, a := range addresses {
		set[a] = struct{}{}
	}
	return set
}

func TestGroups(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	s.near.do(func() {
		g := newGroups(s.nearLink.Attrs().Index)
		defer g.close()
		one, twin, two := netip.MustParseAddr("fd00::1:1"), netip.MustParseAddr("fd99::1:1"), netip.MustParseAddr("fd00::2:2")
		for _, c := range []struct {
			name string
			want []netip.Addr
			in   []netip.Addr
		}{
			{"each address has its group", []netip.Addr{one, two}, []netip.Addr{solicitedNode(one), solicitedNode(two)}},
			{"one of IPv4 has none", []netip.Addr{one, two, vip4}, []netip.Addr{solicitedNode(one), solicitedNode(two)}},
			{"two addresses share one", []netip.Addr{one, twin}, []netip.Addr{solicitedNode(one)}},
			{"which stays while one is left", []netip.Addr{twin}, []netip.Addr{solicitedNode(one)}},
			{"and goes with the last", []netip.Addr{two}, []netip.Addr{solicitedNode(two)}},
			{"nothing", nil, nil},
		} {
			for range 2 { // the second time changes nothing
				if err := g.sync(addressSet(c.want...)); err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				in := memberships(t, "near")
				if len(in) != len(c.in) {
					t.Errorf("%s: member of %v, want %v", c.name, in, c.in)
				}
				for _, group := range c.in {
					if in[group] != "1" {
						t.Errorf("%s: in %v are %q members, want 1", c.name, group, in[group])
					}
				}
			}
		}
	})
}

func TestGroupsOverManySockets(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	s.near.littleMemory()
	s.near.do(func() {
		g := newGroups(s.nearLink.Attrs().Index)
		defer g.close()
		var many []netip.Addr
		for a := netip.MustParseAddr("fd00::1"); len(many) < 3000; a = a.Next() {
			many = append(many, a)
		}
		if err := g.sync(addressSet(many...)); err != nil {
			t.Fatal(err)
		}
		if n := len(memberships(t, "near")); n != len(many) {
			t.Errorf("in %d groups, want %d", n, len(many))
		}
		sockets := len(g.sockets)
		if sockets < 2 {
			t.Errorf("the kernel has room for %d groups on one socket", len(many))
		}
		// What was left makes room.
		if err := g.sync(addressSet(many[:100]...)); err != nil {
			t.Fatal(err)
		}
		if n := len(memberships(t, "near")); n != 100 {
			t.Errorf("in %d groups, want 100", n)
		}
		if err := g.sync(addressSet(many...)); err != nil || len(g.sockets) != sockets {
			t.Errorf("again: %d sockets, want %d, %v", len(g.sockets), sockets, err)
		}
		g.close()
		if in := memberships(t, "near"); len(in) != 0 {
			t.Errorf("after closing in %d groups", len(in))
		}
	})
}

func TestGroupsOfNoInterface(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	s.near.do(func() {
		g := newGroups(s.nearLink.Attrs().Index)
		defer g.close()
		if err := g.sync(addressSet(vip6)); err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkDel(s.nearLink); err != nil {
			t.Fatal(err)
		}
		other := vip6.Next()
		if err := g.sync(addressSet(vip6, other)); err == nil || !strings.Contains(err.Error(), other.String()) {
			t.Errorf("joining on an interface that is gone: %v", err)
		}
		if err := g.sync(addressSet(vip6)); err != nil {
			t.Errorf("leaving what was never joined: %v", err)
		}
		if err := g.sync(nil); err != nil {
			t.Errorf("leaving what the kernel took away: %v", err)
		}
	})
}
