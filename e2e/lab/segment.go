//go:build linux

package lab

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// segment is a switch and the cables to it. Its ports are called as the
// stations that they lead to.
type segment struct {
	ns namespace

	mu sync.Mutex
	// severed are pairs of ports that no frame passes between, in either
	// direction.
	severed map[[2]string]bool
}

func newSegment(prefix string) *segment {
	return &segment{ns: namespace{prefix + "switch"}, severed: map[[2]string]bool{}}
}

// commands that make the switch once its namespace is there.
func (g *segment) commands() (c commands) {
	// Without a querier, snooping would have multicast lost or not by the
	// history of the test.
	c.add("link add br0 type bridge mcast_snooping 0 forward_delay 0 stp_state 0")
	c.add("link set dev br0 up")
	return c
}

// connect joins the stations, whose namespaces are there.
func (g *segment) connect(stations ...*Station) error {
	var cables, ports commands
	for _, s := range stations {
		cables.add("link add name eth0 address %s netns %s type veth peer name %s netns %s",
			s.MAC, s.ns.name, s.Name, g.ns.name)
		ports.add("link set dev %s master br0 up", s.Name)
	}
	return errors.Join(cables.run(), g.ns.ip(ports))
}

// disconnect takes a station's cable away, with the interface at its end.
func (g *segment) disconnect(s *Station) error {
	return g.ns.ip(commands{"link del dev " + s.Name})
}

func (g *segment) port(s *Station, state string) error {
	return g.ns.ip(commands{"link set dev " + s.Name + " " + state})
}

// Unplug takes the station's port of the switch down. The station goes on, and
// sees its carrier gone.
func (l *Lab) Unplug(s Stationed) error { return l.segment.port(s.station(), "down") }

// Plug ends Unplug, and returns when the link is up.
func (l *Lab) Plug(s Stationed) error {
	if err := l.segment.port(s.station(), "up"); err != nil {
		return err
	}
	return l.segment.awaitStations(s.station())
}

// Partition drops every frame between two stations; both still reach all
// others, and neither sees its link go.
func (l *Lab) Partition(a, b Stationed) error {
	return l.Split([]Stationed{a}, []Stationed{b})
}

// Split drops every frame between a station of one side and one of the other.
// A station on neither side reaches both. It adds to earlier splits.
func (l *Lab) Split(one, other []Stationed) error {
	g := l.segment
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, a := range one {
		for _, b := range other {
			g.severed[[2]string{a.station().Name, b.station().Name}] = true
		}
	}
	return g.ns.nft(ruleset(g.severed))
}

// Heal ends every Partition and Split.
func (l *Lab) Heal() error {
	g := l.segment
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.severed)
	return g.ns.nft(ruleset(g.severed))
}

// ruleset replaces the switch's rules: a pair of ports is severed both ways.
func ruleset(severed map[[2]string]bool) string {
	var rules []string
	for pair := range severed {
		for _, way := range [][2]string{pair, {pair[1], pair[0]}} {
			rules = append(rules, fmt.Sprintf("iifname %q oifname %q drop", way[0], way[1]))
		}
	}
	slices.Sort(rules)
	return `table bridge lab
delete table bridge lab
table bridge lab {
	chain forward {
		type filter hook forward priority 0
		` + strings.Join(rules, "\n\t\t") + `
	}
}
`
}
