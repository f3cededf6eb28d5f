package l2

import (
	"encoding/binary"
	"net/netip"
)

// Layout of a neighbour solicitation or advertisement (RFC 4861, sections 4.3
// and 4.4) without extension headers, from the start of the frame.
const (
	ipv6Payload  = ethernetHeader + 4
	ipv6Next     = ethernetHeader + 6
	ipv6HopLimit = ethernetHeader + 7
	ipv6Source   = ethernetHeader + 8
	ipv6To       = ipv6Source + 16
	ndpType      = ethernetHeader + 40
	ndpCode      = ndpType + 1
	ndpChecksum  = ndpType + 2
	ndpFlags     = ndpType + 4
	ndpTarget    = ndpType + 8
	ndpOptions   = ndpTarget + 16

	icmpv6        = 58
	solicitation  = 135
	advertisement = 136

	optionSource = 1 // source link-layer address
	optionTarget = 2 // target link-layer address
)

// naFlags are those of a neighbour advertisement.
type naFlags uint8

const (
	solicited naFlags = 0x40
	override  naFlags = 0x20
)

var (
	allNodes        = netip.MustParseAddr("ff02::1")
	solicitedPrefix = [13]byte{0xff, 0x02, 11: 1, 12: 0xff}
)

// parseNDP reads an Ethernet frame with a neighbour solicitation or
// advertisement; it checks all that RFC 4861, sections 7.1.1 and 7.1.2, asks
// for.
func parseNDP(b []byte) (frame, fault) {
	if len(b) < ndpOptions {
		return frame{}, faultShort
	}
	if binary.BigEndian.Uint16(b[12:]) != typeIPv6 || b[ethernetHeader]>>4 != 6 || b[ipv6Next] != icmpv6 {
		return frame{}, faultProtocol
	}
	end := ndpType + int(binary.BigEndian.Uint16(b[ipv6Payload:]))
	if end < ndpOptions || end > len(b) {
		return frame{}, faultShort
	}
	b = b[:end]
	f := frame{
		source:    mac(b[6:]),
		target:    netip.AddrFrom16([16]byte(b[ndpTarget:])),
		sender:    netip.AddrFrom16([16]byte(b[ipv6Source:])),
		broadcast: mac(b).group(),
	}
	wanted := byte(optionSource)
	switch b[ndpType] {
	case solicitation:
		f.kind = request
	case advertisement:
		f.kind, wanted = reply, optionTarget
		f.gratuitous = naFlags(b[ndpFlags])&solicited == 0
	default:
		return frame{}, faultOperation
	}
	switch {
	case b[ndpCode] != 0:
		return frame{}, faultOperation
	case b[ipv6HopLimit] != 255:
		return frame{}, faultHopLimit
	case icmpv6Checksum(b) != 0:
		return frame{}, faultChecksum
	}
	owner, given, ok := linkLayerOption(b[ndpOptions:], wanted)
	switch {
	case !ok:
		return frame{}, faultOption
	case !addressesAgree(&f, netip.AddrFrom16([16]byte(b[ipv6To:])), given):
		return frame{}, faultAddress
	}
	// Kernels leave it out of the answer to a unicast question (RFC 4861,
	// section 4.4): who was reached by it is the owner.
	f.owner = f.source
	if given {
		f.owner = owner
	}
	if !f.source.host() || !f.owner.host() {
		return frame{}, faultHardware
	}
	return f, noFault
}

// addressesAgree says whether the addresses of f, which was sent to to, can
// stand together.
func addressesAgree(f *frame, to netip.Addr, option bool) bool {
	switch {
	case !f.target.IsGlobalUnicast() && !f.target.IsLinkLocalUnicast():
		return false
	case f.sender.IsMulticast(), f.sender.IsLoopback():
		return false
	case f.kind == reply:
		return !f.sender.IsUnspecified() && (f.gratuitous || !to.IsMulticast())
	case f.sender.IsUnspecified():
		return !option && isSolicitedNode(to)
	}
	return true
}

// linkLayerOption finds the first option of the kind that carries an Ethernet
// address. ok means that all options have a length.
func linkLayerOption(options []byte, kind byte) (address mac, found, ok bool) {
	for len(options) > 0 {
		if len(options) < 8 {
			return mac{}, false, false
		}
		size := 8 * int(options[1])
		if size == 0 || size > len(options) {
			return mac{}, false, false
		}
		if options[0] == kind && size == 8 && !found {
			address, found = mac(options[2:]), true
		}
		options = options[size:]
	}
	return address, found, true
}

// solicitedNode returns the group that asks for a (RFC 4291, section 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	target, group := a.As16(), [16]byte{}
	copy(group[:], solicitedPrefix[:])
	copy(group[13:], target[13:])
	return netip.AddrFrom16(group)
}

func isSolicitedNode(a netip.Addr) bool {
	bytes := a.As16()
	return [13]byte(bytes[:]) == solicitedPrefix
}

// groupMAC returns where frames to a multicast address go (RFC 2464, section 7).
func groupMAC(group netip.Addr) mac {
	bytes := group.As16()
	return mac{0x33, 0x33, bytes[12], bytes[13], bytes[14], bytes[15]}
}

// appendNA appends the advertisement that address is at owner, for asker, who
// is at to.
//
// The address is its own source: the kernel of an owner would choose the same;
// it has the scope that the asker can answer to, and needs no other address on
// the interface. Who reads it goes by the target.
func appendNA(b []byte, own, owner mac, address netip.Addr, to mac, asker netip.Addr, flags naFlags) []byte {
	return appendNDP(b, own, to, address, asker, advertisement, flags, address, optionTarget, owner)
}

// appendNS appends the solicitation for target, to all who may have it if to
// is broadcast.
func appendNS(b []byte, own mac, sender netip.Addr, to mac, target netip.Addr) []byte {
	destination := target
	option := byte(optionSource)
	if !sender.Is6() || sender.IsUnspecified() {
		// RFC 4861, section 7.1.1: a probe goes to the group, and names nobody.
		sender, option = netip.IPv6Unspecified(), 0
		destination = solicitedNode(target)
	}
	if to.group() {
		destination = solicitedNode(target)
		to = groupMAC(destination)
	}
	return appendNDP(b, own, to, sender, destination, solicitation, 0, target, option, own)
}

func appendNDP(b []byte, own, to mac, source, destination netip.Addr, kind byte, flags naFlags, target netip.Addr, option byte, address mac) []byte {
	start := len(b)
	size := byte(ndpOptions - ndpType)
	if option != 0 {
		size += 8
	}
	b = appendEthernet(b, to, own, typeIPv6)
	b = append(b, 6<<4, 0, 0, 0, 0, size, icmpv6, 255)
	b = appendIPv6(b, source)
	b = appendIPv6(b, destination)
	b = append(b, kind, 0, 0, 0, byte(flags), 0, 0, 0)
	b = appendIPv6(b, target)
	if option != 0 {
		b = append(b, option, 1)
		b = append(b, address[:]...)
	}
	binary.BigEndian.PutUint16(b[start+ndpChecksum:], icmpv6Checksum(b[start:]))
	return b
}

func appendIPv6(b []byte, a netip.Addr) []byte {
	bytes := a.As16()
	return append(b, bytes[:]...)
}

// icmpv6Checksum sums what follows the IPv6 header of the frame, and the
// pseudo header (RFC 8200, section 8.1). It is zero where the frame has its
// checksum already.
func icmpv6Checksum(b []byte) uint16 {
	sum := uint32(len(b)-ndpType) + icmpv6
	for rest := b[ipv6Source:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) == 1 {
			sum += uint32(rest[0]) << 8
			break
		}
		sum += uint32(rest[0])<<8 | uint32(rest[1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
