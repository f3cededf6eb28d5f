//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"path/filepath"
)

// bird is BIRD: one daemon for everything.
type bird struct{}

func (bird) daemons(dir string, _ BGPConfig) []daemon {
	socket := filepath.Join(dir, "bird.ctl")
	const binary = "/usr/sbin/bird"
	return []daemon{{
		binary: binary, socket: socket,
		command: []string{binary, "-f", "-c", filepath.Join(dir, "bird.conf"), "-s", socket, "-P", filepath.Join(dir, "bird.pid")},
	}}
}

func (bird) files(c BGPConfig) map[string]string {
	var l lines
	l.add("log stderr all;")
	l.add("timeformat protocol iso long ms;")
	l.add("router id %s;", c.RouterID)
	l.add("protocol device {}")
	// A neighbour that is not on a link of ours is looked up here.
	l.add("protocol direct { ipv4; ipv6; }")
	announce := split(c.Announce)
	for i, family := range []string{"ipv4", "ipv6"} {
		l.add("protocol kernel { %s { import none; export where source = RTS_BGP; }; merge paths on limit %d; }", family, maximumPaths)
		l.add("protocol static {\n\t%s;", family)
		for _, prefix := range announce[i] {
			l.add("\troute %s blackhole;", prefix)
		}
		l.add("}")
	}
	birdBFD(&l, c.BFD.orDefault())
	if c.Advertise {
		l.add("protocol radv { interface \"eth0\" { min ra interval 3; max ra interval 4; }; }")
	}
	bgp := c.Replace
	if bgp == "" {
		bgp = birdBGP(c) + c.Extra
	}
	return map[string]string{"bird.conf": l.String() + bgp}
}

func birdBFD(l *lines, t BFDTimers) {
	timers := fmt.Sprintf("{ interval %d ms; multiplier %d; }", t.Interval.Milliseconds(), t.Multiplier)
	l.add("protocol bfd {\n\tinterface \"*\" %s;\n\tmultihop %s;\n}", timers, timers)
}

func birdBGP(c BGPConfig) string {
	var l lines
	for i, n := range c.Neighbours {
		l.add("protocol bgp neighbour%d {", i)
		birdNeighbour(&l, c, n)
		for _, family := range []string{"ipv4", "ipv6"} {
			l.add("\t%s {", family)
			l.add("\t\timport all;")
			l.add("\t\texport where source = RTS_STATIC;")
			// Over a session of the other family, its own address is none to name.
			l.add("\t\tnext hop self;")
			if over6(n) && family == "ipv4" {
				l.add("\t\textended next hop on;")
			}
			l.add("\t};")
		}
		l.add("}")
	}
	return l.String()
}

func birdNeighbour(l *lines, c BGPConfig, n BGPNeighbour) {
	set := func(when bool, format string, args ...any) {
		if when {
			l.add("\t"+format+";", args...)
		}
	}
	local := ""
	if n.Local.IsValid() {
		local = n.Local.String() + " "
	}
	set(true, "local %sport %d as %d", local, portOr179(c.Port), c.ASN)
	as := "external"
	if n.ASN != 0 {
		as = fmt.Sprintf("as %d", n.ASN)
	}
	set(n.Range.IsValid(), "neighbor range %s %s", n.Range, as)
	set(n.Range.IsValid(), "dynamic name \"range\"")
	set(n.Address.IsValid(), "neighbor %s port %d %s", n.Address, portOr179(n.Port), as)
	set(n.Interface != "", "interface %q", n.Interface)
	set(n.Passive, "passive on")
	set(n.Multihop, "multihop %d", multihopTTL)
	set(n.Password != "", "password %q", n.Password)
	set(n.BFD, "bfd on")
	hold := int(n.Hold.Seconds())
	if hold == 0 {
		hold = defaultHold
	}
	set(true, "hold time %d", hold)
	// A session that broke may come back at once.
	set(true, "connect delay time 1")
	set(true, "connect retry time 1")
	set(true, "error wait time 1, 1")
}

// shownAddress is one as BIRD shows it, with its interface if it is link-local.
func shownAddress(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	return addr.WithZone(""), err
}
