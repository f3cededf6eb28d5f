package lab

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
)

var (
	nodeMAC = net.HardwareAddr{2, 0xbe, 0, 0, 0, 11}
	other   = net.HardwareAddr{2, 0xbe, 0, 0, 0, 12}
)

func unhex(t *testing.T, parts ...string) []byte {
	t.Helper()
	out, err := hex.DecodeString(strings.ReplaceAll(strings.Join(parts, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestParseClaim(t *testing.T) {
	const (
		arpHead = "ffffffffffff 02be0000000b 0806 0001 0800 06 04"
		ipv6    = "333300000001 02be0000000b 86dd 60000000 0020 3a ff" +
			"fe80000000000000 00be00fffe00000b ff02000000000000 0000000000000001"
		target = "fd000030000000000000000000000200"
	)
	vip4, vip6 := netip.MustParseAddr("172.30.0.200"), netip.MustParseAddr("fd00:30::200")
	for name, test := range map[string]struct {
		frame []byte
		want  Claim
		none  bool
	}{
		"gratuitous ARP request": {
			frame: unhex(t, arpHead, "0001 02be0000000b ac1e00c8 000000000000 ac1e00c8"),
			want:  Claim{Addr: vip4, MAC: nodeMAC, From: nodeMAC, Gratuitous: true, Request: true},
		},
		"an ARP reply in another's name": {
			frame: unhex(t, arpHead, "0002 02be0000000c ac1e00c8 02be00000065 ac1e0065"),
			want:  Claim{Addr: vip4, MAC: other, From: nodeMAC},
		},
		"an ARP probe claims nothing": {
			frame: unhex(t, arpHead, "0001 02be0000000b 00000000 000000000000 ac1e00c8"), none: true,
		},
		"half an ARP message": {frame: unhex(t, arpHead, "0001 02be0000000b"), none: true},
		"unsolicited advertisement": {
			frame: unhex(t, ipv6, "88 00 0000 20000000", target, "02 01 02be0000000c"),
			want:  Claim{Addr: vip6, MAC: other, From: nodeMAC, Gratuitous: true},
		},
		"solicited advertisement without the option": {
			frame: unhex(t, ipv6, "88 00 0000 60000000", target),
			want:  Claim{Addr: vip6, MAC: nodeMAC, From: nodeMAC},
		},
		"an option of length zero": {frame: unhex(t, ipv6, "88 00 0000 20000000", target, "02 00 02be0000000c"), none: true},
		"a solicitation":           {frame: solicitation(nodeMAC, vip6, vip6), none: true},
		"not even Ethernet":        {frame: []byte{1, 2, 3}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseClaim(test.frame)
			if ok == test.none {
				t.Fatalf("it made a claim: %v", ok)
			}
			if test.none {
				return
			}
			if got.Addr != test.want.Addr || got.MAC.String() != test.want.MAC.String() ||
				got.From.String() != test.want.From.String() ||
				got.Gratuitous != test.want.Gratuitous || got.Request != test.want.Request {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
