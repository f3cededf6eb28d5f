package l2

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

var (
	vip6   = netip.MustParseAddr("2001:db8::10")
	asker6 = netip.MustParseAddr("fe80::aa")
)

// Frames drawn by hand from the RFC; the sums were made apart from this code.
const (
	goldenNA = `
		02 00 00 00 00 aa  02 00 00 00 00 01  86 dd
		60 00 00 00  00 20 3a ff
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10  # source: the address
		fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 aa
		88 00 b8 e5  60 00 00 00                         # solicited, override
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
		02 01 02 00 00 00 00 01`
	goldenNS = `
		33 33 ff 00 00 10  02 00 00 00 00 aa  86 dd
		60 00 00 00  00 20 3a ff
		fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 aa
		ff 02 00 00 00 00 00 00 00 00 00 01 ff 00 00 10  # solicited-node group
		87 00 49 f1  00 00 00 00
		20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 10
		01 01 02 00 00 00 00 aa`
)

func TestGoldenNDP(t *testing.T) {
	if got, want := appendNA(nil, ownMAC, ownMAC, vip6, askerMAC, asker6, solicited|override), wire(t, goldenNA); !bytes.Equal(got, want) {
		t.Errorf("advertisement:\n got %x\nwant %x", got, want)
	}
	if got, want := appendNS(nil, askerMAC, asker6, broadcast, vip6), wire(t, goldenNS); !bytes.Equal(got, want) {
		t.Errorf("solicitation:\n got %x\nwant %x", got, want)
	}
}

// ndpFrame makes frames that the code under test would not.
type ndpFrame struct {
	to, source       mac
	sender, receiver netip.Addr
	kind, flags      byte
	target           netip.Addr
	options          []byte
	hops             byte
}

func (f ndpFrame) bytes() []byte {
	b := appendEthernet(nil, f.to, f.source, typeIPv6)
	b = append(b, 6<<4, 0, 0, 0, 0, byte(24+len(f.options)), icmpv6, f.hops)
	b = appendIPv6(b, f.sender)
	b = appendIPv6(b, f.receiver)
	b = append(b, f.kind, 0, 0, 0, f.flags, 0, 0, 0)
	b = appendIPv6(b, f.target)
	return summed(append(b, f.options...))
}

// summed corrects the checksum of a frame.
func summed(b []byte) []byte {
	b = edit(b, ndpChecksum, 0, 0)
	binary.BigEndian.PutUint16(b[ndpChecksum:], icmpv6Checksum(b))
	return b
}

func TestParseNDP(t *testing.T) {
	sourceOption := []byte{1, 1, 2, 0, 0, 0, 0, 0xaa}
	nonce := []byte{14, 1, 1, 2, 3, 4, 5, 6}
	plain := ndpFrame{to: groupMAC(solicitedNode(vip6)), source: askerMAC, sender: asker6, receiver: solicitedNode(vip6), kind: solicitation, target: vip6, hops: 255}
	asks := frame{kind: request, source: askerMAC, owner: askerMAC, sender: asker6, target: vip6, broadcast: true}
	probes := asks
	probes.sender = netip.IPv6Unspecified()
	probe := appendNS(nil, askerMAC, netip.IPv6Unspecified(), broadcast, vip6)

	with := func(options ...[]byte) []byte {
		f := plain
		f.options = bytes.Join(options, nil)
		return f.bytes()
	}
	bare := ndpFrame{to: askerMAC, source: ownMAC, sender: vip6, receiver: asker6, kind: advertisement, flags: byte(solicited), target: vip6, hops: 255}
	for _, c := range []struct {
		name  string
		bytes []byte
		want  frame
	}{
		{"a question", wire(t, goldenNS), asks},
		{"a question without link-layer address: back to where it came from", with(), asks},
		{"after an option that is not known here", with(nonce, sourceOption), asks},
		{"a link-layer address of another kind of link is none", with([]byte{1, 2, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}), asks},
		{"padded by a switch", append(with(), make([]byte, 30)...), asks},
		{"to this host alone", appendNS(nil, askerMAC, asker6, ownMAC, vip6),
			frame{kind: request, source: askerMAC, owner: askerMAC, sender: asker6, target: vip6}},
		{"a probe for a duplicate", probe, probes},
		{"a probe with a nonce (RFC 7527)", summed(append(edit(probe, ipv6Payload, 0, 32), nonce...)), probes},
		{"an answer", wire(t, goldenNA),
			frame{kind: reply, source: ownMAC, owner: ownMAC, sender: vip6, target: vip6}},
		{"an answer without option, as kernels send it to one host", bare.bytes(),
			frame{kind: reply, source: ownMAC, owner: ownMAC, sender: vip6, target: vip6}},
		{"an answer in another's name", appendNA(nil, ownMAC, ownerMAC, vip6, askerMAC, asker6, solicited|override),
			frame{kind: reply, source: ownMAC, owner: ownerMAC, sender: vip6, target: vip6}},
		{"unasked", appendGratuitous(nil, reply, ownMAC, ownMAC, vip6),
			frame{kind: reply, source: ownMAC, owner: ownMAC, sender: vip6, target: vip6, gratuitous: true, broadcast: true}},
	} {
		got, fault := parseNDP(c.bytes)
		if fault != noFault || got != c.want {
			t.Errorf("%s: %v\n got %+v\nwant %+v", c.name, fault, got, c.want)
		}
	}
}

func TestParseNDPFaults(t *testing.T) {
	good, answer := wire(t, goldenNS), wire(t, goldenNA)
	probe := appendNS(nil, askerMAC, netip.IPv6Unspecified(), broadcast, vip6)
	multicast := netip.MustParseAddr("ff02::1:ff00:10").AsSlice()
	loopback := netip.IPv6Loopback().AsSlice()
	none := netip.IPv6Unspecified().AsSlice()
	for _, c := range []struct {
		name  string
		bytes []byte
		want  fault
	}{
		{"nothing", nil, faultShort},
		{"cut off within the target", good[:ndpOptions-1], faultShort},
		{"cut off within the option", good[:len(good)-1], faultShort},
		{"says that it is shorter than a solicitation", edit(good, ipv6Payload, 0, 23), faultShort},
		{"of a VLAN", edit(good, 12, 0x81, 0x00), faultProtocol},
		{"not IPv6", edit(good, ethernetHeader, 0x45), faultProtocol},
		{"after an extension header", edit(good, ipv6Next, 0), faultProtocol},
		{"a router solicitation", summed(edit(good, ndpType, 133)), faultOperation},
		{"with a code", summed(edit(good, ndpCode, 1)), faultOperation},
		{"from beyond a router", edit(good, ipv6HopLimit, 254), faultHopLimit},
		{"damaged", edit(good, ndpTarget+15, 0x11), faultChecksum},
		{"an option without length would be read for ever", summed(edit(good, ndpOptions+1, 0)), faultOption},
		{"an option longer than the packet", summed(edit(good, ndpOptions+1, 2)), faultOption},
		{"half an option", summed(edit(good, ipv6Payload, 0, 28)[:ndpOptions+4]), faultOption},
		{"target is a group", summed(edit(good, ndpTarget, multicast...)), faultAddress},
		{"target is nothing", summed(edit(good, ndpTarget, none...)), faultAddress},
		{"target is loopback", summed(edit(good, ndpTarget, loopback...)), faultAddress},
		{"source is a group", summed(edit(good, ipv6Source, multicast...)), faultAddress},
		{"source is loopback", summed(edit(good, ipv6Source, loopback...)), faultAddress},
		{"a probe that is not sent to the group", summed(edit(probe, ipv6To, vip6.AsSlice()...)), faultAddress},
		{"a probe that names its link-layer address", summed(edit(good, ipv6Source, none...)), faultAddress},
		{"an answer to a group that calls itself asked for", summed(edit(answer, ipv6To, multicast...)), faultAddress},
		{"an answer of nobody", summed(edit(answer, ipv6Source, none...)), faultAddress},
		{"an answer would go to a group", summed(edit(good, ndpOptions+2, 0x33, 0x33)), faultHardware},
		{"the address is said to be everywhere", summed(edit(answer, ndpOptions+2, broadcast[:]...)), faultHardware},
		{"sent by a group", edit(good, 6, 0x33), faultHardware},
	} {
		if got, fault := parseNDP(c.bytes); fault != c.want || got != (frame{}) {
			t.Errorf("%s: got %v and %+v, want %v and nothing", c.name, fault, got, c.want)
		}
	}
}

func FuzzParseNDP(f *testing.F) {
	f.Add(appendNS(nil, askerMAC, asker6, broadcast, vip6))
	f.Add(appendNS(nil, askerMAC, netip.IPv6Unspecified(), broadcast, vip6))
	f.Add(appendNA(nil, ownMAC, ownerMAC, vip6, askerMAC, asker6, solicited|override))
	f.Add(appendGratuitous(nil, reply, ownMAC, ownMAC, vip6))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkParser(t, parseNDP, b)
		if len(b) >= ndpOptions && len(b) < 1<<16 {
			// Few guesses have a right sum, and the rest is to be reached too.
			b = edit(b, 12, 0x86, 0xdd, 0x60)
			b = edit(b, ipv6Payload, byte((len(b)-ndpType)>>8), byte(len(b)-ndpType), icmpv6, 255)
			b = summed(b)
		}
		checkParser(t, parseNDP, b)
		parsed, fault := parseNDP(b)
		if fault != noFault {
			return
		}
		var again []byte
		switch {
		case parsed.gratuitous:
			again = appendGratuitous(nil, reply, parsed.source, parsed.owner, parsed.target)
			parsed.broadcast, parsed.sender = true, parsed.target
		case parsed.kind == request:
			again = appendNS(nil, parsed.owner, parsed.sender, mac(b), parsed.target)
			parsed.source = parsed.owner
		default:
			again = appendNA(nil, parsed.source, parsed.owner, parsed.target, mac(b), asker6, solicited)
			parsed.sender = parsed.target
		}
		if got, fault := parseNDP(again); got != parsed {
			t.Errorf("written and read again: %v\n got %+v\nwant %+v", fault, got, parsed)
		}
	})
}
