//go:build linux

package bgp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/osrg/gobgp/v4/pkg/packet/bgp"

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

// noAnswer explains why connecting failed, from the text of the error: GoBGP
// passes on no more.
func noAnswer(p Peer, address netip.Addr, err string) string {
	where := spot(p, address)
	switch {
	case strings.HasSuffix(err, "connection refused"):
		return fmt.Sprintf("%s refuses connections: look whether BGP runs there and listens on that address", where)
	case strings.HasSuffix(err, "i/o timeout"), strings.HasSuffix(err, "connection timed out"):
		return fmt.Sprintf("no answer from %s: look at the route there, and whether it has a neighbor statement for this node%s",
			where, wrongPassword(p))
	case strings.HasSuffix(err, "no route to host"):
		return fmt.Sprintf("%v is not reachable: nothing answers for it on its network", address)
	case strings.HasSuffix(err, "network is unreachable"):
		return fmt.Sprintf("this node has no route to %v", address)
	case strings.HasSuffix(err, "cannot assign requested address"):
		return fmt.Sprintf("this node has no address %v to connect from", p.Source)
	case strings.HasSuffix(err, "no such device"), strings.Contains(err, "Link not found"):
		return fmt.Sprintf("this node has no device %s", p.Device)
	}
	if i := strings.LastIndex(err, ": "); i >= 0 {
		err = err[i+2:]
	}
	return fmt.Sprintf("connecting to %s: %s", where, bounded(err))
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
func theySaid(p Peer, code, subcode uint8, text string) string {
	said := "the router said: " + codeName(code, subcode)
	switch {
	case code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && subcode == bgp.BGP_ERROR_SUB_BAD_PEER_AS:
		said += fmt.Sprintf(" (this end is in AS %d; look at remote-as there)", p.MyASN)
	case code == bgp.BGP_ERROR_OPEN_MESSAGE_ERROR && subcode == bgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER:
		said += " (two routers must not have one router ID)"
	}
	if text != "" {
		said += " " + quoted(text)
	}
	return said
}

// weSaid explains a NOTIFICATION to the router.
func weSaid(code, subcode uint8) string {
	if code == bgp.BGP_ERROR_HOLD_TIMER_EXPIRED {
		return heldTooLong
	}
	return "this end refused what the router sent: " + codeName(code, subcode)
}

const (
	heldTooLong = "nothing was heard from the router for the hold time"
	broken      = "the connection broke"
)

// openNames are those of the subcodes of OPEN errors (RFC 4271 section 4.5, RFC
// 5492), ceaseNames those of Cease (RFC 4486, RFC 8538, RFC 9384).
var (
	openNames = map[uint8]string{
		1: "unsupported version number", 2: "bad peer AS", 3: "bad BGP identifier",
		4: "unsupported optional parameter", 6: "unacceptable hold time", 7: "unsupported capability",
	}
	ceaseNames = map[uint8]string{
		1: "maximum number of prefixes reached", 2: "administrative shutdown", 3: "peer de-configured",
		4: "administrative reset", 5: "connection rejected", 6: "other configuration change",
		7: "connection collision resolution", 8: "out of resources", 9: "hard reset", 10: "BFD down",
	}
	codeNames = map[uint8]string{
		1: "message header error", 2: "OPEN message error", 3: "UPDATE message error",
		4: "hold timer expired", 5: "finite state machine error", 6: "Cease", 7: "ROUTE-REFRESH message error",
	}
)

func codeName(code, subcode uint8) string {
	name, ok := codeNames[code]
	if !ok {
		return fmt.Sprintf("error %d/%d", code, subcode)
	}
	sub := map[uint8]map[uint8]string{2: openNames, 6: ceaseNames}[code][subcode]
	if sub == "" && subcode != 0 {
		sub = strconv.Itoa(int(subcode))
	}
	if sub == "" {
		return name
	}
	return name + ", " + sub
}

// bfdLost explains an end by BFD.
func bfdLost(e bfd.Event) string {
	if e.Diag == bfd.NeighborSignaledDown {
		return "BFD: the router does not hear this node"
	}
	return "BFD: the router was not heard in time"
}

func tooMany(limit uint32) string {
	return fmt.Sprintf("the router sends more than %d prefixes, of which this node needs none: filter them there", limit)
}
