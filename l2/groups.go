//go:build linux

package l2

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// groups keeps one interface a member of the solicited-node groups of addresses,
// so that the interface, and switches that listen to MLD, let solicitations for
// them through. Membership is by ordinary sockets, on which nothing is received.
// It is for one goroutine at a time.
type groups struct {
	ifindex   int
	addresses map[netip.Addr]struct{}
	members   map[netip.Addr]*membership // by group
	sockets   []*groupSocket
}

// membership is in one group, which up to 2^104 addresses share.
type membership struct {
	addresses int
	socket    *groupSocket
}

// groupSocket holds memberships. The kernel gives each socket room for some
// hundreds to some thousands (net.core.optmem_max).
type groupSocket struct {
	fd   int
	full bool
}

func newGroups(ifindex int) *groups {
	return &groups{ifindex: ifindex, addresses: map[netip.Addr]struct{}{}, members: map[netip.Addr]*membership{}}
}

// sync has the interface be in the groups of those addresses of want that are
// IPv6, and in no others. What fails is reported and tried again by the next
// sync; the rest is done.
func (g *groups) sync(want map[netip.Addr]struct{}) error {
	for address := range g.addresses {
		if _, wanted := want[address]; !wanted {
			g.leave(address)
		}
	}
	var first error
	failed := 0
	for address := range want {
		if err := g.join(address); err != nil {
			failed++
			if first == nil {
				first = err
			}
		}
	}
	if failed > 1 {
		return fmt.Errorf("%w (and %d addresses more)", first, failed-1)
	}
	return first
}

// join adds one address. One of IPv4 or one that is there already does nothing.
func (g *groups) join(address netip.Addr) error {
	if _, there := g.addresses[address]; there || !address.Is6() {
		return nil
	}
	group := solicitedNode(address)
	m := g.members[group]
	if m == nil {
		socket, err := g.enter(group)
		if err != nil {
			return fmt.Errorf("joining group %v of %v on interface %d: %w", group, address, g.ifindex, err)
		}
		m = &membership{socket: socket}
		g.members[group] = m
	}
	m.addresses++
	g.addresses[address] = struct{}{}
	return nil
}

// leave removes one address; its group is left with the last one.
func (g *groups) leave(address netip.Addr) {
	if _, there := g.addresses[address]; !there {
		return
	}
	delete(g.addresses, address)
	group := solicitedNode(address)
	m := g.members[group]
	if m.addresses--; m.addresses > 0 {
		return
	}
	delete(g.members, group)
	// It fails only where the interface is gone, and with it the membership.
	_ = unix.SetsockoptIPv6Mreq(m.socket.fd, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, g.request(group))
	m.socket.full = false
}

// close leaves all groups.
func (g *groups) close() {
	for _, s := range g.sockets {
		unix.Close(s.fd)
	}
	*g = *newGroups(g.ifindex)
}

// enter makes the interface a member, by the first socket that has room.
func (g *groups) enter(group netip.Addr) (*groupSocket, error) {
	for _, s := range g.sockets {
		if s.full {
			continue
		}
		err := s.enter(g.request(group))
		if err == nil {
			return s, nil
		}
		if !s.full {
			return nil, err
		}
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	s := &groupSocket{fd: fd}
	if err := s.enter(g.request(group)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	g.sockets = append(g.sockets, s)
	return s, nil
}

func (g *groups) request(group netip.Addr) *unix.IPv6Mreq {
	return &unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(g.ifindex)}
}

func (s *groupSocket) enter(r *unix.IPv6Mreq) error {
	err := unix.SetsockoptIPv6Mreq(s.fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, r)
	s.full = errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS)
	return err
}
