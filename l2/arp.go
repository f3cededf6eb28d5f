package l2

import (
	"encoding/binary"
	"net/netip"
)

// Layout of an ARP packet for IPv4 over Ethernet (RFC 826), from the start of
// the frame.
const (
	arpFormat    = ethernetHeader
	arpOperation = arpFormat + 6
	arpSenderMAC = arpOperation + 2
	arpSender    = arpSenderMAC + 6
	arpTarget    = arpSender + 4 + 6
	arpEnd       = arpTarget + 4

	arpRequest = 1
	arpReply   = 2
)

// arpFormatBytes are hardware type, protocol type, and their address lengths.
var arpFormatBytes = [6]byte{0, 1, 0x08, 0, 6, 4}

// parseARP reads an Ethernet frame. A tagged one is of a VLAN that has an
// interface of its own, or none.
func parseARP(b []byte) (frame, fault) {
	if len(b) < arpEnd {
		return frame{}, faultShort
	}
	if binary.BigEndian.Uint16(b[12:]) != typeARP || [6]byte(b[arpFormat:]) != arpFormatBytes {
		return frame{}, faultProtocol
	}
	sender, target := ipv4(b[arpSender:]), ipv4(b[arpTarget:])
	f := frame{
		kind:       request,
		source:     mac(b[6:]),
		target:     target,
		sender:     sender,
		owner:      mac(b[arpSenderMAC:]),
		gratuitous: sender == target,
		broadcast:  mac(b).group(),
	}
	switch binary.BigEndian.Uint16(b[arpOperation:]) {
	case arpRequest:
	case arpReply:
		f.kind, f.target = reply, sender
	default:
		return frame{}, faultOperation
	}
	switch {
	case !f.source.host(), !f.owner.host():
		return frame{}, faultHardware
	case !f.target.IsGlobalUnicast() && !f.target.IsLinkLocalUnicast(),
		!sender.IsUnspecified() && !sender.IsGlobalUnicast() && !sender.IsLinkLocalUnicast():
		return frame{}, faultAddress
	}
	return f, noFault
}

func ipv4(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b)) }

// appendARPReply appends the answer to the question for address of asker, who
// is at to.
func appendARPReply(b []byte, own, owner mac, address netip.Addr, to mac, asker netip.Addr) []byte {
	return appendARP(b, own, to, arpReply, owner, address, to, asker)
}

// appendARPRequest appends the question for target.
func appendARPRequest(b []byte, own mac, sender netip.Addr, to mac, target netip.Addr) []byte {
	return appendARP(b, own, to, arpRequest, own, sender, mac{}, target)
}

// appendARPGratuitous appends the announcement that address is at owner: as a
// request (RFC 5227, section 2.3) or as a reply (RFC 5944, section 4.6).
func appendARPGratuitous(b []byte, kind frameKind, own, owner mac, address netip.Addr) []byte {
	if kind == request {
		return appendARP(b, own, broadcast, arpRequest, owner, address, mac{}, address)
	}
	return appendARP(b, own, broadcast, arpReply, owner, address, owner, address)
}

func appendARP(b []byte, own, to mac, operation uint16, senderMAC mac, sender netip.Addr, targetMAC mac, target netip.Addr) []byte {
	start := len(b)
	b = appendEthernet(b, to, own, typeARP)
	b = append(b, arpFormatBytes[:]...)
	b = binary.BigEndian.AppendUint16(b, operation)
	b = append(b, senderMAC[:]...)
	b = appendIPv4(b, sender)
	b = append(b, targetMAC[:]...)
	b = appendIPv4(b, target)
	for len(b) < start+minimumEthernet {
		b = append(b, 0)
	}
	return b
}

// appendIPv4 appends zeros for an address that there is none of.
func appendIPv4(b []byte, a netip.Addr) []byte {
	if !a.Is4() {
		return append(b, 0, 0, 0, 0)
	}
	bytes := a.As4()
	return append(b, bytes[:]...)
}
