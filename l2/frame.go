package l2

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
)

// mac is an Ethernet address.
type mac [6]byte

var (
	broadcast = mac{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	// allNodesMAC is where frames to ff02::1 go (RFC 2464, section 7).
	allNodesMAC = mac{0x33, 0x33, 0, 0, 0, 1}
)

// group says that m stands for many hosts.
func (m mac) group() bool { return m[0]&1 != 0 }

// host says that m can be the address of one host.
func (m mac) host() bool { return !m.group() && m != mac{} }

func (m mac) String() string {
	var text [17]byte
	for i, b := range m {
		hex.Encode(text[3*i:], []byte{b})
		if i > 0 {
			text[3*i-1] = ':'
		}
	}
	return string(text[:])
}

// frameKind is what a frame does, whatever the protocol.
type frameKind uint8

const (
	// request is an ARP request or a neighbour solicitation.
	request frameKind = iota + 1
	// reply is an ARP reply or a neighbour advertisement.
	reply
)

// frame is what an ARP or NDP frame says.
type frame struct {
	kind frameKind
	// source is the sender on the link.
	source mac
	// target is the address asked for, or told about.
	target netip.Addr
	// sender is the address that asks or tells; unspecified in probes for a
	// duplicate (RFC 5227, section 2.1.1; RFC 4862, section 5.4.2).
	sender netip.Addr
	// owner is, in a reply, where the target is said to be; in a request it is
	// where the answer has to go. Both may be another host than source.
	owner mac
	// gratuitous frames tell without having been asked.
	gratuitous bool
	// broadcast frames went to a group of hosts.
	broadcast bool
}

// fault is why a frame was not understood.
type fault uint8

const (
	noFault fault = iota
	faultShort
	faultProtocol
	faultOperation
	faultHopLimit
	faultChecksum
	faultOption
	faultHardware
	faultAddress
	faults // how many there are
)

var faultNames = [faults]string{"none", "short", "protocol", "operation", "hop_limit", "checksum", "option", "hardware_address", "address"}

// String names the fault as metrics do.
func (f fault) String() string { return faultNames[f] }

// Sizes and types of Ethernet II.
const (
	ethernetHeader  = 14
	minimumEthernet = 60 // without the checksum
	typeARP         = 0x0806
	typeIPv6        = 0x86dd
	// longestFrame is more than any frame has that is read or written here.
	longestFrame = 1514
)

func appendEthernet(b []byte, to, source mac, ethertype uint16) []byte {
	b = append(b, to[:]...)
	b = append(b, source[:]...)
	return binary.BigEndian.AppendUint16(b, ethertype)
}

// appendAnswer appends the answer to f, which is a request: its target is at
// owner. own is the port's address, from which every frame leaves, so that no
// switch learns another node's address here.
func appendAnswer(b []byte, f *frame, own, owner mac) []byte {
	switch {
	case f.target.Is4():
		return appendARPReply(b, own, owner, f.target, f.owner, f.sender)
	case f.sender.IsUnspecified():
		// RFC 4861, section 7.2.4: who looks for a duplicate has no address.
		return appendNA(b, own, owner, f.target, allNodesMAC, allNodes, override)
	}
	return appendNA(b, own, owner, f.target, f.owner, f.sender, solicited|override)
}

// appendGratuitous appends one frame that tells everybody unasked that address
// is at owner. For IPv4 there are two, as request and as reply: some hosts
// heed only the one, some only the other. For IPv6 the kind makes no difference.
func appendGratuitous(b []byte, kind frameKind, own, owner mac, address netip.Addr) []byte {
	if address.Is4() {
		return appendARPGratuitous(b, kind, own, owner, address)
	}
	return appendNA(b, own, owner, address, allNodesMAC, allNodes, override)
}

// appendQuestion appends a request for target, sent by sender, which may be
// unspecified, to one host, or to all if to is broadcast.
func appendQuestion(b []byte, own mac, sender netip.Addr, to mac, target netip.Addr) []byte {
	if target.Is4() {
		return appendARPRequest(b, own, sender, to, target)
	}
	return appendNS(b, own, sender, to, target)
}
