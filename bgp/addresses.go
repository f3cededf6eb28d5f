//go:build linux

package bgp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// locals are the addresses of this node on an interface that routers there can
// send to, one a family, invalid where there is none.
type locals struct{ v4, v6 netip.Addr }

// againAddresses is the pause before the kernel is asked again for what it did not
// tell. It gives up a list when any address of the node changes meanwhile.
const againAddresses = time.Second

// addressesOf are all addresses of this node on an interface, as the kernel
// lists them.
func addressesOf(index int) ([]netlink.Addr, error) {
	if index == 0 {
		return nil, nil
	}
	link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}
	var all []netlink.Addr
	err := error(netlink.ErrDumpInterrupted)
	for tries := 3; tries > 0 && errors.Is(err, netlink.ErrDumpInterrupted); tries-- {
		all, err = netlink.AddrList(link, netlink.FAMILY_ALL)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the addresses of interface %d: %w", index, err)
	}
	return all, nil
}

// choose finds those that stay the longest: what other daemons move from node to
// node comes last, and so do temporary ones (RFC 8981).
func choose(all []netlink.Addr, source netip.Addr) locals {
	var best locals
	rank4, rank6 := 0, 0
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		if !ok || !reachable(a) {
			continue
		}
		rank := rankOf(a)
		if ip == source {
			rank = asked
		}
		// The kernel has the oldest of IPv4 first, and the oldest of IPv6 last.
		switch {
		case ip.Is4() && rank > rank4:
			best.v4, rank4 = ip, rank
		case ip.Is6() && rank >= rank6:
			best.v6, rank6 = ip, rank
		}
	}
	return best
}

// reachable says that routers can send to an address, and will be able to.
func reachable(a netlink.Addr) bool {
	const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	return a.Scope == unix.RT_SCOPE_UNIVERSE && a.Flags&unusable == 0
}

// The ranks of addresses.
const (
	host      = 1 + iota // alone in its prefix, as virtual addresses are
	transient            // or, with IPv4, beside another one of its network
	ordinary
	asked
)

func rankOf(a netlink.Addr) int {
	ones, bits := a.Mask.Size()
	switch {
	case ones == bits:
		return host
	case a.Flags&unix.IFA_F_TEMPORARY != 0: // IFA_F_SECONDARY is the same bit
		return transient
	}
	return ordinary
}

// followAddresses calls changed with the index of each interface whose addresses
// have changed, and with 0 where it may be any, until ctx ends.
func followAddresses(ctx context.Context, changed func(index int), failed func(error)) {
	for ctx.Err() == nil {
		if err := hearAddresses(ctx, changed); ctx.Err() == nil {
			failed(err)
		}
		pause(ctx, againAddresses)
	}
}

func hearAddresses(ctx context.Context, changed func(index int)) error {
	socket, err := subscribeAddresses()
	if err != nil {
		return err
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, socket.Close)()
	changed(0) // meanwhile
	for {
		all, err := receiveAddresses(socket)
		if err != nil {
			return err
		}
		for _, index := range all {
			changed(index)
		}
	}
}

func subscribeAddresses() (*nl.NetlinkSocket, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("following the addresses of this node: %w", err)
	}
	return socket, nil
}

// receiveAddresses waits for changes, and returns the interfaces that have them.
func receiveAddresses(socket *nl.NetlinkSocket) (indexes []int, err error) {
	messages, _, err := socket.Receive()
	if err != nil {
		return nil, fmt.Errorf("following the addresses of this node: %w", err)
	}
	for _, m := range messages {
		if len(m.Data) >= unix.SizeofIfAddrmsg {
			indexes = append(indexes, int(binary.NativeEndian.Uint32(m.Data[4:])))
		}
	}
	return indexes, nil
}
