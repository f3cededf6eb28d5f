//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// minRetry is the least pause between two attempts to connect.
	minRetry = time.Second
	// anyDistance is the TTL of packets to external peers that may be far away.
	anyDistance = 255
	// adjacent is the TTL to those that may not (RFC 4271 section 5.1.3).
	adjacent = 1
)

// check says why a peer can't be as it is asked for, in words for users.
func check(p Peer) error {
	switch {
	case p.MyASN == 0:
		return errors.New("the AS number of this end is 0")
	case p.HoldTime != 0 && p.HoldTime < 3*time.Second:
		return fmt.Errorf("holdTime %v is less than 3s (RFC 4271 section 4.2)", p.HoldTime)
	case !p.IPv4 && !p.IPv6:
		return errors.New("there is no address family to exchange")
	case p.Interface == "" && !p.Address.IsValid():
		return errors.New("there is neither an address nor an interface")
	case !p.RouterID.Is4():
		return fmt.Errorf("router ID %v is not an IPv4 address", p.RouterID)
	case len(p.Password) > unix.TCP_MD5SIG_MAXKEYLEN:
		return fmt.Errorf("the password is longer than %d bytes", unix.TCP_MD5SIG_MAXKEYLEN)
	case p.Source.IsValid() && p.Address.IsValid() && p.Source.Unmap().Is4() != p.Address.Unmap().Is4():
		return fmt.Errorf("source address %v and peer address %v are of different families", p.Source, p.Address)
	case p.Address.IsLinkLocalUnicast() && p.Address.Is6() && p.Address.Zone() == "":
		return fmt.Errorf("%v is a link-local address: give the interface instead", p.Address)
	}
	return nil
}

func (p Peer) port() uint16 {
	if p.Port == 0 {
		return 179
	}
	return p.Port
}

// retry is the time from one attempt to connect to the next.
func (p Peer) retry() time.Duration { return max(p.ConnectTime, minRetry) }

// internal says that the router is in the same AS.
func (p Peer) internal() bool { return p.PeerASN == p.MyASN }

// ttl is that of packets to the router; 0 leaves the default.
func (p Peer) ttl() int {
	switch {
	case p.internal():
		return 0
	case p.Multihop:
		return anyDistance
	}
	return adjacent
}
