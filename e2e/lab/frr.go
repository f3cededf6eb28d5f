//go:build linux

package lab

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// frr is FRR: zebra has the kernel's table, bfdd watches and bgpd speaks BGP.
type frr struct{}

const frrFolder = "/usr/lib/frr"

func (frr) daemons(dir string, c BGPConfig) []daemon {
	path := func(name string) string { return filepath.Join(dir, name) }
	var all []daemon
	for _, name := range []string{"zebra", "bfdd", "bgpd"} {
		d := daemon{binary: filepath.Join(frrFolder, name), socket: path(name + ".vty")}
		d.command = []string{
			"unshare", "--mount", "sh", "-c", asRoot, path("group"), d.binary, "-u", "root", "-g", "root",
			"-f", path(name + ".conf"), "-i", path(name + ".pid"), "-z", path("zserv.api"),
			"--vty_socket", dir, "-P", "0", "--log", "stdout",
		}
		switch name {
		case "bfdd":
			d.command = append(d.command, "--bfdctl", path("bfdd.sock"))
		case "bgpd":
			d.command = append(d.command, "-p", strconv.Itoa(int(portOr179(c.Port))))
		}
		all = append(all, d)
	}
	return all
}

func portOr179(port uint16) uint16 {
	if port == 0 {
		return 179
	}
	return port
}

// asRoot runs FRR as root and nobody else, in a user namespace too, where there
// is nobody else; and the kernel ends a process with its parent only while that
// stays who it is. FRR asks for a group to be in that root is not in: $0 is a
// file to take its place, for this process alone.
const asRoot = `mount --bind "$0" /etc/group && exec "$@"`

// group is that file. The password, the number and the members follow the name.
const group = "root:x:0:\nfrrvty:x:1:root\n"

func (frr) files(c BGPConfig) map[string]string {
	bgp := c.Replace
	if bgp == "" {
		bgp = frrBGP(c)
	}
	return map[string]string{"zebra.conf": frrZebra(c), "bfdd.conf": frrBFD(c.BFD.orDefault()), "bgpd.conf": bgp, "group": group}
}

func frrZebra(c BGPConfig) string {
	if !c.Advertise {
		return ""
	}
	return "interface eth0\n no ipv6 nd suppress-ra\n ipv6 nd ra-interval 4\n!\n"
}

func frrBFD(t BFDTimers) string {
	return fmt.Sprintf(`bfd
 profile lab
  transmit-interval %d
  receive-interval %[1]d
  detect-multiplier %d
 !
!
`, t.Interval.Milliseconds(), t.Multiplier)
}

// lines are of a configuration.
type lines struct{ strings.Builder }

func (l *lines) add(format string, args ...any) { fmt.Fprintf(l, format+"\n", args...) }

func frrBGP(c BGPConfig) string {
	var l lines
	// It comes first: bgpd takes its time over a change to one that it uses.
	l.add("bgp as-path access-list own permit ^$")
	l.add("route-map own permit 10")
	l.add(" match as-path own")
	l.add("!")
	l.add("router bgp %d", c.ASN)
	l.add(" bgp router-id %s", c.RouterID)
	l.add(" no bgp default ipv4-unicast")
	l.add(" no bgp ebgp-requires-policy")
	l.add(" no bgp network import-check")
	l.add(" bgp bestpath as-path multipath-relax")
	l.add(" timers bgp %d %d", defaultHold/3, defaultHold)
	for i, n := range c.Neighbours {
		frrNeighbour(&l, frrName(i, n), n)
	}
	announce := split(c.Announce)
	for i, family := range []string{"ipv4", "ipv6"} {
		l.add(" address-family %s unicast", family)
		l.add("  maximum-paths %d", maximumPaths)
		l.add("  maximum-paths ibgp %d", maximumPaths)
		for _, prefix := range announce[i] {
			l.add("  network %s", prefix)
		}
		for i, n := range c.Neighbours {
			l.add("  neighbor %s activate", frrName(i, n))
			l.add("  neighbor %s route-map own out", frrName(i, n))
		}
		l.add(" exit-address-family")
	}
	l.add("!")
	return l.String() + c.Extra
}

// frrName is how the configuration calls a neighbour: a range is a group.
func frrName(i int, n BGPNeighbour) string {
	if n.Range.IsValid() {
		return fmt.Sprint("range", i)
	}
	return n.Address.String()
}

func frrNeighbour(l *lines, name string, n BGPNeighbour) {
	if n.Range.IsValid() {
		l.add(" neighbor %s peer-group", name)
	}
	as := "external"
	if n.ASN != 0 {
		as = fmt.Sprint(n.ASN)
	}
	l.add(" neighbor %s remote-as %s", name, as)
	set := func(when bool, format string, args ...any) {
		if when {
			l.add(" neighbor "+name+" "+format, args...)
		}
	}
	l.add(" neighbor %s timers connect 1", name)
	set(n.Hold > 0, "timers %d %d", max(1, int(n.Hold.Seconds())/3), int(n.Hold.Seconds()))
	set(n.Interface != "", "interface %s", n.Interface)
	set(n.Local.IsValid(), "update-source %s", n.Local)
	set(n.Port != 0, "port %d", n.Port)
	set(n.Passive, "passive")
	set(n.Multihop, "ebgp-multihop %d", multihopTTL)
	set(n.Password != "", "password %s", n.Password)
	set(n.BFD, "bfd")
	set(n.BFD, "bfd profile lab")
	set(over6(n), "capability extended-nexthop")
	if n.Range.IsValid() {
		l.add(" bgp listen range %s peer-group %s", n.Range, name)
	}
}

// over6 tells whether the session is one of IPv6.
func over6(n BGPNeighbour) bool {
	return n.Address.Is6() || n.Range.IsValid() && n.Range.Addr().Is6()
}
