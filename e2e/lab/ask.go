//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// FirstAnswer asks all on the segment who owns an address, at that pace, until
// one of them says so.
func (s *Station) FirstAnswer(ctx context.Context, addr netip.Addr, every time.Duration) (Sighting, error) {
	sniffer, err := s.Sniff()
	if err != nil {
		return Sighting{}, err
	}
	defer sniffer.Close()
	question := s.question(addr)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for looked := 0; ; {
		if _, err := sniffer.taps[0].Write(question); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return Sighting{}, fmt.Errorf("asking on %s who has %s: %w", s.Name, addr, err)
		}
		for waiting := true; waiting; {
			all, changed := sniffer.Seen()
			for ; looked < len(all); looked++ {
				if seen := all[looked]; seen.Addr == addr && !seen.Request {
					return seen, nil
				}
			}
			select {
			case <-changed:
			case <-tick.C:
				waiting = false
			case <-ctx.Done():
				return Sighting{}, fmt.Errorf("nobody says on %s to have %s: %w", s.Name, addr, ctx.Err())
			}
		}
	}
}
