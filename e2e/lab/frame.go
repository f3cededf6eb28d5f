package lab

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

// Claim is what a frame says about who owns an address: an ARP request or
// reply (RFC 826), or a neighbour advertisement (RFC 4861, section 4.4).
type Claim struct {
	Addr netip.Addr
	// MAC is the one that the message names, From that which sent the frame.
	MAC, From net.HardwareAddr
	// Gratuitous is a claim that nobody asked for: ARP about the sender's own
	// address to all, or an advertisement that is not solicited.
	Gratuitous bool
	// Request is an ARP request. One that is not gratuitous asks for another
	// address, and tells the sender's by the way.
	Request bool
}

const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	ethernetLength = 14
	ipv6Length     = 40

	protocolICMPv6 = 58
	neighbourAsk   = 135
	neighbourTell  = 136
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// parseClaim reads an Ethernet frame. It tells whether that makes a claim.
func parseClaim(frame []byte) (Claim, bool) {
	if len(frame) < ethernetLength {
		return Claim{}, false
	}
	from, payload := bytes.Clone(frame[6:12]), frame[ethernetLength:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return parseARP(from, payload)
	case etherIPv6:
		return parseAdvertisement(from, payload)
	}
	return Claim{}, false
}

func parseARP(from net.HardwareAddr, arp []byte) (Claim, bool) {
	if len(arp) < 28 || !bytes.Equal(arp[:6], []byte{0, 1, 8, 0, 6, 4}) {
		return Claim{}, false
	}
	sender := netip.AddrFrom4([4]byte(arp[14:18]))
	return Claim{
		Addr:       sender,
		MAC:        bytes.Clone(arp[8:14]),
		From:       from,
		Gratuitous: bytes.Equal(arp[14:18], arp[24:28]),
		Request:    arp[7] == 1,
	}, !sender.IsUnspecified()
}

func parseAdvertisement(from net.HardwareAddr, packet []byte) (Claim, bool) {
	const fixed = 24
	if len(packet) < ipv6Length+fixed || packet[6] != protocolICMPv6 || packet[ipv6Length] != neighbourTell {
		return Claim{}, false
	}
	message := packet[ipv6Length:]
	mac := from
	for options := message[fixed:]; len(options) >= 8; {
		length := int(options[1]) * 8
		if length == 0 || length > len(options) {
			return Claim{}, false
		}
		if options[0] == 2 { // target link-layer address
			mac = bytes.Clone(options[2:8])
		}
		options = options[length:]
	}
	solicited := message[4]&0x40 != 0
	return Claim{Addr: netip.AddrFrom16([16]byte(message[8:24])), MAC: mac, From: from, Gratuitous: !solicited}, true
}

func arpRequest(mac net.HardwareAddr, sender, about netip.Addr) []byte {
	frame := ethernet(broadcast, mac, etherARP)
	frame = append(frame, 0, 1, 8, 0, 6, 4, 0, 1)
	frame = append(append(frame, mac...), sender.AsSlice()...)
	return append(append(frame, make([]byte, 6)...), about.AsSlice()...)
}

// solicitation is a neighbour solicitation to the group of the address
// (RFC 4861, sections 4.3 and 7.2.2).
func solicitation(mac net.HardwareAddr, sender, about netip.Addr) []byte {
	target := about.As16()
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(group[13:], target[13:])

	message := append([]byte{neighbourAsk, 0, 0, 0, 0, 0, 0, 0}, target[:]...)
	message = append(append(message, 1, 1), mac...)
	binary.BigEndian.PutUint16(message[2:], checksum(sender.As16(), group, message))

	frame := ethernet(append(net.HardwareAddr{0x33, 0x33}, group[12:]...), mac, etherIPv6)
	frame = append(frame, 0x60, 0, 0, 0, 0, byte(len(message)), protocolICMPv6, 255)
	frame = append(append(frame, sender.AsSlice()...), group[:]...)
	return append(frame, message...)
}

func ethernet(to, from net.HardwareAddr, kind uint16) []byte {
	return binary.BigEndian.AppendUint16(append(append([]byte{}, to...), from...), kind)
}

// checksum is that of ICMPv6 (RFC 4443, section 2.3), for a message of an even
// length whose own checksum is zero.
func checksum(from, to [16]byte, message []byte) uint16 {
	sum := uint32(len(message)) + protocolICMPv6
	for _, part := range [][]byte{from[:], to[:], message} {
		for ; len(part) >= 2; part = part[2:] {
			sum += uint32(binary.BigEndian.Uint16(part))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
