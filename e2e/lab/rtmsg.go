//go:build linux

package lab

import (
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// parseRoute takes a message of the kernel about a route apart, if that is one
// of a daemon's in the main table.
func parseRoute(message []byte) (prefix netip.Prefix, hops []netip.Addr, ok bool) {
	if len(message) < unix.SizeofRtMsg {
		return prefix, nil, false
	}
	family, bits, table, protocol := message[0], int(message[1]), message[4], message[5]
	if protocol != unix.RTPROT_BGP && protocol != unix.RTPROT_BIRD || table != unix.RT_TABLE_MAIN || message[3] != 0 {
		return prefix, nil, false
	}
	dst := netip.IPv4Unspecified()
	if family == unix.AF_INET6 {
		dst = netip.IPv6Unspecified()
	}
	for kind, value := range attributes(message[unix.SizeofRtMsg:]) {
		switch kind {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(value)
		case unix.RTA_MULTIPATH:
			hops = append(hops, parseMultipath(value)...)
		default:
			hops = append(hops, parseHop(kind, value)...)
		}
	}
	prefix = netip.PrefixFrom(dst, bits)
	slices.SortFunc(hops, netip.Addr.Compare)
	return prefix, hops, prefix.IsValid()
}

// parseMultipath reads records of struct rtnexthop, each with attributes.
func parseMultipath(b []byte) (hops []netip.Addr) {
	for len(b) >= unix.SizeofRtNexthop {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtNexthop || length > len(b) {
			return hops
		}
		for kind, value := range attributes(b[unix.SizeofRtNexthop:length]) {
			hops = append(hops, parseHop(kind, value)...)
		}
		b = b[min(aligned(length), len(b)):]
	}
	return hops
}

// parseHop returns one address at most. That of another family than the route's
// comes behind its family (RFC 8950).
func parseHop(kind uint16, value []byte) []netip.Addr {
	switch {
	case kind == unix.RTA_VIA && len(value) > 2:
		value = value[2:]
	case kind != unix.RTA_GATEWAY:
		return nil
	}
	if addr, ok := netip.AddrFromSlice(value); ok {
		return []netip.Addr{addr}
	}
	return nil
}

// attributes are those of netlink (struct rtattr), by kind.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			length, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
			if length < unix.SizeofRtAttr || length > len(b) || !yield(kind, b[unix.SizeofRtAttr:length]) {
				return
			}
			b = b[min(aligned(length), len(b)):]
		}
	}
}

// aligned is a length with what netlink fills up to four bytes.
func aligned(length int) int { return (length + 3) &^ 3 }
