package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

const (
	// slow is the least interval between packets while a session is not Up
	// (RFC 5880 section 6.8.3).
	slow = time.Second

	minInterval = time.Millisecond
	// maxInterval bounds what is configured and what a peer may ask for: a
	// session that hears a packet every hour watches nothing.
	maxInterval = 10 * time.Minute
)

// Key tells sessions apart.
type Key struct {
	// Peer has a zone if, and only if, it is link-local.
	Peer netip.Addr
	// Interface is empty where any will do.
	Interface string
	Multihop  bool
	// Passive sessions never speak first. There may be a passive and an active
	// session with one peer: a first packet is for the passive one, since only
	// active peers send those, and each has its own discriminator from then on.
	Passive bool
}

// Config is what a session is to be.
type Config struct {
	// Peer is the address of the other system. A link-local one has a zone, or
	// Interface is set.
	Peer netip.Addr
	// Local is the address to send from; the kernel chooses where it is not set.
	Local netip.Addr
	// Interface binds the session: packets leave and arrive there only.
	Interface string
	Multihop  bool

	// Transmit and Receive are the intervals at which this system wants to send
	// and can receive, from 1 ms to 10 min. The slower of a sender and its
	// receiver counts.
	Transmit, Receive time.Duration
	// Multiplier is after how many missed packets the peer shall give up.
	Multiplier uint8
	// Warn, where more than 0, asks for an Event with Late set this long before
	// the detection time runs out.
	Warn time.Duration

	Passive bool
	// MinTTL is the least TTL of received packets, for Multihop only: 255 less
	// the routers in between. Without Multihop it is always 255.
	MinTTL uint8
}

// Key returns what identifies the session of this configuration.
func (c Config) Key() Key {
	peer, iface := c.Peer.Unmap(), c.Interface
	if iface == "" {
		iface = peer.Zone()
	}
	if peer.Is6() && peer.IsLinkLocalUnicast() {
		peer = peer.WithZone(iface)
	}
	return Key{Peer: peer, Interface: iface, Multihop: c.Multihop, Passive: c.Passive}
}

func (c Config) validate() error {
	peer, local := c.Peer.Unmap(), c.Local.Unmap()
	switch {
	case !peer.IsValid() || peer.IsUnspecified() || peer.IsMulticast():
		return fmt.Errorf("peer %v is not the address of a system", c.Peer)
	case local.IsValid() && local.Is4() != peer.Is4():
		return fmt.Errorf("local address %v and peer %v are of different families", c.Local, c.Peer)
	case peer.Is6() && peer.IsLinkLocalUnicast() && c.Key().Interface == "":
		return fmt.Errorf("peer %v is link-local: an interface is needed", c.Peer)
	case c.Interface != "" && peer.Zone() != "" && c.Interface != peer.Zone():
		return fmt.Errorf("peer %v is on another interface than %s", c.Peer, c.Interface)
	case c.Multiplier == 0:
		return errors.New("the multiplier is 0")
	case c.Warn < 0:
		return fmt.Errorf("the warning comes %v before the detection time runs out: negative", c.Warn)
	}
	for _, i := range []time.Duration{c.Transmit, c.Receive} {
		if i < minInterval || i > maxInterval {
			return fmt.Errorf("interval %v is not between %v and %v", i, minInterval, maxInterval)
		}
	}
	return nil
}

// normal returns c with its addresses and the interface as Key has them.
func (c Config) normal() Config {
	k := c.Key()
	c.Peer, c.Interface = k.Peer, k.Interface
	c.Local = c.Local.Unmap().WithZone("")
	if !c.Multihop {
		c.MinTTL = 255
	}
	return c
}
