//go:build linux

package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/go-logr/logr"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// note is something that GoBGP tells in its log and nowhere else: it has no
// events for what happens before a session stands, nor for what was written to
// a connection.
type note struct {
	kind noteKind
	// text is an error, or what came with a NOTIFICATION, from the router and not
	// to be trusted.
	text          string
	code, subcode uint8
	withdrawn     []netip.Prefix
	// endOfRIB is the family that an UPDATE marks the end of, 0 for none.
	endOfRIB bgp.Family
}

type noteKind uint8

const (
	nothing noteKind = iota
	dialing
	dialFailed
	dialed
	// hungUp: the router closed the connection before it said OPEN.
	hungUp
	// silent: it did not say OPEN for minutes.
	silent
	// refused and refusing are NOTIFICATIONs received and sent.
	refused
	refusing
	holdExpired
	malformed
	// flooded: the router sent more prefixes than are allowed.
	flooded
	updateSent
	// heldBack: a change was not sent, since the session is too new.
	heldBack
)

// noteOf maps GoBGP's messages. A test has GoBGP say each.
var noteOf = map[string]noteKind{
	"try to connect":                  dialing,
	"failed to connect":               dialFailed,
	"outgoing connection established": dialed,
	"outgoing connection IO error":    hungUp,
	"outgoing connection closing due to hold timer expired in OPEN SENT state": silent,
	"received notification":                                     refused,
	"sent notification":                                         refusing,
	"hold timer expired":                                        holdExpired,
	"Session will be reset due to malformed BGP Header":         malformed,
	"Session will be reset due to malformed BGP message":        malformed,
	"Session will be reset due to malformed BGP update message": malformed,
	"prefix limit reached":                                      flooded,
	"sent update":                                               updateSent,
	"now syncing, suppress sending updates":                     heldBack,
}

// read returns what a record of GoBGP's log tells.
func read(r slog.Record) note {
	n := note{kind: noteOf[r.Message]}
	if n.kind == nothing {
		return n
	}
	empty := n.kind == updateSent
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "Error", "Communicated-Reason":
			n.text = a.Value.String()
		case "Code":
			n.code = uint8(a.Value.Int64())
		case "Subcode":
			n.subcode = uint8(a.Value.Int64())
		case "withdrawals":
			nlri, _ := a.Value.Any().([]bgp.PathNLRI)
			n.withdrawn = appendPrefixes(n.withdrawn, nlri)
			empty = empty && len(nlri) == 0
		case "nlri":
			nlri, _ := a.Value.Any().([]bgp.PathNLRI)
			empty = empty && len(nlri) == 0
		case "attributes":
			attrs, _ := a.Value.Any().([]bgp.PathAttributeInterface)
			empty = empty && len(attrs) == 0
			n.readUnreachable(attrs)
		}
		return true
	})
	if empty {
		n.endOfRIB = bgp.RF_IPv4_UC
	}
	return n
}

// readUnreachable takes in what MP_UNREACH_NLRI says (RFC 4760 section 4, RFC
// 4724 section 2).
func (n *note) readUnreachable(attrs []bgp.PathAttributeInterface) {
	for _, attr := range attrs {
		gone, ok := attr.(*bgp.PathAttributeMpUnreachNLRI)
		if !ok {
			continue
		}
		n.withdrawn = appendPrefixes(n.withdrawn, gone.Value)
		if len(gone.Value) == 0 && len(attrs) == 1 {
			n.endOfRIB = bgp.NewFamily(gone.AFI, gone.SAFI)
		}
	}
}

func appendPrefixes(all []netip.Prefix, nlri []bgp.PathNLRI) []netip.Prefix {
	for _, n := range nlri {
		if p, ok := n.NLRI.(*bgp.IPAddrPrefix); ok {
			all = append(all, p.Prefix)
		}
	}
	return all
}

// listener is GoBGP's log. It passes notes on, and to the log what is not mere
// detail. GoBGP logs no passwords.
type listener struct {
	log  logr.Logger
	hear func(note)
}

func (l listener) Enabled(context.Context, slog.Level) bool { return true }

func (l listener) Handle(_ context.Context, r slog.Record) error {
	if n := read(r); n.kind != nothing {
		l.hear(n)
	}
	if r.Level < slog.LevelInfo || !l.log.V(1).Enabled() {
		return nil
	}
	var all []any
	r.Attrs(func(a slog.Attr) bool {
		all = append(all, a.Key, bounded(fmt.Sprint(a.Value.Any())))
		return true
	})
	l.log.V(1).Info("GoBGP: "+r.Message, all...)
	return nil
}

// WithAttrs drops what GoBGP adds for each peer: a listener has only one.
func (l listener) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l listener) WithGroup(string) slog.Handler      { return l }
