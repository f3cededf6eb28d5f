package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"runtime"
	"time"

	metallb "go.universe.tf/metallb/api/v1beta1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/berth-lb/berth/announce"
	"github.com/berth-lb/berth/e2e/cluster"
	"github.com/berth-lb/berth/e2e/site"
)

const (
	// stall is how long a speaker is stopped, breath how long all run then.
	stall  = time.Second
	breath = 500 * time.Millisecond
	// bystanders are Services, so that every speaker owns addresses and stands
	// by for others.
	bystanders = 6
)

// measureFrozen stops the speakers in turn while every core is busy, and counts
// what moves.
func measureFrozen(ctx context.Context, b *bench) error {
	return withFront(ctx, func(s *site.Site) error {
		if err := prefer(ctx, s); err != nil {
			return err
		}
		var addrs []netip.Addr
		for i := range bystanders {
			svc, err := s.Serve(ctx, name(i), app)
			if err != nil {
				return err
			}
			addrs = append(addrs, site.Addresses(svc)...)
		}
		// What is told of a new owner is told for some seconds.
		if err := pause(ctx, 6*time.Second); err != nil {
			return err
		}
		before, err := s.Owners(ctx)
		if err != nil {
			return err
		}
		seen, err := watchMoves(ctx, s)
		if err != nil {
			return err
		}
		idle, err := spin(s)
		if err != nil {
			return err
		}
		stalls, err := freezeInTurn(ctx, s, b.frozen)
		idle()
		if err != nil {
			return err
		}
		moves, frames := seen()
		after, err := s.Owners(ctx)
		if err != nil {
			return err
		}
		owners := map[string]int{}
		elsewhere := 0
		for _, addr := range addrs {
			owners[before[addr]]++
			if before[addr] != after[addr] {
				elsewhere++
			}
		}
		b.add(figure{
			What:     fmt.Sprintf("takeovers in %v, %d cores busy, each speaker stopped for %v in turn, %d stops", b.frozen, runtime.NumCPU(), stall, stalls),
			Measured: fmt.Sprintf("%d; %d frames that claim an address for another node", moves, frames),
			Limit:    fmt.Sprintf("%d addresses of %d nodes; %d in another place at the end", len(addrs), len(owners), elsewhere),
			Target:   "0",
			Met:      moves == 0 && frames == 0 && elsewhere == 0,
		})
		return nil
	})
}

// freezeInTurn stops one speaker after the other, and returns how often.
func freezeInTurn(ctx context.Context, s *site.Site, length time.Duration) (stalls int, err error) {
	said := time.Now()
	for began := time.Now(); time.Since(began) < length; stalls++ {
		speaker := s.Speakers[stalls%3]
		speaker.Pause()
		err := pause(ctx, stall)
		speaker.Resume()
		if err != nil {
			return stalls, err
		}
		if err := pause(ctx, breath); err != nil {
			return stalls, err
		}
		if time.Since(said) > time.Minute {
			said = time.Now()
			progress("  stopped speakers for %v of %v", time.Since(began).Round(time.Second), length)
		}
	}
	return stalls, nil
}

// watchMoves watches records and the segment. What it returns ends that, and
// tells how many records changed their node, and how many frames claimed an
// address that was another node's at the start.
func watchMoves(ctx context.Context, s *site.Site) (seen func() (moves, frames int), err error) {
	owners, err := s.Owners(ctx)
	if err != nil {
		return nil, err
	}
	records, err := s.API.Watch(ctx, &metallb.ServiceL2StatusList{}, client.InNamespace(site.Namespace))
	if err != nil {
		return nil, err
	}
	sniffer, err := s.Clients[0].Sniff()
	if err != nil {
		records.Stop()
		return nil, err
	}
	counted := make(chan int)
	go func() { counted <- countMoves(records, owners) }()
	return func() (moves, frames int) {
		records.Stop()
		sniffer.Close()
		for _, frame := range sniffer.Gratuitous(netip.Addr{}) {
			if owner, known := owners[frame.Addr]; known && s.StationOf(frame.MAC) != owner {
				frames++
			}
		}
		return <-counted, frames
	}, nil
}

// countMoves counts until the watch ends.
func countMoves(records watch.Interface, owners map[netip.Addr]string) (moves int) {
	now := map[netip.Addr]string{}
	for addr, owner := range owners {
		now[addr] = owner
	}
	for event := range records.ResultChan() {
		object, ok := event.Object.(*metallb.ServiceL2Status)
		if !ok {
			continue
		}
		if r, ok := announce.RecordOf(object); ok && now[r.Address] != r.Node {
			now[r.Address] = r.Node
			moves++
		}
	}
	return moves
}

// spin keeps every core busy with a process of its own, until the function that
// it returns is called.
func spin(s *site.Site) (idle func(), err error) {
	var all []*cluster.Process
	idle = func() {
		for _, p := range all {
			p.Kill()
		}
	}
	for range runtime.NumCPU() {
		p, err := cluster.StartProgram(context.Background(), cluster.Program{
			Binary: "/bin/sh", Args: []string{"-c", "while :; do :; done"},
			Log: filepath.Join(s.Dir(), "spin.log"),
		})
		if err != nil {
			idle()
			return nil, err
		}
		all = append(all, p)
	}
	return idle, nil
}
