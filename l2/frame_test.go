package l2

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestAnswer(t *testing.T) {
	asks := func(sender, target netip.Addr) frame {
		return frame{kind: request, source: askerMAC, owner: askerMAC, sender: sender, target: target, broadcast: true}
	}
	for _, c := range []struct {
		name  string
		asked frame
		want  []byte
	}{
		{"ARP", asks(asker4, vip4), appendARPReply(nil, ownMAC, ownerMAC, vip4, askerMAC, asker4)},
		{"an ARP probe is answered to who sent it", asks(none4, vip4), appendARPReply(nil, ownMAC, ownerMAC, vip4, askerMAC, none4)},
		{"NDP", asks(asker6, vip6), appendNA(nil, ownMAC, ownerMAC, vip6, askerMAC, asker6, solicited|override)},
		{"an NDP probe is answered to all, as nobody can be named", asks(netip.IPv6Unspecified(), vip6),
			appendNA(nil, ownMAC, ownerMAC, vip6, allNodesMAC, allNodes, override)},
	} {
		if got := appendAnswer(nil, &c.asked, ownMAC, ownerMAC); !bytes.Equal(got, c.want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, got, c.want)
		}
	}
}

func TestQuestionIsAnswered(t *testing.T) {
	for _, c := range []struct {
		name           string
		sender, target netip.Addr
		parse          func([]byte) (frame, fault)
	}{
		{"IPv4", asker4, vip4, parseARP},
		{"IPv4 without an address", netip.Addr{}, vip4, parseARP},
		{"IPv6", asker6, vip6, parseNDP},
		{"IPv6 without an address", netip.Addr{}, vip6, parseNDP},
	} {
		for _, to := range []mac{broadcast, ownMAC} {
			asked, fault := c.parse(appendQuestion(nil, askerMAC, c.sender, to, c.target))
			if fault != noFault || asked.kind != request || asked.gratuitous || asked.target != c.target || asked.broadcast != (to == broadcast) {
				t.Fatalf("%s, to %v: %v, %+v", c.name, to, fault, asked)
			}
			told, fault := c.parse(appendAnswer(nil, &asked, ownMAC, ownerMAC))
			if fault != noFault || told.kind != reply || told.owner != ownerMAC || told.source != ownMAC || told.target != c.target {
				t.Errorf("%s, to %v: answer %v, %+v", c.name, to, fault, told)
			}
		}
	}
}

func TestNames(t *testing.T) {
	if got := askerMAC.String(); got != "02:00:00:00:00:aa" {
		t.Errorf("MAC is written %q", got)
	}
	for f := range faults {
		if f.String() == "" {
			t.Errorf("fault %d has no name", f)
		}
	}
}

func BenchmarkParseAndAnswer(b *testing.B) {
	for _, c := range []struct {
		name  string
		asked []byte
		parse func([]byte) (frame, fault)
	}{
		{"ARP", appendARPRequest(nil, askerMAC, asker4, broadcast, vip4), parseARP},
		{"NDP", appendNS(nil, askerMAC, asker6, broadcast, vip6), parseNDP},
	} {
		b.Run(c.name, func(b *testing.B) {
			out := make([]byte, 0, longestFrame)
			b.ReportAllocs()
			for b.Loop() {
				f, fault := c.parse(c.asked)
				if fault != noFault {
					b.Fatal(fault)
				}
				out = appendAnswer(out[:0], &f, ownMAC, ownMAC)
			}
		})
	}
}
