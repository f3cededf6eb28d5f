//go:build linux

package l2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watching follows the interfaces of a namespace on a thread of its own.
func watching(t *testing.T, n *netns, usable func(string) bool) <-chan []link {
	t.Helper()
	told := make(chan []link, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread goes
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			ended <- err
			return
		}
		ended <- watchLinks(ctx, usable, func(links []link) { told <- links })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return told
}

// awaitLinks reads what is told until it is as wanted. Nothing may be told
// twice.
func awaitLinks(t *testing.T, told <-chan []link, last *string, want string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case links := <-told:
			now := describe(links)
			if now == *last {
				t.Errorf("told again: %s", now)
			}
			if *last = now; now == want {
				return
			}
		case <-deadline:
			t.Fatalf("last told: %s\n     want: %s", *last, want)
		}
	}
}

func describe(links []link) string {
	var all []string
	for _, l := range links {
		state := "down"
		if l.reserved {
			state = "reserved, down"
		}
		if l.up {
			state = "up"
		}
		all = append(all, fmt.Sprint(l.name, " ", l.mac, " ", state, " ", l.addresses))
	}
	return strings.Join(all, ", ")
}

func TestLinks(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	s.near.must("naming its MAC", func() error {
		return netlink.LinkSetHardwareAddr(s.nearLink, net.HardwareAddr(ownMAC[:]))
	})
	s.near.must("adding an interface that is not to be used", func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: named("lxc0"), PeerName: "lxc1"})
	})
	told := watching(t, s.near, func(name string) bool {
		if name == "lo" || name == "wire" {
			t.Errorf("asked whether %s is usable", name)
		}
		return !strings.HasPrefix(name, "lxc")
	})
	last := "nothing yet"
	const plain = "near 02:00:00:00:00:01 up []"
	awaitLinks(t, told, &last, plain)

	other := net.HardwareAddr{2, 0, 0, 0, 0, 2}
	bridge := &netlink.Bridge{LinkAttrs: named("bridge")}
	bridge.HardwareAddr = other
	for _, c := range []struct {
		name string
		step func() error
		want string
	}{
		{"gets an address", func() error { return netlink.AddrAdd(s.nearLink, testAddress("192.0.2.1/24", 0)) },
			"near 02:00:00:00:00:01 up [192.0.2.1/24]"},
		{"and more, sorted", func() error { return netlink.AddrAdd(s.nearLink, testAddress("192.0.1.1/24", 0)) },
			"near 02:00:00:00:00:01 up [192.0.1.1/24 192.0.2.1/24]"},
		{"gets one of IPv6 when no duplicate was found", func() error { return netlink.AddrAdd(s.nearLink, testAddress("fd00::1/64", 0)) },
			"near 02:00:00:00:00:01 up [192.0.1.1/24 192.0.2.1/24 fd00::1/64]"},
		{"loses them", func() error {
			for _, a := range []string{"192.0.1.1/24", "192.0.2.1/24", "fd00::1/64"} {
				if err := netlink.AddrDel(s.nearLink, testAddress(a, 0)); err != nil {
					return err
				}
			}
			return nil
		}, plain},
		{"is switched off", func() error { return netlink.LinkSetDown(s.nearLink) }, "near 02:00:00:00:00:01 down []"},
		{"is renamed", func() error { return netlink.LinkSetName(s.nearLink, "hither") }, "hither 02:00:00:00:00:01 down []"},
		{"is renamed to what is not to be used", func() error { return netlink.LinkSetName(s.nearLink, "lxc9") }, ""},
		{"where a node might be", func() error { return netlink.AddrAdd(s.nearLink, testAddress("192.0.2.1/24", 0)) },
			"lxc9 02:00:00:00:00:01 reserved, down [192.0.2.1/24]"},
		{"has an address for itself alone", func() error {
			return errors.Join(netlink.AddrAdd(s.nearLink, testAddress("198.51.100.1/32", 0)), netlink.AddrDel(s.nearLink, testAddress("192.0.2.1/24", 0)))
		}, ""},
		{"and back", func() error { return netlink.LinkSetName(s.nearLink, "near") }, "near 02:00:00:00:00:01 down [198.51.100.1/32]"},
		{"loses that", func() error { return netlink.AddrDel(s.nearLink, testAddress("198.51.100.1/32", 0)) }, "near 02:00:00:00:00:01 down []"},
		{"is switched on", func() error { return netlink.LinkSetUp(s.nearLink) }, plain},
		{"gets another MAC", func() error { return netlink.LinkSetHardwareAddr(s.nearLink, other) }, "near 02:00:00:00:00:02 up []"},
		{"and its own", func() error { return netlink.LinkSetHardwareAddr(s.nearLink, net.HardwareAddr(ownMAC[:])) }, plain},
		{"a bridge comes", func() error { return netlink.LinkAdd(bridge) }, plain + ", bridge 02:00:00:00:00:02 down []"},
		{"becomes a part of it", func() error { return netlink.LinkSetMaster(s.nearLink, bridge) }, "bridge 02:00:00:00:00:02 down []"},
		{"leaves it", func() error { return netlink.LinkSetNoMaster(s.nearLink) }, plain + ", bridge 02:00:00:00:00:02 down []"},
		{"the bridge goes", func() error { return netlink.LinkDel(bridge) }, plain},
	} {
		t.Log(c.name)
		s.near.must(c.name, c.step)
		awaitLinks(t, told, &last, c.want)
	}

	s.far.must("switching off the other end", func() error { return netlink.LinkSetDown(s.farLink) })
	awaitLinks(t, told, &last, "near 02:00:00:00:00:01 down []")
	s.far.must("switching it on", func() error { return netlink.LinkSetUp(s.farLink) })
	awaitLinks(t, told, &last, plain)
	s.near.must("removing it", func() error { return netlink.LinkDel(s.nearLink) })
	awaitLinks(t, told, &last, "")
}

func named(name string) netlink.LinkAttrs {
	a := netlink.NewLinkAttrs()
	a.Name = name
	return a
}

// TestLinksAfterLostEvents has so much happen while nobody listens that the
// kernel throws events away.
func TestLinksAfterLostEvents(t *testing.T) {
	t.Parallel()
	s := newSegment(t)
	busy := make(chan struct{})
	var once sync.Once
	told := watching(t, s.near, func(string) bool {
		// The first list is held up until everything has happened.
		once.Do(func() { <-busy })
		return true
	})
	s.near.do(func() {
		for range 4000 {
			for _, step := range []func(netlink.Link) error{netlink.LinkSetDown, netlink.LinkSetUp} {
				if err := step(s.nearLink); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	s.near.must("adding the last address", func() error { return netlink.AddrAdd(s.nearLink, testAddress("192.0.2.1/24", 0)) })
	close(busy)
	last := "nothing yet"
	awaitLinks(t, told, &last, fmt.Sprintf("near %v up [192.0.2.1/24]", linkMAC(s.nearLink)))
}

func TestLinksWithoutAny(t *testing.T) {
	t.Parallel()
	told := watching(t, newNetns(t), func(string) bool { return true })
	select {
	case links := <-told:
		if len(links) != 0 {
			t.Errorf("told of %v", links)
		}
	case <-time.After(30 * time.Second):
		t.Error("that there is no interface was not told")
	}
}

func TestLinkEquality(t *testing.T) {
	whole := link{1, "a", ownMAC, true, false, []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}}
	if !whole.equal(whole) {
		t.Error("a link differs from itself")
	}
	for _, other := range []link{
		{2, whole.name, whole.mac, whole.up, false, whole.addresses},
		{whole.index, "b", whole.mac, whole.up, false, whole.addresses},
		{whole.index, whole.name, ownerMAC, whole.up, false, whole.addresses},
		{whole.index, whole.name, whole.mac, false, false, whole.addresses},
		{whole.index, whole.name, whole.mac, whole.up, true, whole.addresses},
		{whole.index, whole.name, whole.mac, whole.up, false, nil},
	} {
		if whole.equal(other) || slices.EqualFunc([]link{whole}, []link{other}, link.equal) {
			t.Errorf("%v equals %v", whole, other)
		}
	}
}
