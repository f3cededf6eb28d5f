//go:build linux

package bgp

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// listed are addresses as the kernel lists them: each is followed by its flags,
// if any.
func listed(t *testing.T, words ...any) []netlink.Addr {
	t.Helper()
	var all []netlink.Addr
	for _, w := range words {
		if flags, ok := w.(int); ok {
			all[len(all)-1].Flags = flags
			continue
		}
		a, err := netlink.ParseAddr(w.(string))
		if err != nil {
			t.Fatal(err)
		}
		if a.IP.IsLinkLocalUnicast() {
			a.Scope = unix.RT_SCOPE_LINK
		}
		all = append(all, *a)
	}
	return all
}

func TestChoose(t *testing.T) {
	cases := []struct {
		why    string
		all    []netlink.Addr
		source string
		v4, v6 string
	}{
		{"one of each, and what routers can't send to", listed(t, "192.0.2.9/24", "fe80::9/64", "2001:db8::9/64"), "", "192.0.2.9", "2001:db8::9"},
		{"none", listed(t, "fe80::9/64"), "", "", ""},
		{"the oldest", listed(t, "192.0.2.9/24", "198.51.100.9/24", "2001:db8::10/64", "2001:db8::9/64"), "", "192.0.2.9", "2001:db8::9"},
		{"not what is about to go", listed(t, "2001:db8::10/64", "2001:db8::9/64", unix.IFA_F_DEPRECATED), "", "", "2001:db8::10"},
		{"not what may be another's", listed(t, "2001:db8::9/64", unix.IFA_F_TENTATIVE, "2001:db8::10/64", unix.IFA_F_DADFAILED|unix.IFA_F_PERMANENT), "", "", ""},
		{"not what changes every day", listed(t, "2001:db8::10/64", "2001:db8::f00/64", unix.IFA_F_TEMPORARY), "", "", "2001:db8::10"},
		{"not what is another node's tomorrow", listed(t, "192.0.2.100/32", "192.0.2.9/24", "2001:db8::9/64", "2001:db8::100/128"), "", "192.0.2.9", "2001:db8::9"},
		{"beside another of its network, as virtual ones are, too", listed(t, "192.0.2.9/24", "192.0.2.100/24", unix.IFA_F_SECONDARY), "", "192.0.2.9", ""},
		{"better than nothing: by DHCPv6 nodes have such", listed(t, "192.0.2.9/32", "2001:db8::9/128"), "", "192.0.2.9", "2001:db8::9"},
		{"as asked", listed(t, "192.0.2.9/24", "192.0.2.100/32", "2001:db8::9/64"), "192.0.2.100", "192.0.2.100", "2001:db8::9"},
	}
	for _, c := range cases {
		var source netip.Addr
		if c.source != "" {
			source = netip.MustParseAddr(c.source)
		}
		got := choose(c.all, source)
		for _, one := range []struct {
			got  netip.Addr
			want string
		}{{got.v4, c.v4}, {got.v6, c.v6}} {
			if one.got.IsValid() != (one.want != "") || one.got.IsValid() && one.got.String() != one.want {
				t.Errorf("%s: got %v, want %q", c.why, one.got, one.want)
			}
		}
	}
}

// A session outlives the addresses that next hops were taken from.
func TestNextHopsFollowAddresses(t *testing.T) {
	r := newRouter(t, "127.0.50.20:17950", 64600, nil)
	var mu sync.Mutex
	var has []netlink.Addr
	var fault error
	a := run(t, func(a *Announcer) {
		a.addressesOf = func(int) ([]netlink.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			return has, fault
		}
	})
	a.SetPeers([]Peer{r.peer("r")})
	six := netip.MustParsePrefix("2001:db8:64::7/128")
	a.Announce(prefix(1), to("r"))
	a.Announce(six, to("r"))
	a.Synced()
	r.awaitRoutes(1)
	const lacks = "IPv6 prefixes are not announced"
	if s := a.awaitUp("r"); !strings.Contains(s.Error, lacks) {
		t.Errorf("got %+v", s)
	}
	for _, c := range []struct {
		why   string
		has   []netlink.Addr
		fault error
		via   string // empty: the prefix is not announced
	}{
		{"the first address comes late", listed(t, "2001:db8::9/64"), nil, "2001:db8::9"},
		{"a newer one is no reason to change", listed(t, "2001:db8::10/64", "2001:db8::9/64"), nil, "2001:db8::9"},
		{"what can't be listed is as before", nil, errors.New("interrupted"), "2001:db8::9"},
		{"it goes, and the other takes its place", listed(t, "2001:db8::10/64"), nil, "2001:db8::10"},
		{"the last one goes", nil, nil, ""},
	} {
		mu.Lock()
		has, fault = c.has, c.fault
		mu.Unlock()
		done := make(chan struct{})
		a.mail.post(func(t *thread) { t.readdress(0); close(done) })
		<-done
		s := r.await(c.why, func(s snapshot) bool {
			if c.via == "" {
				return s.routes[six] == ""
			}
			return strings.HasSuffix(s.routes[six], "via "+c.via)
		})
		if s.sessions != 1 || s.routes[prefix(1)] == "" {
			t.Errorf("%s: %d sessions, routes %v", c.why, s.sessions, s.routes)
		}
		a.awaitSession("r", c.why, func(s Session) bool {
			return strings.Contains(s.Error, lacks) == (c.via == "") && s.LacksIPv6 == (c.via == "") && !s.LacksIPv4
		})
	}
}

// A list that can't be had when a session begins is had later, though nobody
// tells that anything changed on this interface.
func TestNextHopsAreLookedForAgain(t *testing.T) {
	r := newRouter(t, "127.0.50.21:17952", 64600, nil)
	var looks atomic.Int32
	a := run(t, func(a *Announcer) {
		a.addressesOf = func(int) ([]netlink.Addr, error) {
			if looks.Add(1) < 3 {
				return nil, errors.New("interrupted")
			}
			return listed(t, "2001:db8::9/64"), nil
		}
	})
	a.SetPeers([]Peer{r.peer("r")})
	six := netip.MustParsePrefix("2001:db8:64::7/128")
	a.Announce(six, to("r"))
	a.Synced()
	r.await("the prefix", func(s snapshot) bool { return strings.HasSuffix(s.routes[six], "via 2001:db8::9") })
}

// The kernel tells of addresses that come and go, and lists them as choose wants
// it: the oldest of IPv4 first, and of IPv6 last.
func TestAddressesOfTheKernel(t *testing.T) {
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("network namespaces take root")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the namespace goes with the thread
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error("network namespaces take root: ", err)
			return
		}
		addressesOfTheKernel(t)
	}()
	<-done
}

func addressesOfTheKernel(t *testing.T) {
	must := func(err error) {
		if err != nil {
			t.Error(err)
			runtime.Goexit()
		}
	}
	link, err := netlink.LinkByName("lo")
	must(err)
	must(netlink.LinkSetUp(link))
	socket, err := subscribeAddresses()
	must(err)
	defer socket.Close()
	for _, text := range []string{"192.0.2.9/24", "198.51.100.9/24", "2001:db8::9/64", "2001:db8::10/64"} {
		a, err := netlink.ParseAddr(text)
		must(err)
		a.Flags = unix.IFA_F_NODAD
		must(netlink.AddrAdd(link, a))
		for told := false; !told; {
			indexes, err := receiveAddresses(socket)
			must(err)
			told = slices.Contains(indexes, link.Attrs().Index)
		}
	}
	all, err := addressesOf(link.Attrs().Index)
	must(err)
	want := locals{netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("2001:db8::9")}
	if got := choose(all, netip.Addr{}); got != want {
		t.Errorf("got %v of %v", got, all)
	}
}
