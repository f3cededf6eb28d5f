//go:build linux

package l2

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// link is an interface that frames may be exchanged on.
type link struct {
	index int
	name  string
	mac   mac
	// up: switched on, and nothing says that the other end is missing.
	up bool
	// reserved interfaces are not for announcing; nodes are asked on them.
	reserved bool
	// addresses that the kernel answers for and sends from, sorted.
	addresses []netip.Prefix
}

func (l link) equal(other link) bool {
	return l.index == other.index && l.name == other.name && l.mac == other.mac && l.up == other.up && l.reserved == other.reserved && slices.Equal(l.addresses, other.addresses)
}

// linkTable holds what the kernel said about interfaces, by index.
type linkTable struct {
	usable func(name string) bool
	states map[int32]*linkState
}

type linkState struct {
	link
	// fit interfaces are of interest.
	fit       bool
	addresses map[netip.Prefix]struct{}
}

// links returns the interfaces that are fit, sorted by index. Reserved ones are
// among them where a node might be found there: most lead to containers.
func (t *linkTable) links() []link {
	all := []link{}
	for _, state := range t.states {
		if !state.fit {
			continue
		}
		l := state.link
		for a := range state.addresses {
			l.addresses = append(l.addresses, a)
		}
		if l.reserved && !slices.ContainsFunc(l.addresses, wide) {
			continue
		}
		slices.SortFunc(l.addresses, netip.Prefix.Compare)
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b link) int { return a.index - b.index })
	return all
}

// wide says whether there may be another node in the prefix of an address.
func wide(p netip.Prefix) bool { return !p.IsSingleIP() && !p.Addr().IsLinkLocalUnicast() }

// apply takes in messages, and says whether one changed something about an
// interface that is fit, or was.
func (t *linkTable) apply(messages []syscall.NetlinkMessage) bool {
	changed := false
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			changed = t.applyLink(m.Header.Type == unix.RTM_NEWLINK, m.Data) || changed
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			changed = t.applyAddress(m.Header.Type == unix.RTM_NEWADDR, m.Data) || changed
		}
	}
	return changed
}

func (t *linkTable) applyLink(present bool, data []byte) bool {
	if len(data) < unix.SizeofIfInfomsg {
		return false
	}
	info := nl.DeserializeIfInfomsg(data)
	// Bridges tell about their ports in messages of their own family; that a
	// port has left does not mean that the interface is gone.
	if info.Family != unix.AF_UNSPEC {
		return false
	}
	if !present {
		state := t.states[info.Index]
		delete(t.states, info.Index)
		return state != nil && state.fit
	}
	attributes, err := nl.ParseRouteAttr(data[unix.SizeofIfInfomsg:])
	// Wireless drivers send events that hold little else.
	if err != nil || slices.ContainsFunc(attributes, func(a syscall.NetlinkRouteAttr) bool { return a.Attr.Type == unix.IFLA_WIRELESS }) {
		return false
	}
	state := t.at(info.Index)
	before, wasFit := state.link, state.fit
	state.link, state.fit = readLink(info, attributes)
	state.reserved = state.fit && !t.usable(state.name)
	return state.fit != wasFit || state.fit && !state.link.equal(before)
}

// at returns the state of an interface, which may be told about by an address
// first.
func (t *linkTable) at(index int32) *linkState {
	state := t.states[index]
	if state == nil {
		state = &linkState{addresses: map[netip.Prefix]struct{}{}}
		t.states[index] = state
	}
	return state
}

// readLink returns what a message says about an interface, and whether that is
// on an Ethernet, with ARP, and not a part of another.
func readLink(info *nl.IfInfomsg, attributes []syscall.NetlinkRouteAttr) (link, bool) {
	l := link{index: int(info.Index)}
	ethernet := info.Type == unix.ARPHRD_ETHER && info.Flags&(unix.IFF_LOOPBACK|unix.IFF_NOARP) == 0
	part, master := false, ""
	state := netlink.LinkOperState(netlink.OperUnknown)
	for _, a := range attributes {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case unix.IFLA_IFNAME:
			l.name = text(a.Value)
		case unix.IFLA_ADDRESS:
			if len(a.Value) != len(l.mac) {
				ethernet = false
				break
			}
			l.mac = mac(a.Value)
		case unix.IFLA_OPERSTATE:
			if len(a.Value) > 0 {
				state = netlink.LinkOperState(a.Value[0])
			}
		case unix.IFLA_MASTER:
			part = len(a.Value) == 4 && binary.NativeEndian.Uint32(a.Value) != 0
		case unix.IFLA_LINKINFO:
			master = masterKind(a.Value)
		}
	}
	// Drivers that know nothing about the other end leave it unknown.
	l.up = info.Flags&unix.IFF_UP != 0 && (state == netlink.OperUp || state == netlink.OperUnknown)
	// A VRF takes routes from its interfaces, but no frames.
	return l, ethernet && l.mac != mac{} && (!part || master == "vrf")
}

// masterKind returns what an interface is part of, by its kind.
func masterKind(info []byte) string {
	attributes, err := nl.ParseRouteAttr(info)
	if err != nil {
		return ""
	}
	for _, a := range attributes {
		if a.Attr.Type&nl.NLA_TYPE_MASK == nl.IFLA_INFO_SLAVE_KIND {
			return text(a.Value)
		}
	}
	return ""
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

func (t *linkTable) applyAddress(present bool, data []byte) bool {
	if len(data) < unix.SizeofIfAddrmsg {
		return false
	}
	info := nl.DeserializeIfAddrmsg(data)
	attributes, err := nl.ParseRouteAttr(data[unix.SizeofIfAddrmsg:])
	if err != nil {
		return false
	}
	address, flags := readAddress(attributes, uint32(info.Flags))
	prefix := netip.PrefixFrom(address, int(info.Prefixlen))
	if !prefix.IsValid() {
		return false
	}
	// An address that the kernel is not sure of is none yet; it tells again.
	present = present && flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
	index := int32(info.Index)
	if !present && t.states[index] == nil {
		return false
	}
	state := t.at(index)
	addresses := state.addresses
	_, was := addresses[prefix]
	if present {
		addresses[prefix] = struct{}{}
	} else {
		delete(addresses, prefix)
	}
	return state.fit && was != present
}

// readAddress returns the interface's own address: on links between two ends
// the other attribute is the far end's.
func readAddress(attributes []syscall.NetlinkRouteAttr, flags uint32) (netip.Addr, uint32) {
	var address, local netip.Addr
	for _, a := range attributes {
		switch a.Attr.Type & nl.NLA_TYPE_MASK {
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_FLAGS:
			if len(a.Value) == 4 {
				flags = binary.NativeEndian.Uint32(a.Value)
			}
		}
	}
	if local.IsValid() {
		address = local
	}
	return address, flags
}
