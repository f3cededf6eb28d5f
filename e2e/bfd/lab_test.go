package bfd

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "network namespaces need root")
	}
}

func needFRR(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/usr/lib/frr/bfdd"); err != nil {
		lacks(t, "FRR is not here: apt-get install frr")
	}
}

// lacks skips the test on a developer's machine, and fails it in CI.
func lacks(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Three namespaces: the node where Berth is and the router where FRR is have a
// cable between them, and a way through a second router.
type lab struct{ node, router, middle string }

func newLab(t *testing.T) lab {
	t.Helper()
	needRoot(t)
	l := lab{}
	for name, at := range map[string]*string{"n": &l.node, "r": &l.router, "m": &l.middle} {
		*at = fmt.Sprintf("bfd%d%s", os.Getpid(), name)
		command(t, "ip", "netns", "add", *at)
		t.Cleanup(func() { command(t, "ip", "netns", "del", *at) })
		command(t, "ip", "-n", *at, "link", "set", "lo", "up")
	}
	l.direct(t)
	l.cable(t, l.node, l.middle, "near", "198.51.100.1/24", "198.51.100.2/24", "2001:db8:2::1/64", "2001:db8:2::2/64")
	l.cable(t, l.router, l.middle, "far", "203.0.113.1/24", "203.0.113.2/24", "2001:db8:3::1/64", "2001:db8:3::2/64")
	for _, r := range []struct{ in, to, by string }{
		{l.node, "203.0.113.0/24", "198.51.100.2"}, {l.node, "2001:db8:3::/64", "2001:db8:2::2"},
		{l.router, "198.51.100.0/24", "203.0.113.2"}, {l.router, "2001:db8:2::/64", "2001:db8:3::2"},
	} {
		command(t, "ip", "-n", r.in, "route", "add", r.to, "via", r.by)
	}
	command(t, "ip", "netns", "exec", l.middle, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	return l
}

func (l lab) direct(t *testing.T) {
	t.Helper()
	l.cable(t, l.node, l.router, "direct", "192.0.2.1/24", "192.0.2.2/24", "2001:db8:1::1/64", "2001:db8:1::2/64")
}

// cable joins two namespaces by interfaces of one name, and gives them addresses.
func (lab) cable(t *testing.T, a, b, name, a4, b4, a6, b6 string) {
	t.Helper()
	command(t, "ip", "-n", a, "link", "add", name, "type", "veth", "peer", "name", name, "netns", b)
	for _, end := range []struct{ in, four, six string }{{a, a4, a6}, {b, b4, b6}} {
		command(t, "ip", "-n", end.in, "link", "set", name, "addrgenmode", "none")
		command(t, "ip", "-n", end.in, "link", "set", name, "up")
		command(t, "ip", "-n", end.in, "addr", "add", end.four, "dev", name)
		command(t, "ip", "-n", end.in, "addr", "add", end.six, "dev", name, "nodad")
		local := "fe80::" + end.six[strings.LastIndex(end.six, ":")+1:]
		command(t, "ip", "-n", end.in, "addr", "add", local, "dev", name, "nodad", "scope", "link")
	}
}

func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// inside runs f in a namespace, on a thread that ends with it.
func inside(namespace string, f func() error) <-chan error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- enter(namespace, f)
	}()
	return done
}

func enter(namespace string, f func() error) error {
	fd, err := unix.Open("/run/netns/"+namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening namespace %s: %w", namespace, err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("entering namespace %s: %w", namespace, err)
	}
	return f()
}
