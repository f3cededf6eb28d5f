//go:build linux

package bgp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/vishvananda/netlink"

	"github.com/berth-lb/berth/bfd"
)

// maxForeign is how much of a text from a router is repeated, in bytes.
const maxForeign = 128

// bounded returns s without what is too long.
func bounded(s string) string {
	if len(s) <= maxForeign {
		return s
	}
	return strings.ToValidUTF8(s[:maxForeign], "") + "..."
}

// quoted makes a text from a router safe to show.
func quoted(s string) string { return strconv.QuoteToASCII(bounded(s)) }

// spot is where a router is, for users.
func spot(p Peer, address netip.Addr) string {
	return fmt.Sprintf("%v port %d", address, p.port())
}

// noAnswer explains why connecting failed.
func noAnswer(p Peer, address netip.Addr, err error) string {
	where := spot(p, address)
	is := func(code syscall.Errno) bool { return errors.Is(err, code) }
	var noLink netlink.LinkNotFoundError
	switch {
	case is(syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refuses connections: look whether BGP runs there and listens on that address", where)
	case isTimeout(err):
		return fmt.Sprintf("no answer from %s: look at the route there, and whether it has a neighbor statement for this node%s",
			where, wrongPassword(p))
	case is(syscall.EHOSTUNREACH):
		return fmt.Sprintf("%v is not reachable: nothing answers for it on its network", address)
	case is(syscall.ENETUNREACH):
		return fmt.Sprintf("this node has no route to %v", address)
	case is(syscall.EADDRNOTAVAIL):
		return fmt.Sprintf("this node has no address %v to connect from", p.Source)
	case is(syscall.ENODEV), errors.As(err, &noLink):
		return fmt.Sprintf("this node has no device %s", p.Device)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // the addresses are in where
	}
	return fmt.Sprintf("connecting to %s: %s", where, bounded(err.Error()))
}

func wrongPassword(p Peer) string {
	if p.Password == "" {
		return "; a router that wants a password stays silent, too"
	}
	return "; a wrong password looks the same"
}

// unknownHere explains a connection that is closed before a word is said.
func unknownHere(p Peer, address netip.Addr) string {
	return fmt.Sprintf("%s closes the connection without a word: most likely it has no neighbor statement for the address of this node, or waits after an error that its log tells", spot(p, address))
}

// changedMind explains a connection that is closed after both ends said OPEN.
func changedMind(p Peer, address netip.Addr) string {
	return fmt.Sprintf("%s closes the connection after OPEN, without a word: its log may tell why", spot(p, address))
}

func speechless(p Peer, address netip.Addr) string {
	return fmt.Sprintf("%s accepts the connection and says nothing: look whether it is BGP that listens there", spot(p, address))
}

func wrongAS(p Peer, asn uint32) string {
	if p.PeerASN == 0 {
		return fmt.Sprintf("the router is in AS %d as this end is, and has to be in another one (dynamicASN: external)", asn)
	}
	return fmt.Sprintf("the router is in AS %d, not in %d as the BGPPeer has it", asn, p.PeerASN)
}

// theySaid explains a NOTIFICATION of the router.
func theySaid(p Peer, n notification) string {
	said := "the router said: " + codeName(n.code, n.subcode)
	switch {
	case n.code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && n.subcode == bgp.BGP_ERROR_SUB_BAD_PEER_AS:
		said += fmt.Sprintf(" (this end is in AS %d; look at remote-as there)", p.MyASN)
	case n.code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && n.subcode == bgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER:
		said += " (two routers must not have one router ID)"
	}
	if text := n.communication(); text != "" {
		said += " " + quoted(text)
	}
	return said
}

// weSaid explains a NOTIFICATION to the router.
func weSaid(n notification) string {
	return "this end refused what the router sent: " + codeName(n.code, n.subcode)
}

func sentNonsense(what string) string { return "the router sent what is not BGP: " + what }

const (
	heldTooLong  = "nothing was heard from the router for the hold time"
	takesNothing = "the router took nothing off the connection for the send hold time (RFC 9687)"
	broken       = "the connection broke"
)

// bfdLost explains an end by BFD.
func bfdLost(e bfd.Event) string {
	if e.Diag == bfd.NeighborSignaledDown {
		return "BFD: the router does not hear this node"
	}
	return "BFD: the router was not heard in time"
}
