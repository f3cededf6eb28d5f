//go:build linux

package lab

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// The kernel notices later than `ip` returns that a link has a carrier: until
// then a port of the switch forwards nothing, and IPv6 addresses are not used.

// awaitLinks returns when the interfaces of the namespace have a carrier.
func (ns namespace) awaitLinks(names ...string) error {
	return ns.await("links have a carrier", func() (bool, error) {
		for _, name := range names {
			link, err := net.InterfaceByName(name)
			if err != nil || link.Flags&net.FlagRunning == 0 {
				return false, err
			}
		}
		return true, nil
	})
}

// awaitAddress returns when the kernel uses the IPv6 address.
func (ns namespace) awaitAddress(addr netip.Addr) error {
	return ns.await(addr.String()+" is usable", func() (bool, error) {
		table, err := os.ReadFile("/proc/thread-self/net/if_inet6")
		return usable(table, addr), err
	})
}

// usable tells whether a table of IPv6 addresses has that one, neither
// tentative nor failed.
func usable(table []byte, addr netip.Addr) bool {
	const tentative, failed = 0x40, 0x08
	want := hex.EncodeToString(addr.AsSlice())
	for line := range bytes.Lines(table) {
		fields := bytes.Fields(line)
		if len(fields) < 5 || string(fields[0]) != want {
			continue
		}
		flags, err := strconv.ParseUint(string(fields[4]), 16, 32)
		return err == nil && flags&(tentative|failed) == 0
	}
	return false
}

func (ns namespace) await(what string, is func() (bool, error)) error {
	err := wait.PollUntilContextTimeout(context.Background(), 2*time.Millisecond, Patience, true,
		func(context.Context) (ok bool, err error) {
			outer := ns.do(func() error {
				ok, err = is()
				return nil
			})
			return ok, errors.Join(outer, err)
		})
	if err != nil {
		return fmt.Errorf("waiting until in %s %s: %w", ns.name, what, err)
	}
	return nil
}

// awaitStations returns when stations reach each other.
func (g *segment) awaitStations(stations ...*Station) error {
	var ports []string
	for _, s := range stations {
		ports = append(ports, s.Name)
		if err := s.ns.awaitLinks("eth0"); err != nil {
			return err
		}
		if err := s.ns.awaitAddress(s.IPv6); err != nil {
			return err
		}
	}
	return g.ns.awaitLinks(ports...)
}
