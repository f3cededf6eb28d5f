package bfd

import "fmt"

// Reason is why a packet was dropped. It is an error that costs nothing to
// return.
type Reason uint8

const (
	// Malformed packets break a rule of RFC 5880 section 6.8.6 by themselves.
	Malformed Reason = iota
	WrongVersion
	// Authenticated packets want a session that has authentication.
	Authenticated
	// WrongTTL: sent from farther away than the session allows (RFC 5881
	// section 5), or without a TTL to be seen.
	WrongTTL
	// UnknownDiscriminator: for a session that is not, or no longer, there.
	UnknownDiscriminator
	// UnknownPeer: the first packet of a session that nobody asked for.
	UnknownPeer
	// WrongSource: for a session with somebody else, or from another interface.
	WrongSource
	// LongInterval: the peer wants to speak or to hear so rarely that its loss
	// would go unnoticed.
	LongInterval
	// TooManySessions: a peer was accepted, but MaxAccepted are there.
	TooManySessions

	reasons
)

var reasonNames = [reasons]string{
	Malformed:            "malformed",
	WrongVersion:         "wrong version",
	Authenticated:        "authenticated",
	WrongTTL:             "wrong TTL",
	UnknownDiscriminator: "unknown discriminator",
	UnknownPeer:          "unknown peer",
	WrongSource:          "wrong source",
	LongInterval:         "long interval",
	TooManySessions:      "too many sessions",
}

func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

func (r Reason) Error() string { return "BFD packet dropped: " + r.String() }
