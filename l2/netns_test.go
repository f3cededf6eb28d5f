//go:build linux

package l2

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netns is a network namespace of a test, and a thread in it.
type netns struct {
	t    testing.TB
	work chan func()
	fd   int
}

// newNetns makes one, which goes with the test.
func newNetns(t testing.TB) *netns {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("network namespaces take root")
		}
		t.Skip("network namespaces take root")
	}
	n := &netns{t: t, work: make(chan func())}
	made := make(chan error)
	go func() {
		// Never unlocked, so that the thread ends with the goroutine, and the
		// namespace with the thread.
		runtime.LockOSThread()
		made <- n.enter()
		for f := range n.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatal("making a network namespace: ", err)
	}
	t.Cleanup(func() {
		close(n.work)
		unix.Close(n.fd)
	})
	return n
}

func (n *netns) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	var err error
	n.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return err
}

// do runs f in the namespace and waits for it; a fatal failure within ends the
// test, too.
func (n *netns) do(f func()) {
	n.t.Helper()
	failed := true
	done := make(chan struct{})
	select {
	case n.work <- func() {
		defer close(done)
		f()
		failed = false
	}:
	case <-time.After(10 * time.Second):
		n.t.Fatal("the thread of the namespace is busy or gone")
	}
	<-done
	if failed {
		n.t.FailNow()
	}
}

// must runs a step in the namespace.
func (n *netns) must(step string, f func() error) {
	n.t.Helper()
	var err error
	n.do(func() { err = f() })
	if err != nil {
		n.t.Fatalf("%s: %v", step, err)
	}
}

// veth joins two namespaces by interfaces of the given names, switched on, and
// returns what netlink says about them.
func veth(t testing.TB, a *netns, nameA string, b *netns, nameB string) (netlink.Link, netlink.Link) {
	t.Helper()
	attributes := netlink.NewLinkAttrs()
	attributes.Name = nameA
	a.must("making a veth pair", func() error {
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: nameB, PeerNamespace: netlink.NsFd(b.fd)})
	})
	a.up(nameA)
	b.up(nameB)
	return a.running(nameA), b.running(nameB)
}

// up switches an interface on. It has no IPv6 address of its own making.
func (n *netns) up(name string) {
	n.t.Helper()
	n.must("switching on "+name, func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetIP6AddrGenMode(link, 1); err != nil {
			return err
		}
		return netlink.LinkSetUp(link)
	})
}

// running waits until an interface sends what it is given: the kernel finds out
// late that the other end is there.
func (n *netns) running(name string) netlink.Link {
	n.t.Helper()
	var found netlink.Link
	n.do(func() {
		changes, done := make(chan netlink.LinkUpdate, 100), make(chan struct{})
		defer close(done)
		if err := netlink.LinkSubscribeWithOptions(changes, done, netlink.LinkSubscribeOptions{ListExisting: true}); err != nil {
			n.t.Fatal(err)
		}
		deadline := time.After(30 * time.Second)
		for found == nil {
			select {
			case change := <-changes:
				if change.Link != nil && change.Attrs().Name == name && change.Attrs().OperState == netlink.OperUp {
					found = change.Link
				}
			case <-deadline:
				n.t.Fatalf("%s does not run", name)
			}
		}
	})
	return found
}

// address gives an interface an address at once, without a search for a
// duplicate.
func (n *netns) address(link netlink.Link, prefix string) {
	n.t.Helper()
	n.must("adding "+prefix, func() error { return netlink.AddrAdd(link, testAddress(prefix, unix.IFA_F_NODAD)) })
}

// littleMemory has the kernel give sockets as little memory for filters and
// groups as it did before Linux 6.8, which also made that a namespace's own.
func (n *netns) littleMemory() {
	n.t.Helper()
	n.must("giving sockets little memory", func() error {
		err := os.WriteFile("/proc/sys/net/core/optmem_max", []byte("20480"), 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
}

func testAddress(prefix string, flags int) *netlink.Addr {
	p := netip.MustParsePrefix(prefix)
	return &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}, Flags: flags}
}

func linkMAC(l netlink.Link) mac { return mac(l.Attrs().HardwareAddr) }
