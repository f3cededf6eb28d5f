package l2

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

var (
	ownMAC   = mac{2, 0, 0, 0, 0, 0x01}
	ownerMAC = mac{2, 0, 0, 0, 0, 0x0f}
	askerMAC = mac{2, 0, 0, 0, 0, 0xaa}

	vip4   = netip.MustParseAddr("192.0.2.10")
	asker4 = netip.MustParseAddr("192.0.2.200")
	none4  = netip.IPv4Unspecified()
)

// wire turns the words of a frame, with comments after #, into bytes.
func wire(t testing.TB, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// arpBytes are as RFC 826 draws them.
func arpBytes(t testing.TB, to, source, operation, sha, spa, tha, tpa string) []byte {
	b := wire(t, to+source+"0806 0001 0800 06 04"+operation+sha+spa+tha+tpa)
	return append(b, make([]byte, minimumEthernet-len(b))...)
}

func TestAppendARP(t *testing.T) {
	const own, owner, asker, all, nobody = "020000000001", "02000000000f", "0200000000aa", "ffffffffffff", "000000000000"
	const vip, from = "c000020a", "c00002c8"
	for _, c := range []struct {
		name      string
		got, want []byte
	}{
		{"an answer goes to who asked", appendARPReply(nil, ownMAC, ownMAC, vip4, askerMAC, asker4),
			arpBytes(t, asker, own, "0002", own, vip, asker, from)},
		{"in another's name only the packet names the other", appendARPReply(nil, ownMAC, ownerMAC, vip4, askerMAC, asker4),
			arpBytes(t, asker, own, "0002", owner, vip, asker, from)},
		{"the answer to a probe goes to no address", appendARPReply(nil, ownMAC, ownMAC, vip4, askerMAC, none4),
			arpBytes(t, asker, own, "0002", own, vip, asker, "00000000")},
		{"a question to one host", appendARPRequest(nil, ownMAC, asker4, ownerMAC, vip4),
			arpBytes(t, owner, own, "0001", own, from, nobody, vip)},
		{"a question to all, by a host without address", appendARPRequest(nil, ownMAC, netip.Addr{}, broadcast, vip4),
			arpBytes(t, all, own, "0001", own, "00000000", nobody, vip)},
		{"announcement as RFC 5227 has it", appendARPGratuitous(nil, request, ownMAC, ownMAC, vip4),
			arpBytes(t, all, own, "0001", own, vip, nobody, vip)},
		{"announcement as RFC 5944 has it", appendARPGratuitous(nil, reply, ownMAC, ownMAC, vip4),
			arpBytes(t, all, own, "0002", own, vip, own, vip)},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, c.got, c.want)
		}
	}
}

func TestAppendAfterOthers(t *testing.T) {
	before := []byte("before")
	got := appendARPReply(bytes.Clone(before), ownMAC, ownMAC, vip4, askerMAC, asker4)
	if want := append(before, appendARPReply(nil, ownMAC, ownMAC, vip4, askerMAC, asker4)...); !bytes.Equal(got, want) {
		t.Errorf("after other bytes a frame differs:\n got %x\nwant %x", got, want)
	}
}

func TestParseARP(t *testing.T) {
	asked := appendARPRequest(nil, askerMAC, asker4, broadcast, vip4)
	for _, c := range []struct {
		name  string
		bytes []byte
		want  frame
	}{
		{"a question", asked,
			frame{kind: request, source: askerMAC, owner: askerMAC, sender: asker4, target: vip4, broadcast: true}},
		{"a question without padding, as virtual interfaces carry it", asked[:arpEnd],
			frame{kind: request, source: askerMAC, owner: askerMAC, sender: asker4, target: vip4, broadcast: true}},
		{"a question to this host alone, which confirms an old entry", appendARPRequest(nil, askerMAC, asker4, ownMAC, vip4),
			frame{kind: request, source: askerMAC, owner: askerMAC, sender: asker4, target: vip4}},
		{"a probe for a duplicate", appendARPRequest(nil, askerMAC, none4, broadcast, vip4),
			frame{kind: request, source: askerMAC, owner: askerMAC, sender: none4, target: vip4, broadcast: true}},
		{"an answer tells about its sender", appendARPReply(nil, ownMAC, ownerMAC, vip4, askerMAC, asker4),
			frame{kind: reply, source: ownMAC, owner: ownerMAC, sender: vip4, target: vip4}},
		{"an announcement as request", appendARPGratuitous(nil, request, ownMAC, ownMAC, vip4),
			frame{kind: request, source: ownMAC, owner: ownMAC, sender: vip4, target: vip4, gratuitous: true, broadcast: true}},
		{"an announcement as reply", appendARPGratuitous(nil, reply, ownMAC, ownMAC, vip4),
			frame{kind: reply, source: ownMAC, owner: ownMAC, sender: vip4, target: vip4, gratuitous: true, broadcast: true}},
		{"a request of a bridge on behalf of a host", edit(asked, 6, ownMAC[:]...),
			frame{kind: request, source: ownMAC, owner: askerMAC, sender: asker4, target: vip4, broadcast: true}},
	} {
		got, fault := parseARP(c.bytes)
		if fault != noFault || got != c.want {
			t.Errorf("%s: %v\n got %+v\nwant %+v", c.name, fault, got, c.want)
		}
	}
}

// edit returns a copy of b with bytes replaced.
func edit(b []byte, at int, with ...byte) []byte {
	b = bytes.Clone(b)
	copy(b[at:], with)
	return b
}

func TestParseARPFaults(t *testing.T) {
	good := appendARPRequest(nil, askerMAC, asker4, broadcast, vip4)
	answer := appendARPReply(nil, askerMAC, askerMAC, asker4, ownMAC, vip4)
	for _, c := range []struct {
		name  string
		bytes []byte
		want  fault
	}{
		{"nothing", nil, faultShort},
		{"cut off within the target", good[:arpEnd-1], faultShort},
		{"of a VLAN", edit(good, 12, 0x81, 0x00), faultProtocol},
		{"for InfiniBand", edit(good, arpFormat, 0, 32), faultProtocol},
		{"for another network protocol", edit(good, arpFormat+2, 0x86, 0xdd), faultProtocol},
		{"with long hardware addresses", edit(good, arpFormat+4, 8), faultProtocol},
		{"with long network addresses", edit(good, arpFormat+5, 16), faultProtocol},
		{"of RARP", edit(good, arpOperation, 0, 3), faultOperation},
		{"of no operation", edit(good, arpOperation, 0, 0), faultOperation},
		{"an answer would go to everybody", edit(good, arpSenderMAC, broadcast[:]...), faultHardware},
		{"an answer would go nowhere", edit(good, arpSenderMAC, 0, 0, 0, 0, 0, 0), faultHardware},
		{"sent by a group", edit(good, 6, 1), faultHardware},
		{"sender is a group", edit(good, arpSender, 224, 0, 0, 1), faultAddress},
		{"sender is everybody", edit(good, arpSender, 255, 255, 255, 255), faultAddress},
		{"sender is loopback", edit(good, arpSender, 127, 0, 0, 1), faultAddress},
		{"nothing is asked for", edit(good, arpTarget, 0, 0, 0, 0), faultAddress},
		{"a group is asked for", edit(good, arpTarget, 224, 0, 0, 1), faultAddress},
		{"loopback is asked for", edit(good, arpTarget, 127, 0, 0, 1), faultAddress},
		{"a reply about nothing", edit(answer, arpSender, 0, 0, 0, 0), faultAddress},
	} {
		if got, fault := parseARP(c.bytes); fault != c.want || got != (frame{}) {
			t.Errorf("%s: got %v and %+v, want %v and nothing", c.name, fault, got, c.want)
		}
	}
}

func FuzzParseARP(f *testing.F) {
	f.Add(appendARPRequest(nil, askerMAC, asker4, broadcast, vip4))
	f.Add(appendARPReply(nil, ownMAC, ownerMAC, vip4, askerMAC, asker4))
	f.Add(appendARPGratuitous(nil, request, ownMAC, ownMAC, vip4))
	f.Add(appendARPGratuitous(nil, reply, ownMAC, ownMAC, vip4))
	f.Fuzz(func(t *testing.T, b []byte) {
		checkParser(t, parseARP, b)
		parsed, fault := parseARP(b)
		if fault != noFault {
			return
		}
		var again []byte
		switch {
		case parsed.gratuitous:
			again = appendARPGratuitous(nil, parsed.kind, parsed.source, parsed.owner, parsed.target)
			parsed.broadcast = true
		case parsed.kind == request:
			again = appendARPRequest(nil, parsed.owner, parsed.sender, mac(b), parsed.target)
			parsed.source = parsed.owner
		default:
			again = appendARPReply(nil, parsed.source, parsed.owner, parsed.target, mac(b), vip4)
			parsed.gratuitous = parsed.target == vip4
		}
		if got, fault := parseARP(again); got != parsed {
			t.Errorf("written and read again: %v\n got %+v\nwant %+v", fault, got, parsed)
		}
	})
}

// checkParser has parse read b, which must not panic, allocate or change b.
func checkParser(t *testing.T, parse func([]byte) (frame, fault), b []byte) {
	before := bytes.Clone(b)
	if n := testing.AllocsPerRun(1, func() { parse(b) }); n != 0 {
		t.Errorf("parsing allocates %v times", n)
	}
	if !bytes.Equal(before, b) {
		t.Error("parsing changed the frame")
	}
}
