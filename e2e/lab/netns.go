//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/berth-lb/berth/e2e/cluster"
)

// netnsDir is where iproute2 keeps namespaces by name.
const netnsDir = "/run/netns"

// common begins the name of every namespace of every lab; the number of the
// process that made it follows.
const common = "berth-lab-"

// namespace is a network namespace that iproute2 knows by name.
type namespace struct{ name string }

func (ns namespace) path() string { return filepath.Join(netnsDir, ns.name) }

func (ns namespace) do(fn func() error) error { return cluster.InNetns(ns.path(), fn) }

var labs atomic.Int64

// newPrefix begins the names of all namespaces of one lab.
func newPrefix() string {
	return fmt.Sprintf("%s%d-%d-", common, os.Getpid(), labs.Add(1))
}

// removeNamespaces removes what is left of the labs whose prefix is gone.
func removeNamespaces(gone func(name string) bool) error {
	entries, err := os.ReadDir(netnsDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var batch commands
	for _, entry := range entries {
		if gone(entry.Name()) {
			batch.add("netns del %s", entry.Name())
		}
	}
	return batch.run()
}

// leftovers has one lab at a time look for them.
var leftovers sync.Mutex

func removeLeftovers() error {
	leftovers.Lock()
	defer leftovers.Unlock()
	return removeNamespaces(isLeftover)
}

// isLeftover tells whether a namespace is one of a lab whose process died
// before it could clean up.
func isLeftover(name string) bool {
	rest, ours := strings.CutPrefix(name, common)
	if !ours {
		return false
	}
	digits, _, _ := strings.Cut(rest, "-")
	pid, err := strconv.Atoi(digits)
	return err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// killAll kills every process in the namespaces, whoever started it, and
// returns when the signal is sent to all.
func killAll(spaces []namespace) error {
	doomed := map[uint64]bool{}
	for _, ns := range spaces {
		var st syscall.Stat_t
		if err := syscall.Stat(ns.path(), &st); err != nil {
			return fmt.Errorf("looking at the namespace %s: %w", ns.name, err)
		}
		doomed[st.Ino] = true
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		// A thread of this process may be in any namespace for a while.
		if err != nil || pid == os.Getpid() {
			continue
		}
		var st syscall.Stat_t
		if syscall.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) == nil && doomed[st.Ino] {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return nil
}

// sysctls are set in a new namespace before it has interfaces, so that they
// inherit them.
func (ns namespace) sysctls(values map[string]string) error {
	return ns.do(func() error {
		for name, value := range values {
			path := "/proc/sys/net/" + name
			if err := os.WriteFile(path, []byte(value), 0); err != nil {
				return fmt.Errorf("setting a sysctl in %s: %w", ns.name, err)
			}
		}
		return nil
	})
}

// everyStation holds on all interfaces: addresses are usable at once, and
// nothing comes from router advertisements.
var everyStation = map[string]string{
	"ipv6/conf/all/accept_dad":     "0",
	"ipv6/conf/default/accept_dad": "0",
	"ipv6/conf/all/accept_ra":      "0",
	"ipv6/conf/default/accept_ra":  "0",
	"ipv4/conf/all/rp_filter":      "0",
	"ipv4/conf/default/rp_filter":  "0",
}

// everyNode forwards, as a node does that a kubelet prepared.
var everyNode = map[string]string{
	"ipv4/ip_forward":          "1",
	"ipv6/conf/all/forwarding": "1",
}

// everyRouter spreads flows over the next hops of a route, by address and port.
var everyRouter = map[string]string{
	"ipv4/ip_forward":                "1",
	"ipv6/conf/all/forwarding":       "1",
	"ipv4/fib_multipath_hash_policy": "1",
	"ipv6/fib_multipath_hash_policy": "1",
}
