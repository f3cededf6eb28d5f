//go:build linux

package l2

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/berth-lb/berth/e2e/lab"
)

// Frames as hosts do, and do not, send them. They are put together here, apart
// from what the speakers read them with.

var broadcast = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// arp is an ARP packet for IPv4 over Ethernet (RFC 826), to all.
func arp(operation byte, mac []byte, sender netip.Addr, targetMAC []byte, target netip.Addr) []byte {
	return slices.Concat(broadcast, mac, []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, operation},
		mac, sender.AsSlice(), targetMAC, target.AsSlice())
}

// Types of NDP messages, and their options (RFC 4861, sections 4.3, 4.4, 4.6.1).
const (
	solicitation, advertisement = 135, 136
	sourceOption, targetOption  = 1, 2
	override                    = 0x20
)

// ndp is a message about target, with its checksum, from an address to another.
func ndp(kind, flags byte, mac []byte, from, to, target netip.Addr, options ...byte) []byte {
	message := slices.Concat([]byte{kind, 0, 0, 0, flags, 0, 0, 0}, target.AsSlice(), options)
	packet := slices.Concat([]byte{0x60, 0, 0, 0, 0, byte(len(message)), 58, 255}, from.AsSlice(), to.AsSlice(), message)
	group := to.As16()
	frame := slices.Concat([]byte{0x33, 0x33}, group[12:], mac, []byte{0x86, 0xdd}, packet)
	seal(frame)
	return frame
}

// Where parts of an NDP frame are.
const (
	payloadAt  = 14 + 4
	hopLimitAt = 14 + 7
	sourceAt   = 14 + 8
	messageAt  = 14 + 40
	checksumAt = messageAt + 2
)

// seal gives an NDP frame the right checksum (RFC 4443, section 2.3).
func seal(frame []byte) {
	binary.BigEndian.PutUint16(frame[checksumAt:], 0)
	sum := uint32(len(frame)-messageAt) + 58
	for rest := frame[sourceAt:]; len(rest) >= 2; rest = rest[2:] {
		sum += uint32(binary.BigEndian.Uint16(rest))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(frame[checksumAt:], ^uint16(sum))
}

// group is where solicitations for an address go (RFC 4291, section 2.7.1).
func group(address netip.Addr) netip.Addr {
	bytes, all := address.As16(), netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(all[13:], bytes[13:])
	return netip.AddrFrom16(all)
}

func linkLayer(kind byte, mac []byte) []byte { return append([]byte{kind, 1}, mac...) }

// changed is a copy of a frame with other bytes at some place.
func changed(frame []byte, at int, bytes ...byte) []byte {
	frame = slices.Clone(frame)
	copy(frame[at:], bytes)
	return frame
}

// truncated are questions that end too early. Where they are thrown away depends
// on the switch and the kernel, so that nothing may count them.
func truncated(c *lab.Client, v4, v6 netip.Addr) (frames [][]byte) {
	asks4 := arp(1, c.MAC, c.IPv4, make([]byte, 6), v4)
	asks6 := ndp(solicitation, 0, c.MAC, c.IPv6, group(v6), v6, linkLayer(sourceOption, c.MAC)...)
	for _, whole := range [][]byte{asks4, asks6} {
		for length := 14; length < len(whole); length++ {
			frames = append(frames, whole[:length])
		}
	}
	return append(frames, changed(asks6, payloadAt, 0xff, 0xff))
}

// malformed are questions and claims of a client about addresses of both
// families, by what a speaker should say is wrong with them. They go to owner
// alone: the kernels of other clients may believe them.
func malformed(c *lab.Client, owner []byte, v4, v6 netip.Addr) map[string][][]byte {
	none := make([]byte, 6)
	asks := ndp(solicitation, 0, c.MAC, c.IPv6, group(v6), v6, linkLayer(sourceOption, c.MAC)...)
	claims := ndp(advertisement, override, c.MAC, c.IPv6, netip.MustParseAddr("ff02::1"), v6, linkLayer(targetOption, c.MAC)...)
	sealed := func(frame []byte, at int, bytes ...byte) []byte {
		frame = changed(frame, at, bytes...)
		seal(frame)
		return frame
	}
	all := map[string][][]byte{
		"hardware_address": {
			changed(arp(1, c.MAC, c.IPv4, none, v4), 22, broadcast...),
			changed(arp(2, c.MAC, v4, broadcast, v4), 22, none...),
			sealed(claims, len(claims)-6, broadcast...),
		},
		"address":   {arp(1, c.MAC, netip.MustParseAddr("224.0.0.1"), none, v4), arp(1, c.MAC, netip.MustParseAddr("127.0.0.1"), none, v4)},
		"checksum":  {changed(asks, checksumAt, 0, 1), changed(claims, checksumAt, 0, 1)},
		"hop_limit": {changed(asks, hopLimitAt, 254), changed(claims, hopLimitAt, 1)},
		"option":    {sealed(asks, len(asks)-7, 0), sealed(claims, len(claims)-7, 9)},
		"operation": {sealed(asks, messageAt+1, 7)},
	}
	for _, frames := range all {
		for i := range frames {
			frames[i] = changed(frames[i], 0, owner...)
		}
	}
	return all
}
