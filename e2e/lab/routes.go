//go:build linux

package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Route is what the kernel does with packets to a prefix.
type Route struct {
	// NextHops are sorted.
	NextHops []netip.Addr
	// Since is when the kernel said so, to this process.
	Since time.Time
}

// routeTable is what daemons have in the kernel's table of one namespace, kept
// up to date by what the kernel says of changes.
type routeTable struct {
	socket  *os.File
	reading sync.WaitGroup

	mu     sync.Mutex
	routes map[netip.Prefix]Route
	// gone is when the last route of a prefix went.
	gone    map[netip.Prefix]time.Time
	changed chan struct{} // closed with the next change
	err     error
}

// watchRoutes begins with what is there.
func watchRoutes(ns namespace) (*routeTable, error) {
	t := &routeTable{routes: map[netip.Prefix]Route{}, gone: map[netip.Prefix]time.Time{}, changed: make(chan struct{})}
	err := ns.do(func() (err error) {
		t.socket, err = routeSocket()
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := t.list(); err != nil {
		t.socket.Close()
		return nil, err
	}
	t.reading.Go(t.read)
	return t, nil
}

func routeSocket() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	socket := os.NewFile(uintptr(fd), "routes")
	const room = 32 << 20 // tens of thousands of routes may come at once
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, room)
	}
	for _, group := range []int{unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE} {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			socket.Close()
			return nil, err
		}
	}
	return socket, nil
}

// list asks for all routes; the answer comes as changes do.
func (t *routeTable) list() error {
	request := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
	binary.NativeEndian.PutUint32(request[0:], uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], unix.RTM_GETROUTE)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	_, err := t.socket.Write(request)
	return err
}

func (t *routeTable) read() {
	buffer := make([]byte, 1<<20)
	for {
		n, err := t.socket.Read(buffer)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			err = t.relist()
		case err == nil:
			err = t.take(buffer[:n], time.Now())
		}
		if err != nil {
			t.fail(err)
			return
		}
	}
}

// relist is for when the kernel had more to say than there was room for.
func (t *routeTable) relist() error {
	t.mu.Lock()
	clear(t.routes)
	t.mu.Unlock()
	return t.list()
}

func (t *routeTable) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = fmt.Errorf("listening to the kernel's routes: %w", err)
	t.tell()
}

// tell wakes who waits. The lock is held.
func (t *routeTable) tell() {
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *routeTable) close() {
	t.socket.Close()
	t.reading.Wait()
}

func (t *routeTable) take(packet []byte, at time.Time) error {
	messages, err := syscall.ParseNetlinkMessage(packet)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWROUTE && m.Header.Type != unix.RTM_DELROUTE {
			continue
		}
		prefix, hops, ok := parseRoute(m.Data)
		if !ok {
			continue
		}
		t.change(prefix, hops, m.Header.Type == unix.RTM_NEWROUTE, at)
	}
	t.tell()
	return nil
}

// change notes that a route is there with all its next hops, or that it is gone
// or, if it is of IPv6, has lost some next hops.
func (t *routeTable) change(prefix netip.Prefix, hops []netip.Addr, there bool, at time.Time) {
	if !there && prefix.Addr().Is6() {
		left := slices.DeleteFunc(slices.Clone(t.routes[prefix].NextHops), func(a netip.Addr) bool { return slices.Contains(hops, a) })
		hops, there = left, len(left) > 0
	}
	if !there {
		delete(t.routes, prefix)
		t.gone[prefix] = at
		return
	}
	if slices.Equal(t.routes[prefix].NextHops, hops) {
		return // the kernel repeats itself
	}
	t.routes[prefix] = Route{NextHops: hops, Since: at}
}

// Routes are those of the kernel that daemons put there.
func (r *Router) Routes() map[netip.Prefix]Route {
	t := r.routes
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.routes)
}

// AwaitRoute returns when the kernel sends packets for the prefix to exactly
// those next hops, or has no such route if there are none, and since when it
// does: that may be before the call. It is zero for a route that never was.
func (r *Router) AwaitRoute(ctx context.Context, prefix netip.Prefix, nextHops ...netip.Addr) (time.Time, error) {
	want := slices.SortedFunc(slices.Values(nextHops), netip.Addr.Compare)
	for t := r.routes; ; {
		t.mu.Lock()
		route, gone, changed, err := t.routes[prefix], t.gone[prefix], t.changed, t.err
		t.mu.Unlock()
		switch {
		case err != nil:
			return time.Time{}, err
		case !slices.Equal(route.NextHops, want):
		case len(want) == 0:
			return gone, nil
		default:
			return route.Since, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("waiting until %s has %s by %v, which is by %v: %w",
				r.Name, prefix, want, route.NextHops, context.Cause(ctx))
		}
	}
}

// AwaitRoutes is AwaitRoute for many prefixes, and returns when the last of them
// was as it should be.
func (r *Router) AwaitRoutes(ctx context.Context, prefixes []netip.Prefix, nextHops ...netip.Addr) (last time.Time, err error) {
	for _, prefix := range prefixes {
		since, err := r.AwaitRoute(ctx, prefix, nextHops...)
		if err != nil {
			return time.Time{}, err
		}
		if since.After(last) {
			last = since
		}
	}
	return last, nil
}
