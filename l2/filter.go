package l2

import (
	"net/netip"
	"slices"

	"go4.org/netipx"
	"golang.org/x/net/bpf"
)

// interest is what frames have to be about to be read. Ranges are sorted, apart
// from each other, and each of one family.
type interest struct {
	announced, peers []netipx.IPRange
}

// maxInstructions is what the kernel takes (BPF_MAXINSNS).
const maxInstructions = 4096

// mostRanges is where a filter begins to join the ranges of a set, so that more
// passes than has to.
const mostRanges = 256

// Classes of frames that the kernel counts as sent to this host: to itself, to
// all, to a group. Higher ones were sent to another host, are of a VLAN without
// interface, or were sent by this host.
const lastForHost = 2

// arpFilter returns a program that accepts the ARP packets that matter: requests
// for an announced address, replies and announcements of an announced address
// or a peer, and probes for a peer's address. It joins the nearest ranges where
// there are more than limit; what joining let pass, the reader has to drop.
func arpFilter(in interest, limit int) []bpf.Instruction {
	var a assembler
	announcedSet, peerSet := words(in.announced, true, limit), words(in.peers, true, limit)
	look, isReply, isPeer, fromPeer := a.label(), a.label(), a.label(), a.label()
	yes, no := a.label(), a.label()

	a.add(bpf.LoadAbsolute{Off: 12, Size: 2})
	a.unless(bpf.JumpEqual, typeARP, no)
	a.add(bpf.LoadAbsolute{Off: arpFormat, Size: 4})
	a.unless(bpf.JumpEqual, 0x0001_0800, no)
	a.add(bpf.LoadAbsolute{Off: arpFormat + 4, Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: operationSlot})
	a.when(bpf.JumpEqual, 0x0604_0000|arpReply, isReply)
	a.unless(bpf.JumpEqual, 0x0604_0000|arpRequest, no)

	a.add(bpf.LoadAbsolute{Off: arpTarget, Size: 4})
	a.jump(look)
	a.bind(isReply)
	a.add(bpf.LoadAbsolute{Off: arpSender, Size: 4})
	a.bind(look)
	a.add(bpf.StoreScratch{Src: bpf.RegA, N: 0})
	a.match(announcedSet, yes, isPeer)
	a.bind(isPeer)
	a.match(peerSet, fromPeer, no)

	// Every host asks for nodes; of requests only probes and announcements tell
	// something.
	a.bind(fromPeer)
	a.add(bpf.LoadScratch{Dst: bpf.RegA, N: operationSlot})
	a.when(bpf.JumpEqual, 0x0604_0000|arpReply, yes)
	a.add(bpf.LoadAbsolute{Off: arpSender, Size: 4})
	a.when(bpf.JumpEqual, 0, yes)
	a.add(bpf.LoadScratch{Dst: bpf.RegX, N: 0})
	a.whenX(yes)
	return a.end(yes, no)
}

// ndpFilter returns a program that accepts neighbour solicitations and
// advertisements that matter, as arpFilter does.
func ndpFilter(in interest, limit int) []bpf.Instruction {
	var a assembler
	announcedSet, peerSet := words(in.announced, false, limit), words(in.peers, false, limit)
	known, isPeer, fromPeer, yes, no := a.label(), a.label(), a.label(), a.label(), a.label()

	a.add(bpf.LoadAbsolute{Off: 12, Size: 2})
	a.unless(bpf.JumpEqual, typeIPv6, no)
	a.add(bpf.LoadAbsolute{Off: ipv6Next, Size: 1})
	a.unless(bpf.JumpEqual, icmpv6, no)
	a.add(bpf.LoadAbsolute{Off: ndpType, Size: 1})
	a.when(bpf.JumpEqual, solicitation, known)
	a.unless(bpf.JumpEqual, advertisement, no)
	a.bind(known)
	for i := range 4 {
		a.add(bpf.LoadAbsolute{Off: ndpTarget + 4*uint32(i), Size: 4}, bpf.StoreScratch{Src: bpf.RegA, N: i})
	}
	a.match(announcedSet, yes, isPeer)
	a.bind(isPeer)
	a.match(peerSet, fromPeer, no)
	a.bind(fromPeer)
	a.add(bpf.LoadAbsolute{Off: ndpType, Size: 1})
	a.when(bpf.JumpEqual, advertisement, yes)
	for i := range 4 {
		a.add(bpf.LoadAbsolute{Off: ipv6Source + 4*uint32(i), Size: 4})
		a.unless(bpf.JumpEqual, 0, no)
	}
	a.jump(yes)
	return a.end(yes, no)
}

// operationSlot is behind those of an address.
const operationSlot = 4

// forHost puts the checks of the kernel's class of a frame, and of whose it is,
// before a program. Apart, as only the kernel can run it.
//
// What an interface hands on to one on top of it, as to that of a VLAN, the kernel
// gives to sockets bound to either. By then it has taken the tag away, so that only
// the interface tells the one from the other.
func forHost(program []bpf.Instruction, ifindex int) []bpf.Instruction {
	return append([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: lastForHost, SkipTrue: 2},
		bpf.LoadExtension{Num: bpf.ExtInterfaceIndex},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(ifindex), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}, program...)
}

// assembleFilter returns a program for the kernel and an interface, with at most
// limit ranges a set, and fewer where they would not fit.
func assembleFilter(filter func(interest, int) []bpf.Instruction, in interest, ifindex, limit int) ([]bpf.RawInstruction, error) {
	program := forHost(filter(in, limit), ifindex)
	for len(program) > maxInstructions && limit > 1 {
		limit /= 2
		program = forHost(filter(in, limit), ifindex)
	}
	return bpf.Assemble(program)
}

// wordRange is a range of addresses in the words that a program compares: one
// for IPv4, four for IPv6.
type wordRange struct{ from, to []uint32 }

// words returns the ranges of one family, of which IPv4 sorts first, joined until
// they are limit at most.
func words(ranges []netipx.IPRange, v4 bool, limit int) []wordRange {
	split, _ := slices.BinarySearchFunc(ranges, true, func(r netipx.IPRange, _ bool) int {
		if r.From().Is4() {
			return -1
		}
		return 1
	})
	own := ranges[:split]
	if !v4 {
		own = ranges[split:]
	}
	own = joinNearest(own, limit)
	all := make([]wordRange, len(own))
	for i, r := range own {
		all[i] = wordRange{addressWords(r.From()), addressWords(r.To())}
	}
	return all
}

func addressWords(a netip.Addr) []uint32 {
	b := a.AsSlice()
	w := make([]uint32, len(b)/4)
	for i := range w {
		w[i] = uint32(b[4*i])<<24 | uint32(b[4*i+1])<<16 | uint32(b[4*i+2])<<8 | uint32(b[4*i+3])
	}
	return w
}
