package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/berth-lb/berth/e2e/lab"
	"github.com/berth-lb/berth/e2e/site"
)

// waitingARP is how many requests may wait for an answer: fewer than fit into
// the buffer of a socket.
const waitingARP = 1024

// measureARP has a client ask a node that is alone on the segment, so that
// nobody else spends time on the question, for an address that its speaker
// announces, for one of its kernel's own, and for some that nobody has.
func measureARP(ctx context.Context, b *bench) error {
	return withSite(ctx, site.Options{Nodes: 1}, func(s *site.Site) error {
		node := s.Nodes[0]
		if _, err := node.StartPod(ctx, namespace, app, app); err != nil {
			return err
		}
		svc, err := s.Serve(ctx, "arp", app)
		if err != nil {
			return err
		}
		vip := site.Addresses(svc)[0]
		if !vip.Is4() {
			vip = site.Addresses(svc)[1]
		}
		// What is told of a new owner is told for some seconds.
		if err := pause(ctx, 6*time.Second); err != nil {
			return err
		}
		kernel, _, err := flood(ctx, s, b, waitingARP, node.IPv4)
		if err != nil {
			return err
		}
		speaker, cost, err := flood(ctx, s, b, waitingARP, vip)
		if err != nil {
			return err
		}
		each := cost.cpu / time.Duration(max(1, speaker.Answered))
		b.add(figure{
			What:     "ARP requests answered, at most 1,024 waiting",
			Measured: fmt.Sprintf("%.0f/s, %d of %d lost; %v of the speaker's CPU for each", perSecond(speaker), speaker.Sent-speaker.Answered, speaker.Sent, each.Round(100*time.Nanosecond)),
			Limit:    fmt.Sprintf("the kernel for an address of its own: %.0f/s", perSecond(kernel)),
			Target:   "50,000/s",
			Met:      perSecond(speaker) >= 50_000,
		})
		return measureForeign(ctx, s, b, vip)
	})
}

// measureForeign asks for the neighbours of the address, which are in its pool
// and of no Service.
func measureForeign(ctx context.Context, s *site.Site, b *bench, vip netip.Addr) error {
	var others []netip.Addr
	for addr := vip.Next(); len(others) < 32; addr = addr.Next() {
		others = append(others, addr)
	}
	// A speaker reads other things as well: so much in as long.
	pid := s.Speakers[0].PID()
	before, err := used(pid)
	if err != nil {
		return err
	}
	if err := pause(ctx, b.flood); err != nil {
		return err
	}
	after, err := used(pid)
	if err != nil {
		return err
	}
	rest := after.since(before)
	sent, cost, err := flood(ctx, s, b, 0, others...)
	if err != nil {
		return err
	}
	b.add(figure{
		What:     fmt.Sprintf("ARP requests for other addresses of the pool, %d in %v: reads by the speaker", sent.Sent, b.flood),
		Measured: fmt.Sprintf("%d, %.2f %% CPU; %d answers", cost.reads, cost.core(), sent.Answered),
		Limit:    fmt.Sprintf("without the requests: %d, %.2f %% CPU", rest.reads, rest.core()),
		Target:   "none more: 0 reach user space",
		// Each request that is read is one read: a thousandth would show.
		Met: cost.reads < rest.reads+int64(sent.Sent/1000) && sent.Answered == 0,
	})
	return nil
}

// flood asks from the client, and says what that cost the speaker.
func flood(ctx context.Context, s *site.Site, b *bench, waiting int, about ...netip.Addr) (lab.Flood, spent, error) {
	pid := s.Speakers[0].PID()
	before, err := used(pid)
	if err != nil {
		return lab.Flood{}, spent{}, err
	}
	result, err := s.Clients[0].Flood(ctx, lab.FloodOptions{Length: b.flood, Waiting: waiting}, about...)
	if err != nil {
		return result, spent{}, err
	}
	after, err := used(pid)
	return result, after.since(before), err
}

func perSecond(f lab.Flood) float64 { return float64(f.Answered) / f.Took.Seconds() }
