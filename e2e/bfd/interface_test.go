package bfd

import (
	"net/netip"
	"testing"

	"github.com/berth-lb/berth/bfd"
)

// An interface that goes and comes back, with another index, takes its session
// down and up again, and nobody has to say so to the engine.
func TestInterfaceThatIsMadeAnew(t *testing.T) {
	l := newLab(t)
	cfg := bfd.Config{Transmit: 200 * ms, Receive: 200 * ms, Multiplier: 5}
	watched := newSpeaker(t, l.router, bfd.Options{Accept: func(netip.Addr, int) (bfd.Config, bool) { return cfg, true }})
	watcher := newSpeaker(t, l.node, bfd.Options{})
	for _, peer := range []string{"fe80::2", "192.0.2.2"} {
		cfg := cfg
		cfg.Peer, cfg.Interface = netip.MustParseAddr(peer), "direct"
		watcher.add(cfg)
		watcher.await(bfd.Up)
		watched.await(bfd.Up)
	}
	command(t, "ip", "-n", l.node, "link", "del", "direct")
	for range 2 {
		if e := watcher.await(bfd.Down); e.Diag != bfd.DetectionTimeExpired {
			t.Errorf("got %+v", e)
		}
		watched.await(bfd.Down)
	}
	l.direct(t)
	for range 2 {
		watcher.await(bfd.Up)
		watched.await(bfd.Up)
	}
	if all := watched.Sessions(); len(all) != 2 {
		t.Errorf("the watched side holds %d sessions: %+v", len(all), all)
	}
}
