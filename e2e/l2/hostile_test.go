//go:build linux

package l2

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// families returns the addresses of the Service by family.
func (g *ground) families() (v4, v6 netip.Addr) {
	addresses := slices.SortedFunc(slices.Values(site.Addresses(g.web)), netip.Addr.Compare)
	return addresses[0], addresses[1]
}

// RFC 4861, section 4.3: a question to one host may lack the option, and is
// answered to where it came from.
func answersWithoutOption(g *ground) {
	_, v6 := g.families()
	owner := g.settled(g.web)[v6]
	c := g.Clients[0]
	toAll := ndp(solicitation, 0, c.MAC, c.IPv6, group(v6), v6)
	toOwner := slices.Concat(g.Node(owner).MAC, toAll[6:])
	for _, question := range [][]byte{toAll, toOwner} {
		sniffer, err := c.Sniff()
		g.must(err)
		g.must(c.Send(question))
		g.until("it is answered", func(context.Context) (bool, error) {
			seen, _ := sniffer.Seen()
			return slices.ContainsFunc(seen, func(s lab.Sighting) bool {
				return s.Addr == v6 && !s.Gratuitous && g.StationOf(s.MAC) == owner
			}), nil
		})
		sniffer.Close()
	}
}

// dropped is how many frames the speaker of a node has dropped, by fault.
func (g *ground) dropped(ctx context.Context, node string) (map[string]int, error) {
	_, page, err := g.Node(node).Get(ctx, "http://127.0.0.1:7472/metrics")
	counts := map[string]int{}
	for _, found := range droppedLine.FindAllStringSubmatch(page, -1) {
		counts[found[1]], _ = strconv.Atoi(found[2])
	}
	return counts, err
}

var droppedLine = regexp.MustCompile(`(?m)^berth_layer2_frames_dropped_total\{fault="([a-z_]+)"\} (\d+)$`)

// What anybody on the segment can send must not matter, and shows in metrics.
func dropsHostileFrames(g *ground) {
	w, l := g.guard(g.web), g.load(g.web)
	v4, v6 := g.families()
	c := g.Clients[1]
	g.must(c.Send(truncated(c, v4, v6)...))
	for _, owner := range w.before.nodes() {
		before, err := g.dropped(g.ctx, owner)
		g.must(err)
		sent := malformed(c, g.Node(owner).MAC, v4, v6)
		for _, frames := range sent {
			g.must(c.Send(frames...))
		}
		g.until("the frames are counted by what is wrong with them", func(ctx context.Context) (bool, error) {
			now, err := g.dropped(ctx, owner)
			for fault, frames := range sent {
				frames := w.concerning(owner, frames)
				if more := now[fault] - before[fault]; more < frames {
					return false, fmt.Errorf("%d of %d are counted as %s", more, frames, fault)
				}
			}
			return true, err
		})
	}
	l.pass(rest)
	l.nothingLost()
	w.nothingMoved()
}

// concerning counts the frames that are about an address of the owner: it does
// not even read others.
func (w *guard) concerning(owner string, frames [][]byte) (n int) {
	for _, frame := range frames {
		for address, at := range w.before {
			if at == owner && address.Is4() == (frame[12] == 0x08) {
				n++
			}
		}
	}
	return n
}

// A device that is configured with a Service's address by mistake, or that lies,
// is told otherwise, and so is everybody else.
func defendsAddress(g *ground) {
	w := g.guard(g.web)
	v4, v6 := g.families()
	liar, c := g.Clients[1], g.Clients[0]
	probes := g.probe(c)
	none := make([]byte, 6)
	for address, claim := range map[netip.Addr][]byte{
		v4: arp(1, liar.MAC, v4, none, v4),
		v6: ndp(advertisement, override, liar.MAC, liar.IPv6, netip.MustParseAddr("ff02::1"), v6, linkLayer(targetOption, liar.MAC)...),
	} {
		sniffer, err := c.Sniff()
		g.must(err)
		g.must(liar.Send(claim))
		g.until("the owner tells otherwise", func(context.Context) (bool, error) {
			told := sniffer.Gratuitous(address)
			return len(told) > 0 && g.StationOf(told[len(told)-1].MAC) == w.before[address], nil
		})
		sniffer.Close()
	}
	g.flowing(probes)
	g.gaps(probes, brief)
	g.quiet(g.web)
	for address, owner := range g.settled(g.web) {
		if owner != w.before[address] {
			g.t.Errorf("%s moved from %s to %s", address, w.before[address], owner)
		}
	}
}
